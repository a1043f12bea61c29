//! What tells the rows of a node apart, and whether their changes come in order: what a sink must know that replaces rows by a key.
//!
//! Both are asked from the sink backwards. Columns that a node passes on as they are stand for those of its input; those that it
//! computes say nothing of it.

use std::collections::BTreeSet;

use datafusion::logical_expr::Expr;
use weir_spec::mask::Mask;

use crate::{
    operator::{AggregateNode, Grouping, JoinBound, JoinKind, JoinNode, Operator, RankBound, RankNode, WindowKind},
    plan::{Node, NodeId, NodeKind},
    sql::Branch,
};

/// Columns of a node, by their places.
pub(crate) type Columns = BTreeSet<usize>;

/// The nodes that are planned so far.
pub(crate) struct Keys<'k> {
    pub nodes: &'k [Node],
}

/// Where the columns of an aggregate's or a window's time stand.
struct WindowColumns {
    start: usize,
    end: usize,
    /// The last moment within, as good as the end.
    time: usize,
}

impl WindowColumns {
    fn at(first: usize) -> Self {
        Self { start: first, end: first + 1, time: first + 2 }
    }

    fn has_end(&self, columns: &Columns) -> bool {
        columns.contains(&self.end) || columns.contains(&self.time)
    }

    /// Whether these columns tell windows of this kind apart. Windows that grow share their start.
    fn told_apart(&self, kind: &WindowKind, columns: &Columns) -> bool {
        self.has_end(columns) || (!matches!(kind, WindowKind::Cumulate { .. }) && columns.contains(&self.start))
    }
}

