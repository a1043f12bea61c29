//! The name that was probably meant.

/// The candidate nearest to what was written, if it is near enough to suggest.
pub fn nearest<'c>(written: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let written = written.to_lowercase();
    let length = written.chars().count();
    // Comparing costs length times length; what is longer than any name of ours is no misspelling of it.
    if length > 100 {
        return None;
    }
    let limit = match length {
        0..=5 => 1,
        6..=8 => 2,
        _ => 3,
    };
    candidates
        .into_iter()
        .map(|candidate| (distance(&written, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= limit && *distance < candidate.chars().count().max(2))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Typing errors between two words; separators are no difference (`onFail`, `on-fail` and `on_fail`).
fn distance(a: &str, b: &str) -> usize {
    let bare = |word: &str| word.replace(['-', '_', ' '], "");
    strsim::osa_distance(a, b).min(1 + strsim::osa_distance(&bare(a), &bare(b)))
}

/// ``did you mean `format`?``
pub fn did_you_mean<'c>(written: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<String> {
    nearest(written, candidates).map(|name| format!("did you mean `{name}`?"))
}

/// `` `a`, `b` or `c` ``
pub fn one_of<'c>(names: impl IntoIterator<Item = &'c str>, last: &str) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match names.as_slice() {
        [] => "nothing".to_owned(),
        [only] => only.clone(),
        [first @ .., end] => format!("{} {last} {end}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_what_is_near_and_nothing_else() {
        let keys = ["format", "file", "from", "on_fail", "within", "min", "max"];
        let cases = [
            ("fromat", Some("format")),
            ("FORMAT", Some("format")),
            ("onFail", Some("on_fail")),
            ("on-fail", Some("on_fail")),
            ("fil", Some("file")),
            ("mn", Some("min")),
            ("wihtin", Some("within")),
            ("q", None),
            ("", None),
            ("delimiter", None),
        ];
        for (written, expected) in cases {
            assert_eq!(nearest(written, keys), expected, "{written}");
        }
    }
}
