//! Joins: what bounds their state is read off their condition.

use std::{collections::BTreeSet, sync::Arc};

use arrow::datatypes::{DataType, SchemaRef};
use datafusion::{
    common::{
        Column, JoinType, NullEquality,
        tree_node::{Transformed, TreeNode},
    },
    logical_expr::{
        BinaryExpr, Expr, Join, LogicalPlan, Operator as Compare,
        utils::{conjunction, find_valid_equijoin_key_pair, split_conjunction_owned},
    },
    sql::sqlparser::tokenizer::Span,
};

use super::{
    super::{
        chain::Draft,
        error::Issue,
        lower::{allowed, substitute},
        tables::micros,
        typed_only::AS_OF_NAME,
    },
    Arm, Lowering, Pending, Relation, read, relation_types, unique,
};
use crate::{
    flow::{By, ColumnFlow, FilterUse, Flow, Influence, Role},
    keys::Keys,
    operator::{Exchange, JoinBound, JoinKind, JoinNode, Operator, OperatorNode},
    plan::{LineageKind, NodeId, NodeKind},
};

/// One side of a join, with what it needs as columns of one node.
struct Side {
    node: NodeId,
    /// The places of the plan's columns.
    columns: Vec<usize>,
    /// The places of the equal values.
    keys: Vec<usize>,
    /// The place of the time that versions go by.
    time: Option<usize>,
}

impl Lowering<'_, '_> {
    /// Marks the versions of a table for the join that comes.
    pub(super) fn version(
        &mut self,
        relation: Relation,
        schema: &SchemaRef,
        processing: bool,
        span: Span,
    ) -> Result<Relation, Vec<Issue>> {
        let table = matches!(relation.arms.as_slice(), [Arm { pending: Some(Pending::Table), .. }]);
        if processing && !table {
            let message = "FOR SYSTEM_TIME AS OF proctime() is for reference data";
            let help = "declare the file under `tables:`, or write FOR SYSTEM_TIME AS OF with the event time of the other side";
            return Err(vec![Issue::new("sql-join", message).help(help).at(span)]);
        }
        let mut relation =
            if table { relation } else { Relation { arms: vec![self.single(relation, &relation_types(schema)?)?] } };
        for arm in &mut relation.arms {
            let time = self.event_time(arm);
            arm.pending = Some(Pending::Version { table, time, span });
        }
        Ok(relation)
    }

