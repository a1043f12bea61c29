//! Tables that DataFusion does not know: windows, versions and patterns become names with a schema before the query is typed. What
//! they stand for is remembered for the lowering.

use std::{collections::BTreeMap, sync::Arc};

use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::{
    common::{DFSchema, DataFusionError, ScalarValue},
    logical_expr::{Expr as Typed, LogicalPlan},
    sql::{
        planner::{PlannerContext, SqlToRel},
        sqlparser::{
            ast::{
                BinaryOperator, Cte, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments,
                Ident, JoinConstraint, JoinOperator, ObjectName, ObjectNamePart, Query, Select, SetExpr, Spanned, Statement,
                TableAlias, TableFactor, TableWithJoins, With, helpers::attached_token::AttachedToken,
            },
            dialect::GenericDialect,
            parser::Parser,
            tokenizer::{Span, Word},
        },
    },
};

use super::{
    context::{Context, parser_options},
    error::{Issue, issues, syntax_issue},
    extras::{Extras, VersionTime},
    recognize::{self, Recognize},
    subset::normalized,
    typed_only::AS_OF_NAME,
};
use crate::{operator::WindowKind, plan::NodeId, schema, suggest};

/// What a table's name stands for.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    Node(NodeId),
    /// A WITH table or a subquery that a window or a pattern reads.
    Query(Box<LogicalPlan>),
    Window(WindowTable),
    /// `FOR SYSTEM_TIME AS OF`; the time stands in the join's condition, where it is a column.
    Version {
        input: String,
        processing: bool,
        span: Span,
    },
    Match(Box<Recognize>),
}

/// `tumble(input, ...)` and the like.
#[derive(Clone, Debug)]
pub(super) struct WindowTable {
    pub input: String,
    pub window: WindowKind,
    /// For a session: the columns that make one.
    pub keys: Vec<String>,
    pub processing: bool,
    pub span: Span,
}

/// The columns that a window adds.
pub(super) const WINDOW_COLUMNS: [&str; 3] = ["window_start", "window_end", "window_time"];

/// The tables of one query with their schemas.
#[derive(Clone, Debug, Default)]
pub(super) struct Tables {
    pub entries: BTreeMap<String, (Entry, SchemaRef)>,
}

impl Tables {
    pub fn context(&self) -> Context {
        Context::new(self.entries.iter().map(|(name, (_, schema))| (name.as_str(), Arc::clone(schema))))
    }

    fn add(&mut self, what: &str, entry: Entry, schema: SchemaRef) -> String {
        let name = (1..).map(|i| format!("{what}#{i}")).find(|name| !self.entries.contains_key(name));
        let name = name.expect("invariant: there are more names than tables");
        self.entries.insert(name.clone(), (entry, schema));
        name
    }

    /// The columns of all tables, for suggestions.
    pub fn columns(&self) -> Vec<String> {
        self.entries.values().flat_map(|(_, schema)| schema.fields().iter().map(|field| field.name().clone())).collect()
    }
}

/// Replaces windows, versions and patterns of a query by names of `tables`, which is added to.
pub(super) fn replace(query: &mut Query, extras: &Extras, tables: &mut Tables) -> Result<(), Vec<Issue>> {
    let mut replace = Replace { tables, extras, with: Vec::new() };
    replace.query(query)
}

struct Replace<'r> {
    tables: &'r mut Tables,
    extras: &'r Extras,
    /// The WITH tables in scope, replaced already.
    with: Vec<Cte>,
}

