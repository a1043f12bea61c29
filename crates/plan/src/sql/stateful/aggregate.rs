//! GROUP BY and SELECT DISTINCT.

use arrow::datatypes::DataType;
use datafusion::{
    common::{Column, DFSchema, ScalarValue},
    logical_expr::{Aggregate, Expr, expr::AggregateFunction as Call},
};

use super::{
    super::{chain::Draft, error::Issue, lower::substitute, text},
    Arm, Lowering, Pending, Relation, read, relation, travelling, unique,
    window::{PendingWindow, window_column},
};
use crate::{
    flow::{By, ColumnFlow, FilterUse, Flow, Influence, Role},
    operator::{
        AggregateCall, AggregateFunction, AggregateNode, Exchange, Grouping, Operator, OperatorNode, SortKey, TimeBasis,
        WindowKind,
    },
    plan::{LineageKind, NodeId, NodeKind},
    schema,
};

/// A call over the input's columns.
struct Asked {
    function: AggregateFunction,
    args: Vec<Expr>,
    distinct: bool,
    filter: Option<Expr>,
    order: Vec<(Expr, bool, bool)>,
    /// As written, without tables.
    name: String,
}

/// Values that an operator asks for, and where they are found.
#[derive(Default)]
struct Wanted {
    exprs: Vec<Expr>,
}

impl Wanted {
    fn add(&mut self, expr: &Expr) -> usize {
        self.exprs.push(expr.clone());
        self.exprs.len() - 1
    }
}

impl Lowering<'_, '_> {
    pub(super) fn aggregate(&mut self, aggregate: &Aggregate) -> Result<Relation, Vec<Issue>> {
        self.aggregates += 1;
        let types = aggregate.input.schema();
        let relation = self.lower(&aggregate.input)?;
        if aggregate.group_expr.iter().any(|expr| matches!(expr, Expr::GroupingSet(_))) {
            return Err(super::unsupported("GROUPING SETS"));
        }
        let asked = aggregate.aggr_expr.iter().map(asked).collect::<Result<Vec<_>, _>>()?;
        let groups = &aggregate.group_expr;
        if let [Arm { pending: Some(Pending::Window(window)), .. }] = relation.arms.as_slice()
            && let Some(places) = self.fused(&relation.arms[0], &window.clone(), types, groups, &asked)?
        {
            return self.windows(aggregate, relation, places, asked);
        }
        let relation = self.settle(relation)?;
        let relation = match relation.arms.as_slice() {
            [_] => relation,
            _ => Relation { arms: vec![self.single(relation, types)?] },
        };
        let arm = &relation.arms[0];
        let changes = self.chain.nodes[arm.node].changes;
        let roles = self.chain.roles(arm.node);
        let role = |expr: &Expr| -> Result<Option<Role>, Vec<Issue>> {
            Ok(match substitute(expr, types, &arm.columns)? {
                Expr::Column(column) => roles[self.chain.index(arm.node, &column.name)],
                _ => None,
            })
        };
        let group_roles = groups.iter().map(role).collect::<Result<Vec<_>, _>>()?;
        let window = group_roles.iter().flatten().find_map(|role| match role {
            Role::WindowStart(id) | Role::WindowEnd(id) => Some(*id),
            _ => None,
        });
        // A window has two ends; the one that is not asked for may still be there.
        let end_of = |wanted: Role| roles.iter().position(|role| *role == Some(wanted));
        let bounds = window.and_then(|id| Some((end_of(Role::WindowStart(id))?, end_of(Role::WindowEnd(id))?, id)));
        let Some((start, end, id)) = bounds else {
            return self.updating(aggregate, &relation, asked);
        };
        if changes {
            let message = "grouping by windows takes only rows that stay, but its input changes rows that it has put out";
            let help = "group by the window in the step before as well, or group by neither";
            return Err(vec![Issue::new("sql-changes", message).help(help)]);
        }
        let of_window = |role: &Option<Role>| matches!(role, Some(Role::WindowStart(w) | Role::WindowEnd(w) | Role::WindowTime(w)) if *w == id);
        let mut wanted = Wanted::default();
        let mut keys = Vec::new();
        let mut outputs = Vec::new();
        for (expr, role) in groups.iter().zip(&group_roles) {
            outputs.push(match role {
                role if !of_window(role) => {
                    keys.push((wanted.add(expr), group_name(expr)));
                    Output::Key(keys.len() - 1)
                }
                Some(Role::WindowStart(_)) => Output::Window(0),
                Some(Role::WindowEnd(_)) => Output::Window(1),
                _ => Output::Window(2),
            });
        }
        let calls = calls(&asked, &mut wanted);
        let schema = std::sync::Arc::clone(&self.chain.nodes[arm.node].schema);
        let mut rows: Vec<Expr> =
            wanted.exprs.iter().map(|expr| substitute(expr, types, &arm.columns)).collect::<Result<_, _>>()?;
        for place in [start, end] {
            rows.push(Expr::Column(Column::new_unqualified(schema.field(place).name())));
        }
        let (input, places) = self.values(&relation, vec![rows], false)?;
        let (start, end) = (places[places.len() - 2], places[places.len() - 1]);
        self.operator(aggregate, input, &places, keys, Grouping::Windowed { start, end }, calls, asked, outputs)
    }

