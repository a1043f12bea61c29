//! From a logical plan to branches: nested projections and filters composed by substitution.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use arrow::datatypes::{DataType, SchemaRef};
use datafusion::{
    common::{
        Column, DFSchema, DFSchemaRef, DataFusionError, ScalarValue,
        tree_node::{Transformed, TreeNode, TreeNodeRecursion, TreeNodeVisitor},
    },
    logical_expr::{Expr, LogicalPlan, Volatility, simplify::SimplifyContext},
    optimizer::simplify_expressions::ExprSimplifier,
};

use super::error::{Issue, issues};
use crate::plan::NodeId;

/// One arm of a stateless query: rows of one input that pass every filter, projected.
///
/// Expressions refer to the input's columns by name, without a table. Apply the filters in their order, each to the rows that
/// the earlier ones let pass: a later one may fail on rows that an earlier one removes.
#[derive(Clone, Debug)]
pub struct Branch {
    pub input: NodeId,
    pub filter: Vec<Expr>,
    /// Expressions with the names of the result's columns.
    pub projection: Vec<(Expr, String)>,
}

/// Composed expressions larger than this (in nodes of the tree) are refused: a chain of subqueries that doubles a column
/// each time would grow beyond all bounds.
const MAX_NODES: usize = 20_000;
/// Deeper expressions are refused, so that engines may walk them on an ordinary stack.
const MAX_DEPTH: usize = 200;

/// Flattens an analysed plan of projections, filters, unions, aliases and scans into one branch for each arm, in the order of
/// the arms. `inputs` tells which node a scanned table is.
pub(crate) fn lower(logical: &LogicalPlan, inputs: &BTreeMap<String, (NodeId, SchemaRef)>) -> Result<Vec<Branch>, Vec<Issue>> {
    let arms = flatten(logical, inputs)?;
    let schema = logical.schema();
    let mut branches = Vec::new();
    for arm in arms {
        let input_schema = &inputs[&arm.table].1;
        let types: DFSchemaRef = Arc::new(DFSchema::try_from(input_schema.as_ref().clone()).map_err(|error| issues(error, &[]))?);
        let simplifier = ExprSimplifier::new(SimplifyContext::builder().with_schema(Arc::clone(&types)).build());
        let simplify = |expr: Expr| {
            allowed(&expr)?;
            simplifier.simplify(expr).map_err(|error| issues(error, &[]))
        };
        let mut filter = Vec::new();
        for expr in arm.filter {
            let expr = simplify(expr)?;
            if expr != Expr::Literal(ScalarValue::Boolean(Some(true)), None) {
                filter.push(expr);
            }
        }
        let type_of: HashMap<&str, &DataType> =
            input_schema.fields().iter().map(|field| (field.name().as_str(), field.data_type())).collect();
        let mut projection = Vec::new();
        for (expr, field) in arm.columns.into_iter().zip(schema.fields()) {
            use datafusion::logical_expr::ExprSchemable;
            // Most columns of most steps: nothing to simplify, and no type to look for among thousands.
            if matches!(&expr, Expr::Column(column) if type_of.get(column.name.as_str()) == Some(&field.data_type())) {
                projection.push((expr, field.name().clone()));
                continue;
            }
            let expr = simplify(expr)?;
            let expr = expr.cast_to(field.data_type(), &types).map_err(|error| issues(error, &[]))?;
            projection.push((expr, field.name().clone()));
        }
        branches.push(Branch { input: inputs[&arm.table].0, filter, projection });
    }
    Ok(branches)
}

/// A branch under construction.
struct Arm {
    table: String,
    filter: Vec<Expr>,
    /// One expression a column of the plan, over the table's columns.
    columns: Vec<Expr>,
}

fn flatten(logical: &LogicalPlan, inputs: &BTreeMap<String, (NodeId, SchemaRef)>) -> Result<Vec<Arm>, Vec<Issue>> {
    match logical {
        LogicalPlan::TableScan(scan) => {
            let table = scan.table_name.table().to_owned();
            if !inputs.contains_key(&table) || scan.fetch.is_some() {
                return Err(unsupported("this scan"));
            }
            let columns =
                scan.projected_schema.fields().iter().map(|field| Expr::Column(Column::new_unqualified(field.name()))).collect();
            let filter = scan.filters.iter().map(|expr| unqualified(expr.clone())).collect();
            Ok(vec![Arm { table, filter, columns }])
        }
        LogicalPlan::SubqueryAlias(alias) => flatten(&alias.input, inputs),
        LogicalPlan::Filter(filter) => {
            let mut arms = flatten(&filter.input, inputs)?;
            for arm in &mut arms {
                let predicate = substitute(&filter.predicate, filter.input.schema(), &arm.columns)?;
                check_size(std::slice::from_ref(&predicate))?;
                arm.filter.push(predicate);
            }
            Ok(arms)
        }
        LogicalPlan::Projection(projection) => {
            let mut arms = flatten(&projection.input, inputs)?;
            for arm in &mut arms {
                let columns = projection.expr.iter().map(|expr| substitute(expr, projection.input.schema(), &arm.columns));
                arm.columns = columns.collect::<Result<_, _>>()?;
                check_size(&arm.columns)?;
            }
            Ok(arms)
        }
        LogicalPlan::Union(union) => {
            let arms: Result<Vec<_>, _> = union.inputs.iter().map(|input| flatten(input, inputs)).collect();
            Ok(arms?.into_iter().flatten().collect())
        }
        other => Err(unsupported(&other.display().to_string())),
    }
}

