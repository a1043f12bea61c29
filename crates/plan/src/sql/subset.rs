//! The subset of SQL that runs on streams: everything else is refused by name, before anything is planned.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::{
    ast::{
        Distinct, Expr, Function, FunctionArg, FunctionArgExpr, GroupByExpr, Ident, JoinConstraint, JoinOperator, ObjectName,
        Query, Select, SelectItem, SetExpr, SetOperator, SetQuantifier, Spanned, TableFactor, Value, Visit, Visitor, WindowType,
    },
    tokenizer::Span,
};

use super::{
    context::{FUNCTIONS, FunctionKind},
    error::{Issue, duplicate},
    growth,
};
use crate::suggest;

const SUPPORTED: &str = "supported are SELECT with expressions, WHERE, scalar functions, CASE, CAST, UNION ALL, subqueries in FROM and WITH; GROUP BY, HAVING, DISTINCT and aggregates; tumble, hop, session and cumulate; inner and left joins; ROW_NUMBER() with a filter on it; MATCH_RECOGNIZE";

/// The same for a rule, which sees one row.
const SUPPORTED_IN_RULES: &str = "a rule is an expression over the columns of one row: scalar functions, CASE, CAST, comparisons";

/// The aggregate functions that engines have, as [`crate::operator::AggregateFunction`] has them.
pub(crate) const AGGREGATES: [&str; 21] = [
    "count",
    "sum",
    "min",
    "max",
    "avg",
    "mean",
    "stddev",
    "stddev_samp",
    "stddev_pop",
    "var",
    "var_samp",
    "var_pop",
    "first_value",
    "last_value",
    "bool_and",
    "bool_or",
    "approx_distinct",
    "approx_percentile_cont",
    "string_agg",
    "array_agg",
    "variance",
];

/// Functions that make tables of windows.
const WINDOWS: [&str; 4] = ["tumble", "hop", "session", "cumulate"];

/// How often a query may read tables: planning takes each time for a table of its own.
const MOST_SCANS: f64 = 1_000.0;

/// Column names that begin so belong to Weir.
pub(crate) const RESERVED_PREFIX: &str = "_weir";

/// A table that a query names, other than its own WITH tables.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TableUse {
    pub name: String,
    pub span: Span,
}

/// The tables of a query, and everything in it that is outside the subset.
pub(crate) fn check_query(query: &Query) -> Checked {
    let mut walk = Walk::new(Some(false));
    walk.query(query, true);
    if walk.scans > MOST_SCANS {
        let shown = if walk.scans < 1e9 { format!("{:.0}", walk.scans) } else { "more than a billion".to_owned() };
        let message =
            format!("its tables are read {shown} times once what WITH defines is put in place; at most {MOST_SCANS} are allowed");
        let issue = Issue::new("sql-too-large", message)
            .help("read each WITH table in one arm of UNION ALL, or split it into several steps");
        walk.issues.push(issue.at(query.body.span()));
    }
    Checked { tables: walk.tables, issues: walk.issues, stateful: walk.stateful == Some(true), places: walk.places }
}

/// What a look at the syntax tree tells.
pub(crate) struct Checked {
    /// In the order of the text, some more than once.
    pub tables: Vec<TableUse>,
    pub issues: Vec<Issue>,
    /// Whether it needs more than one row at a time.
    pub stateful: bool,
    pub places: Places,
}

/// Everything in a lone expression that is outside the subset.
pub(crate) fn check_expression(expr: &Expr) -> Vec<Issue> {
    let mut walk = Walk::new(None);
    walk.expr(expr);
    walk.issues
}

/// Where what makes operators stands, for findings that know no better: the first of each.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Places {
    pub join: Option<Span>,
    pub rank: Option<Span>,
    pub group: Option<Span>,
}

struct Walk {
    tables: Vec<TableUse>,
    issues: Vec<Issue>,
    /// The WITH tables in scope, each with how often it reads a table.
    with: Vec<(String, f64)>,
    /// How often the query at hand reads a table, what WITH defines put in place.
    scans: f64,
    /// Whether more than one row at a time was asked for; none where that is refused.
    stateful: Option<bool>,
    places: Places,
    /// How large a value of a column is, in the SELECT at hand.
    column: f64,
    /// The largest value that was made so far, which is what columns of the SELECT around may hold.
    made: f64,
}