    /// Whether the aggregate can take the window in: for each group the window column that it is.
    fn fused(
        &self,
        arm: &Arm,
        window: &PendingWindow,
        types: &DFSchema,
        groups: &[Expr],
        asked: &[Asked],
    ) -> Result<Option<Vec<Option<usize>>>, Vec<Issue>> {
        let of = |expr: &Expr| substitute(expr, types, &arm.columns);
        let mut places = Vec::new();
        let mut keys = Vec::new();
        for group in groups {
            let expr = of(group)?;
            let place = match &expr {
                Expr::Column(column) => window.names.iter().position(|name| *name == column.name),
                _ => None,
            };
            if place.is_none() {
                if relation::uses(&expr, &window.names) {
                    return Ok(None);
                }
                keys.push(expr);
            }
            places.push(place);
        }
        let decides = match window.table.window {
            WindowKind::Cumulate { .. } => places.iter().flatten().any(|&place| place > 0),
            _ => places.iter().any(Option::is_some),
        };
        let mut inside = arm.filter.clone();
        for call in asked {
            for expr in call.args.iter().chain(&call.filter).chain(call.order.iter().map(|(expr, ..)| expr)) {
                inside.push(of(expr)?);
            }
        }
        let clean = !inside.iter().any(|expr| relation::uses(expr, &window.names));
        if let WindowKind::Session { .. } = window.table.window {
            let same = keys.len() == window.keys.len() && window.keys.iter().all(|key| keys.contains(key));
            if decides && !same {
                let names: Vec<_> =
                    window.table.keys.iter().cloned().chain(["window_start".into(), "window_end".into()]).collect();
                let message = "rows of a session are grouped by exactly its keys and its window";
                let help = format!("write GROUP BY {}", names.join(", "));
                return Err(vec![Issue::new("sql-window", message).help(help).at(window.table.span)]);
            }
            if !arm.filter.is_empty() {
                let message = "a filter behind session(…) would leave out rows that hold a session open";
                let help = "filter in a step or a subquery before, and read that: session(filtered, …)";
                return Err(vec![Issue::new("sql-window", message).help(help).at(window.table.span)]);
            }
        }
        Ok((decides && clean).then_some(places))
    }

    /// Windows and their groups in one operator.
    fn windows(
        &mut self,
        aggregate: &Aggregate,
        mut relation: Relation,
        groups: Vec<Option<usize>>,
        asked: Vec<Asked>,
    ) -> Result<Relation, Vec<Issue>> {
        let types = aggregate.input.schema();
        let Some(Pending::Window(window)) = relation.arms[0].pending.take() else {
            return Err(super::unsupported("this window"));
        };
        let mut wanted = Wanted::default();
        let mut keys = Vec::new();
        let mut outputs = Vec::new();
        for (expr, place) in aggregate.group_expr.iter().zip(groups) {
            outputs.push(match place {
                Some(place) => Output::Window(place),
                None => {
                    keys.push((wanted.add(expr), group_name(expr)));
                    Output::Key(keys.len() - 1)
                }
            });
        }
        let calls = calls(&asked, &mut wanted);
        let mut rows: Vec<Expr> =
            wanted.exprs.iter().map(|expr| substitute(expr, types, &relation.arms[0].columns)).collect::<Result<_, _>>()?;
        rows.extend(window.time.iter().map(|name| Expr::Column(Column::new_unqualified(name))));
        let (input, mut places) = self.values(&relation, vec![rows], false)?;
        let time = match window.time {
            Some(_) => TimeBasis::Event(places.pop().unwrap_or_default()),
            None => TimeBasis::Processing,
        };
        let grouping = Grouping::Window { window: window.table.window, time };
        self.operator(aggregate, input, &places, keys, grouping, calls, asked, outputs)
    }

