//! MATCH_RECOGNIZE as written, bound to the columns of its input.

use std::{ops::ControlFlow, sync::Arc};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::{
    common::{DFSchema, DataFusionError},
    logical_expr::{Expr as Typed, ExprSchemable, simplify::SimplifyContext},
    optimizer::simplify_expressions::ExprSimplifier,
    sql::{
        planner::{PlannerContext, SqlToRel},
        sqlparser::{
            ast::{
                AfterMatchSkip, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, MatchRecognizePattern,
                MatchRecognizeSymbol, RepetitionQuantifier, RowsPerMatch, Spanned, TableFactor, Value, VisitMut, VisitorMut,
            },
            dialect::GenericDialect,
            parser::Parser,
            tokenizer::Span,
        },
    },
};

use super::{
    context::{Context, parser_options},
    error::{Issue, issues, syntax_issue},
    extras::Extras,
    lower::allowed,
    subset::{check_expression, normalized},
    tables::interval,
};
use crate::{
    operator::{AfterMatch, AggregateFunction, MatchExpr, MatchPart, Pattern},
    schema, suggest,
};

/// A pattern over the rows of a table. Columns are those of the table.
#[derive(Clone, Debug)]
pub(super) struct Recognize {
    pub input: String,
    pub partition: Vec<usize>,
    /// Column, descending, nulls first.
    pub order: Vec<(usize, bool, bool)>,
    pub variables: Vec<String>,
    pub pattern: Pattern,
    pub defines: Vec<Option<MatchExpr>>,
    pub measures: Vec<(MatchExpr, String)>,
    /// The measure that is the time of the match's last row.
    pub rowtime: Option<usize>,
    pub after: AfterMatch,
    pub within: Option<i64>,
    pub span: Span,
}

type Found<T> = Result<T, Vec<Issue>>;

fn fail<T>(span: Span, message: impl Into<String>, help: impl Into<String>) -> Found<T> {
    Err(vec![Issue::new("sql-match", message).help(help).at(span)])
}

