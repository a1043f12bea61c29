//! How columns flow from node to node: the base of lineage, of classification and of the leak check.

use std::collections::BTreeSet;

use weir_spec::Classification;

use crate::plan::{ColumnFacts, FieldFacts, LineageEdge, LineageKind, Node, NodeId};

/// One input column that a column depends on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Influence {
    pub input: NodeId,
    pub column: usize,
    /// The field of a struct, from the outside in; empty for the whole column.
    pub field: Vec<String>,
    pub kind: LineageKind,
    /// The dependency passes through a masking operator.
    pub masking: bool,
}

impl Influence {
    pub fn identity(input: NodeId, column: usize) -> Self {
        Self::of(input, column, LineageKind::Identity)
    }

    /// An influence of a whole column, without a mask.
    pub fn of(input: NodeId, column: usize, kind: LineageKind) -> Self {
        Self { input, column, field: Vec::new(), kind, masking: false }
    }

    /// Whether a column inherits classification and categories this way. A value computed under a condition tells of the
    /// condition, so CONDITIONAL counts like a direct influence; a filter does not (it has its own check), and neither does a
    /// mask, whose result has a class of its own.
    pub fn carries_class(&self) -> bool {
        !self.masking && (self.kind.is_direct() || self.kind == LineageKind::Conditional)
    }
}

/// Where a column of a node comes from.
#[derive(Clone, Debug, Default)]
pub(crate) struct ColumnFlow {
    pub influences: BTreeSet<Influence>,
    /// What the node did to it, for people: `upper(card) AS c`; absent when it was passed on.
    pub how: Option<String>,
}

/// Everything that planning remembers of a node beside what goes into the plan.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flow {
    /// One entry a column of the node.
    pub columns: Vec<ColumnFlow>,
    /// Input columns on which its rows depend.
    pub filters: Vec<FilterUse>,
    /// Lineage of the rows' presence: the FILTER edges of this node and of all before it.
    pub rows: BTreeSet<LineageEdge>,
    /// Why the subject column is gone here, where the input still had it.
    pub subject_lost: Option<String>,
    /// What columns mean for time, one entry a column; empty where only the node's event time does.
    pub roles: Vec<Option<Role>>,
}

/// What a column means for time. Windows are told apart by the node that made them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    EventTime,
    WindowStart(NodeId),
    WindowEnd(NodeId),
    /// The last moment of a window, which serves as event time behind it.
    WindowTime(NodeId),
}

/// The roles of a node's columns.
pub(crate) fn roles(id: NodeId, nodes: &[Node], flows: &[Flow]) -> Vec<Option<Role>> {
    if !flows[id].roles.is_empty() {
        return flows[id].roles.clone();
    }
    let node = &nodes[id];
    (0..node.columns.len()).map(|column| (node.event_time == Some(column)).then_some(Role::EventTime)).collect()
}

/// The column that is the event time among columns of these roles.
pub(crate) fn event_time(roles: &[Option<Role>]) -> Option<usize> {
    let first = |wanted: fn(&Role) -> bool| roles.iter().position(|role| role.as_ref().is_some_and(wanted));
    first(|role| *role == Role::EventTime).or_else(|| first(|role| matches!(role, Role::WindowTime(_))))
}

/// An input column on which depends which rows leave a node, which of them meet, come first or are put together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FilterUse {
    pub input: NodeId,
    pub column: usize,
    /// The field of a struct, from the outside in; empty for the whole column.
    pub field: Vec<String>,
    pub by: By,
    pub tells: Tells,
}

/// What of a node decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum By {
    /// WHERE and HAVING, consent, the condition of an alert.
    Filter,
    /// The conditions of an inner join beside its equal columns.
    Condition,
    /// What meets in a join, and so also how often a row is there.
    Join,
    /// ORDER BY of a rank, an aggregate or a pattern.
    Order,
    /// GROUP BY and PARTITION BY what the document computes.
    Group,
    /// DEFINE of a pattern.
    Pattern,
    /// The rule of this number, where it takes rows away.
    Rule(usize),
    /// What cannot be computed for every value: such rows are quarantined.
    Failure,
}

/// How much the rows that are left tell of the column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tells {
    /// Whether there is a value.
    Presence,
    /// Something that many values have in common: a length, a wide range, a kind of characters.
    Coarse,
    /// Whether a list that the document does not show holds the value.
    Member,
    /// What the value is, in so many words.
    Value,
}