impl Replace<'_> {
    fn query(&mut self, query: &mut Query) -> Result<(), Vec<Issue>> {
        let scope = self.with.len();
        if let Some(with) = &mut query.with {
            for cte in &mut with.cte_tables {
                self.query(&mut cte.query)?;
                self.with.push(cte.clone());
            }
        }
        let result = self.body(&mut query.body);
        self.with.truncate(scope);
        result
    }

    fn body(&mut self, body: &mut SetExpr) -> Result<(), Vec<Issue>> {
        match body {
            SetExpr::Select(select) => self.select(select),
            SetExpr::Query(query) => self.query(query),
            SetExpr::SetOperation { left, right, .. } => {
                self.body(left)?;
                self.body(right)
            }
            _ => Ok(()),
        }
    }

    fn select(&mut self, select: &mut Select) -> Result<(), Vec<Issue>> {
        for table in &mut select.from {
            self.joined(table)?;
        }
        Ok(())
    }

    fn joined(&mut self, table: &mut TableWithJoins) -> Result<(), Vec<Issue>> {
        self.factor(&mut table.relation)?;
        for join in &mut table.joins {
            let as_of = self.factor(&mut join.relation)?;
            if let Some(as_of) = as_of {
                let (JoinOperator::Join(JoinConstraint::On(on))
                | JoinOperator::Inner(JoinConstraint::On(on))
                | JoinOperator::Left(JoinConstraint::On(on))
                | JoinOperator::LeftOuter(JoinConstraint::On(on))) = &mut join.join_operator
                else {
                    let message = "FOR SYSTEM_TIME AS OF belongs to the right side of JOIN … ON or LEFT JOIN … ON";
                    let issue = Issue::new("sql-unsupported", message)
                        .help("write a JOIN b FOR SYSTEM_TIME AS OF a.time ON a.key = b.key");
                    return Err(vec![issue.at(join.relation.span())]);
                };
                *on = Expr::BinaryOp {
                    left: Box::new(Expr::Nested(Box::new(on.clone()))),
                    op: BinaryOperator::And,
                    right: Box::new(as_of),
                };
            }
        }
        Ok(())
    }

    /// Answers what has to be added to the condition of the join.
    fn factor(&mut self, factor: &mut TableFactor) -> Result<Option<Expr>, Vec<Issue>> {
        match factor {
            TableFactor::Derived { subquery, .. } => self.query(subquery).map(|()| None),
            TableFactor::NestedJoin { table_with_joins, .. } => self.joined(table_with_joins).map(|()| None),
            TableFactor::MatchRecognize { .. } => self.recognized(factor).map(|()| None),
            TableFactor::Table { name, alias, args, .. } => {
                let span = name.span();
                if let Some(args) = args.take() {
                    let window = self.window(&name.to_string().to_lowercase(), &args.args, span)?;
                    rename(name, alias, &window.0, &window.1, span);
                    return Ok(None);
                }
                let Some(ident) = name.0.first().and_then(ObjectNamePart::as_ident).cloned() else { return Ok(None) };
                let Some(version) = self.extras.versions.iter().find(|version| version.table == ident.span.start) else {
                    return Ok(None);
                };
                let version = version.clone();
                let input = self.input(&ident)?;
                let schema = Arc::clone(&self.tables.entries[&input].1);
                let first = schema.field(0).name().clone();
                let processing = version.time == VersionTime::Processing;
                let entry = Entry::Version { input, processing, span: version.span };
                let generated = self.tables.add("version", entry, schema);
                rename(name, alias, &generated, &normalized(&ident), span);
                let table = alias.as_ref().map_or_else(|| ident.clone(), |alias| alias.name.clone());
                Ok(match &version.time {
                    VersionTime::Processing => None,
                    VersionTime::Column(words, span) => Some(as_of(words, *span, table, first)),
                })
            }
            _ => Ok(None),
        }
    }

    /// The table of this name, which may be a WITH table.
    fn input(&mut self, ident: &Ident) -> Result<String, Vec<Issue>> {
        let name = normalized(ident);
        if !self.with.iter().any(|cte| normalized(&cte.alias.name) == name) {
            return Ok(name);
        }
        let factor = plain(&ident.value, ident.quote_style, ident.span);
        self.hoist(&name, factor)
    }

    /// Plans `SELECT * FROM factor` on its own and gives it a name.
    fn hoist(&mut self, what: &str, factor: TableFactor) -> Result<String, Vec<Issue>> {
        let text = "SELECT * FROM placeholder";
        let mut query = *Parser::new(&GenericDialect {})
            .try_with_sql(text)
            .and_then(|mut parser| parser.parse_query())
            .map_err(|error| vec![syntax_issue(error)])?;
        if !self.with.is_empty() {
            query.with = Some(With { with_token: AttachedToken::empty(), recursive: false, cte_tables: self.with.clone() });
        }
        if let SetExpr::Select(select) = query.body.as_mut() {
            select.from = vec![TableWithJoins { relation: factor, joins: Vec::new() }];
        }
        let columns = self.tables.columns();
        let context = self.tables.context();
        let statement = Statement::Query(Box::new(query));
        let logical = SqlToRel::new_with_options(&context, parser_options())
            .sql_statement_to_plan(statement)
            .map_err(|error| issues(error, &columns))?;
        let logical = super::query::analysed(logical)?;
        let mut fields: Vec<Field> = Vec::new();
        for field in logical.schema().fields() {
            if fields.iter().any(|known| known.name() == field.name()) {
                return Err(vec![super::error::duplicate(field.name())]);
            }
            let data_type = schema::representable(field.data_type()).unwrap_or_else(|| field.data_type().clone());
            fields.push(Field::new(field.name(), data_type, true));
        }
        Ok(self.tables.add(what, Entry::Query(Box::new(logical)), Arc::new(Schema::new(fields))))
    }

    /// The generated name of a window table, and the name by which queries know it.
    fn window(&mut self, function: &str, args: &[FunctionArg], span: Span) -> Result<(String, String), Vec<Issue>> {
        let fail = |message: String, help: &str| Err(vec![Issue::new("sql-window", message).help(help).at(span)]);
        let usage = match function {
            "tumble" => "write tumble(input, INTERVAL '1 minute'), with an offset and proctime() behind it if need be",
            "hop" => "write hop(input, INTERVAL '1 minute', INTERVAL '5 minutes'): slide, then size",
            "cumulate" => "write cumulate(input, INTERVAL '1 hour', INTERVAL '1 day'): step, then size",
            _ => "write session(input, INTERVAL '10 minutes', key): the gap, then the columns that make a session",
        };
        let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Identifier(ident)))) = args.first() else {
            return fail(format!("{function}(…) needs the name of a table first"), usage);
        };
        let input = self.input(ident)?;
        let Some((_, schema)) = self.tables.entries.get(&input) else {
            return fail(format!("unknown table `{input}`"), usage);
        };
        let schema = Arc::clone(schema);
        let (mut spans, mut keys, mut processing) = (Vec::new(), Vec::new(), false);
        for arg in &args[1..] {
            let FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) = arg else {
                return fail(format!("{arg} is no argument of {function}(…)"), usage);
            };
            match expr {
                Expr::Interval(_) => spans.push(interval(expr)?),
                Expr::Function(called) if called.name.to_string().eq_ignore_ascii_case("proctime") => processing = true,
                Expr::Function(called) if called.name.to_string().eq_ignore_ascii_case("descriptor") => {
                    let help = "leave DESCRIPTOR(…) out: windows go by the event time that the source declares";
                    return fail(format!("{function}(…) takes no column for its time"), help);
                }
                Expr::Identifier(column) if function == "session" => {
                    let key = normalized(column);
                    if schema.index_of(&key).is_err() {
                        let names = schema.fields().iter().map(|field| field.name().as_str());
                        let issue = Issue::new("unknown-column", format!("unknown column `{key}`"));
                        return Err(vec![issue.help(suggest::among("column", &key, names)).at(column.span)]);
                    }
                    keys.push(key);
                }
                other => return fail(format!("{other} is no argument of {function}(…)"), usage),
            }
        }
        if spans.iter().take(if function == "tumble" || function == "session" { 1 } else { 2 }).any(|&span| span <= 0) {
            return fail(format!("the intervals of {function}(…) must be longer than nothing"), usage);
        }
        let window = match (function, spans.as_slice()) {
            ("tumble", &[size]) => WindowKind::Tumble { size, offset: 0 },
            ("tumble", &[size, offset]) => WindowKind::Tumble { size, offset },
            ("hop", &[slide, size]) => WindowKind::Hop { size, slide, offset: 0 },
            ("hop", &[slide, size, offset]) => WindowKind::Hop { size, slide, offset },
            ("cumulate", &[step, size, ref offset @ ..]) if offset.len() <= 1 => {
                if size % step != 0 {
                    return fail("the size of cumulate(…) must be a multiple of its step".to_owned(), usage);
                }
                WindowKind::Cumulate { size, step, offset: offset.first().copied().unwrap_or(0) }
            }
            ("session", &[gap]) => WindowKind::Session { gap },
            _ => return fail(format!("{function}(…) takes another number of intervals"), usage),
        };
        let time = schema::arrow_type(&weir_spec::DataType::Timestamp);
        // The windows of the input give way to those that are made of it.
        let hidden = |field: &&Arc<Field>| WINDOW_COLUMNS.contains(&field.name().as_str());
        let mut fields: Vec<Arc<Field>> = schema.fields().iter().filter(|field| !hidden(field)).cloned().collect();
        fields.extend(WINDOW_COLUMNS.map(|name| Arc::new(Field::new(name, time.clone(), true))));
        let entry = Entry::Window(WindowTable { input, window, keys, processing, span });
        let generated = self.tables.add(function, entry, Arc::new(Schema::new(fields)));
        Ok((generated, normalized(ident)))
    }

    fn recognized(&mut self, factor: &mut TableFactor) -> Result<(), Vec<Issue>> {
        let span = factor.span();
        let TableFactor::MatchRecognize { table, alias, .. } = factor else { return Ok(()) };
        self.factor(table)?;
        let input = match table.as_ref() {
            TableFactor::Table { name, alias: None, .. } => {
                let ident = name.0.first().and_then(ObjectNamePart::as_ident).cloned();
                match ident {
                    Some(ident) => self.input(&ident)?,
                    None => return Ok(()),
                }
            }
            other => self.hoist("input", other.clone())?,
        };
        let Some((_, schema)) = self.tables.entries.get(&input) else {
            return Err(vec![Issue::new("unknown-reference", format!("unknown table `{input}`")).at(span)]);
        };
        let schema = Arc::clone(schema);
        let alias = alias.clone();
        let (spec, output) = recognize::bind(factor, input, &schema, self.extras, span)?;
        let generated = self.tables.add("match", Entry::Match(Box::new(spec)), output);
        let mut replaced = plain(&generated, Some('"'), span);
        if let TableFactor::Table { alias: slot, .. } = &mut replaced {
            *slot = alias;
        }
        *factor = replaced;
        Ok(())
    }
}