/// Binds the clause; answers it with the schema of its result: the partition's columns, then the measures.
pub(super) fn bind(
    factor: &TableFactor,
    input: String,
    schema: &SchemaRef,
    extras: &Extras,
    span: Span,
) -> Found<(Recognize, SchemaRef)> {
    let TableFactor::MatchRecognize {
        partition_by, order_by, measures, rows_per_match, after_match_skip, pattern, symbols, ..
    } = factor
    else {
        return fail(span, "this is no MATCH_RECOGNIZE", "write input MATCH_RECOGNIZE (…)");
    };
    if let Some(RowsPerMatch::AllRows(_)) = rows_per_match {
        return fail(span, "ALL ROWS PER MATCH is not supported", "write ONE ROW PER MATCH and name what you need in MEASURES");
    }
    let mut variables = Vec::new();
    let bound = pattern_of(pattern, &mut variables, span)?;
    if can_be_empty(&bound) {
        return fail(span, "the pattern would match no row at all", "let one of its parts be needed: A+ in the place of A*");
    }
    let column = |expr: &Expr| match expr {
        Expr::Identifier(ident) => known(ident, schema),
        other => fail(other.span(), format!("{other} is no column"), "compute it in a step or subquery before"),
    };
    let partition = partition_by.iter().map(column).collect::<Found<Vec<_>>>()?;
    let mut order = Vec::new();
    for by in order_by {
        let descending = by.options.asc == Some(false);
        order.push((column(&by.expr)?, descending, by.options.nulls_first.unwrap_or(!descending)));
    }
    let binder = Binder { schema, variables: &variables, time: order.first().map(|&(column, ..)| column) };
    let mut defines = vec![None; variables.len()];
    for symbol in symbols {
        let name = normalized(&symbol.symbol);
        let Some(place) = variables.iter().position(|variable| *variable == name) else {
            let help = suggest::among("variable", &name, variables.iter().map(String::as_str));
            return fail(symbol.symbol.span, format!("the pattern has no variable `{name}`"), help);
        };
        let (expr, data_type) = binder.bind(&symbol.definition)?;
        if data_type != DataType::Boolean {
            let message = format!("the definition of `{name}` is {}, not a condition", schema::arrow_type_name(&data_type));
            return fail(symbol.definition.span(), message, "compare it with something, such as price > 10");
        }
        defines[place] = Some(expr);
    }
    let mut fields: Vec<Field> = partition
        .iter()
        .map(|&column| Field::new(schema.field(column).name(), schema.field(column).data_type().clone(), true))
        .collect();
    let mut bound_measures = Vec::new();
    let mut rowtime = None;
    for measure in measures {
        let name = normalized(&measure.alias);
        if fields.iter().any(|field| *field.name() == name) {
            return Err(vec![super::error::duplicate(&name).at(measure.alias.span)]);
        }
        let is_time =
            matches!(&measure.expr, Expr::Function(function) if function.name.to_string().eq_ignore_ascii_case("match_rowtime"));
        if is_time {
            rowtime = Some(bound_measures.len());
        }
        let (expr, data_type) = binder.bind(&measure.expr)?;
        let Some(data_type) = schema::representable(&data_type) else {
            return fail(measure.alias.span, format!("`{name}` has the type {data_type}, which no document can name"), "cast it");
        };
        fields.push(Field::new(&name, data_type, true));
        bound_measures.push((expr, name));
    }
    if fields.is_empty() {
        return fail(
            span,
            "nothing would come out of this pattern",
            "name what you need in MEASURES, or a column in PARTITION BY",
        );
    }
    let variable = |ident: &Ident| {
        let name = normalized(ident);
        match variables.iter().position(|variable| *variable == name) {
            Some(place) => Ok(place),
            None => fail(
                ident.span,
                format!("the pattern has no variable `{name}`"),
                suggest::among("variable", &name, variables.iter().map(String::as_str)),
            ),
        }
    };
    let after = match after_match_skip {
        None | Some(AfterMatchSkip::PastLastRow) => AfterMatch::PastLastRow,
        Some(AfterMatchSkip::ToNextRow) => AfterMatch::ToNextRow,
        Some(AfterMatchSkip::ToFirst(ident)) => AfterMatch::ToFirst(variable(ident)?),
        Some(AfterMatchSkip::ToLast(ident)) => AfterMatch::ToLast(variable(ident)?),
    };
    let symbol_at = first_symbol(pattern).map_or(span.start, |ident| ident.span.start);
    let within = extras.withins.iter().find(|within| within.from <= symbol_at && symbol_at <= within.to);
    let within = match within {
        Some(within) => {
            let expr = Parser::new(&GenericDialect {})
                .try_with_sql(&within.interval)
                .and_then(|mut parser| parser.parse_expr())
                .map_err(|error| vec![Issue { at: None, ..syntax_issue(error) }.at(within.span)])?;
            let micros =
                interval(&expr).map_err(|found| found.into_iter().map(|issue| issue.at(within.span)).collect::<Vec<_>>())?;
            if micros <= 0 {
                return fail(within.span, "WITHIN needs an interval longer than nothing", "write WITHIN INTERVAL '1' HOUR");
            }
            Some(micros)
        }
        None => None,
    };
    let spec = Recognize {
        input,
        partition,
        order,
        pattern: bound,
        defines,
        measures: bound_measures,
        rowtime,
        after,
        within,
        span,
        variables: variables.clone(),
    };
    Ok((spec, Arc::new(Schema::new(fields))))
}

fn known(ident: &Ident, schema: &SchemaRef) -> Found<usize> {
    let name = normalized(ident);
    schema.index_of(&name).map_err(|_| {
        let names = schema.fields().iter().map(|field| field.name().as_str());
        let issue = Issue::new("unknown-column", format!("unknown column `{name}`"));
        vec![issue.help(suggest::among("column", &name, names)).at(ident.span)]
    })
}