impl Walk {
    fn new(stateful: Option<bool>) -> Self {
        Self {
            tables: Vec::new(),
            issues: Vec::new(),
            with: Vec::new(),
            scans: 0.0,
            stateful,
            places: Places::default(),
            column: growth::COLUMN,
            made: growth::COLUMN,
        }
    }

    fn refuse(&mut self, what: &str, span: Span) {
        self.issues.push(Issue::new("sql-unsupported", format!("{what} is not supported")).help(SUPPORTED).at(span));
    }

    /// `names`: the names of this query's columns are seen outside it.
    fn query(&mut self, query: &Query, names: bool) {
        let scope = self.with.len();
        if let Some(with) = &query.with {
            if with.recursive {
                self.refuse("WITH RECURSIVE", with.span());
            }
            for cte in &with.cte_tables {
                let before = std::mem::replace(&mut self.scans, 0.0);
                self.query(&cte.query, cte.alias.columns.is_empty());
                let scans = std::mem::replace(&mut self.scans, before);
                self.with.push((normalized(&cte.alias.name), scans));
            }
        }
        self.set_expr(&query.body, names);
        let here = query.body.span();
        for (present, what) in [
            (query.order_by.is_some(), "ORDER BY (a stream has no end)"),
            (query.limit_clause.is_some(), "LIMIT or OFFSET (a stream has no end)"),
            (query.fetch.is_some(), "FETCH"),
            (!query.locks.is_empty(), "FOR UPDATE"),
            (query.for_clause.is_some(), "FOR"),
            (query.settings.is_some(), "SETTINGS"),
            (query.format_clause.is_some(), "FORMAT"),
            (!query.pipe_operators.is_empty(), "the pipe operator |>"),
        ] {
            if present {
                let span = query.order_by.as_ref().map_or(here, Spanned::span);
                self.refuse(what, span);
            }
        }
        self.with.truncate(scope);
    }

    fn set_expr(&mut self, body: &SetExpr, names: bool) {
        match body {
            SetExpr::Select(select) => self.select(select, names),
            SetExpr::Query(query) => self.query(query, names),
            SetExpr::SetOperation { left, op, set_quantifier, right } => {
                match (op, set_quantifier) {
                    (SetOperator::Union, SetQuantifier::All) => {}
                    (SetOperator::Union, SetQuantifier::None | SetQuantifier::Distinct) => self.issues.push(
                        Issue::new("sql-unsupported", "UNION without ALL, which removes duplicates, is not supported")
                            .help("write UNION ALL")
                            .at(right.span()),
                    ),
                    (SetOperator::Union, _) => self.refuse("UNION BY NAME", right.span()),
                    (op, _) => self.refuse(&op.to_string(), right.span()),
                }
                let before = self.made;
                self.set_expr(left, names);
                let left = std::mem::replace(&mut self.made, before);
                // The names of the first arm are the names of the union.
                self.set_expr(right, false);
                self.made = self.made.max(left);
            }
            SetExpr::Values(_) => self.refuse("VALUES", body.span()),
            SetExpr::Insert(_) => self.refuse("INSERT", body.span()),
            SetExpr::Update(_) => self.refuse("UPDATE", body.span()),
            SetExpr::Delete(_) => self.refuse("DELETE", body.span()),
            SetExpr::Merge(_) => self.refuse("MERGE", body.span()),
            SetExpr::Table(_) => self.refuse("TABLE", body.span()),
        }
    }