    pub(super) fn join(&mut self, join: &Join) -> Result<Relation, Vec<Issue>> {
        if join.null_equality != NullEquality::NullEqualsNothing {
            return Err(super::unsupported("a join in which nulls are equal"));
        }
        let (kind, mut swapped) = match join.join_type {
            JoinType::Inner => (JoinKind::Inner, false),
            JoinType::Left => (JoinKind::Left, false),
            JoinType::Right => (JoinKind::Left, true),
            other => return Err(super::unsupported(&format!("a {other} join"))),
        };
        let (mut left_plan, mut right_plan) = if swapped { (&join.right, &join.left) } else { (&join.left, &join.right) };
        let mut on: Vec<(Expr, Expr)> =
            join.on.iter().map(|(l, r)| if swapped { (r.clone(), l.clone()) } else { (l.clone(), r.clone()) }).collect();
        let mut left = self.lower(left_plan)?;
        let mut right = self.lower(right_plan)?;
        if kind == JoinKind::Inner && is_table(&left) && !is_table(&right) {
            std::mem::swap(&mut left, &mut right);
            std::mem::swap(&mut left_plan, &mut right_plan);
            on.iter_mut().for_each(|(l, r)| std::mem::swap(l, r));
            swapped = !swapped;
        }
        let mut conditions: Vec<Expr> = join.filter.iter().cloned().flat_map(split_conjunction_owned).collect();
        // Equal values of both sides, wherever the condition has them.
        let mut rest = Vec::new();
        for condition in conditions {
            let pair = match &condition {
                Expr::BinaryExpr(BinaryExpr { left, op: Compare::Eq, right }) => {
                    find_valid_equijoin_key_pair(left, right, left_plan.schema(), right_plan.schema())
                        .map_err(|error| super::super::error::issues(error, &[]))?
                }
                _ => None,
            };
            match pair {
                Some(pair) => on.push(pair),
                None => rest.push(condition),
            }
        }
        conditions = rest;
        let as_of = conditions.iter().position(|expr| as_of_time(expr).is_some()).map(|i| conditions.remove(i));
        let version = match right.arms.as_mut_slice() {
            [Arm { pending: pending @ (Some(Pending::Table) | Some(Pending::Version { table: true, .. })), .. }] => {
                *pending = None;
                return self.lookup(kind, swapped, (left_plan, left), (right_plan, right), on, conditions);
            }
            arms => {
                let span = arms.iter_mut().find_map(|arm| match &arm.pending {
                    Some(Pending::Version { span, time, .. }) => Some((*span, time.clone())),
                    _ => None,
                });
                if span.is_some() {
                    arms.iter_mut().for_each(|arm| arm.pending = None);
                }
                span
            }
        };
        let left = self.single(left, left_plan.schema())?;
        let right = self.single(right, right_plan.schema())?;
        let right_time = match version {
            Some((span, time)) => match time {
                Some(time) => Some((span, time)),
                None => {
                    let message = "a versioned table needs an event time, which says from when on each version holds";
                    let help = "add `event_time: { column: … }` to its source, and select that column in the steps before";
                    return Err(vec![Issue::new("sql-join", message).help(help).at(span)]);
                }
            },
            None => None,
        };
        let left_time = as_of.as_ref().and_then(as_of_time);
        let (left_keys, right_keys): (Vec<Expr>, Vec<Expr>) = on.into_iter().unzip();
        let left = self.side(left, left_plan, &left_keys, left_time, None)?;
        let version = right_time.as_ref().map(|(span, _)| *span);
        let right = self.side(right, right_plan, &right_keys, None, right_time.map(|(_, time)| time))?;

        // From here on, columns are those of the output: `$0`, `$1`, ...
        let width = self.chain.nodes[left.node].columns.len();
        let numbered: Vec<Expr> =
            left.columns.iter().copied().chain(right.columns.iter().map(|column| width + column)).map(number).collect();
        let types = left_plan.schema().join(right_plan.schema()).map_err(|error| super::super::error::issues(error, &[]))?;
        let mut conditions: Vec<Expr> =
            conditions.iter().map(|expr| substitute(expr, &types, &numbered)).collect::<Result<_, _>>()?;
        let mut keys: Vec<(usize, usize)> = left.keys.iter().copied().zip(right.keys.iter().copied()).collect();
        let bound = self.bound(&left, &right, version, &mut keys, &mut conditions)?;
        if keys.is_empty() && matches!(bound, JoinBound::Updating { .. } | JoinBound::AsOf { .. }) {
            let message = "a join without equal columns would compare every row with every other";
            return Err(vec![Issue::new("sql-join", message).help("say ON which columns of both sides are equal")]);
        }
        let changes = [left.node, right.node].map(|node| self.chain.nodes[node].changes);
        if changes.contains(&true) && !matches!(bound, JoinBound::Updating { .. }) {
            let what = match bound {
                JoinBound::Interval { .. } => "an interval join",
                JoinBound::Window { .. } => "a window join",
                _ => "an as-of join",
            };
            let message = format!("{what} takes only rows that stay, but one side changes rows that it has put out");
            let help = "let that side only add rows (group by a window there), or join without a bound in time";
            return Err(vec![Issue::new("sql-changes", message).help(help)]);
        }
        if let JoinBound::Updating { ttl: None } = bound {
            self.chain.unbounded.push(
                Issue::new("unbounded-state", "every row of both sides is remembered for ever, because nothing bounds the join in time")
                    .help("bound it: a.time BETWEEN b.time - INTERVAL '1 hour' AND b.time, or windows on both sides; or say how long a row lives:\n    sql: { query: …, state_ttl: 1h }"),
            );
        }
        let changes = matches!(bound, JoinBound::Updating { .. }) && (changes.contains(&true) || kind == JoinKind::Left);
        let condition = conjunction(conditions);
        self.joined(join, swapped, kind, left, right, keys, condition, bound, changes)
    }

