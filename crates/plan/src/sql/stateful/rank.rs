//! `ROW_NUMBER()`: the first rows of each partition; how many, the filter behind it says.

use datafusion::{
    common::{Column, ScalarValue},
    logical_expr::{BinaryExpr, Expr, Operator as Compare, Window, WindowFunctionDefinition},
};

use super::{
    super::{chain::Draft, error::Issue},
    Arm, Lowering, Pending, Relation, read, relation,
};
use crate::{
    flow::{By, ColumnFlow, FilterUse, Flow, Influence, Role},
    operator::{Exchange, Operator, OperatorNode, RankBound, RankNode, SortKey},
    plan::{LineageKind, NodeKind},
};
use arrow::datatypes::DataType;

#[derive(Clone, Debug)]
pub(super) struct PendingRank {
    /// Columns of the arm's node.
    partition: Vec<usize>,
    order: Vec<SortKey>,
    limit: Option<u64>,
    /// What the row number is called for now.
    number: String,
}

const USAGE: &str =
    "write SELECT … FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY key ORDER BY time DESC) AS rn FROM input) WHERE rn <= 10";

impl PendingRank {
    /// Takes a condition on the row number in; false when it is about something else.
    pub fn limited_by(&mut self, conjunct: &Expr) -> Result<bool, Vec<Issue>> {
        let Expr::BinaryExpr(BinaryExpr { left, op, right }) = conjunct else { return Ok(false) };
        let number = |expr: &Expr| matches!(expr, Expr::Column(column) if column.name == self.number);
        let (op, value) = match (left.as_ref(), right.as_ref()) {
            (left, Expr::Literal(value, _)) if number(left) => (*op, value),
            (Expr::Literal(value, _), right) if number(right) => match op.swap() {
                Some(op) => (op, value),
                None => return Ok(false),
            },
            _ => return Ok(false),
        };
        let Ok(ScalarValue::Int64(Some(value))) = value.cast_to(&DataType::Int64) else { return Ok(false) };
        let limit = match op {
            Compare::LtEq => value,
            Compare::Lt => value.saturating_sub(1),
            Compare::Eq if value == 1 => 1,
            Compare::GtEq if value <= 1 => return Ok(true),
            Compare::Gt if value <= 0 => return Ok(true),
            _ => {
                let message = "a condition on ROW_NUMBER() must keep the first rows";
                return Err(vec![Issue::new("sql-rank", message).help(USAGE)]);
            }
        };
        if limit < 1 {
            return Err(vec![Issue::new("sql-rank", "row numbers begin at 1: no row passes this filter").help(USAGE)]);
        }
        let limit = limit.unsigned_abs();
        self.limit = Some(self.limit.map_or(limit, |known| known.min(limit)));
        Ok(true)
    }
}

impl Lowering<'_, '_> {
    pub(super) fn rank(&mut self, window: &Window) -> Result<Relation, Vec<Issue>> {
        let types = window.input.schema();
        let [expr] = window.window_expr.as_slice() else {
            return Err(vec![Issue::new("sql-rank", "more than one ROW_NUMBER() in a SELECT").help("use one subquery for each")]);
        };
        let function = match expr {
            Expr::Alias(alias) => alias.expr.as_ref(),
            other => other,
        };
        let function = match function {
            Expr::WindowFunction(function) if matches!(function.fun, WindowFunctionDefinition::WindowUDF(_)) => &function.params,
            other => return Err(super::unsupported(&other.to_string())),
        };
        if function.order_by.is_empty() {
            let message = "ROW_NUMBER() without ORDER BY numbers rows by chance";
            return Err(vec![Issue::new("sql-rank", message).help(USAGE)]);
        }
        let relation = self.lower(&window.input)?;
        let relation = self.settle(relation)?;
        let width = types.fields().len();
        let mut wanted: Vec<Expr> = types.iter().map(|(q, field)| Expr::Column(Column::from((q, field)))).collect();
        wanted.extend(function.partition_by.iter().cloned());
        wanted.extend(function.order_by.iter().map(|sort| sort.expr.clone()));
        let (node, places) = self.input(&relation, types, &wanted, true)?;
        let partition = places[width..width + function.partition_by.len()].to_vec();
        let sorted = places[width + function.partition_by.len()..].iter().zip(&function.order_by);
        let order =
            sorted.map(|(&column, sort)| SortKey { column, descending: !sort.asc, nulls_first: sort.nulls_first }).collect();
        let schema = &self.chain.nodes[node].schema;
        let mut number = "row_number".to_owned();
        while schema.index_of(&number).is_ok() {
            number.push('_');
        }
        let mut columns: Vec<Expr> =
            places[..width].iter().zip(types.fields()).map(|(&place, field)| read(schema, place, field.data_type())).collect();
        columns.push(Expr::Column(Column::new_unqualified(&number)));
        let pending = Some(Pending::Rank(PendingRank { partition, order, limit: None, number }));
        Ok(Relation { arms: vec![Arm { node, pending, filter: Vec::new(), columns }] })
    }

