//! Messages that name things between backticks, as people read them.

use leptos::prelude::*;

/// The text with what stands between backticks as code. A backtick without its partner stays as it is.
pub fn prose(text: &str) -> AnyView {
    let parts = parts(text);
    parts
        .into_iter()
        .map(|(is_code, part)| if is_code { view! { <code>{part}</code> }.into_any() } else { part.into_any() })
        .collect_view()
        .into_any()
}

fn parts(text: &str) -> Vec<(bool, String)> {
    let pieces: Vec<&str> = text.split('`').collect();
    if pieces.len().is_multiple_of(2) {
        return vec![(false, text.to_owned())];
    }
    let parts = pieces.into_iter().enumerate().map(|(place, piece)| (place % 2 == 1, piece.to_owned()));
    parts.filter(|(_, piece)| !piece.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_between_backticks_is_code() {
        let cases: [(&str, &[(bool, &str)]); 4] = [
            ("`amount` is not between 0 and 1", &[(true, "amount"), (false, " is not between 0 and 1")]),
            ("there is no `a` and no `b`", &[(false, "there is no "), (true, "a"), (false, " and no "), (true, "b")]),
            ("a lone ` stays", &[(false, "a lone ` stays")]),
            ("plain", &[(false, "plain")]),
        ];
        for (text, expected) in cases {
            let found = parts(text);
            assert_eq!(found.iter().map(|(code, part)| (*code, part.as_str())).collect::<Vec<_>>(), expected, "{text}");
        }
    }
}