    /// The values of one side as columns of one node; columns that nobody asks for are left behind.
    fn side(
        &mut self,
        arm: Arm,
        plan: &LogicalPlan,
        keys: &[Expr],
        time: Option<&Expr>,
        time_column: Option<String>,
    ) -> Result<Side, Vec<Issue>> {
        let types = plan.schema();
        let mut row: Vec<Expr> = arm.columns.clone();
        for key in keys.iter().chain(time) {
            row.push(substitute(key, types, &arm.columns)?);
        }
        row.extend(time_column.iter().map(|name| Expr::Column(Column::new_unqualified(name))));
        let width = arm.columns.len();
        let relation = Relation { arms: vec![arm] };
        let (node, places) = self.values(&relation, vec![row], true)?;
        Ok(Side {
            node,
            columns: places[..width].to_vec(),
            keys: places[width..width + keys.len()].to_vec(),
            time: places.get(width + keys.len()).copied(),
        })
    }

    /// What bounds the join; conditions that say so are taken out.
    fn bound(
        &self,
        left: &Side,
        right: &Side,
        version: Option<Span>,
        keys: &mut Vec<(usize, usize)>,
        conditions: &mut Vec<Expr>,
    ) -> Result<JoinBound, Vec<Issue>> {
        let left_roles = self.chain.roles(left.node);
        let right_roles = self.chain.roles(right.node);
        if let Some(span) = version {
            let (Some(left_time), Some(right_time)) = (left.time, right.time) else {
                return Err(super::unsupported("this as-of join"));
            };
            if !matches!(left_roles[left_time], Some(Role::EventTime | Role::WindowTime(_))) {
                let message = "FOR SYSTEM_TIME AS OF needs the event time of the left side";
                let help = "write the column that its source declares as `event_time:`, passed on as it is by the steps before";
                return Err(vec![Issue::new("sql-join", message).help(help).at(span)]);
            }
            return Ok(JoinBound::AsOf { left_time, right_time });
        }
        let start = keys.iter().position(|&(l, r)| {
            matches!((left_roles[l], right_roles[r]), (Some(Role::WindowStart(_)), Some(Role::WindowStart(_))))
        });
        let end = keys
            .iter()
            .position(|&(l, r)| matches!((left_roles[l], right_roles[r]), (Some(Role::WindowEnd(_)), Some(Role::WindowEnd(_)))));
        if let (Some(start), Some(end)) = (start, end) {
            let (start, end) = (keys[start], keys[end]);
            keys.retain(|key| *key != start && *key != end);
            return Ok(JoinBound::Window { left: (start.0, end.0), right: (start.1, end.1) });
        }
        let width = left_roles.len();
        let timed = |place: usize| {
            let role = if place < width { left_roles[place] } else { right_roles[place - width] };
            role.is_some() && !matches!(role, Some(Role::WindowStart(_)))
        };
        let (mut lower, mut upper): (Option<i64>, Option<i64>) = (None, None);
        let mut times = None;
        let mut rest = Vec::new();
        for condition in conditions.iter() {
            let mut parts = Vec::new();
            differences(condition, &mut parts);
            let fits = |difference: &Difference| {
                let pair = (difference.left, difference.right);
                let sides = difference.left < width && difference.right >= width;
                sides && timed(difference.left) && timed(difference.right) && times.is_none_or(|known| known == pair)
            };
            if parts.is_empty() || !parts.iter().map(|part| part.oriented(width)).all(|part| fits(&part)) {
                rest.push(condition.clone());
                continue;
            }
            for part in parts.iter().map(|part| part.oriented(width)) {
                times = Some((part.left, part.right));
                if part.at_least {
                    lower = Some(lower.map_or(part.micros, |known| known.max(part.micros)));
                } else {
                    upper = Some(upper.map_or(part.micros, |known| known.min(part.micros)));
                }
            }
        }
        if let (Some((left_time, right_time)), Some(lower), Some(upper)) = (times, lower, upper) {
            if lower > upper {
                let message = "no two times fulfil both bounds of this join";
                return Err(vec![
                    Issue::new("sql-join", message).help("write a.time BETWEEN b.time - INTERVAL '1 hour' AND b.time"),
                ]);
            }
            *conditions = rest;
            return Ok(JoinBound::Interval { left_time, right_time: right_time - width, lower, upper });
        }
        // Equal event times are an interval of no length.
        let same = keys.iter().find(|&&(l, r)| left_roles[l] == Some(Role::EventTime) && right_roles[r] == Some(Role::EventTime));
        if let Some(&(left_time, right_time)) = same {
            return Ok(JoinBound::Interval { left_time, right_time, lower: 0, upper: 0 });
        }
        Ok(JoinBound::Updating { ttl: self.chain.ttl })
    }