impl Keys<'_> {
    /// Whether no two rows that are there at one time have equal values in these columns.
    pub fn distinct(&self, id: NodeId, columns: &Columns) -> bool {
        let node = &self.nodes[id];
        match &node.kind {
            // A null may be there many times.
            NodeKind::Source(source) => columns.iter().any(|&c| source.declared[c].unique && source.declared[c].required),
            NodeKind::Table(table) => !table.key.is_empty() && table.key.iter().all(|column| columns.contains(column)),
            NodeKind::Window(planned) => {
                let width = node.schema.fields().len() - 3;
                let once = matches!(planned.window, WindowKind::Tumble { .. });
                let windows = WindowColumns::at(width);
                (once || windows.told_apart(&planned.window, columns)) && self.distinct(node.inputs[0], &below(columns, width))
            }
            NodeKind::Operator(planned) => match &planned.operator {
                Operator::Aggregate(aggregate) => aggregate_is_distinct(aggregate, columns),
                Operator::Join(join) => self.join_is_distinct(node, join, columns),
                Operator::Rank(rank) => {
                    rank_is_distinct(rank, columns, self.width(node))
                        || self.distinct(node.inputs[0], &self.passed(node, columns))
                }
                // No sink reads what observers say.
                Operator::Match(_) | Operator::Measure(_) | Operator::Alert(_) => false,
            },
            NodeKind::Quality(_) | NodeKind::Consent(_) | NodeKind::Mask(_) | NodeKind::Sql(_) | NodeKind::Sink(_) => {
                self.before(node, columns).is_some_and(|(input, columns)| self.distinct(input, &columns))
            }
        }
    }

    /// Whether the changes of rows with equal values in these columns leave the node in the order in which they happened. They do
    /// when all of them pass through one lane of every operator with state.
    pub fn in_order(&self, id: NodeId, columns: &Columns) -> bool {
        let node = &self.nodes[id];
        if !node.changes {
            return self.distinct(id, columns) || self.arrive_in_order(id);
        }
        match &node.kind {
            NodeKind::Operator(planned) => match &planned.operator {
                // Whatever order its rows come in, an aggregate and a numbered rank put out changes of their own.
                Operator::Aggregate(aggregate) => aggregate_is_distinct(aggregate, columns),
                Operator::Rank(rank) if rank_is_distinct(rank, columns, self.width(node)) => true,
                Operator::Rank(rank) => {
                    let (input, columns) = (node.inputs[0], self.passed(node, columns));
                    let one_lane = includes(&columns, &rank.partition) || self.settled(input, &columns);
                    one_lane && self.in_order(input, &columns)
                }
                Operator::Join(join) => self.join_in_order(node, join, columns),
                Operator::Match(_) | Operator::Measure(_) | Operator::Alert(_) => false,
            },
            _ => self.before(node, columns).is_some_and(|(input, columns)| self.in_order(input, &columns)),
        }
    }

    /// Whether a row that is taken back is, to the last bit, one that was added before.
    pub fn is_exact(&self, id: NodeId) -> bool {
        let node = &self.nodes[id];
        if !node.changes {
            return true;
        }
        let inputs = || node.inputs.iter().all(|&input| self.is_exact(input));
        match &node.kind {
            NodeKind::Operator(planned) => match &planned.operator {
                Operator::Aggregate(_) => true,
                // What is looked up for a row that is taken back is what the table holds by then.
                Operator::Join(join) => join.bound != JoinBound::Lookup && inputs(),
                Operator::Rank(_) | Operator::Match(_) | Operator::Measure(_) | Operator::Alert(_) => inputs(),
            },
            // The same value encrypts to another text each time.
            NodeKind::Mask(mask) => !mask.masks.iter().any(|masked| matches!(masked.mask, Mask::Encrypt)) && inputs(),
            _ => inputs(),
        }
    }

    /// Whether rows come in the order of their sources: nothing on the way has divided them by key.
    pub fn arrive_in_order(&self, id: NodeId) -> bool {
        let node = &self.nodes[id];
        let keeps = match &node.kind {
            NodeKind::Operator(planned) => {
                matches!(&planned.operator, Operator::Join(join) if join.bound == JoinBound::Lookup)
            }
            _ => true,
        };
        keeps && node.inputs.iter().all(|&input| self.arrive_in_order(input))
    }

    /// Whether these columns settle a row for ever: it is told apart by them, and never changes.
    fn settled(&self, id: NodeId, columns: &Columns) -> bool {
        !self.nodes[id].changes && self.distinct(id, columns)
    }

    /// The one input of a stateless node, and the columns of it that these are.
    fn before(&self, node: &Node, columns: &Columns) -> Option<(NodeId, Columns)> {
        match &node.kind {
            NodeKind::Sql(sql) => match sql.branches.as_slice() {
                [branch] => Some((branch.input, self.plain(branch, columns))),
                _ => None,
            },
            NodeKind::Mask(mask) => {
                let keeps = |mask: &Mask| matches!(mask, Mask::Hash | Mask::Token { .. });
                let lost: Columns = mask.masks.iter().filter(|one| !keeps(&one.mask)).map(|one| one.column).collect();
                Some((node.inputs[0], columns.difference(&lost).copied().collect()))
            }
            _ => Some((*node.inputs.first()?, columns.clone())),
        }
    }

    /// The columns of a branch's input that are passed on as these.
    fn plain(&self, branch: &Branch, columns: &Columns) -> Columns {
        let schema = &self.nodes[branch.input].schema;
        let passed = |&column: &usize| match &branch.projection[column].0 {
            Expr::Column(passed) => schema.index_of(&passed.name).ok(),
            _ => None,
        };
        columns.iter().filter_map(passed).collect()
    }

    /// How many columns of its first input an operator passes on before its own.
    fn width(&self, node: &Node) -> usize {
        self.nodes[node.inputs[0]].schema.fields().len()
    }

    fn passed(&self, node: &Node, columns: &Columns) -> Columns {
        below(columns, self.width(node))
    }

    /// The columns of a join's inputs that these settle: a key stands for its other side where every row has one.
    fn sides(&self, node: &Node, join: &JoinNode, columns: &Columns) -> (Columns, Columns) {
        let width = self.width(node);
        let mut left = below(columns, width);
        let mut right: Columns = columns.iter().filter(|&&column| column >= width).map(|column| column - width).collect();
        for &(of_left, of_right) in &join.keys {
            if left.contains(&of_left) {
                right.insert(of_right);
            } else if join.kind == JoinKind::Inner && right.contains(&of_right) {
                left.insert(of_left);
            }
        }
        (left, right)
    }

    fn join_is_distinct(&self, node: &Node, join: &JoinNode, columns: &Columns) -> bool {
        let (left, right) = self.sides(node, join, columns);
        let [left_input, right_input] = node.inputs[..] else { return false };
        let with = |columns: &Columns, keys: Vec<usize>| columns.iter().copied().chain(keys).collect::<Columns>();
        let (left_keys, right_keys): (Vec<_>, Vec<_>) = join.keys.iter().copied().unzip();
        // A row of one side has a value in the keys of the other, so a single row there or those that these tell apart.
        let from_left = self.distinct(left_input, &left)
            && (matches!(join.bound, JoinBound::AsOf { .. }) || self.distinct(right_input, &with(&right, right_keys)));
        let from_right = || {
            join.kind == JoinKind::Inner
                && self.distinct(right_input, &right)
                && self.distinct(left_input, &with(&left, left_keys))
        };
        from_left || from_right()
    }

    fn join_in_order(&self, node: &Node, join: &JoinNode, columns: &Columns) -> bool {
        let (mut left, mut right) = self.sides(node, join, columns);
        let [left_input, right_input] = node.inputs[..] else { return false };
        if join.bound == JoinBound::Lookup {
            return self.in_order(left_input, &left);
        }
        // A row that never changes settles its key, and with it what is joined to it.
        let settles = self.settled(left_input, &left) || (join.kind == JoinKind::Inner && self.settled(right_input, &right));
        if settles {
            left.extend(join.keys.iter().map(|key| key.0));
            right.extend(join.keys.iter().map(|key| key.1));
        }
        let one_lane = join.keys.iter().all(|(of_left, _)| left.contains(of_left));
        one_lane && self.in_order(left_input, &left) && self.in_order(right_input, &right)
    }
}

fn below(columns: &Columns, width: usize) -> Columns {
    columns.range(..width).copied().collect()
}

fn includes(columns: &Columns, wanted: &[usize]) -> bool {
    wanted.iter().all(|column| columns.contains(column))
}

/// The keys come first, then the window, where there is one.
fn aggregate_is_distinct(aggregate: &AggregateNode, columns: &Columns) -> bool {
    let keys = aggregate.keys.len();
    let windows = WindowColumns::at(keys);
    (0..keys).all(|key| columns.contains(&key))
        && match &aggregate.grouping {
            Grouping::Window { window, .. } => windows.told_apart(window, columns),
            Grouping::Windowed { .. } => columns.contains(&windows.start) && windows.has_end(columns),
            Grouping::Updating { .. } => true,
        }
}

/// Whether a partition and a number within it are among the columns; the number is behind the input's columns.
fn rank_is_distinct(rank: &RankNode, columns: &Columns, number: usize) -> bool {
    let window = match &rank.bound {
        RankBound::Window { start, end } => includes(columns, &[*start, *end]),
        RankBound::KeepFirst { .. } | RankBound::Updating { .. } => true,
    };
    window && includes(columns, &rank.partition) && (rank.limit == 1 || (rank.number && columns.contains(&number)))
}