    fn updating(&mut self, aggregate: &Aggregate, relation: &Relation, asked: Vec<Asked>) -> Result<Relation, Vec<Issue>> {
        let types = aggregate.input.schema();
        let mut wanted = Wanted::default();
        let keys: Vec<_> = aggregate.group_expr.iter().map(|expr| (wanted.add(expr), group_name(expr))).collect();
        let outputs = (0..keys.len()).map(Output::Key).collect();
        let calls = calls(&asked, &mut wanted);
        let (input, places) = if wanted.exprs.is_empty() {
            // Nothing but rows to count.
            let all: Vec<Expr> = types.iter().take(1).map(|(q, field)| Expr::Column(Column::from((q, field)))).collect();
            (self.input(relation, types, &all, false)?.0, Vec::new())
        } else {
            self.input(relation, types, &wanted.exprs, false)?
        };
        let grows = !keys.is_empty()
            || asked.iter().any(|call| {
                let keeps = matches!(call.function, AggregateFunction::StringAgg { .. } | AggregateFunction::ArrayAgg);
                call.distinct || keeps
            });
        let ttl = self.chain.ttl;
        if grows && ttl.is_none() {
            self.chain.unbounded.push(
                Issue::new("unbounded-state", "every group is remembered for ever, because no window closes the groups")
                    .help("group by a window (tumble, hop, cumulate, session), or say how long a group lives that nothing touches:\n    sql: { query: …, state_ttl: 1h }"),
            );
        }
        self.operator(aggregate, input, &places, keys, Grouping::Updating { ttl }, calls, asked, outputs)
    }

