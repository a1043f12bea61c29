//! What can be read off an expression: the columns it depends on and how, its text.

use std::collections::{BTreeMap, BTreeSet};

use datafusion::{
    common::tree_node::{TreeNode, TreeNodeRecursion},
    logical_expr::Expr,
    sql::unparser::expr_to_sql,
};

use crate::plan::LineageKind;

/// The columns of an expression with the kinds of their influence: IDENTITY for the column itself, TRANSFORMATION for what is
/// computed from, CONDITIONAL for what decides (conditions of CASE, and so of COALESCE, NVL and NVL2, which DataFusion
/// rewrites to CASE; both sides of NULLIF).
pub(crate) fn column_uses(expr: &Expr) -> Uses {
    let mut uses = Uses::new();
    match used(expr) {
        Some(part) if part.field.is_empty() => _ = uses.entry(part).or_default().insert(LineageKind::Identity),
        _ => collect(expr, LineageKind::Transformation, &mut uses),
    }
    uses
}

/// How columns, and fields of columns, influence an expression.
pub(crate) type Uses = BTreeMap<Used, BTreeSet<LineageKind>>;

/// A column or a field of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Used {
    pub column: String,
    /// From the outside in; empty for the whole column.
    pub field: Vec<String>,
}

/// What an expression takes as it is: `address['city']`, or a column.
fn used(expr: &Expr) -> Option<Used> {
    match expr {
        Expr::Column(column) => Some(Used { column: column.name.clone(), field: Vec::new() }),
        Expr::ScalarFunction(function) if function.name() == "get_field" => {
            let (outer, names) = function.args.split_first()?;
            let mut used = used(outer)?;
            for name in names {
                let Expr::Literal(name, _) = name else { return None };
                used.field.push(name.try_as_str()??.to_owned());
            }
            Some(used)
        }
        _ => None,
    }
}

fn collect(expr: &Expr, kind: LineageKind, uses: &mut Uses) {
    let _ = expr.apply(|node| {
        if let Some(part) = used(node) {
            uses.entry(part).or_default().insert(kind);
            return Ok(TreeNodeRecursion::Jump);
        }
        match node {
            Expr::Case(case) => {
                let conditions = case.expr.iter().chain(case.when_then_expr.iter().map(|(when, _)| when));
                for condition in conditions {
                    collect(condition, LineageKind::Conditional, uses);
                }
                for value in case.when_then_expr.iter().map(|(_, then)| then).chain(&case.else_expr) {
                    collect(value, kind, uses);
                }
                return Ok(TreeNodeRecursion::Jump);
            }
            Expr::ScalarFunction(function) => match (function.name(), function.args.as_slice()) {
                ("nullif", [value, test]) => {
                    collect(value, kind, uses);
                    collect(value, LineageKind::Conditional, uses);
                    collect(test, LineageKind::Conditional, uses);
                    return Ok(TreeNodeRecursion::Jump);
                }
                ("coalesce" | "nvl" | "ifnull", [tested @ .., last]) => {
                    for value in tested {
                        collect(value, kind, uses);
                        collect(value, LineageKind::Conditional, uses);
                    }
                    collect(last, kind, uses);
                    return Ok(TreeNodeRecursion::Jump);
                }
                ("nvl2", [test, values @ ..]) => {
                    collect(test, LineageKind::Conditional, uses);
                    for value in values {
                        collect(value, kind, uses);
                    }
                    return Ok(TreeNodeRecursion::Jump);
                }
                _ => {}
            },
            _ => {}
        }
        Ok(TreeNodeRecursion::Continue)
    });
}

/// An expression as its author could have written it.
pub(crate) fn text(expr: &Expr) -> String {
    expr_to_sql(expr).map_or_else(|_| expr.to_string(), |sql| sql.to_string())
}

/// Of the columns of a filter, those that are only asked whether they are null.
pub(crate) fn null_tested_only(filter: &Expr) -> BTreeSet<String> {
    let mut tested = BTreeSet::new();
    let mut compared = BTreeSet::new();
    let _ = filter.apply(|node| {
        match node {
            Expr::IsNull(inner) | Expr::IsNotNull(inner) => {
                if let Expr::Column(column) = inner.as_ref() {
                    tested.insert(column.name.clone());
                    return Ok(TreeNodeRecursion::Jump);
                }
            }
            Expr::Column(column) => {
                compared.insert(column.name.clone());
            }
            _ => {}
        }
        Ok(TreeNodeRecursion::Continue)
    });
    tested.difference(&compared).cloned().collect()
}
