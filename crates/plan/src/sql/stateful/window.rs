//! Windows of rows: put off until it is known whether an aggregate takes them in.

use arrow::datatypes::DataType;
use datafusion::{common::Column, logical_expr::Expr};

use super::{
    super::{
        chain::Draft,
        error::Issue,
        tables::{WINDOW_COLUMNS, WindowTable},
    },
    Arm, Lowering, Pending, Relation,
    relation::uses,
};
use crate::{
    flow::{ColumnFlow, Flow, Influence, Role},
    operator::{TimeBasis, WindowKind, WindowNode},
    plan::{LineageKind, NodeId, NodeKind},
    schema,
};

#[derive(Clone, Debug)]
pub(super) struct PendingWindow {
    pub table: WindowTable,
    /// The column of the node that windows go by; none where that is the clock.
    pub time: Option<String>,
    /// What the columns `window_start`, `window_end` and `window_time` are called for now.
    pub names: [String; 3],
    /// For a session: the values that make one, over the node's columns.
    pub keys: Vec<Expr>,
}

impl Lowering<'_, '_> {
    pub(super) fn window(&mut self, table: &WindowTable) -> Result<Relation, Vec<Issue>> {
        let input = self.table(&table.input)?;
        let (_, schema) = &self.tables.entries[&table.input];
        let types = super::relation_types(schema)?;
        let mut arm = self.single(input, &types)?;
        let fail = |message: String, help: &str| Err(vec![Issue::new("sql-window", message).help(help).at(table.span)]);
        let node = &self.chain.nodes[arm.node];
        if node.changes {
            let message =
                format!("`{}` changes rows that it has put out; windows take only rows that stay", super::known_as(&table.input));
            return fail(
                message,
                "let the step before be one that only adds rows: group by a window there, or leave the changes to a sink",
            );
        }
        let time = if table.processing { None } else { self.event_time(&arm) };
        if time.is_none() && !table.processing {
            let help = if node.inputs.is_empty() {
                format!(
                    "add `event_time: {{ column: … }}` to `sources.{}`, or write proctime() as the last argument",
                    super::known_as(&table.input)
                )
            } else {
                "select the event-time column (behind a window: window_time) in the step before, or write proctime() as the last argument".to_owned()
            };
            return fail(format!("windows need a time, but `{}` has no event time", super::known_as(&table.input)), &help);
        }
        // Sessions are made of what the input lets pass; rows filtered behind them would have held them open.
        if matches!(table.window, WindowKind::Session { .. }) && !arm.filter.is_empty() {
            let columns: Vec<Expr> =
                types.fields().iter().map(|field| Expr::Column(Column::new_unqualified(field.name()))).collect();
            let (id, places) = self.input(&Relation { arms: vec![arm] }, &types, &columns, true)?;
            let schema = &self.chain.nodes[id].schema;
            let columns = places.iter().zip(types.fields()).map(|(&place, field)| super::read(schema, place, field.data_type()));
            arm = Arm { node: id, pending: None, filter: Vec::new(), columns: columns.collect() };
        }
        let time = if table.processing { None } else { self.event_time(&arm).or(time) };
        let keys = table
            .keys
            .iter()
            .map(|key| arm.columns[schema.index_of(key).expect("invariant: keys are columns of the input")].clone());
        let keys = keys.collect();
        let mut fields = schema.fields().iter();
        arm.columns.retain(|_| fields.next().is_none_or(|field| !WINDOW_COLUMNS.contains(&field.name().as_str())));
        let taken = &self.chain.nodes[arm.node].schema;
        let names = WINDOW_COLUMNS.map(|name| {
            let mut name = name.to_owned();
            while taken.index_of(&name).is_ok() {
                name.push('_');
            }
            name
        });
        arm.columns.extend(names.iter().map(|name| Expr::Column(Column::new_unqualified(name))));
        arm.pending = Some(Pending::Window(PendingWindow { table: table.clone(), time, names, keys }));
        Ok(Relation { arms: vec![arm] })
    }