    fn operator(
        &mut self,
        aggregate: &Aggregate,
        input: NodeId,
        places: &[usize],
        keys: Vec<(usize, String)>,
        grouping: Grouping,
        calls: Vec<Placed>,
        asked: Vec<Asked>,
        outputs: Vec<Output>,
    ) -> Result<Relation, Vec<Issue>> {
        let node = &self.chain.nodes[input];
        let at = |wanted: usize| places[wanted];
        let key_columns: Vec<usize> = keys.iter().map(|(wanted, _)| at(*wanted)).collect();
        let calls: Vec<AggregateCall> = calls
            .into_iter()
            .zip(&asked)
            .map(|(placed, asked)| AggregateCall {
                function: asked.function.clone(),
                args: placed.args.into_iter().map(at).collect(),
                distinct: asked.distinct,
                filter: placed.filter.map(at),
                order: placed
                    .order
                    .into_iter()
                    .zip(&asked.order)
                    .map(|(wanted, &(_, descending, nulls_first))| SortKey { column: at(wanted), descending, nulls_first })
                    .collect(),
            })
            .collect();
        let (window_columns, time) = match &grouping {
            Grouping::Window { time: TimeBasis::Event(time), .. } => (3, vec![*time]),
            Grouping::Window { .. } => (3, Vec::new()),
            Grouping::Windowed { start, end } => (3, vec![*start, *end]),
            Grouping::Updating { .. } => (0, Vec::new()),
        };
        let of_calls: Vec<(DataType, DataType)> = asked
            .iter()
            .zip(aggregate.schema.fields().iter().skip(aggregate.group_expr.len()))
            .map(|(call, field)| Ok((travelling(field.data_type(), &call.name)?, field.data_type().clone())))
            .collect::<Result<_, Vec<Issue>>>()?;
        let timestamp = schema::arrow_type(&weir_spec::DataType::Timestamp);
        let names = unique(
            keys.iter()
                .map(|(_, name)| name.clone())
                .chain(["window_start", "window_end", "window_time"].into_iter().take(window_columns).map(str::to_owned))
                .chain(asked.iter().map(|call| call.name.clone())),
        );
        let types = key_columns
            .iter()
            .map(|&column| node.schema.field(column).data_type().clone())
            .chain(std::iter::repeat_n(timestamp, window_columns))
            .chain(of_calls.iter().map(|(own, _)| own.clone()));
        let fields: Vec<(String, DataType)> = names.into_iter().zip(types).collect();

        let own = self.chain.nodes.len();
        let mut flow = Flow::default();
        let mut roles = Vec::new();
        for &column in &key_columns {
            flow.columns.push(ColumnFlow { influences: [Influence::identity(input, column)].into(), how: None });
            roles.push(None);
        }
        if window_columns > 0 {
            for (place, role) in [Role::WindowStart(own), Role::WindowEnd(own), Role::WindowTime(own)].into_iter().enumerate() {
                let name = ["window_start", "window_end", "window_time"][place];
                flow.columns.push(match &grouping {
                    Grouping::Windowed { start, end } => {
                        let from = if place == 0 { *start } else { *end };
                        ColumnFlow { influences: [Influence::identity(input, from)].into(), how: None }
                    }
                    _ => window_column(input, time.first().copied(), name),
                });
                let by_clock = matches!(grouping, Grouping::Window { time: TimeBasis::Processing, .. });
                roles.push((!by_clock).then_some(role));
            }
        }
        let mut lowered = Vec::new();
        for (call, asked) in calls.iter().zip(&asked) {
            let lowers = self.chain.min_group.is_some() && self.is_of_many(input, call);
            let how = match self.chain.min_group {
                Some(_) if !lowers && !call.args.is_empty() => {
                    format!("{}, which may show a single row of a large group", asked.name)
                }
                _ => asked.name.clone(),
            };
            let mut column = ColumnFlow { how: Some(how), ..ColumnFlow::default() };
            let mut add = |place: usize, kind| {
                column.influences.insert(Influence::of(input, place, kind));
            };
            call.args.iter().for_each(|&place| add(place, LineageKind::Aggregation));
            call.filter.iter().for_each(|&place| add(place, LineageKind::Conditional));
            call.order.iter().for_each(|key| add(key.column, LineageKind::Sort));
            key_columns.iter().for_each(|&place| add(place, LineageKind::GroupBy));
            time.iter().for_each(|&place| add(place, LineageKind::Window));
            if lowers {
                lowered.push(flow.columns.len());
            }
            flow.columns.push(column);
            roles.push(None);
        }
        flow.roles = roles;
        let order = calls.iter().flat_map(|call| &call.order);
        flow.filters = order.map(|key| FilterUse::compared(input, key.column, By::Order)).collect();
        flow.filters.extend(self.chain.grouped(input, &key_columns));

        let changes = matches!(grouping, Grouping::Updating { .. }) && (node.changes || !calls.is_empty());
        let subject = node.subject.and_then(|subject| key_columns.iter().position(|&column| column == subject));
        let exchange = match &grouping {
            _ if !key_columns.is_empty() => Exchange::Hash(key_columns.clone()),
            Grouping::Windowed { start, end } => Exchange::Hash(vec![*start, *end]),
            _ => Exchange::Single,
        };
        let operator = AggregateNode { keys: key_columns, grouping, calls, min_rows: self.chain.min_group };
        let definition = self.definition(&format!("{operator:?}"), &[input], &fields);
        let id = self.chain.push(Draft {
            kind: NodeKind::Operator(OperatorNode {
                operator: Operator::Aggregate(operator),
                exchange: vec![exchange],
                definition,
            }),
            inputs: vec![input],
            fields,
            flow,
            subject,
            changes,
            lowered,
        });
        let schema = &self.chain.nodes[id].schema;
        let groups = outputs.iter().zip(aggregate.schema.fields()).map(|(output, field)| {
            let place = match output {
                Output::Key(key) => *key,
                Output::Window(place) => keys.len() + place,
            };
            read(schema, place, field.data_type())
        });
        let first = keys.len() + window_columns;
        let results = of_calls.iter().enumerate().map(|(i, (_, data_type))| read(schema, first + i, data_type));
        let columns = groups.chain(results).collect();
        Ok(Relation { arms: vec![Arm { node: id, pending: None, filter: Vec::new(), columns }] })
    }