fn unsupported(what: &str) -> Vec<Issue> {
    vec![Issue::new("sql-unsupported", format!("{what} is not supported"))]
}

/// Replaces the columns of `schema` in an expression by what they stand for.
pub(super) fn substitute(expr: &Expr, schema: &DFSchema, columns: &[Expr]) -> Result<Expr, Vec<Issue>> {
    let replaced = expr.clone().unalias_nested().data.transform_up(|expr| match &expr {
        Expr::Column(column) => {
            let index = schema.index_of_column(column)?;
            Ok(Transformed::yes(columns[index].clone()))
        }
        _ => Ok(Transformed::no(expr)),
    });
    replaced.map(|transformed| transformed.data).map_err(|error: DataFusionError| issues(error, &[]))
}

pub(super) fn unqualified(expr: Expr) -> Expr {
    let stripped = expr.transform_up(|expr| {
        Ok(match expr {
            Expr::Column(column) => Transformed::yes(Expr::Column(Column::new_unqualified(column.name))),
            other => Transformed::no(other),
        })
    });
    stripped.expect("invariant: renaming columns cannot fail").data
}

pub(super) fn check_size(exprs: &[Expr]) -> Result<(), Vec<Issue>> {
    struct Measure {
        nodes: usize,
        depth: usize,
        deepest: usize,
    }
    impl<'n> TreeNodeVisitor<'n> for Measure {
        type Node = Expr;
        fn f_down(&mut self, _node: &'n Expr) -> Result<TreeNodeRecursion, DataFusionError> {
            self.nodes += 1;
            self.depth += 1;
            self.deepest = self.deepest.max(self.depth);
            Ok(TreeNodeRecursion::Continue)
        }
        fn f_up(&mut self, _node: &'n Expr) -> Result<TreeNodeRecursion, DataFusionError> {
            self.depth -= 1;
            Ok(TreeNodeRecursion::Continue)
        }
    }
    let mut measure = Measure { nodes: 0, depth: 0, deepest: 0 };
    for expr in exprs {
        // The visitor never fails.
        let _ = expr.visit(&mut measure);
    }
    let too = match measure {
        Measure { nodes, .. } if nodes > MAX_NODES => "large",
        Measure { deepest, .. } if deepest > MAX_DEPTH => "deeply nested",
        _ => return Ok(()),
    };
    let help = "split it into several steps or rules";
    Err(vec![Issue::new("sql-too-large", format!("the text is too {too} once its parts are put together")).help(help)])
}

/// A second line behind the check of the syntax tree: only what computes one value from one row may pass.
pub(super) fn allowed(expr: &Expr) -> Result<(), Vec<Issue>> {
    let mut refused = None;
    let _ = expr.apply(|node| {
        let bad = match node {
            Expr::Alias(_)
            | Expr::Column(_)
            | Expr::Literal(..)
            | Expr::BinaryExpr(_)
            | Expr::Like(_)
            | Expr::SimilarTo(_)
            | Expr::Not(_)
            | Expr::IsNotNull(_)
            | Expr::IsNull(_)
            | Expr::IsTrue(_)
            | Expr::IsFalse(_)
            | Expr::IsUnknown(_)
            | Expr::IsNotTrue(_)
            | Expr::IsNotFalse(_)
            | Expr::IsNotUnknown(_)
            | Expr::Negative(_)
            | Expr::Between(_)
            | Expr::Case(_)
            | Expr::Cast(_)
            | Expr::TryCast(_)
            | Expr::InList(_) => false,
            Expr::ScalarFunction(function) => function.func.signature().volatility != Volatility::Immutable,
            _ => true,
        };
        if bad {
            refused = Some(node.to_string());
            return Ok(TreeNodeRecursion::Stop);
        }
        Ok(TreeNodeRecursion::Continue)
    });
    refused.map_or(Ok(()), |what| Err(unsupported(&what)))
}
