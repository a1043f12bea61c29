//! Pages of lists that are short enough to be read whole.

use weir_api::{Cursor, Page, PageQuery};

/// The page after the cursor of items sorted by a unique key.
pub(crate) fn page<T, K: Ord + std::fmt::Display>(items: Vec<T>, query: &PageQuery, key: impl Fn(&T) -> K) -> Page<T> {
    let start = match &query.after {
        Some(after) => items.iter().position(|item| key(item).to_string() == *after).map_or(items.len(), |at| at + 1),
        None => 0,
    };
    let limit = query.limit() as usize;
    let more = items.len() > start + limit;
    let items: Vec<T> = items.into_iter().skip(start).take(limit).collect();
    let next = items.last().filter(|_| more).map(|last| Cursor(key(last).to_string()));
    Page { items, next }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_join_to_the_whole_list() {
        let all: Vec<u32> = (0..7).collect();
        let mut query = PageQuery { after: None, limit: Some(3) };
        let mut seen = Vec::new();
        let mut pages = 0;
        loop {
            let page = page(all.clone(), &query, |n| *n);
            seen.extend(page.items);
            pages += 1;
            match page.next {
                Some(next) => query.after = Some(next.0),
                None => break,
            }
        }
        assert_eq!((seen, pages), (all, 3));
    }
}
