//! What a run did, from what its pipeline had counted before it and after it; and the sums of all nodes, to the row.

use std::collections::BTreeMap;

use weir_api::{NodeCounters, NodeKind, RunRows};

/// The counts of the nodes without what they had counted before. A node that counts less than before has begun anew.
pub(crate) fn since(now: &[NodeCounters], before: &[NodeCounters]) -> Vec<NodeCounters> {
    now.iter()
        .map(|node| {
            let earlier = before.iter().find(|earlier| earlier.node == node.node && earlier.kind == node.kind);
            earlier.and_then(|earlier| difference(node, earlier)).unwrap_or_else(|| node.clone())
        })
        .collect()
}

fn difference(now: &NodeCounters, before: &NodeCounters) -> Option<NodeCounters> {
    let mut rule_failures = BTreeMap::new();
    for (rule, failures) in &now.rule_failures {
        let failures = failures.saturating_sub(before.rule_failures.get(rule).copied().unwrap_or_default());
        if failures > 0 {
            rule_failures.insert(rule.clone(), failures);
        }
    }
    Some(NodeCounters {
        node: now.node.clone(),
        kind: now.kind,
        rows_in: now.rows_in.checked_sub(before.rows_in)?,
        rows_out: now.rows_out.checked_sub(before.rows_out)?,
        quarantined: now.quarantined.checked_sub(before.quarantined)?,
        denied: now.denied.checked_sub(before.denied)?,
        late: now.late.checked_sub(before.late)?,
        dropped: now.dropped.checked_sub(before.dropped)?,
        filtered: now.filtered.checked_sub(before.filtered)?,
        absorbed: now.absorbed.checked_sub(before.absorbed)?,
        emitted: now.emitted.checked_sub(before.emitted)?,
        held: now.held.checked_sub(before.held)?,
        observer: now.observer,
        malformed: now.malformed.checked_sub(before.malformed)?,
        rule_failures,
    })
}

/// All nodes together. What one node passes on comes in at others: the rows that come in there beyond those went more than one way,
/// and those that come in nowhere went on to nowhere. Observers take no rows, so that they are no way.
pub(crate) fn rows(nodes: &[NodeCounters]) -> RunRows {
    let mut rows = RunRows::default();
    let (mut passed_on, mut taken_in) = (0u64, 0u64);
    for node in nodes.iter().filter(|node| !node.observer) {
        match node.kind {
            NodeKind::Source => rows.rows_in += node.rows_in,
            NodeKind::Step | NodeKind::Sink => taken_in += node.rows_in,
        }
        match node.kind {
            NodeKind::Sink => rows.rows_out += node.rows_out,
            NodeKind::Source | NodeKind::Step => passed_on += node.rows_out,
        }
        rows.rows_quarantined += node.held;
        rows.rows_refused += (node.malformed + node.quarantined + node.late).saturating_sub(node.held);
        rows.rows_refused += node.denied + node.dropped;
        rows.rows_filtered += node.filtered;
        rows.rows_absorbed += node.absorbed;
        rows.rows_made += node.emitted;
    }
    rows.rows_made += taken_in.saturating_sub(passed_on);
    rows.rows_absorbed += passed_on.saturating_sub(taken_in);
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(node: &str, kind: NodeKind, rows_in: u64, rows_out: u64) -> NodeCounters {
        NodeCounters { node: node.to_owned(), kind, rows_in, rows_out, ..NodeCounters::default() }
    }

    fn balance(rows: RunRows) -> (u64, u64) {
        let went = rows.rows_out + rows.rows_quarantined + rows.rows_refused + rows.rows_filtered + rows.rows_absorbed;
        (rows.rows_in + rows.rows_made, went)
    }

    #[test]
    fn every_row_is_in_the_sum_whichever_way_it_went() {
        let nodes = [
            NodeCounters { malformed: 3, late: 2, held: 4, ..node("payments", NodeKind::Source, 100, 95) },
            NodeCounters { quarantined: 5, held: 5, ..node("checked", NodeKind::Step, 95, 90) },
            NodeCounters { denied: 10, ..node("allowed", NodeKind::Step, 90, 80) },
            NodeCounters { filtered: 30, ..node("large", NodeKind::Step, 80, 50) },
            node("clean", NodeKind::Sink, 50, 50),
        ];
        let rows = rows(&nodes);
        assert_eq!((rows.rows_in, rows.rows_out, rows.rows_quarantined), (100, 50, 9));
        assert_eq!((rows.rows_refused, rows.rows_filtered, rows.rows_made, rows.rows_absorbed), (11, 30, 0, 0));
        assert_eq!(balance(rows), (100, 100));
    }

    #[test]
    fn rows_that_go_two_ways_count_twice_and_windows_make_few_of_many() {
        let nodes = [
            node("visits", NodeKind::Source, 100, 100),
            NodeCounters { absorbed: 100, emitted: 4, ..node("sums", NodeKind::Step, 100, 4) },
            NodeCounters { absorbed: 100, observer: true, ..node("watched", NodeKind::Step, 100, 0) },
            node("all", NodeKind::Sink, 100, 100),
            node("totals", NodeKind::Sink, 4, 4),
        ];
        let rows = rows(&nodes);
        assert_eq!((rows.rows_in, rows.rows_out, rows.rows_made, rows.rows_absorbed), (100, 104, 104, 100));
        assert_eq!(balance(rows), (204, 204));
    }

    #[test]
    fn a_run_did_what_was_not_counted_before_it() {
        let rules = |failures| BTreeMap::from([("unique(id)".to_owned(), failures)]);
        let before = [NodeCounters { rule_failures: rules(2), quarantined: 2, held: 2, ..node("a", NodeKind::Step, 10, 8) }];
        let now = [
            NodeCounters { rule_failures: rules(2), quarantined: 2, held: 2, ..node("a", NodeKind::Step, 15, 13) },
            node("new", NodeKind::Sink, 5, 5),
        ];
        assert_eq!(since(&now, &before), [node("a", NodeKind::Step, 5, 5), node("new", NodeKind::Sink, 5, 5)]);
        assert_eq!(since(&before, &now), before, "a node that counts less than before has begun anew");
    }
}