/// An interval of fixed length in microseconds.
pub(super) fn interval(expr: &Expr) -> Result<i64, Vec<Issue>> {
    let context = Context::new([]);
    let typed = SqlToRel::new_with_options(&context, parser_options())
        .sql_to_expr(expr.clone(), &DFSchema::empty(), &mut PlannerContext::new())
        .map_err(|error: DataFusionError| issues(error, &[]))?;
    micros(&typed).ok_or_else(|| {
        let message = format!("{expr} has no fixed length");
        vec![Issue::new("sql-window", message).help("write days, hours, minutes, seconds or milliseconds").at(expr.span())]
    })
}

/// A literal interval without months, in microseconds.
pub(super) fn micros(expr: &Typed) -> Option<i64> {
    const DAY: i64 = 86_400_000_000;
    match expr {
        Typed::Literal(ScalarValue::IntervalMonthDayNano(Some(value)), _) if value.months == 0 => {
            i64::from(value.days).checked_mul(DAY)?.checked_add(value.nanoseconds / 1_000)
        }
        Typed::Literal(ScalarValue::IntervalDayTime(Some(value)), _) => {
            i64::from(value.days).checked_mul(DAY)?.checked_add(i64::from(value.milliseconds) * 1_000)
        }
        Typed::Literal(ScalarValue::DurationMicrosecond(Some(value)), _) => Some(*value),
        Typed::Literal(ScalarValue::DurationNanosecond(Some(value)), _) => Some(value / 1_000),
        Typed::Negative(inner) => micros(inner)?.checked_neg(),
        _ => None,
    }
}

