//! One `sql:` step: parsed, then typed against the schemas of its inputs.

use std::{collections::BTreeMap, sync::Arc};

use arrow::datatypes::{DataType as Arrow, Field, Schema, SchemaRef};
use datafusion::{
    common::{
        Column, DataFusionError, TableReference,
        config::ConfigOptions,
        tree_node::{TreeNode, TreeNodeRecursion},
    },
    logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, cast},
    optimizer::{
        Analyzer, Optimizer, OptimizerContext, eliminate_cross_join::EliminateCrossJoin,
        extract_equijoin_predicate::ExtractEquijoinPredicate, optimize_projections::OptimizeProjections,
        optimize_unions::OptimizeUnions, push_down_filter::PushDownFilter,
        replace_distinct_aggregate::ReplaceDistinctWithAggregate, simplify_expressions::SimplifyExpressions,
    },
    sql::{
        parser::{DFParserBuilder, Statement},
        planner::{ContextProvider as _, SqlToRel},
        sqlparser::{ast, dialect::GenericDialect, parser::Parser},
    },
};

use super::{
    chain::Chain,
    context::{Context, parser_options},
    error::{Issue, issues, syntax_issue},
    extras::{Extras, take_out},
    lower::{Branch, check_size, lower},
    stack::with_room,
    stateful,
    subset::{Checked, Places, TableUse, check_query, normalized},
    tables::{self, Entry, Tables},
};
use crate::{operator::WindowKind, plan::NodeId, schema};

/// A query inside the subset, not yet typed.
pub(crate) struct Query {
    statement: ast::Statement,
    /// The tables it reads, each named once.
    pub tables: Vec<TableUse>,
    /// Whether it looks at more than one row at a time.
    pub stateful: bool,
    extras: Extras,
    places: Places,
}

/// A query that can run.
pub(crate) struct Typed {
    pub logical: LogicalPlan,
    pub branches: Vec<Branch>,
    pub schema: SchemaRef,
}

impl Query {
    /// Parses the text and refuses what is outside the subset.
    pub fn parse(text: &str) -> Result<Self, Vec<Issue>> {
        with_room(text, || Self::parsed(text))
    }

    fn parsed(text: &str) -> Result<Self, Vec<Issue>> {
        let (tokens, extras) = take_out(text)?;
        if !extras.is_empty() {
            let parser = Parser::new(&GenericDialect {}).with_tokens_with_locations(tokens);
            let statements = { parser }.parse_statements().map_err(|error| vec![syntax_issue(error)])?;
            return match <[ast::Statement; 1]>::try_from(statements) {
                Ok([statement]) => Self::checked(statement, extras),
                Err(_) => Err(vec![Issue::new("sql-unsupported", "more than one statement").help("write one SELECT a step")]),
            };
        }
        let parse = || DFParserBuilder::new(text).with_dialect(&GenericDialect {}).build()?.parse_statements();
        let mut statements = parse().map_err(|error| issues(error, &[]))?;
        let statement = match (statements.pop_front(), statements.pop_front()) {
            (Some(statement), None) => statement,
            (None, _) => {
                return Err(vec![Issue::new("sql-syntax", "the query is empty").help("write SELECT … FROM …")]);
            }
            (Some(_), Some(_)) => {
                return Err(vec![Issue::new("sql-unsupported", "more than one statement").help("write one SELECT a step")]);
            }
        };
        let refused = |what: &str| {
            let issue = Issue::new("sql-unsupported", format!("{what} is not supported")).help("a step is one SELECT");
            Err(vec![issue])
        };
        let statement = match statement {
            Statement::Statement(statement) => *statement,
            Statement::CreateExternalTable(_) => return refused("CREATE EXTERNAL TABLE"),
            Statement::CopyTo(_) => return refused("COPY"),
            Statement::Explain(_) => return refused("EXPLAIN"),
            Statement::Reset(_) => return refused("RESET"),
        };
        Self::checked(statement, extras)
    }

    fn checked(statement: ast::Statement, extras: Extras) -> Result<Self, Vec<Issue>> {
        let ast::Statement::Query(query) = &statement else {
            let text = statement.to_string();
            let words: Vec<_> =
                text.split_whitespace().take_while(|word| word.chars().all(|c| c.is_ascii_uppercase())).take(2).collect();
            let message = format!("{} is not supported", words.join(" "));
            return Err(vec![Issue::new("sql-unsupported", message).help("a step is one SELECT")]);
        };
        let Checked { mut tables, issues, stateful, places } = check_query(query);
        if !issues.is_empty() {
            return Err(issues);
        }
        let mut seen = std::collections::HashSet::new();
        tables.retain(|table| seen.insert(table.name.clone()));
        let stateful = stateful || !extras.is_empty();
        Ok(Self { statement, tables, stateful, extras, places })
    }