    /// Whether what a call makes of a large group says nothing of any one of them: it adds up or counts values of
    /// all rows, and each is a source's own, of a row that is there once. A FILTER, a CASE or a copy would make a group of one.
    fn is_of_many(&self, input: NodeId, call: &AggregateCall) -> bool {
        let whole = call.filter.is_none() && !call.distinct && call.order.is_empty();
        whole
            && tells_of_no_one(&call.function)
            && call.args.iter().all(|&column| self.chain.origin().is_each_rows_own(input, column))
    }

    /// The stable text of an operator: what it does and the types it takes in and gives out.
    pub(super) fn definition(&self, operator: &str, inputs: &[NodeId], fields: &[(String, DataType)]) -> String {
        let types = |types: Vec<String>| types.join(", ");
        let inputs: Vec<String> = inputs
            .iter()
            .map(|&input| {
                let schema = &self.chain.nodes[input].schema;
                types(schema.fields().iter().map(|field| schema::arrow_type_name(field.data_type())).collect())
            })
            .collect();
        let output = types(fields.iter().map(|(_, data_type)| schema::arrow_type_name(data_type)).collect());
        format!("{operator} over ({}) gives ({output})", inputs.join(") and ("))
    }
}

/// What a column of the aggregate's result is.
enum Output {
    Key(usize),
    /// Start, end or time.
    Window(usize),
}

/// A call by places among the wanted values.
struct Placed {
    args: Vec<usize>,
    filter: Option<usize>,
    order: Vec<usize>,
}

fn calls(asked: &[Asked], wanted: &mut Wanted) -> Vec<Placed> {
    asked
        .iter()
        .map(|call| Placed {
            args: call.args.iter().map(|expr| wanted.add(expr)).collect(),
            filter: call.filter.as_ref().map(|expr| wanted.add(expr)),
            order: call.order.iter().map(|(expr, ..)| wanted.add(expr)).collect(),
        })
        .collect()
}

fn group_name(expr: &Expr) -> String {
    match expr {
        Expr::Column(column) => column.name.clone(),
        Expr::Alias(alias) => alias.name.clone(),
        other => shown(other),
    }
}

/// An expression as text without tables and quotes: it becomes the name of a hidden column.
pub(super) fn shown(expr: &Expr) -> String {
    text(&super::super::lower::unqualified(expr.clone())).replace('"', "")
}

/// Aggregates that no single row can be read off, given that there are enough. A percentile is the value of a row.
fn tells_of_no_one(function: &AggregateFunction) -> bool {
    use AggregateFunction::{ApproxDistinct, Avg, Count, Stddev, StddevPop, Sum, Variance, VariancePop};
    matches!(function, Count | Sum | Avg | Stddev | StddevPop | Variance | VariancePop | ApproxDistinct)
}

fn asked(expr: &Expr) -> Result<Asked, Vec<Issue>> {
    let call = match expr {
        Expr::Alias(alias) => return asked(&alias.expr),
        Expr::AggregateFunction(call) => call,
        other => return Err(super::unsupported(&other.to_string())),
    };
    let name = shown(expr);
    let params = &call.params;
    let fail = |message: String, help: &str| Err(vec![Issue::new("sql-aggregate", message).help(help)]);
    if params.null_treatment.is_some() {
        return fail(format!("IGNORE NULLS of {name} is not supported"), "write FILTER (WHERE x IS NOT NULL)");
    }
    let (function, args) = function(call)?;
    let ordered = matches!(
        function,
        AggregateFunction::FirstValue
            | AggregateFunction::LastValue
            | AggregateFunction::StringAgg { .. }
            | AggregateFunction::ArrayAgg
    );
    let order = params.order_by.iter().filter(|_| ordered).map(|sort| (sort.expr.clone(), !sort.asc, sort.nulls_first)).collect();
    // What is the same whether or not it comes twice.
    let idempotent = matches!(
        function,
        AggregateFunction::Min
            | AggregateFunction::Max
            | AggregateFunction::BoolAnd
            | AggregateFunction::BoolOr
            | AggregateFunction::ApproxDistinct
    );
    Ok(Asked { function, args, distinct: params.distinct && !idempotent, filter: params.filter.as_deref().cloned(), order, name })
}

