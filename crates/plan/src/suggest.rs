//! The nearest name, for help texts.

/// The candidate most like `name`, if any is like it at all.
pub(crate) fn nearest<'c>(name: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let lower = name.to_lowercase();
    let scored = candidates.into_iter().map(|candidate| (strsim::jaro_winkler(&lower, &candidate.to_lowercase()), candidate));
    let best = scored.max_by(|(a, x), (b, y)| a.total_cmp(b).then_with(|| y.cmp(x)));
    best.filter(|(score, _)| *score >= 0.75).map(|(_, candidate)| candidate)
}

/// `did you mean `x`?`, or the list of what there is.
pub(crate) fn among<'c>(kind: &str, name: &str, candidates: impl IntoIterator<Item = &'c str>) -> String {
    const LISTED: usize = 12;
    let candidates: Vec<&str> = candidates.into_iter().collect();
    if let Some(nearest) = nearest(name, candidates.iter().copied()) {
        return format!("did you mean `{nearest}`?");
    }
    match candidates.as_slice() {
        [] => format!("there is no {kind}"),
        [only] => format!("the only {kind} is `{only}`"),
        _ => {
            let shown: Vec<_> = candidates.iter().take(LISTED).map(|c| format!("`{c}`")).collect();
            let more = if candidates.len() > LISTED { ", …" } else { "" };
            format!("{kind}s here: {}{more}", shown.join(", "))
        }
    }
}