    /// Types a query with state and lowers it to nodes of the chain; answers the last one.
    pub fn chain(self, inputs: &BTreeMap<String, NodeId>, chain: &mut Chain<'_>) -> Result<NodeId, Vec<Issue>> {
        let (places, tables) = (self.places, self.tables.clone());
        let placed = |issue: Issue| {
            let table =
                || tables.iter().find(|table| issue.message.starts_with(&format!("`{}`", table.name))).map(|table| table.span);
            let span = match issue.code {
                "sql-join" => places.join,
                "sql-rank" => places.rank,
                "sql-aggregate" | "min-group" => places.group,
                "sql-table" => table(),
                "sql-changes" | "unbounded-state" => places.join.or(places.rank).or(places.group),
                _ => None,
            };
            match span {
                Some(span) if issue.at.is_none() => issue.at(span),
                _ => issue,
            }
        };
        let planned = with_room("", || self.chained(inputs, chain));
        chain.unbounded = std::mem::take(&mut chain.unbounded).into_iter().map(placed).collect();
        planned.map_err(|issues| issues.into_iter().map(placed).collect())
    }

    fn chained(mut self, inputs: &BTreeMap<String, NodeId>, chain: &mut Chain<'_>) -> Result<NodeId, Vec<Issue>> {
        let mut known = Tables::default();
        for (name, &id) in inputs {
            known.entries.insert(name.clone(), (Entry::Node(id), Arc::clone(&chain.nodes[id].schema)));
        }
        if let ast::Statement::Query(query) = &mut self.statement {
            tables::replace(query, &self.extras, &mut known)?;
        }
        let columns = known.columns();
        let context = known.context();
        let logical = SqlToRel::new_with_options(&context, parser_options())
            .sql_statement_to_plan(self.statement)
            .map_err(|error| issues(error, &columns))?;
        check_plan_size(&logical)?;
        let logical = Analyzer::new()
            .execute_and_check(logical, &ConfigOptions::default(), |_, _| {})
            .map_err(|error| issues(error, &columns))?;
        check_names(&logical)?;
        let logical = with_logical_types(logical)?;
        let is_session = |(entry, _): &(Entry, SchemaRef)| matches!(entry, Entry::Window(table) if matches!(table.window, WindowKind::Session { .. }));
        let logical = optimised(logical, known.entries.values().any(is_session))?;
        stateful::lower(&logical, &known, chain)
    }

    /// Types the query. `inputs` has every table of [`Query::tables`].
    pub fn plan(self, inputs: &BTreeMap<String, (NodeId, SchemaRef)>) -> Result<Typed, Vec<Issue>> {
        with_room("", || self.typed(inputs))
    }

    fn typed(self, inputs: &BTreeMap<String, (NodeId, SchemaRef)>) -> Result<Typed, Vec<Issue>> {
        let columns: Vec<String> =
            inputs.values().flat_map(|(_, schema)| schema.fields().iter().map(|field| field.name().clone())).collect();
        let fail = |error: DataFusionError| issues(error, &columns);
        let context = Context::new(inputs.iter().map(|(name, (_, schema))| (name.as_str(), Arc::clone(schema))));
        let logical = match all_of(&self.statement).and_then(|table| inputs.get_key_value(&table)) {
            Some((table, (_, schema))) => {
                let source = context.get_table_source(TableReference::bare(table.as_str())).map_err(fail)?;
                let columns = (0..schema.fields().len()).collect();
                let scan = LogicalPlanBuilder::scan(TableReference::bare(table.as_str()), source, Some(columns));
                let scan = scan.and_then(LogicalPlanBuilder::build).map_err(fail)?;
                check_size(&scan.schema().columns().into_iter().map(Expr::Column).collect::<Vec<_>>())?;
                check_names(&scan)?;
                scan
            }
            None => {
                let planner = SqlToRel::new_with_options(&context, parser_options());
                let logical = planner.sql_statement_to_plan(self.statement).map_err(fail)?;
                check_plan_size(&logical)?;
                let logical = Analyzer::new().execute_and_check(logical, &ConfigOptions::default(), |_, _| {}).map_err(fail)?;
                check_names(&logical)?;
                let logical = with_logical_types(logical)?;
                let optimizer = Optimizer::with_rules(vec![
                    Arc::new(OptimizeUnions::new()),
                    Arc::new(SimplifyExpressions::new()),
                    Arc::new(OptimizeProjections::new()),
                ]);
                let config = OptimizerContext::new().without_query_execution_start_time();
                optimizer.optimize(logical, &config, |_, _| {}).map_err(fail)?
            }
        };
        let branches = lower(&logical, inputs)?;
        let fields: Vec<_> =
            logical.schema().fields().iter().map(|field| Field::new(field.name(), field.data_type().clone(), true)).collect();
        Ok(Typed { logical, branches, schema: Arc::new(Schema::new(fields)) })
    }
}