fn pattern_of(pattern: &MatchRecognizePattern, variables: &mut Vec<String>, span: Span) -> Found<Pattern> {
    let mut all = |patterns: &[MatchRecognizePattern]| {
        patterns.iter().map(|pattern| pattern_of(pattern, variables, span)).collect::<Found<Vec<_>>>()
    };
    Ok(match pattern {
        MatchRecognizePattern::Symbol(MatchRecognizeSymbol::Named(ident)) => {
            let name = normalized(ident);
            let place = variables.iter().position(|variable| *variable == name).unwrap_or_else(|| {
                variables.push(name);
                variables.len() - 1
            });
            Pattern::Variable(place)
        }
        MatchRecognizePattern::Symbol(_) => {
            return fail(span, "^ and $ are not supported: a stream has no first and no last row", "leave them out");
        }
        MatchRecognizePattern::Exclude(_) => {
            return fail(
                span,
                "{- … -} is not supported",
                "with ONE ROW PER MATCH nothing has to be left out: write the variable alone",
            );
        }
        MatchRecognizePattern::Permute(_) => {
            return fail(span, "PERMUTE is not supported", "write the orders out: (A B | B A)");
        }
        MatchRecognizePattern::Concat(patterns) => Pattern::Sequence(all(patterns)?),
        MatchRecognizePattern::Alternation(patterns) => Pattern::Alternation(all(patterns)?),
        MatchRecognizePattern::Group(inner) => pattern_of(inner, variables, span)?,
        MatchRecognizePattern::Repetition(inner, quantifier) => {
            // `B+?` is read as a `?` over `B+`; `(B+)?` has a group between.
            let (inner, quantifier, greedy) = match (inner.as_ref(), quantifier) {
                (MatchRecognizePattern::Repetition(inner, reluctant), RepetitionQuantifier::AtMostOne) => {
                    (inner, reluctant, false)
                }
                _ => (inner, quantifier, true),
            };
            if matches!(inner.as_ref(), MatchRecognizePattern::Repetition(..)) {
                return fail(span, "two quantifiers in a row", "put parentheses around what is to be repeated: (A+)*");
            }
            let (min, max) = match *quantifier {
                RepetitionQuantifier::ZeroOrMore => (0, None),
                RepetitionQuantifier::OneOrMore => (1, None),
                RepetitionQuantifier::AtMostOne => (0, Some(1)),
                RepetitionQuantifier::Exactly(n) => (n, Some(n)),
                RepetitionQuantifier::AtLeast(n) => (n, None),
                RepetitionQuantifier::AtMost(n) => (0, Some(n)),
                RepetitionQuantifier::Range(n, m) => (n, Some(m)),
            };
            const MOST: u32 = 1_000;
            if max == Some(0) || max.is_some_and(|max| max < min) || min.max(max.unwrap_or(0)) > MOST {
                return fail(
                    span,
                    format!("the quantifier {quantifier} is out of bounds"),
                    format!("write {{n,m}} with n <= m <= {MOST}"),
                );
            }
            Pattern::Repeat { pattern: Box::new(pattern_of(inner, variables, span)?), min, max, greedy }
        }
    })
}

fn first_symbol(pattern: &MatchRecognizePattern) -> Option<&Ident> {
    match pattern {
        MatchRecognizePattern::Symbol(MatchRecognizeSymbol::Named(ident))
        | MatchRecognizePattern::Exclude(MatchRecognizeSymbol::Named(ident)) => Some(ident),
        MatchRecognizePattern::Concat(patterns) | MatchRecognizePattern::Alternation(patterns) => {
            patterns.iter().find_map(first_symbol)
        }
        MatchRecognizePattern::Group(inner) | MatchRecognizePattern::Repetition(inner, _) => first_symbol(inner),
        _ => None,
    }
}

fn can_be_empty(pattern: &Pattern) -> bool {
    match pattern {
        Pattern::Variable(_) => false,
        Pattern::Sequence(patterns) => patterns.iter().all(can_be_empty),
        Pattern::Alternation(patterns) => patterns.iter().any(can_be_empty),
        Pattern::Repeat { pattern, min, .. } => *min == 0 || can_be_empty(pattern),
    }
}

struct Binder<'b> {
    schema: &'b SchemaRef,
    variables: &'b [String],
    /// The column that rows are ordered by.
    time: Option<usize>,
}