fn function(call: &Call) -> Result<(AggregateFunction, Vec<Expr>), Vec<Issue>> {
    use AggregateFunction as F;
    let args = &call.params.args;
    let simple = match call.func.name() {
        "count" => {
            // `count(*)` and `count(1)`; a null literal counts nothing and is left to the engine as it is.
            let rows = matches!(args.as_slice(), [Expr::Literal(value, _)] if !value.is_null()) && !call.params.distinct;
            return Ok((F::Count, if rows { Vec::new() } else { args.clone() }));
        }
        "sum" => F::Sum,
        "min" => F::Min,
        "max" => F::Max,
        "avg" => F::Avg,
        "stddev" => F::Stddev,
        "stddev_pop" => F::StddevPop,
        "var" => F::Variance,
        "var_pop" => F::VariancePop,
        "first_value" => F::FirstValue,
        "last_value" => F::LastValue,
        "bool_and" => F::BoolAnd,
        "bool_or" => F::BoolOr,
        "approx_distinct" => F::ApproxDistinct,
        "array_agg" => F::ArrayAgg,
        "approx_percentile_cont" => return percentile(args),
        "string_agg" => {
            let (value, separator) = match args.as_slice() {
                [value] => (value, String::new()),
                [value, separator] => match literal_text(separator) {
                    Some(separator) => (value, separator),
                    None => {
                        let issue = Issue::new("sql-aggregate", "the separator of string_agg(…) must be a text");
                        return Err(vec![issue.help("write string_agg(name, ', ')")]);
                    }
                },
                _ => return Err(super::unsupported("string_agg(…) of so many arguments")),
            };
            return Ok((F::StringAgg { separator }, vec![value.clone()]));
        }
        other => return Err(super::unsupported(&format!("the aggregate function {other}(…)"))),
    };
    Ok((simple, args.clone()))
}

fn percentile(args: &[Expr]) -> Result<(AggregateFunction, Vec<Expr>), Vec<Issue>> {
    let fraction = |expr: &Expr| match unwrapped(expr) {
        Expr::Literal(ScalarValue::Float64(Some(value)), _) => Some(*value),
        Expr::Literal(ScalarValue::Float32(Some(value)), _) => Some(f64::from(*value)),
        Expr::Literal(ScalarValue::Int64(Some(value)), _) => Some(*value as f64),
        _ => None,
    };
    match args {
        [value, at, ..] => match fraction(at).filter(|at| (0.0..=1.0).contains(at)) {
            Some(at) => Ok((AggregateFunction::ApproxPercentile(at), vec![value.clone()])),
            None => {
                let issue = Issue::new("sql-aggregate", "approx_percentile_cont(…) needs a fraction between 0 and 1");
                Err(vec![issue.help("write approx_percentile_cont(amount, 0.95)")])
            }
        },
        _ => {
            let issue = Issue::new("sql-aggregate", "approx_percentile_cont(…) needs a column and a fraction");
            Err(vec![issue.help("write approx_percentile_cont(amount, 0.95)")])
        }
    }
}

fn unwrapped(expr: &Expr) -> &Expr {
    match expr {
        Expr::Cast(cast) => unwrapped(&cast.expr),
        Expr::Alias(alias) => unwrapped(&alias.expr),
        other => other,
    }
}

fn literal_text(expr: &Expr) -> Option<String> {
    match unwrapped(expr) {
        Expr::Literal(
            ScalarValue::Utf8(Some(text)) | ScalarValue::LargeUtf8(Some(text)) | ScalarValue::Utf8View(Some(text)),
            _,
        ) => Some(text.clone()),
        _ => None,
    }
}