impl FilterUse {
    /// What a whole column holds decides.
    pub fn compared(input: NodeId, column: usize, by: By) -> Self {
        Self { input, column, field: Vec::new(), by, tells: Tells::Value }
    }

    /// How sensitive that is which is asked about.
    pub fn class(&self, nodes: &[Node]) -> Classification {
        part(&nodes[self.input].columns[self.column], &self.field).0
    }

    /// Whether it is FILTER lineage. Joins, orders and groups have kinds of their own; what a rule or an error takes away is counted
    /// and accounted for.
    fn is_filter_lineage(&self) -> bool {
        matches!(self.by, By::Filter | By::Condition | By::Pattern)
    }
}

impl Flow {
    /// Every column of the input as it is.
    pub fn pass(input: NodeId, columns: usize) -> Self {
        let columns = (0..columns).map(|i| ColumnFlow { influences: BTreeSet::from([Influence::identity(input, i)]), how: None });
        Self { columns: columns.collect(), ..Self::default() }
    }

    /// Computes what rows of this node owe their presence to. Call it before [`Flow::facts`].
    pub fn trace_rows(&mut self, inputs: &[NodeId], nodes: &[Node], flows: &[Flow]) {
        for &input in inputs {
            self.rows.extend(flows[input].rows.iter().cloned());
        }
        for filter in self.filters.iter().filter(|filter| filter.is_filter_lineage()) {
            let influence = Influence::of(filter.input, filter.column, LineageKind::Filter);
            self.rows.extend(trace(&influence, nodes));
        }
    }

    /// The facts of column `index`: lineage, class and categories by its influences.
    pub fn facts(&self, index: usize, name: &str, nodes: &[Node]) -> ColumnFacts {
        let influences = &self.columns[index].influences;
        let mut lineage = self.rows.clone();
        let mut categories = BTreeSet::new();
        let mut classification = Classification::Public;
        let mut fields = Vec::new();
        for influence in influences {
            lineage.extend(trace(influence, nodes));
            if influence.carries_class() {
                let (class, of_part, inside) = part(&nodes[influence.input].columns[influence.column], &influence.field);
                classification = classification.max(class);
                categories.extend(of_part.iter().cloned());
                if influences.len() == 1 && influence.kind == LineageKind::Identity {
                    fields = inside.to_vec();
                }
            }
        }
        ColumnFacts {
            name: name.to_owned(),
            classification,
            categories: categories.into_iter().collect(),
            lineage: lineage.into_iter().collect(),
            fields,
        }
    }
}

/// Class, categories and fields of a field of a column; of the whole, or of what is around it, where the field is not known.
pub(crate) fn part<'n>(column: &'n ColumnFacts, field: &[String]) -> (Classification, &'n [String], &'n [FieldFacts]) {
    let mut found = (column.classification, column.categories.as_slice(), column.fields.as_slice());
    for name in field {
        match found.2.iter().find(|facts| facts.name == *name) {
            Some(facts) => found = (facts.classification, &facts.categories, &facts.fields),
            None => return (found.0, found.1, &[]),
        }
    }
    found
}

/// The edges that an influence adds, back to the sources. An indirect kind wins over a direct one, the later over the earlier.
/// FILTER edges are left out: they are part of the input's rows already.
fn trace<'n>(influence: &'n Influence, nodes: &'n [Node]) -> impl Iterator<Item = LineageEdge> + 'n {
    let edges = nodes[influence.input].columns[influence.column].lineage.iter().filter(|edge| edge.kind != LineageKind::Filter);
    edges.map(move |edge| LineageEdge {
        source: edge.source.clone(),
        column: edge.column.clone(),
        kind: compose(edge.kind, influence.kind),
        masking: edge.masking || influence.masking,
    })
}

fn compose(earlier: LineageKind, later: LineageKind) -> LineageKind {
    match (earlier, later) {
        (_, later) if !later.is_direct() => later,
        (earlier, _) if !earlier.is_direct() => earlier,
        (LineageKind::Identity, LineageKind::Identity) => LineageKind::Identity,
        (LineageKind::Aggregation, _) | (_, LineageKind::Aggregation) => LineageKind::Aggregation,
        _ => LineageKind::Transformation,
    }
}