impl Binder<'_> {
    /// An expression over the rows of a match, and its type.
    fn bind(&self, expr: &Expr) -> Found<(MatchExpr, DataType)> {
        let mut replaced = expr.clone();
        let mut parts = Parts { binder: self, parts: Vec::new(), types: Vec::new() };
        if let ControlFlow::Break(found) = VisitMut::visit(&mut replaced, &mut parts) {
            return Err(found);
        }
        let Parts { parts, types, .. } = parts;
        let refused = check_expression(&replaced);
        if !refused.is_empty() {
            return Err(refused);
        }
        let fields: Vec<Field> = types.into_iter().enumerate().map(|(i, of)| Field::new(format!("${i}"), of, true)).collect();
        let names: Vec<String> = self.schema.fields().iter().map(|field| field.name().clone()).collect();
        let translate = |error: DataFusionError| {
            issues(error, &names).into_iter().map(|issue| Issue { at: None, ..issue }.at(expr.span())).collect::<Vec<_>>()
        };
        let types = DFSchema::try_from(Schema::new(fields)).map_err(translate)?;
        let context = Context::new([]);
        let typed = SqlToRel::new_with_options(&context, parser_options())
            .sql_to_expr(replaced, &types, &mut PlannerContext::new())
            .map_err(translate)?;
        allowed(&typed)?;
        let simplifier = ExprSimplifier::new(SimplifyContext::builder().with_schema(Arc::new(types.clone())).build());
        let typed = simplifier.coerce(typed, &types).and_then(|expr| simplifier.simplify(expr)).map_err(translate)?;
        let data_type = typed.get_type(&types).map_err(translate)?;
        let typed = match schema::representable(&data_type) {
            Some(wanted) if wanted != data_type => datafusion::logical_expr::cast(typed, wanted),
            _ => typed,
        };
        Ok((MatchExpr { expr: Arc::new(typed), parts }, data_type))
    }

    /// `price` or `A.price`: the variable and the column.
    fn reference(&self, expr: &Expr) -> Found<Option<(Option<usize>, usize)>> {
        Ok(match expr {
            Expr::Identifier(ident) => Some((None, known(ident, self.schema)?)),
            Expr::CompoundIdentifier(idents) => match idents.as_slice() {
                [variable, column] => {
                    let name = normalized(variable);
                    let Some(place) = self.variables.iter().position(|known| *known == name) else {
                        let help = suggest::among("variable", &name, self.variables.iter().map(String::as_str));
                        return fail(variable.span, format!("the pattern has no variable `{name}`"), help);
                    };
                    Some((Some(place), known(column, self.schema)?))
                }
                _ => None,
            },
            Expr::Nested(inner) => self.reference(inner)?,
            _ => None,
        })
    }

    /// A function of the rows of a match; none where it is one of values.
    fn function(&self, function: &Function) -> Found<Option<(MatchPart, DataType)>> {
        let name = function.name.to_string().to_ascii_lowercase();
        let span = function.name.span();
        let arguments = match &function.args {
            FunctionArguments::List(list) if list.duplicate_treatment.is_none() => list.args.as_slice(),
            FunctionArguments::None => &[],
            _ => {
                return if is_aggregate(&name) {
                    fail(span, format!("DISTINCT in {name}(…) is not supported here"), "leave it out")
                } else {
                    Ok(None)
                };
            }
        };
        let args: Vec<&FunctionArgExpr> = arguments
            .iter()
            .filter_map(|arg| match arg {
                FunctionArg::Unnamed(expr) => Some(expr),
                _ => None,
            })
            .collect();
        let column_of = |arg: Option<&&FunctionArgExpr>| match arg {
            Some(FunctionArgExpr::Expr(expr)) => match self.reference(expr)? {
                Some(found) => Ok(found),
                None => fail(
                    expr.span(),
                    format!("{name}(…) needs a column here, not an expression"),
                    "compute it in a step or subquery before",
                ),
            },
            _ => fail(span, format!("{name}(…) needs a column"), format!("write {name}(A.price)")),
        };
        let type_of = |column: usize| self.schema.field(column).data_type().clone();
        let offset = |default: u32| match args.get(1) {
            None => Ok(default),
            Some(FunctionArgExpr::Expr(Expr::Value(value))) => match &value.value {
                Value::Number(text, _) => {
                    text.parse().or_else(|_| fail(span, "an offset is a small whole number", "write LAST(A.price, 1)"))
                }
                _ => fail(span, "an offset is a small whole number", "write LAST(A.price, 1)"),
            },
            Some(_) => fail(span, "an offset is a small whole number", "write LAST(A.price, 1)"),
        };
        Ok(Some(match name.as_str() {
            "first" => {
                let (variable, column) = column_of(args.first())?;
                (MatchPart::First { variable, column, offset: offset(0)? }, type_of(column))
            }
            "last" => {
                let (variable, column) = column_of(args.first())?;
                (MatchPart::Last { variable, column, offset: offset(0)? }, type_of(column))
            }
            "prev" => {
                let (_, column) = column_of(args.first())?;
                (MatchPart::Prev { column, offset: offset(1)? }, type_of(column))
            }
            "match_rowtime" => match self.time {
                Some(column) => (MatchPart::Last { variable: None, column, offset: 0 }, type_of(column)),
                None => return fail(span, "match_rowtime() needs an ORDER BY", "write ORDER BY the event time"),
            },
            name if is_aggregate(name) => {
                if function.filter.is_some() || function.over.is_some() {
                    return fail(span, format!("FILTER and OVER of {name}(…) are not supported here"), "leave it out");
                }
                let function = match name {
                    "count" => AggregateFunction::Count,
                    "sum" => AggregateFunction::Sum,
                    "min" => AggregateFunction::Min,
                    "max" => AggregateFunction::Max,
                    _ => AggregateFunction::Avg,
                };
                match args.first() {
                    Some(FunctionArgExpr::Wildcard) if name == "count" => {
                        (MatchPart::Aggregate { variable: None, function, column: None }, DataType::Int64)
                    }
                    Some(FunctionArgExpr::QualifiedWildcard(of)) if name == "count" => {
                        let ident = of.0.first().and_then(|part| part.as_ident()).cloned();
                        let found = ident.and_then(|ident| self.variables.iter().position(|known| *known == normalized(&ident)));
                        match found {
                            Some(place) => {
                                (MatchPart::Aggregate { variable: Some(place), function, column: None }, DataType::Int64)
                            }
                            None => return fail(span, format!("the pattern has no variable `{of}`"), "write count(*)"),
                        }
                    }
                    arg => {
                        let (variable, column) = column_of(arg)?;
                        let data_type = aggregate_type(name, &type_of(column)).map_err(|found| {
                            found.into_iter().map(|issue| Issue { at: None, ..issue }.at(span)).collect::<Vec<_>>()
                        })?;
                        (MatchPart::Aggregate { variable, function, column: Some(column) }, data_type)
                    }
                }
            }
            _ => return Ok(None),
        }))
    }
}

