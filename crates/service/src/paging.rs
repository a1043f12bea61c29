//! Pages of lists that are short enough to be read whole.

use weir_api::{Cursor, Page, PageQuery};

use crate::{Error, Result};

/// The page after the cursor of items sorted by a unique key. Errors with `Invalid` where no item has that key.
pub(crate) fn page<T, K: Ord + std::fmt::Display>(items: Vec<T>, query: &PageQuery, key: impl Fn(&T) -> K) -> Result<Page<T>> {
    let start = match &query.after {
        Some(after) => match items.iter().position(|item| key(item).to_string() == *after) {
            Some(at) => at + 1,
            None => return Err(Error::bad_cursor()),
        },
        None => 0,
    };
    let limit = query.limit() as usize;
    let more = items.len() > start + limit;
    let items: Vec<T> = items.into_iter().skip(start).take(limit).collect();
    let next = items.last().filter(|_| more).map(|last| Cursor(key(last).to_string()));
    Ok(Page { items, next })
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
            let page = page(all.clone(), &query, |n| *n).unwrap();
            seen.extend(page.items);
            pages += 1;
            match page.next {
                Some(next) => query.after = Some(next.0),
                None => break,
            }
        }
        assert_eq!((seen, pages), (all, 3));
    }

    #[test]
    fn what_is_no_cursor_of_the_list_is_refused_instead_of_ending_it() {
        let query = PageQuery { after: Some("x".to_owned()), limit: None };
        assert!(matches!(page(vec![1, 2], &query, |n| *n), Err(Error::Invalid(fields)) if fields[0].field == "after"));
    }
}