    /// A join with reference data.
    fn lookup(
        &mut self,
        kind: JoinKind,
        swapped: bool,
        (left_plan, left): (&LogicalPlan, Relation),
        (right_plan, right): (&LogicalPlan, Relation),
        on: Vec<(Expr, Expr)>,
        conditions: Vec<Expr>,
    ) -> Result<Relation, Vec<Issue>> {
        let left = self.single(left, left_plan.schema())?;
        let table = right.arms.into_iter().next().expect("invariant: reference data is one arm");
        let (mut left_keys, mut right_keys, mut conditions) = (Vec::new(), Vec::new(), conditions);
        for (l, r) in on {
            match substitute(&r, right_plan.schema(), &table.columns)? {
                Expr::Column(column) => {
                    left_keys.push(l);
                    right_keys.push(self.chain.index(table.node, &column.name));
                }
                _ => conditions.push(l.eq(r)),
            }
        }
        if left_keys.is_empty() {
            let message = "a join with reference data needs a column of the table that is equal to something";
            return Err(vec![Issue::new("sql-join", message).help("write ON r.key = table.key")]);
        }
        let left = self.side(left, left_plan, &left_keys, None, None)?;
        let width = self.chain.nodes[left.node].columns.len();
        let of_table = |expr: Expr| numbered_columns(expr, |name| width + self.chain.index(table.node, name));
        let table_values: Vec<Expr> = table.columns.iter().cloned().map(of_table).collect();
        let numbered: Vec<Expr> = left.columns.iter().copied().map(number).chain(table_values).collect();
        let types = left_plan.schema().join(right_plan.schema()).map_err(|error| super::super::error::issues(error, &[]))?;
        let mut all: Vec<Expr> = conditions.iter().map(|expr| substitute(expr, &types, &numbered)).collect::<Result<_, _>>()?;
        all.extend(table.filter.iter().cloned().map(of_table));
        let keys: Vec<(usize, usize)> = left.keys.iter().copied().zip(right_keys).collect();
        let changes = self.chain.nodes[left.node].changes;
        let right_values = table.columns.clone();
        let side = Side { node: table.node, columns: Vec::new(), keys: Vec::new(), time: None };
        let left_columns = left.columns.clone();
        let condition = conjunction(all);
        let node = self.join_node(kind, left, side, keys, condition, JoinBound::Lookup, changes)?;
        let schema = Arc::clone(&self.chain.nodes[node].schema);
        let left_values =
            left_columns.iter().zip(left_plan.schema().fields()).map(|(&place, field)| read(&schema, place, field.data_type()));
        let table_schema = Arc::clone(&self.chain.nodes[table.node].schema);
        let right_values = right_values.into_iter().map(|expr| {
            numbered_columns(expr, |name| width + table_schema.index_of(name).expect("invariant: columns of the table"))
        });
        // Back from numbers to the names that the output has.
        let right_values = right_values.map(|expr| named_columns(expr, &schema));
        let (left_values, right_values): (Vec<Expr>, Vec<Expr>) = (left_values.collect(), right_values.collect());
        let columns = if swapped {
            right_values.into_iter().chain(left_values).collect()
        } else {
            left_values.into_iter().chain(right_values).collect()
        };
        Ok(Relation { arms: vec![Arm { node, pending: None, filter: Vec::new(), columns }] })
    }

    fn joined(
        &mut self,
        join: &Join,
        swapped: bool,
        kind: JoinKind,
        left: Side,
        right: Side,
        keys: Vec<(usize, usize)>,
        condition: Option<Expr>,
        bound: JoinBound,
        changes: bool,
    ) -> Result<Relation, Vec<Issue>> {
        let width = self.chain.nodes[left.node].columns.len();
        let left_columns = left.columns.clone();
        let right_columns: Vec<usize> = right.columns.iter().map(|column| width + column).collect();
        let node = self.join_node(kind, left, right, keys, condition, bound, changes)?;
        let schema = &self.chain.nodes[node].schema;
        let places = if swapped { [right_columns, left_columns] } else { [left_columns, right_columns] }.concat();
        let columns =
            places.iter().zip(join.schema.fields()).map(|(&place, field)| read(schema, place, field.data_type())).collect();
        Ok(Relation { arms: vec![Arm { node, pending: None, filter: Vec::new(), columns }] })
    }