    /// The column of an arm's node that is the event time of its rows, where it is passed on.
    pub(super) fn event_time(&self, arm: &Arm) -> Option<String> {
        let roles = self.chain.roles(arm.node);
        let passed = |wanted: fn(&Role) -> bool| {
            arm.columns.iter().find_map(|expr| match expr {
                Expr::Column(column) => {
                    let index = self.chain.nodes[arm.node].schema.index_of(&column.name).ok()?;
                    roles[index].as_ref().is_some_and(wanted).then(|| column.name.clone())
                }
                _ => None,
            })
        };
        passed(|role| *role == Role::EventTime).or_else(|| passed(|role| matches!(role, Role::WindowTime(_))))
    }

    /// The same arm over a node of the columns that it asks for, filtered as far as that needs no window: a window repeats its rows.
    fn slimmed(&mut self, arm: Arm, window: &PendingWindow) -> Result<(Arm, NodeId), Vec<Issue>> {
        let (behind, before): (Vec<Expr>, Vec<Expr>) = arm.filter.iter().cloned().partition(|expr| uses(expr, &window.names));
        let schema = &self.chain.nodes[arm.node].schema;
        let asked = |name: &String| {
            let names = std::slice::from_ref(name);
            window.time.as_ref() == Some(name) || arm.columns.iter().chain(&behind).any(|expr| uses(expr, names))
        };
        let names: Vec<String> = schema.fields().iter().map(|field| field.name().clone()).filter(asked).collect();
        if before.is_empty() && names.len() == schema.fields().len() || names.is_empty() {
            let node = arm.node;
            return Ok((arm, node));
        }
        // Plain columns keep their names, so what is above them still finds them.
        let row = names.iter().map(|name| Expr::Column(Column::new_unqualified(name))).collect();
        let input = Arm { node: arm.node, pending: None, filter: before, columns: Vec::new() };
        let (node, _) = self.values(&Relation { arms: vec![input] }, vec![row], true)?;
        Ok((Arm { node, filter: behind, ..arm }, node))
    }

    /// A node that adds the window's columns.
    pub(super) fn settle_window(&mut self, arm: Arm, window: &PendingWindow) -> Result<Arm, Vec<Issue>> {
        if let WindowKind::Session { .. } = window.table.window {
            let keys = window.table.keys.iter().map(String::as_str).chain([WINDOW_COLUMNS[0], WINDOW_COLUMNS[1]]);
            let help = format!(
                "write SELECT …, count(*) AS n FROM session(…) GROUP BY {}; filter rows in a step or subquery before",
                keys.collect::<Vec<_>>().join(", ")
            );
            let message = "a session is only known once it is over, so its rows have to be grouped by it and by its keys";
            return Err(vec![Issue::new("sql-window", message).help(help).at(window.table.span)]);
        }
        let (arm, input) = self.slimmed(arm, window)?;
        let node = &self.chain.nodes[input];
        let width = node.columns.len();
        let mut flow = Flow::pass(input, width);
        flow.roles = self.chain.roles(input);
        let id = self.chain.nodes.len();
        let of_window = [Role::WindowStart(id), Role::WindowEnd(id), Role::WindowTime(id)];
        // No watermark tells when a window of the clock is over.
        flow.roles.extend(of_window.map(|role| window.time.as_ref().map(|_| role)));
        let time = window.time.as_ref().map(|name| self.chain.index(input, name));
        flow.columns.extend(window.names.iter().map(|name| window_column(input, time, name)));
        let mut fields: Vec<(String, DataType)> =
            node.schema.fields().iter().map(|field| (field.name().clone(), field.data_type().clone())).collect();
        let timestamp = schema::arrow_type(&weir_spec::DataType::Timestamp);
        fields.extend(window.names.iter().map(|name| (name.clone(), timestamp.clone())));
        let subject = node.subject;
        let id = self.chain.push(Draft {
            kind: NodeKind::Window(WindowNode {
                window: window.table.window.clone(),
                time: time.map_or(TimeBasis::Processing, TimeBasis::Event),
            }),
            inputs: vec![input],
            fields,
            flow,
            subject,
            changes: false,
            lowered: Vec::new(),
        });
        Ok(Arm { node: id, pending: None, ..arm })
    }
}

/// How a column of a window comes from the time.
pub(super) fn window_column(input: NodeId, time: Option<usize>, name: &str) -> ColumnFlow {
    let influence = |column| Influence::of(input, column, LineageKind::Transformation);
    ColumnFlow {
        influences: time.into_iter().map(influence).collect(),
        how: Some(format!("the window's {}", &name["window_".len()..])),
    }
}