fn ident(value: &str, quote_style: Option<char>, span: Span) -> Ident {
    Ident { value: value.to_owned(), quote_style, span }
}

fn plain(name: &str, quote: Option<char>, span: Span) -> TableFactor {
    TableFactor::Table {
        name: ObjectName(vec![ObjectNamePart::Identifier(ident(name, quote, span))]),
        alias: None,
        args: None,
        with_hints: Vec::new(),
        version: None,
        with_ordinality: false,
        partitions: Vec::new(),
        json_path: None,
        sample: None,
        index_hints: Vec::new(),
    }
}

/// Puts a generated name in the place of a table, which keeps the name that the query knows it by.
fn rename(name: &mut ObjectName, alias: &mut Option<TableAlias>, generated: &str, known: &str, span: Span) {
    *name = ObjectName(vec![ObjectNamePart::Identifier(ident(generated, Some('"'), span))]);
    if alias.is_none() {
        *alias = Some(TableAlias { explicit: true, name: ident(known, Some('"'), span), columns: Vec::new(), at: None });
    }
}

/// `_weir_as_of(time, table.column)`.
fn as_of(words: &[Word], span: Span, table: Ident, column: String) -> Expr {
    let time = words.iter().map(|word| ident(&word.value, word.quote_style, span)).collect::<Vec<_>>();
    let time = match time.as_slice() {
        [column] => Expr::Identifier(column.clone()),
        _ => Expr::CompoundIdentifier(time),
    };
    let of = Expr::CompoundIdentifier(vec![table, ident(&column, Some('"'), span)]);
    Expr::Function(Function {
        name: ObjectName(vec![ObjectNamePart::Identifier(ident(AS_OF_NAME, None, span))]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: [time, of].map(|expr| FunctionArg::Unnamed(FunctionArgExpr::Expr(expr))).into(),
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}