    fn join_node(
        &mut self,
        kind: JoinKind,
        left: Side,
        right: Side,
        keys: Vec<(usize, usize)>,
        condition: Option<Expr>,
        bound: JoinBound,
        changes: bool,
    ) -> Result<NodeId, Vec<Issue>> {
        let (l, r) = (&self.chain.nodes[left.node], &self.chain.nodes[right.node]);
        let width = l.columns.len();
        if let Some(condition) = &condition {
            allowed(condition)?;
        }
        let names = unique(l.columns.iter().chain(&r.columns).map(|facts| facts.name.clone()));
        let types = l.schema.fields().iter().chain(r.schema.fields()).map(|field| field.data_type().clone());
        let fields: Vec<(String, DataType)> = names.into_iter().zip(types).collect();

        let mut flow = Flow::default();
        let indirect = |(input, column): (NodeId, usize), kind| Influence::of(input, column, kind);
        let both = |&(a, b): &(usize, usize)| [(left.node, a), (right.node, b)];
        let mut matched: Vec<(NodeId, usize)> = keys.iter().flat_map(both).collect();
        match &bound {
            JoinBound::Interval { left_time, right_time, .. } | JoinBound::AsOf { left_time, right_time } => {
                matched.extend(both(&(*left_time, *right_time)));
            }
            JoinBound::Window { left, right } => matched.extend([both(&(left.0, right.0)), both(&(left.1, right.1))].concat()),
            JoinBound::Lookup | JoinBound::Updating { .. } => {}
        }
        let origin = |place: usize| if place < width { (left.node, place) } else { (right.node, place - width) };
        let compared: Vec<(NodeId, usize)> = condition.iter().flat_map(numbers).map(origin).collect();
        let deciding: BTreeSet<(NodeId, usize)> = matched.iter().chain(&compared).copied().collect();
        let equal = equal(&keys, &bound);
        for (place, (name, _)) in fields.iter().enumerate() {
            let (input, column) = origin(place);
            let own = self.chain.nodes[input].columns[column].classification;
            let mut influences = BTreeSet::from([Influence::identity(input, column)]);
            influences.extend(deciding.iter().map(|&place| indirect(place, LineageKind::Join)));
            // What is equal to a value is that value. The left side of a left join is there in any case.
            let is_optional = kind == JoinKind::Left && place >= width;
            let partners = equal.iter().filter_map(|&(l, r)| match place < width {
                true => (l == place && kind == JoinKind::Inner).then_some((right.node, r)),
                false => (width + r == place).then_some((left.node, l)),
            });
            let partners: Vec<(NodeId, usize)> = partners.collect();
            influences.extend(partners.iter().map(|&(input, column)| Influence::identity(input, column)));
            // Whether the optional side is null tells whether it was met.
            if is_optional {
                influences.extend(deciding.iter().map(|&place| indirect(place, LineageKind::Conditional)));
            }
            let raised = |places: &mut dyn Iterator<Item = (NodeId, usize)>| {
                let above = places.filter(|&(input, column)| self.chain.nodes[input].columns[column].classification > own);
                let names: BTreeSet<String> =
                    above.map(|(input, column)| format!("`{}`", self.chain.nodes[input].columns[column].name)).collect();
                (!names.is_empty()).then(|| names.into_iter().collect::<Vec<_>>().join(" and "))
            };
            let met = if is_optional { raised(&mut deciding.iter().copied()) } else { None };
            let how = match (raised(&mut partners.into_iter()), met) {
                (Some(partners), _) => Some(format!("`{name}`, which is equal to {partners}")),
                (None, Some(met)) => Some(format!("`{name}`, null where {met} meets nothing")),
                (None, None) => (*name != self.chain.nodes[input].columns[column].name).then(|| format!("`{name}`")),
            };
            flow.columns.push(ColumnFlow { influences, how });
        }
        let used = |places: &[(NodeId, usize)], by| {
            places.iter().map(|&(input, column)| FilterUse::compared(input, column, by)).collect::<Vec<_>>()
        };
        let once = matches!(bound, JoinBound::AsOf { .. }) || {
            let keys = equal.iter().map(|key| key.1).collect();
            Keys { nodes: self.chain.nodes }.distinct(right.node, &keys)
        };
        match kind {
            JoinKind::Inner => {
                flow.filters = used(&compared, By::Condition);
                flow.filters.extend(used(&matched, By::Join));
            }
            // Which rows are there twice tells which have met two.
            JoinKind::Left if !once => {
                flow.filters = used(&compared, By::Join);
                flow.filters.extend(used(&matched, By::Join));
            }
            JoinKind::Left => {}
        }
        let (mut left_roles, mut right_roles) = (self.chain.roles(left.node), self.chain.roles(right.node));
        let forget = |roles: &mut Vec<Option<Role>>, keep: fn(&Role) -> bool| {
            roles.iter_mut().for_each(|role| *role = role.filter(keep));
        };
        match &bound {
            JoinBound::Interval { left_time, right_time, .. } => {
                // The times of the bound stay times; for a left join the right one may be null.
                let only = |roles: &mut Vec<Option<Role>>, time: usize| {
                    for (place, role) in roles.iter_mut().enumerate() {
                        *role = (place == time).then_some(Role::EventTime);
                    }
                };
                only(&mut left_roles, *left_time);
                only(&mut right_roles, *right_time);
                if kind == JoinKind::Left {
                    right_roles[*right_time] = None;
                }
            }
            JoinBound::Window { .. } => {
                forget(&mut left_roles, |role| *role != Role::EventTime);
                match kind {
                    JoinKind::Inner => forget(&mut right_roles, |role| *role != Role::EventTime),
                    JoinKind::Left => forget(&mut right_roles, |_| false),
                }
            }
            JoinBound::AsOf { .. } | JoinBound::Lookup => forget(&mut right_roles, |_| false),
            JoinBound::Updating { .. } => {
                forget(&mut left_roles, |_| false);
                forget(&mut right_roles, |_| false);
            }
        }
        let hash = |columns: Vec<usize>| if columns.is_empty() { Exchange::Single } else { Exchange::Hash(columns) };
        let (left_keys, right_keys): (Vec<usize>, Vec<usize>) = keys.iter().copied().unzip();
        let exchange = match &bound {
            JoinBound::Lookup => vec![Exchange::Any, Exchange::Any],
            JoinBound::Window { left, right } if keys.is_empty() => {
                vec![Exchange::Hash(vec![left.0, left.1]), Exchange::Hash(vec![right.0, right.1])]
            }
            _ => vec![hash(left_keys), hash(right_keys)],
        };
        let subject = l.subject.or_else(|| r.subject.filter(|_| kind == JoinKind::Inner).map(|subject| width + subject));
        flow.roles = left_roles.into_iter().chain(right_roles).collect();
        let inputs = vec![left.node, right.node];
        let operator = JoinNode { kind, keys, condition: condition.map(Arc::new), bound };
        let text = format!(
            "JoinNode {{ kind: {:?}, keys: {:?}, condition: {}, bound: {:?} }}",
            operator.kind,
            operator.keys,
            operator.condition.as_ref().map_or_else(|| "none".to_owned(), ToString::to_string),
            operator.bound
        );
        let definition = self.definition(&text, &inputs, &fields);
        Ok(self.chain.push(Draft {
            kind: NodeKind::Operator(OperatorNode { operator: Operator::Join(operator), exchange, definition }),
            inputs,
            fields,
            flow,
            subject,
            changes,
            lowered: Vec::new(),
        }))
    }
}