fn is_aggregate(name: &str) -> bool {
    matches!(name, "count" | "sum" | "min" | "max" | "avg")
}

/// The type of an aggregate of a column of this type.
fn aggregate_type(name: &str, of: &DataType) -> Found<DataType> {
    let translate = |error: DataFusionError| issues(error, &[]);
    let types = DFSchema::try_from(Schema::new(vec![Field::new("x", of.clone(), true)])).map_err(translate)?;
    let expr = Parser::new(&GenericDialect {})
        .try_with_sql(&format!("{name}(x)"))
        .and_then(|mut parser| parser.parse_expr())
        .map_err(|error| vec![syntax_issue(error)])?;
    let context = Context::new([]);
    let typed: Typed = SqlToRel::new_with_options(&context, parser_options())
        .sql_to_expr(expr, &types, &mut PlannerContext::new())
        .map_err(translate)?;
    let data_type = typed.get_type(&types).map_err(translate)?;
    Ok(schema::representable(&data_type).unwrap_or(data_type))
}

/// Replaces what comes from the rows of a match by columns `$0`, `$1`, ...
struct Parts<'b> {
    binder: &'b Binder<'b>,
    parts: Vec<MatchPart>,
    types: Vec<DataType>,
}

impl VisitorMut for Parts<'_> {
    type Break = Vec<Issue>;

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Self::Break> {
        let found = match expr {
            Expr::Function(function) => self.binder.function(function),
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) => self.binder.reference(expr).map(|found| {
                found.map(|(variable, column)| {
                    let data_type = self.binder.schema.field(column).data_type().clone();
                    (MatchPart::Last { variable, column, offset: 0 }, data_type)
                })
            }),
            _ => Ok(None),
        };
        match found {
            Err(issues) => ControlFlow::Break(issues),
            Ok(None) => ControlFlow::Continue(()),
            Ok(Some((part, data_type))) => {
                let place = self.parts.iter().position(|known| *known == part).unwrap_or_else(|| {
                    self.parts.push(part);
                    self.types.push(data_type);
                    self.parts.len() - 1
                });
                let span = expr.span();
                *expr = Expr::Identifier(Ident { value: format!("${place}"), quote_style: Some('"'), span });
                ControlFlow::Continue(())
            }
        }
    }
}