    fn select(&mut self, select: &Select, names: bool) {
        let here = select.select_token.0.span;
        let (groups, odd_groups) = match &select.group_by {
            GroupByExpr::All(_) => (true, true),
            GroupByExpr::Expressions(exprs, modifiers) => {
                let sets = |expr: &Expr| matches!(expr, Expr::GroupingSets(_) | Expr::Cube(_) | Expr::Rollup(_));
                (!exprs.is_empty(), !modifiers.is_empty() || exprs.iter().any(sets))
            }
        };
        let distinct_on = matches!(&select.distinct, Some(Distinct::On(_)));
        let distinct = matches!(&select.distinct, Some(Distinct::Distinct));
        if groups || distinct || select.having.is_some() || select.from.len() > 1 {
            self.stateful = self.stateful.map(|_| true);
            let span = if groups { select.group_by.span() } else { here };
            self.places.group.get_or_insert(span);
        }
        for (present, what, span) in [
            (distinct_on, "DISTINCT ON", here),
            (select.top.is_some(), "TOP", here),
            (select.into.is_some(), "SELECT INTO", here),
            (select.exclude.is_some(), "EXCLUDE", here),
            (!select.lateral_views.is_empty(), "LATERAL VIEW", here),
            (select.prewhere.is_some(), "PREWHERE", here),
            (!select.connect_by.is_empty(), "CONNECT BY", here),
            (odd_groups, "GROUP BY ALL, ROLLUP, CUBE or GROUPING SETS", select.group_by.span()),
            (!select.cluster_by.is_empty(), "CLUSTER BY", here),
            (!select.distribute_by.is_empty(), "DISTRIBUTE BY", here),
            (!select.sort_by.is_empty(), "SORT BY", here),
            (!select.named_window.is_empty(), "WINDOW", here),
            (select.qualify.is_some(), "QUALIFY", select.qualify.as_ref().map_or(here, Spanned::span)),
            (select.value_table_mode.is_some(), "SELECT AS VALUE", here),
            (select.select_modifiers.is_some(), "a modifier of SELECT", here),
        ] {
            if present {
                self.refuse(what, if span == Span::empty() { here } else { span });
            }
        }
        if select.from.is_empty() {
            self.issues
                .push(Issue::new("sql-unsupported", "SELECT without FROM").help("name a source or a step in FROM").at(here));
        }
        let before = self.made;
        let mut widest = before;
        for table in &select.from {
            self.table(&table.relation);
            widest = widest.max(std::mem::replace(&mut self.made, before));
            for join in &table.joins {
                self.join(&join.join_operator, join.relation.span());
                self.table(&join.relation);
                widest = widest.max(std::mem::replace(&mut self.made, before));
            }
        }
        self.made = widest;
        let around = std::mem::replace(&mut self.column, widest);
        if names {
            self.names(&select.projection);
        }
        for item in &select.projection {
            match item {
                SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => self.expr(expr),
                SelectItem::ExprWithAliases { expr, .. } => self.refuse("more than one alias", expr.span()),
                SelectItem::QualifiedWildcard(..) | SelectItem::Wildcard(_) => {}
            }
        }
        for expr in select.selection.iter().chain(&select.having).chain(&select.qualify) {
            self.expr(expr);
        }
        if let GroupByExpr::Expressions(exprs, _) = &select.group_by {
            for expr in exprs {
                self.expr(expr);
            }
        }
        self.column = around;
    }

    fn join(&mut self, join: &JoinOperator, span: Span) {
        self.stateful = self.stateful.map(|_| true);
        self.places.join.get_or_insert(span);
        let constraint = match join {
            JoinOperator::Join(constraint)
            | JoinOperator::Inner(constraint)
            | JoinOperator::Left(constraint)
            | JoinOperator::LeftOuter(constraint)
            | JoinOperator::Right(constraint)
            | JoinOperator::RightOuter(constraint) => constraint,
            JoinOperator::FullOuter(_) => return self.refuse("FULL JOIN", span),
            JoinOperator::CrossJoin(_) => return self.refuse("CROSS JOIN", span),
            _ => return self.refuse("this kind of JOIN", span),
        };
        match constraint {
            JoinConstraint::On(expr) => self.expr(expr),
            JoinConstraint::Using(_) => {}
            JoinConstraint::Natural => self.refuse("NATURAL JOIN", span),
            JoinConstraint::None => self.issues.push(
                Issue::new("sql-unsupported", "a JOIN without a condition")
                    .help("say ON which columns the two sides are equal")
                    .at(span),
            ),
        }
    }

    /// Every column needs a name of its own.
    fn names(&mut self, projection: &[SelectItem]) {
        let mut seen: Vec<String> = Vec::new();
        for item in projection {
            let ident = match item {
                SelectItem::ExprWithAlias { alias, .. } => alias,
                SelectItem::UnnamedExpr(expr) => match plain_column(expr) {
                    Some(ident) => ident,
                    None => {
                        let help = format!("write {expr} AS some_name");
                        self.issues.push(Issue::new("unnamed-column", "an expression needs a name").help(help).at(expr.span()));
                        continue;
                    }
                },
                _ => continue,
            };
            let name = normalized(ident);
            if name.to_lowercase().starts_with(RESERVED_PREFIX) {
                let message = format!("the name `{name}` is reserved: names that begin with `{RESERVED_PREFIX}` belong to Weir");
                self.issues.push(Issue::new("reserved-name", message).help("give it another name with AS").at(ident.span));
            }
            if seen.contains(&name) {
                self.issues.push(duplicate(&name).at(ident.span));
            } else {
                seen.push(name);
            }
        }
    }