/// The columns of both sides that are equal where rows meet.
fn equal(keys: &[(usize, usize)], bound: &JoinBound) -> Vec<(usize, usize)> {
    let windows = match bound {
        JoinBound::Window { left, right } => vec![(left.0, right.0), (left.1, right.1)],
        _ => Vec::new(),
    };
    keys.iter().copied().chain(windows).collect()
}

/// Whether a relation is reference data.
fn is_table(relation: &Relation) -> bool {
    matches!(relation.arms.as_slice(), [Arm { pending: Some(Pending::Table | Pending::Version { table: true, .. }), .. }])
}

/// The time in the marker of an as-of join.
fn as_of_time(expr: &Expr) -> Option<&Expr> {
    match expr {
        Expr::ScalarFunction(function) if function.name() == AS_OF_NAME => function.args.first(),
        _ => None,
    }
}

fn number(place: usize) -> Expr {
    Expr::Column(Column::new_unqualified(format!("${place}")))
}

/// The numbers of the columns in an expression.
fn numbers(expr: &Expr) -> Vec<usize> {
    let mut found: Vec<usize> = expr.column_refs().into_iter().filter_map(place).collect();
    found.sort_unstable();
    found
}

fn place(column: &Column) -> Option<usize> {
    column.name.strip_prefix('$')?.parse().ok()
}

