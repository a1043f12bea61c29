//! Where a column comes from, walked back to its sources: whether it is their own value, each row's once, and what masks on the way
//! have made of its class.

use std::collections::{BTreeMap, BTreeSet};

use datafusion::logical_expr::Expr;
use weir_spec::{
    Classification,
    mask::{Mask, Values},
};

use crate::{
    flow::{Flow, part},
    keys::Keys,
    operator::{JoinBound, JoinKind, JoinNode, Operator, WindowKind},
    path::Place,
    plan::{Node, NodeId, NodeKind},
    range, schema,
};

/// Nodes that are planned, with their flows.
#[derive(Clone, Copy)]
pub(crate) struct Origin<'o> {
    pub nodes: &'o [Node],
    pub flows: &'o [Flow],
}

/// What a part of a column's value is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Worth {
    /// Its class before anything masked it.
    before: Classification,
    /// What the best mask on the way has made of that.
    now: Classification,
}

type Worths = BTreeSet<Worth>;

impl<'o> Origin<'o> {
    /// Whether a column holds what a source has given it, masked or not. Then it is not up to the document which rows are null, equal
    /// or well formed in it.
    pub fn is_own(self, id: NodeId, column: usize) -> bool {
        let node = &self.nodes[id];
        let width = || self.nodes[node.inputs[0]].columns.len();
        match &node.kind {
            NodeKind::Source(_) | NodeKind::Table(_) => true,
            NodeKind::Quality(_) | NodeKind::Consent(_) | NodeKind::Mask(_) | NodeKind::Sink(_) => {
                self.is_own(node.inputs[0], column)
            }
            NodeKind::Sql(sql) => sql.branches.iter().all(|branch| {
                let place = self.passed(branch.input, &branch.projection[column].0, false);
                place.is_some_and(|place| self.is_own(branch.input, place))
            }),
            // Windows are as they are declared: no value can be chosen by them.
            NodeKind::Window(_) => column >= width() || self.is_own(node.inputs[0], column),
            NodeKind::Operator(planned) => match &planned.operator {
                Operator::Aggregate(aggregate) => match aggregate.keys.get(column) {
                    Some(&key) => self.is_own(node.inputs[0], key),
                    None => column < node.columns.len() - aggregate.calls.len(),
                },
                Operator::Join(_) if column < width() => self.is_own(node.inputs[0], column),
                // Null also where nothing was met.
                Operator::Join(join) => join.kind == JoinKind::Inner && self.is_own(node.inputs[1], column - width()),
                Operator::Rank(_) => column < width() && self.is_own(node.inputs[0], column),
                Operator::Match(found) => {
                    found.partition.get(column).is_some_and(|&partition| self.is_own(node.inputs[0], partition))
                }
                Operator::Measure(_) | Operator::Alert(_) => false,
            },
        }
    }

    /// Whether a column holds in each row the value of one row of a source, converted at most, and no row of a source twice within a
    /// window.
    pub fn is_each_rows_own(self, id: NodeId, column: usize) -> bool {
        let node = &self.nodes[id];
        let width = || self.nodes[node.inputs[0]].columns.len();
        match &node.kind {
            NodeKind::Source(_) => true,
            NodeKind::Table(_) => false,
            NodeKind::Quality(_) | NodeKind::Consent(_) | NodeKind::Mask(_) | NodeKind::Sink(_) => {
                self.is_each_rows_own(node.inputs[0], column)
            }
            NodeKind::Sql(sql) => {
                let mut read = Vec::new();
                sql.branches.iter().all(|branch| {
                    let place = self.passed(branch.input, &branch.projection[column].0, true);
                    let sources = self.sources(branch.input);
                    let again = sources.iter().any(|&source| read.iter().any(|&other| self.is_same(source, other)));
                    read.extend(sources);
                    !again && place.is_some_and(|place| self.is_each_rows_own(branch.input, place))
                })
            }
            NodeKind::Window(window) => {
                let once = matches!(window.window, WindowKind::Tumble { .. });
                once && column < width() && self.is_each_rows_own(node.inputs[0], column)
            }
            NodeKind::Operator(planned) => match &planned.operator {
                Operator::Join(join) => {
                    let (side, place) = if column < width() { (0, column) } else { (1, column - width()) };
                    self.meets_once(node, join, side) && self.is_each_rows_own(node.inputs[side], place)
                }
                Operator::Rank(_) => column < width() && self.is_each_rows_own(node.inputs[0], column),
                Operator::Aggregate(_) | Operator::Match(_) | Operator::Measure(_) | Operator::Alert(_) => false,
            },
        }
    }