    fn table(&mut self, table: &TableFactor) {
        let span = table.span();
        match table {
            TableFactor::Table {
                name,
                args,
                sample,
                version,
                with_hints,
                partitions,
                json_path,
                index_hints,
                with_ordinality,
                ..
            } => {
                if let Some(args) = args {
                    return self.table_function(name, args.args.first());
                }
                let extras = version.is_some() || json_path.is_some() || *with_ordinality;
                if sample.is_some() {
                    self.refuse("TABLESAMPLE", span);
                } else if extras || !with_hints.is_empty() || !partitions.is_empty() || !index_hints.is_empty() {
                    self.refuse("a modifier of a table", span);
                }
                let [part] = name.0.as_slice() else {
                    let help = "write the bare name of a source or a step";
                    return self
                        .issues
                        .push(Issue::new("unknown-reference", format!("unknown table `{name}`")).help(help).at(span));
                };
                let Some(ident) = part.as_ident() else {
                    return self.refuse("a computed table name", span);
                };
                self.named(ident);
            }
            TableFactor::Derived { lateral, subquery, sample, alias } => {
                if *lateral {
                    self.refuse("LATERAL", span);
                }
                if sample.is_some() {
                    self.refuse("TABLESAMPLE", span);
                }
                self.query(subquery, alias.as_ref().is_none_or(|alias| alias.columns.is_empty()));
            }
            TableFactor::Function { name, .. } => self.table_function(name, None),
            TableFactor::TableFunction { .. } => self.refuse("TABLE(…)", span),
            TableFactor::UNNEST { .. } => self.refuse("UNNEST", span),
            TableFactor::NestedJoin { table_with_joins, .. } => {
                self.table(&table_with_joins.relation);
                for join in &table_with_joins.joins {
                    self.join(&join.join_operator, join.relation.span());
                    self.table(&join.relation);
                }
            }
            TableFactor::Pivot { .. } => self.refuse("PIVOT", span),
            TableFactor::Unpivot { .. } => self.refuse("UNPIVOT", span),
            TableFactor::MatchRecognize { table, .. } => {
                self.stateful = self.stateful.map(|_| true);
                self.table(table);
            }
            _ => self.refuse("this kind of table", span),
        }
    }

    fn named(&mut self, ident: &Ident) {
        let name = normalized(ident);
        match self.with.iter().rev().find(|(known, _)| *known == name) {
            Some((_, scans)) => self.scans += scans,
            None => {
                self.scans += 1.0;
                self.tables.push(TableUse { name, span: ident.span });
            }
        }
    }

    fn table_function(&mut self, name: &ObjectName, input: Option<&FunctionArg>) {
        self.stateful = self.stateful.map(|_| true);
        let called = name.to_string().to_lowercase();
        if !WINDOWS.contains(&called.as_str()) {
            let help = match suggest::nearest(&called, WINDOWS) {
                Some(nearest) => format!("did you mean {nearest}(…)?"),
                None => "tumble, hop, session and cumulate make windows of a table".to_owned(),
            };
            let message = format!("the table function {called}(…) is not supported");
            return self.issues.push(Issue::new("sql-unsupported", message).help(help).at(name.span()));
        }
        match input {
            Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Identifier(ident)))) => self.named(ident),
            _ => {
                let help =
                    format!("write {called}(input, INTERVAL '1 minute'), with the name of a source, a step or a WITH table");
                let message = format!("{called}(…) needs the name of a table first");
                self.issues.push(Issue::new("sql-window", message).help(help).at(name.span()));
            }
        }
    }

    fn expr(&mut self, expr: &Expr) {
        let mut walk = ExprWalk { issues: &mut self.issues, depth: 0, stateful: &mut self.stateful, places: &mut self.places };
        // The walk never breaks off.
        let _ = expr.visit(&mut walk);
        let (size, too_large) = growth::measure(expr, self.column);
        self.made = self.made.max(size);
        self.issues.extend(too_large);
    }
}

/// The column of an expression that is nothing but a column.
fn plain_column(expr: &Expr) -> Option<&Ident> {
    match expr {
        Expr::Identifier(ident) => Some(ident),
        Expr::CompoundIdentifier(idents) => idents.last(),
        Expr::Nested(inner) => plain_column(inner),
        _ => None,
    }
}