/// The table of a query that is `SELECT * FROM table` and nothing else. It need not be planned: DataFusion compares the name of each
/// column that a SELECT names with that of each other, which takes long where there are thousands.
fn all_of(statement: &ast::Statement) -> Option<String> {
    let ast::Statement::Query(query) = statement else { return None };
    let ast::SetExpr::Select(select) = query.body.as_ref() else { return None };
    let [ast::SelectItem::Wildcard(options)] = select.projection.as_slice() else { return None };
    let [ast::TableWithJoins { relation, joins }] = select.from.as_slice() else { return None };
    let ast::TableFactor::Table { name, alias, args: None, .. } = relation else { return None };
    let ungrouped = matches!(&select.group_by, ast::GroupByExpr::Expressions(exprs, _) if exprs.is_empty());
    let plain = query.with.is_none()
        && *options == ast::WildcardAdditionalOptions::default()
        && joins.is_empty()
        && alias.as_ref().is_none_or(|alias| alias.columns.is_empty())
        && select.distinct.is_none()
        && select.selection.is_none()
        && select.having.is_none()
        && ungrouped;
    match name.0.as_slice() {
        [part] if plain => Some(normalized(part.as_ident()?)),
        _ => None,
    }
}

/// Coerced and simplified, for a part of a query that is planned on its own.
pub(super) fn analysed(logical: LogicalPlan) -> Result<LogicalPlan, Vec<Issue>> {
    check_plan_size(&logical)?;
    let logical =
        Analyzer::new().execute_and_check(logical, &ConfigOptions::default(), |_, _| {}).map_err(|error| issues(error, &[]))?;
    optimised(logical, true)
}

/// Joins with their equal columns, filters as early as they may be, columns as few as needed. Filters keep their place where a
/// session could be behind them, since they would change what a session is.
fn optimised(logical: LogicalPlan, keep_filters: bool) -> Result<LogicalPlan, Vec<Issue>> {
    let mut rules: Vec<Arc<dyn datafusion::optimizer::OptimizerRule + Send + Sync>> = vec![
        Arc::new(ReplaceDistinctWithAggregate::new()),
        Arc::new(OptimizeUnions::new()),
        Arc::new(SimplifyExpressions::new()),
        Arc::new(EliminateCrossJoin::new()),
        Arc::new(ExtractEquijoinPredicate::new()),
    ];
    if !keep_filters {
        rules.push(Arc::new(PushDownFilter::new()));
    }
    rules.extend([
        Arc::new(SimplifyExpressions::new()) as Arc<dyn datafusion::optimizer::OptimizerRule + Send + Sync>,
        Arc::new(OptimizeProjections::new()),
    ]);
    let config = OptimizerContext::new().without_query_execution_start_time();
    Optimizer::with_rules(rules).optimize(logical, &config, |_, _| {}).map_err(|error| issues(error, &[]))
}

/// Refuses what is too deep as written, before the passes that take their time with it.
fn check_plan_size(logical: &LogicalPlan) -> Result<(), Vec<Issue>> {
    let mut result = Ok(());
    // The visitor never fails.
    let _ = logical.apply(|node| {
        result = check_size(&node.expressions());
        Ok(if result.is_ok() { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    });
    result
}

/// What `*` and struct fields bring must have names as well.
fn check_names(logical: &LogicalPlan) -> Result<(), Vec<Issue>> {
    let mut found = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for field in logical.schema().fields() {
        if field.name().contains(['(', ')', '[', ']']) {
            let help = "give every expression a name with AS";
            found.push(Issue::new("unnamed-column", format!("the expression {} needs a name", field.name())).help(help));
        } else if !seen.insert(field.name()) {
            found.push(super::error::duplicate(field.name()));
        }
    }
    if found.is_empty() { Ok(()) } else { Err(found) }
}

/// Casts result columns to types that documents can name.
fn with_logical_types(logical: LogicalPlan) -> Result<LogicalPlan, Vec<Issue>> {
    let mut found = Vec::new();
    let mut exprs = Vec::new();
    let mut changed = false;
    for (qualifier, field) in logical.schema().iter() {
        let column = Expr::Column(Column::from((qualifier, field)));
        match schema::representable(field.data_type()) {
            Some(target) if target == *field.data_type() => exprs.push(column),
            Some(target) => {
                changed = true;
                exprs.push(cast(column, target).alias(field.name()));
            }
            None if *field.data_type() == Arrow::Null => {
                let message = format!("the column `{}` has no type: it is always null", field.name());
                found.push(Issue::new("sql-type", message).help("write CAST(NULL AS string) or the type you mean"));
            }
            None => {
                let message =
                    format!("the column `{}` has the type {}, which no document can name", field.name(), field.data_type());
                found.push(Issue::new("sql-type", message).help("cast it, for example to string, int64, double or timestamp"));
            }
        }
    }
    if !found.is_empty() {
        return Err(found);
    }
    if !changed {
        return Ok(logical);
    }
    LogicalPlanBuilder::from(logical).project(exprs).and_then(LogicalPlanBuilder::build).map_err(|error| issues(error, &[]))
}
