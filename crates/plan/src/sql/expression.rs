//! A lone boolean expression over the columns of one node: the `expression` rule, and the condition of an alert.

use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use datafusion::{
    common::{DFSchema, DataFusionError},
    logical_expr::{Expr, ExprSchemable, simplify::SimplifyContext},
    optimizer::simplify_expressions::ExprSimplifier,
    sql::{
        planner::{PlannerContext, SqlToRel},
        sqlparser::{
            dialect::GenericDialect,
            parser::{Parser, ParserError},
            tokenizer::Token,
        },
    },
};

use super::{
    context::{Context, parser_options},
    error::{Issue, issues, syntax_issue},
    lower::{allowed, check_size},
    stack::with_room,
    subset::check_expression,
};
use crate::schema;

/// Parses and types an expression; it must be boolean. Columns are referred to by name, without a table.
/// `what` asks for it: a rule, say.
pub(crate) fn boolean_expression(what: &str, text: &str, schema: &SchemaRef) -> Result<Expr, Vec<Issue>> {
    with_room(text, || typed(what, text, schema))
}

fn typed(what: &str, text: &str, schema: &SchemaRef) -> Result<Expr, Vec<Issue>> {
    let ast = parse(text).map_err(|error| vec![syntax_issue(error)])?;
    let refused = check_expression(&ast);
    if !refused.is_empty() {
        return Err(refused);
    }
    let columns: Vec<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
    let fail = |error: DataFusionError| issues(error, &columns);
    let types = DFSchema::try_from(schema.as_ref().clone()).map_err(fail)?;
    let context = Context::new([]);
    let expr = SqlToRel::new_with_options(&context, parser_options())
        .sql_to_expr(ast, &types, &mut PlannerContext::new())
        .map_err(fail)?;
    allowed(&expr)?;
    check_size(std::slice::from_ref(&expr))?;
    let simplifier = ExprSimplifier::new(SimplifyContext::builder().with_schema(Arc::new(types.clone())).build());
    let expr = simplifier.coerce(expr, &types).map_err(fail)?;
    let data_type = expr.get_type(&types).map_err(fail)?;
    if data_type != DataType::Boolean {
        let message = format!("{what} needs a boolean, but this is {}", schema::arrow_type_name(&data_type));
        return Err(vec![Issue::new("rule-type", message).help("compare it with something, such as amount > 0")]);
    }
    let expr = simplifier.simplify(expr).map_err(fail)?;
    check_size(std::slice::from_ref(&expr))?;
    Ok(expr)
}

fn parse(text: &str) -> Result<datafusion::sql::sqlparser::ast::Expr, ParserError> {
    let mut parser = Parser::new(&GenericDialect {}).try_with_sql(text)?;
    let expr = parser.parse_expr()?;
    match parser.peek_token() {
        token if token.token == Token::EOF => Ok(expr),
        token => Err(ParserError::ParserError(format!(
            "Expected the end of the expression, found: {} at Line: {}, Column: {}",
            token.token, token.span.start.line, token.span.start.column
        ))),
    }
}