/// The name that an identifier stands for: unquoted ones are lower-cased.
pub(crate) fn normalized(ident: &Ident) -> String {
    match ident.quote_style {
        Some(_) => ident.value.clone(),
        None => ident.value.to_ascii_lowercase(),
    }
}

struct ExprWalk<'w> {
    issues: &'w mut Vec<Issue>,
    /// Inside so many subqueries, which are refused as a whole.
    depth: usize,
    stateful: &'w mut Option<bool>,
    places: &'w mut Places,
}

impl ExprWalk<'_> {
    fn refuse(&mut self, what: String, span: Span) {
        let help = if self.stateful.is_some() { SUPPORTED } else { SUPPORTED_IN_RULES };
        self.issues.push(Issue::new("sql-unsupported", format!("{what} is not supported")).help(help).at(span));
    }

    fn function(&mut self, function: &Function) {
        let span = function.name.span();
        let name = function.name.to_string().to_ascii_lowercase();
        let kind = FUNCTIONS.kind(&name);
        if let (Some(WindowType::WindowSpec(spec)), "row_number", Some(_)) =
            (&function.over, name.as_str(), self.stateful.as_ref())
        {
            *self.stateful = Some(true);
            self.places.rank.get_or_insert(span);
            if spec.window_frame.is_some() || spec.window_name.is_some() {
                self.refuse("a frame of row_number()".to_owned(), span);
            }
            return;
        }
        if function.over.is_some() || matches!(kind, FunctionKind::Window) {
            let message = format!("the window function {name}(…) is not supported");
            let help = "the one over rows is ROW_NUMBER() OVER (PARTITION BY … ORDER BY …), in a subquery whose number is filtered: WHERE rn <= 10";
            return self.issues.push(Issue::new("sql-unsupported", message).help(help).at(span));
        }
        match kind {
            FunctionKind::Aggregate if self.stateful.is_some() => {
                *self.stateful = Some(true);
                self.places.group.get_or_insert(span);
                if !AGGREGATES.contains(&name.as_str()) {
                    let help = match suggest::nearest(&name, AGGREGATES) {
                        _ if name.contains("median") => "write approx_percentile_cont(x, 0.5)".to_owned(),
                        Some(nearest) => format!("did you mean {nearest}(…)?"),
                        None => format!("aggregates are {}", AGGREGATES.join(", ")),
                    };
                    let message = format!("the aggregate function {name}(…) is not supported");
                    self.issues.push(Issue::new("sql-unsupported", message).help(help).at(span));
                }
            }
            FunctionKind::Aggregate => self.refuse(format!("the aggregate function {name}(…)"), span),
            _ if name == "proctime" => self.issues.push(
                Issue::new("sql-unsupported", "proctime() is not a column")
                    .help("windows by the clock are tumble(input, INTERVAL '10 seconds', proctime()); joins with a table take FOR SYSTEM_TIME AS OF proctime()")
                    .at(span),
            ),
            FunctionKind::Volatile => self.issues.push(
                Issue::new(
                    "sql-unsupported",
                    format!("the function {name}() is not supported: its result differs from run to run"),
                )
                .help("a pipeline that resumes must compute the same rows again; take times and numbers from columns")
                .at(span),
            ),
            FunctionKind::Unknown => {
                let help = match suggest::nearest(&name, FUNCTIONS.supported()) {
                    Some(nearest) => format!("did you mean {nearest}(…)?"),
                    None => "the scalar functions of DataFusion are available".to_owned(),
                };
                self.issues.push(Issue::new("unknown-function", format!("unknown function {name}(…)")).help(help).at(span));
            }
            FunctionKind::Scalar if function.filter.is_some() || !function.within_group.is_empty() => {
                self.refuse(format!("FILTER or WITHIN GROUP of {name}(…)"), span);
            }
            FunctionKind::Scalar | FunctionKind::Window => {}
        }
    }
}

impl Visitor for ExprWalk<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        if self.depth == 0 {
            self.refuse("a subquery outside FROM".to_owned(), query.span());
        }
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if self.depth == 0 {
            match expr {
                Expr::Function(function) => self.function(function),
                Expr::Value(value) if matches!(value.value, Value::Placeholder(_)) => {
                    self.refuse("a placeholder".to_owned(), value.span);
                }
                Expr::Identifier(ident) if ident.value.starts_with('@') => self.refuse("a variable".to_owned(), ident.span),
                Expr::Lambda(_) => self.refuse("a lambda".to_owned(), expr.span()),
                _ => {}
            }
        }
        ControlFlow::Continue(())
    }
}
