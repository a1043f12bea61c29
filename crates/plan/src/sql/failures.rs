//! What cannot be computed for every value: a row for which an expression fails is quarantined, so that the rows that are left tell of
//! the values it was computed from.

use std::collections::BTreeSet;

use arrow::datatypes::DataType;
use datafusion::{
    common::{
        DFSchema, ScalarValue,
        tree_node::{TreeNode, TreeNodeRecursion},
    },
    logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator},
};

use super::columns::{Used, column_uses};

/// A literal that adds or multiplies numbers beyond this share of a type's range lets lawful values overflow.
const LARGE: f64 = 1e-3;

/// The columns on which it depends whether an expression can be computed: divisors, texts that are cast, numbers next to the end of
/// their type, and the conditions under which such a thing is computed at all. Additions and multiplications of columns among
/// themselves are left out: what overflows is no lawful value, unless the document brings it near.
pub(crate) fn failing(expr: &Expr, types: &DFSchema) -> BTreeSet<Used> {
    let mut found = BTreeSet::new();
    can_fail(expr, types, &mut found);
    found
}

fn can_fail(expr: &Expr, types: &DFSchema, found: &mut BTreeSet<Used>) -> bool {
    let mut inside = false;
    // The visitor never fails.
    let _ = expr.apply_children(|child| {
        inside |= can_fail(child, types, found);
        Ok(TreeNodeRecursion::Continue)
    });
    let mut by = |expr: &Expr| found.extend(column_uses(expr).into_keys());
    match expr {
        Expr::BinaryExpr(BinaryExpr { op: Operator::Divide | Operator::Modulo, right, .. }) => {
            let zero = is_whole(right, types) && !matches!(right.as_ref(), Expr::Literal(..));
            if zero {
                by(right);
            }
            inside || zero
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Plus | Operator::Minus | Operator::Multiply, right }) => {
            let near = is_large(left) || is_large(right);
            if near {
                by(expr);
            }
            inside || near
        }
        // What comes first decides whether the rest is computed.
        Expr::BinaryExpr(BinaryExpr { op: Operator::And | Operator::Or, .. }) | Expr::Case(_) => {
            if inside {
                by(expr);
            }
            inside
        }
        Expr::Cast(cast) => {
            let from = cast.expr.get_type(types).ok();
            let text = from.is_some_and(|from| matches!(from, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View));
            let to = cast.field.data_type();
            let fails = text && !matches!(to, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Binary);
            let fails = fails && !matches!(cast.expr.as_ref(), Expr::Literal(..));
            if fails {
                by(&cast.expr);
            }
            inside || fails
        }
        _ => inside,
    }
}

/// Floats divide by zero without failing.
fn is_whole(expr: &Expr, types: &DFSchema) -> bool {
    expr.get_type(types).is_ok_and(|data_type| data_type.is_integer() || data_type.is_decimal())
}

fn is_large(expr: &Expr) -> bool {
    let share = |value: i64, most: i64| (value as f64).abs() > most as f64 * LARGE;
    match expr {
        Expr::Literal(ScalarValue::Int32(Some(value)), _) => share(i64::from(*value), i64::from(i32::MAX)),
        Expr::Literal(ScalarValue::Int64(Some(value)), _) => share(*value, i64::MAX),
        _ => false,
    }
}