fn renamed(expr: Expr, name: impl Fn(&str) -> String) -> Expr {
    let renamed = expr.transform_up(|expr| {
        Ok(match expr {
            Expr::Column(column) => Transformed::yes(Expr::Column(Column::new_unqualified(name(&column.name)))),
            other => Transformed::no(other),
        })
    });
    renamed.expect("invariant: renaming columns cannot fail").data
}

fn numbered_columns(expr: Expr, place: impl Fn(&str) -> usize) -> Expr {
    renamed(expr, |name| format!("${}", place(name)))
}

fn named_columns(expr: Expr, schema: &SchemaRef) -> Expr {
    renamed(expr, |name| {
        let place = name.strip_prefix('$').and_then(|place| place.parse::<usize>().ok());
        place.map_or_else(|| name.to_owned(), |place| schema.field(place).name().clone())
    })
}

/// `left - right >= micros`, or `<=`.
struct Difference {
    left: usize,
    right: usize,
    at_least: bool,
    micros: i64,
}

impl Difference {
    /// The same with the left side's column first.
    fn oriented(&self, width: usize) -> Self {
        if self.left < width {
            return Self { ..*self };
        }
        Self { left: self.right, right: self.left, at_least: !self.at_least, micros: self.micros.saturating_neg() }
    }
}

/// Reads `a.t BETWEEN b.t - INTERVAL ... AND b.t`, `a.t >= b.t - INTERVAL ...` and the like; leaves nothing where it is none.
fn differences(expr: &Expr, found: &mut Vec<Difference>) {
    match expr {
        Expr::Between(between) if !between.negated => {
            let (low, high) =
                (comparison(&between.expr, Compare::GtEq, &between.low), comparison(&between.expr, Compare::LtEq, &between.high));
            if let (Some(low), Some(high)) = (low, high) {
                found.extend([low, high]);
            }
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => found.extend(comparison(left, *op, right)),
        _ => {}
    }
}

fn comparison(left: &Expr, op: Compare, right: &Expr) -> Option<Difference> {
    let ((left, plus_left), (right, plus_right)) = (moment(left)?, moment(right)?);
    let (at_least, closed) = match op {
        Compare::GtEq => (true, 0),
        Compare::Gt => (true, 1),
        Compare::LtEq => (false, 0),
        Compare::Lt => (false, -1),
        _ => return None,
    };
    Some(Difference { left, right, at_least, micros: plus_right.checked_sub(plus_left)?.checked_add(closed)? })
}

/// A column, with an interval added or taken away.
fn moment(expr: &Expr) -> Option<(usize, i64)> {
    match expr {
        Expr::Column(column) => Some((place(column)?, 0)),
        Expr::BinaryExpr(BinaryExpr { left, op: Compare::Plus, right }) => match (moment(left), moment(right)) {
            (Some((column, plus)), None) => Some((column, plus.checked_add(micros(right)?)?)),
            (None, Some((column, plus))) => Some((column, plus.checked_add(micros(left)?)?)),
            _ => None,
        },
        Expr::BinaryExpr(BinaryExpr { left, op: Compare::Minus, right }) => {
            let (column, plus) = moment(left)?;
            Some((column, plus.checked_sub(micros(right)?)?))
        }
        _ => None,
    }
}
