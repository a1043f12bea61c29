//! The fate of rows at one node: in = out + malformed + quarantined + denied + late + dropped, drawn and summed.

use leptos::prelude::*;
use weir_api::{NodeCounters, NodeKind};

use crate::format;

/// What became of the rows, in the order of the sum.
fn fates(node: &NodeCounters) -> [(&'static str, &'static str, u64); 6] {
    let out = if node.kind == NodeKind::Sink { "written" } else { "out" };
    [
        ("out", out, node.rows_out),
        ("malformed", "malformed", node.malformed),
        ("quarantined", "quarantined", node.quarantined),
        ("denied", "denied", node.denied),
        ("late", "late", node.late),
        ("dropped", "dropped", node.dropped),
    ]
}

/// Rows that are unaccounted for: the sum of their fates minus the rows that came in. Zero is the promise.
pub fn remainder(node: &NodeCounters) -> i128 {
    fates(node).iter().map(|(.., n)| i128::from(*n)).sum::<i128>() - i128::from(node.rows_in)
}

/// A bar to scale, and the equation. Fates that never happened are left out of both, except the first.
#[component]
pub fn Balance(node: NodeCounters) -> impl IntoView {
    let whole = node.rows_in.max(1) as f64;
    let mut x = 0.0;
    let bars = fates(&node)
        .into_iter()
        .filter(|(.., n)| *n > 0)
        .map(|(class, _, n)| {
            let width = n as f64 / whole * 1_000.0;
            let at = x;
            x += width;
            // What happened at all can be seen.
            view! { <rect class=format!("f-{class}") x=format!("{at:.2}") y="0" width=format!("{:.2}", width.max(3.0)) height="8"></rect> }
        })
        .collect_view();
    let terms = fates(&node)
        .into_iter()
        .enumerate()
        .filter(|(i, (.., n))| *i == 0 || *n > 0)
        .map(|(i, (class, word, n))| {
            view! {
                <span class="balance__op" aria-hidden="true">{if i == 0 { "=" } else { "+" }}</span>
                <span class="balance__term">
                    <span class=format!("dot dot--{class}") aria-hidden="true"></span>
                    {format::count(n)}
                    <small>{word}</small>
                </span>
            }
        })
        .collect_view();
    let verdict = match remainder(&node) {
        0 => view! { <span class="small is-balanced">"✓ balanced"</span> }.into_any(),
        rest => view! { <span class="small is-unbalanced">{format!("✗ off by {rest}: please report this")}</span> }.into_any(),
    };
    view! {
        <div class="balance">
            <svg class="balance__bar" viewBox="0 0 1000 8" preserveAspectRatio="none" aria-hidden="true">
                <rect class="f-in" width="1000" height="8"></rect>
                {bars}
            </svg>
            <p class="balance__sum">
                <span class="balance__term">{format::count(node.rows_in)}<small>"in"</small></span>
                {terms}
                {verdict}
            </p>
        </div>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_unaccounted_for_is_seen() {
        let mut node = NodeCounters {
            node: "checked".into(),
            kind: NodeKind::Step,
            rows_in: 10,
            rows_out: 5,
            quarantined: 1,
            denied: 1,
            late: 1,
            dropped: 1,
            malformed: 1,
            rule_failures: Default::default(),
        };
        assert_eq!(remainder(&node), 0);
        node.rows_out = 4;
        assert_eq!(remainder(&node), -1);
    }
}