    pub(super) fn settle_rank(&mut self, arm: Arm, rank: &PendingRank) -> Result<Arm, Vec<Issue>> {
        let Some(limit) = rank.limit else {
            let message = "ROW_NUMBER() numbers all rows of a stream, unless a filter on the number says how many to keep";
            return Err(vec![Issue::new("sql-rank", message).help(USAGE)]);
        };
        let input = arm.node;
        let node = &self.chain.nodes[input];
        let roles = self.chain.roles(input);
        let number_used =
            arm.columns.iter().chain(&arm.filter).any(|expr| relation::uses(expr, std::slice::from_ref(&rank.number)));
        let ttl = self.chain.ttl;
        let windows = rank.partition.iter().find_map(|&column| match roles[column] {
            Some(Role::WindowStart(id) | Role::WindowEnd(id)) => {
                let start = roles.iter().position(|role| *role == Some(Role::WindowStart(id)))?;
                let end = roles.iter().position(|role| *role == Some(Role::WindowEnd(id)))?;
                Some((start, end, id))
            }
            _ => None,
        });
        let of_window = |column: usize, id| matches!(roles[column], Some(Role::WindowStart(w) | Role::WindowEnd(w) | Role::WindowTime(w)) if w == id);
        let mut partition = rank.partition.clone();
        let bound = match (windows, rank.order.as_slice()) {
            (Some(_), _) if node.changes => {
                let message =
                    "ROW_NUMBER() over windows takes only rows that stay, but its input changes rows that it has put out";
                return Err(vec![Issue::new("sql-changes", message).help("group by the window in the step before as well")]);
            }
            (Some((start, end, id)), _) => {
                partition.retain(|&column| !of_window(column, id));
                RankBound::Window { start, end }
            }
            (None, [first])
                if limit == 1
                    && !node.changes
                    && !first.descending
                    && matches!(roles[first.column], Some(Role::EventTime | Role::WindowTime(_))) =>
            {
                RankBound::KeepFirst { time: Some(first.column), ttl }
            }
            _ => RankBound::Updating { ttl },
        };
        let grows = !partition.is_empty() || !matches!(bound, RankBound::Updating { .. });
        if !matches!(bound, RankBound::Window { .. }) && ttl.is_none() && grows {
            self.chain.unbounded.push(
                Issue::new("unbounded-state", "the first rows of every partition are remembered for ever")
                    .help("partition by a window as well, or say how long a partition lives that nothing touches:\n    sql: { query: …, state_ttl: 1h }"),
            );
        }
        let node = &self.chain.nodes[input];
        let mut flow = Flow { roles, ..Flow::default() };
        if matches!(bound, RankBound::Updating { .. } | RankBound::Window { .. }) {
            // Rows come out when others do; only what windows say of time still holds.
            for role in &mut flow.roles {
                if *role == Some(Role::EventTime) {
                    *role = None;
                }
            }
        }
        let indirect = |column: usize, kind| Influence::of(input, column, kind);
        let shared: Vec<Influence> = rank
            .partition
            .iter()
            .map(|&column| indirect(column, LineageKind::Window))
            .chain(rank.order.iter().map(|key| indirect(key.column, LineageKind::Sort)))
            .collect();
        for column in 0..node.columns.len() {
            let influences = std::iter::once(Influence::identity(input, column)).chain(shared.iter().cloned()).collect();
            flow.columns.push(ColumnFlow { influences, how: None });
        }
        flow.filters = rank.order.iter().map(|key| FilterUse::compared(input, key.column, By::Order)).collect();
        flow.filters.extend(self.chain.grouped(input, &rank.partition));
        let mut fields: Vec<(String, DataType)> =
            node.schema.fields().iter().map(|field| (field.name().clone(), field.data_type().clone())).collect();
        if number_used {
            flow.columns.push(ColumnFlow { influences: shared.into_iter().collect(), how: Some("row_number()".to_owned()) });
            flow.roles.push(None);
            fields.push((rank.number.clone(), DataType::Int64));
        }
        let exchange = match (&bound, partition.as_slice()) {
            (RankBound::Window { start, end }, []) => Exchange::Hash(vec![*start, *end]),
            (_, []) => Exchange::Single,
            _ => Exchange::Hash(partition.clone()),
        };
        let changes = matches!(bound, RankBound::Updating { .. });
        let subject = node.subject;
        let operator = RankNode { partition, order: rank.order.clone(), limit, number: number_used, bound };
        let definition = self.definition(&format!("{operator:?}"), &[input], &fields);
        let id = self.chain.push(Draft {
            kind: NodeKind::Operator(OperatorNode { operator: Operator::Rank(operator), exchange: vec![exchange], definition }),
            inputs: vec![input],
            fields,
            flow,
            subject,
            changes,
            lowered: Vec::new(),
        });
        Ok(Arm { node: id, pending: None, ..arm })
    }
}
