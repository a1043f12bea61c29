//! Counts that others may watch while a run goes on: cumulative, lock-free, never waited for.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::counts::NodeCounts;

/// Live counts of every node, in the plan's order.
#[derive(Debug, Default)]
pub struct Live {
    nodes: Vec<LiveNode>,
}

#[derive(Debug, Default)]
struct LiveNode {
    rows_in: AtomicU64,
    out: AtomicU64,
    malformed: AtomicU64,
    quarantined: AtomicU64,
    denied: AtomicU64,
    late: AtomicU64,
    dropped: AtomicU64,
    absorbed: AtomicU64,
    emitted: AtomicU64,
    held: AtomicU64,
    unnamed: AtomicU64,
    flagged: AtomicU64,
    /// Rows or bytes waiting before a source; `u64::MAX` where the source cannot tell.
    lag: AtomicU64,
}

impl Live {
    /// Counts for so many nodes, which begin at `initial`.
    pub fn new(initial: impl IntoIterator<Item = NodeCounts>) -> Self {
        let nodes = initial
            .into_iter()
            .map(|counts| {
                let node = LiveNode { lag: AtomicU64::new(u64::MAX), ..LiveNode::default() };
                node.add(counts);
                node
            })
            .collect();
        Self { nodes }
    }

    /// Adds to the counts of a node.
    pub fn add(&self, node: usize, counts: NodeCounts) {
        self.nodes[node].add(counts);
    }

    pub fn set_lag(&self, node: usize, lag: Option<u64>) {
        self.nodes[node].lag.store(lag.unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// The counts of a node, and what waits before it.
    pub fn get(&self, node: usize) -> (NodeCounts, Option<u64>) {
        let node = &self.nodes[node];
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counts = NodeCounts {
            rows_in: get(&node.rows_in),
            out: get(&node.out),
            malformed: get(&node.malformed),
            quarantined: get(&node.quarantined),
            denied: get(&node.denied),
            late: get(&node.late),
            dropped: get(&node.dropped),
            absorbed: get(&node.absorbed),
            emitted: get(&node.emitted),
            held: get(&node.held),
            unnamed: get(&node.unnamed),
            flagged: get(&node.flagged),
        };
        (counts, Some(get(&node.lag)).filter(|&lag| lag != u64::MAX))
    }

    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }
}

impl LiveNode {
    fn add(&self, counts: NodeCounts) {
        let add = |counter: &AtomicU64, n: u64| {
            if n > 0 {
                counter.fetch_add(n, Ordering::Relaxed);
            }
        };
        add(&self.rows_in, counts.rows_in);
        add(&self.out, counts.out);
        add(&self.malformed, counts.malformed);
        add(&self.quarantined, counts.quarantined);
        add(&self.denied, counts.denied);
        add(&self.late, counts.late);
        add(&self.dropped, counts.dropped);
        add(&self.absorbed, counts.absorbed);
        add(&self.emitted, counts.emitted);
        add(&self.held, counts.held);
        add(&self.unnamed, counts.unnamed);
        add(&self.flagged, counts.flagged);
    }
}
