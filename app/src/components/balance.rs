//! The fate of rows, at one node or in a whole run: in + made = out + each way of leaving, drawn and summed.

use leptos::prelude::*;
use weir_api::{NodeCounters, NodeKind, RunRows};

use crate::format;

/// Rows on both sides of the sum. The first of `ways` is the one that is always told.
#[derive(Clone, Debug, PartialEq)]
struct Sum {
    rows_in: u64,
    /// Made of rows that were absorbed, or copied.
    made: u64,
    /// Class, word, rows.
    ways: Vec<(&'static str, &'static str, u64)>,
}

impl Sum {
    fn of_node(node: &NodeCounters) -> Self {
        let out = if node.kind == NodeKind::Sink { "written" } else { "out" };
        let absorbed = if node.observer { "looked at" } else { "absorbed" };
        Self {
            rows_in: node.rows_in,
            made: node.emitted,
            ways: vec![
                ("out", out, node.rows_out),
                ("quarantined", "quarantined", node.held),
                ("malformed", "malformed or late, not kept", not_kept(node)),
                ("denied", "denied", node.denied),
                ("dropped", "dropped by a rule", node.dropped),
                ("filtered", "filtered by SQL", node.filtered),
                ("absorbed", absorbed, node.absorbed),
            ],
        }
    }

    fn of_run(rows: &RunRows) -> Self {
        Self {
            rows_in: rows.rows_in,
            made: rows.rows_made,
            ways: vec![
                ("out", "out", rows.rows_out),
                ("quarantined", "quarantined", rows.rows_quarantined),
                ("denied", "refused", rows.rows_refused),
                ("filtered", "filtered by SQL", rows.rows_filtered),
                ("absorbed", "absorbed", rows.rows_absorbed),
            ],
        }
    }

    /// Rows that are unaccounted for: the sum of their ways minus the rows that came in or were made. Zero is the promise.
    fn remainder(&self) -> i128 {
        let went = self.ways.iter().map(|(.., n)| i128::from(*n)).sum::<i128>();
        went - i128::from(self.rows_in) - i128::from(self.made)
    }
}

/// Rows that were malformed, against a rule or late, and that nobody kept.
pub fn not_kept(node: &NodeCounters) -> u64 {
    (node.malformed + node.quarantined + node.late).saturating_sub(node.held)
}

/// Rows of a node that are unaccounted for.
pub fn remainder(node: &NodeCounters) -> i128 {
    Sum::of_node(node).remainder()
}

/// What became of the rows at one node.
#[component]
pub fn Balance(node: NodeCounters) -> impl IntoView {
    draw(Sum::of_node(&node))
}

/// What became of the rows of all nodes together.
#[component]
pub fn RunBalance(rows: RunRows) -> impl IntoView {
    draw(Sum::of_run(&rows))
}

/// A bar to scale, and the equation. Ways that no row went are left out of both, except the first.
fn draw(sum: Sum) -> impl IntoView {
    let whole = (sum.rows_in + sum.made).max(1) as f64;
    let mut x = 0.0;
    let bars = sum
        .ways
        .iter()
        .filter(|(.., n)| *n > 0)
        .map(|(class, _, n)| {
            let width = *n as f64 / whole * 1_000.0;
            let at = x;
            x += width;
            // What happened at all can be seen.
            view! { <rect class=format!("f-{class}") x=format!("{at:.2}") y="0" width=format!("{:.2}", width.max(3.0)) height="8"></rect> }
        })
        .collect_view();
    let made = (sum.made > 0).then(|| {
        view! {
            <span class="balance__op" aria-hidden="true">"+"</span>
            <span class="balance__term">{format::count(sum.made)}<small title="Put out by windows and joins, or taken on by more than one step">"made"</small></span>
        }
    });
    let terms = sum
        .ways
        .iter()
        .enumerate()
        .filter(|(i, (.., n))| *i == 0 || *n > 0)
        .map(|(i, (class, word, n))| {
            view! {
                <span class="balance__op" aria-hidden="true">{if i == 0 { "=" } else { "+" }}</span>
                <span class="balance__term">
                    <span class=format!("dot dot--{class}") aria-hidden="true"></span>
                    {format::count(*n)}
                    <small>{*word}</small>
                </span>
            }
        })
        .collect_view();
    let verdict = match sum.remainder() {
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
                <span class="balance__term">{format::count(sum.rows_in)}<small>"in"</small></span>
                {made}
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
            rows_in: 12,
            rows_out: 5,
            quarantined: 1,
            denied: 1,
            late: 1,
            dropped: 1,
            filtered: 1,
            absorbed: 1,
            malformed: 2,
            emitted: 1,
            held: 3,
            ..NodeCounters::default()
        };
        assert_eq!(remainder(&node), 0);
        assert_eq!(not_kept(&node), 1, "of the malformed, the quarantined and the late row, three are held");
        node.rows_out = 4;
        assert_eq!(remainder(&node), -1);
    }

    #[test]
    fn the_whole_run_is_told_in_one_sum() {
        let rows = RunRows {
            rows_in: 100,
            rows_out: 50,
            rows_quarantined: 9,
            rows_refused: 11,
            rows_filtered: 30,
            ..RunRows::default()
        };
        assert_eq!(Sum::of_run(&rows).remainder(), 0);
    }
}