    /// Whether a row of this side of a join meets one row at most, and is there in any case only if it is the left.
    fn meets_once(self, node: &Node, join: &JoinNode, side: usize) -> bool {
        let keys = Keys { nodes: self.nodes };
        let of = |side: usize| join.keys.iter().map(move |key| if side == 0 { key.0 } else { key.1 });
        match (side, join.kind) {
            (0, _) => matches!(join.bound, JoinBound::AsOf { .. }) || keys.distinct(node.inputs[1], &of(1).collect()),
            (_, JoinKind::Inner) => keys.distinct(node.inputs[0], &of(0).collect()),
            (_, JoinKind::Left) => false,
        }
    }

    /// The place in its input of what an expression passes on; with `converted`, also of what it makes another number of.
    fn passed(self, input: NodeId, expr: &Expr, converted: bool) -> Option<usize> {
        match expr {
            Expr::Column(column) => self.nodes[input].schema.index_of(&column.name).ok(),
            Expr::Alias(alias) => self.passed(input, &alias.expr, converted),
            Expr::Cast(cast) if converted && cast.field.data_type().is_numeric() => {
                let place = self.passed(input, &cast.expr, converted)?;
                self.nodes[input].schema.field(place).data_type().is_numeric().then_some(place)
            }
            _ => None,
        }
    }

    /// The sources whose rows a node's are made of.
    fn sources(self, id: NodeId) -> BTreeSet<NodeId> {
        let (mut found, mut seen, mut pending) = (BTreeSet::new(), BTreeSet::new(), vec![id]);
        while let Some(id) = pending.pop() {
            if seen.insert(id) {
                if self.nodes[id].inputs.is_empty() {
                    found.insert(id);
                }
                pending.extend(&self.nodes[id].inputs);
            }
        }
        found
    }

    /// Whether two sources read the same.
    fn is_same(self, one: NodeId, other: NodeId) -> bool {
        match (&self.nodes[one].kind, &self.nodes[other].kind) {
            (NodeKind::Source(source), NodeKind::Source(twin)) => one == other || source.connector == twin.connector,
            _ => one == other,
        }
    }

    /// The class of a column once this mask is put on it: what it was worth before, or what the mask by itself makes of the class before
    /// all masks, whichever is lower. To mask again what a mask has left says no less than before.
    pub fn masked(self, id: NodeId, column: usize, mask: &Mask, values: Values<'_>) -> Classification {
        let worths = self.worths(id, column, &mut BTreeMap::new());
        let masked = worths.into_iter().map(|worth| worth.masked(mask, values).now);
        masked.max().unwrap_or(Classification::Public)
    }

    /// The class of a column once a mask is put on it that is worth one class.
    pub fn lowered(self, id: NodeId, column: usize) -> Classification {
        let worths = self.worths(id, column, &mut BTreeMap::new());
        worths.into_iter().map(|worth| worth.now.min(worth.before.lowered())).max().unwrap_or(Classification::Public)
    }

    fn worths(self, id: NodeId, column: usize, known: &mut BTreeMap<Place, Worths>) -> Worths {
        if let Some(worths) = known.get(&(id, column)) {
            return worths.clone();
        }
        let node = &self.nodes[id];
        let class = node.columns[column].classification;
        let mask = match &node.kind {
            NodeKind::Mask(mask) => mask.masks.iter().find(|masked| masked.column == column),
            _ => None,
        };
        let found: Worths = match mask {
            _ if node.inputs.is_empty() => [Worth { before: class, now: class }].into(),
            Some(masked) => {
                let input = node.inputs[0];
                let data_type = schema::logical_type(self.nodes[input].schema.field(column).data_type());
                let data_type = data_type.expect("invariant: columns between nodes have logical types");
                let values = Values { data_type: &data_type, range: range::of(input, column, self.nodes, self.flows) };
                let before = self.worths(input, column, known);
                before.into_iter().map(|worth| worth.masked(&masked.mask, values)).collect()
            }
            None => {
                let mut found = Worths::new();
                for influence in &self.flows[id].columns[column].influences {
                    if !influence.carries_class() {
                        continue;
                    }
                    let whole = self.worths(influence.input, influence.column, known);
                    if !influence.field.is_empty() && whole.iter().all(|worth| worth.before == worth.now) {
                        let class = part(&self.nodes[influence.input].columns[influence.column], &influence.field).0;
                        found.insert(Worth { before: class, now: class });
                    } else {
                        found.extend(whole);
                    }
                }
                // What large groups are worth holds for what was before as well: the number is another value than its rows'.
                let lowered = found.iter().map(|worth| worth.now).max().is_some_and(|now| now > class);
                match lowered {
                    true => found.into_iter().map(Worth::lowered).collect(),
                    false => found,
                }
            }
        };
        known.insert((id, column), found.clone());
        found
    }
}

impl Worth {
    fn masked(self, mask: &Mask, values: Values<'_>) -> Self {
        Self { now: self.now.min(mask.result_class(self.before, values)), ..self }
    }

    fn lowered(self) -> Self {
        Self { before: self.before.lowered(), now: self.now.lowered() }
    }
}
