//! Expressions over values: a small evaluator for what definitions usually say, DataFusion for the rest.
//!
//! A condition that depends on the rows matched so far is asked once for each partial match. DataFusion evaluates batches; a batch
//! of one row costs it a microsecond or more a node. So comparisons, arithmetic and logic over common types are
//! evaluated here, with the same results (there is a test), and everything else goes through a batch of one row.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, new_null_array},
    buffer::BooleanBuffer,
    compute::concat,
    datatypes::{DataType, Field, Schema, SchemaRef},
    error::ArrowError,
};
use datafusion::{
    common::{DFSchema, ScalarValue},
    logical_expr::{Expr, ExprSchemable, Operator as Sign},
    physical_expr::PhysicalExpr,
};

use super::value::{ColumnCodec, Value};
use crate::stages::quality::rule::physical;

/// An expression over columns `$0`, `$1`, ...
pub struct Compiled {
    schema: SchemaRef,
    codecs: Vec<ColumnCodec>,
    output: ColumnCodec,
    small: Option<Node>,
    physical: Arc<dyn PhysicalExpr>,
}

/// The expression has no value for these inputs: a division by zero, a text that is no number.
#[derive(Debug)]
pub struct Uncomputable;

enum Node {
    Part(usize),
    Constant(Value),
    And(Box<Node>, Box<Node>),
    Or(Box<Node>, Box<Node>),
    Not(Box<Node>),
    IsNull(Box<Node>),
    /// Whether the value is this truth, never null.
    Is(bool, Box<Node>),
    Compare(Sign, Box<Node>, Box<Node>),
    Arithmetic(Sign, Box<Node>, Box<Node>),
    ToFloat(Box<Node>),
}

impl Compiled {
    pub fn new(expr: &Expr, types: &[DataType]) -> Result<Self, String> {
        let fields = types.iter().enumerate().map(|(n, of)| Field::new(format!("${n}"), of.clone(), true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let say = |error: &dyn std::fmt::Display| error.to_string();
        let named = DFSchema::try_from(schema.as_ref().clone()).map_err(|e| say(&e))?;
        let output = expr.get_type(&named).map_err(|e| say(&e))?;
        Ok(Self {
            codecs: types.iter().map(ColumnCodec::new).collect::<Result<_, _>>().map_err(|e| say(&e))?,
            output: ColumnCodec::new(&output).map_err(|e| say(&e))?,
            small: small(expr, &named),
            physical: physical(expr, &schema).map_err(|e| say(&e))?,
            schema,
        })
    }

    pub fn data_type(&self) -> &DataType {
        self.output.data_type()
    }

    /// The value for one row of parts.
    pub fn evaluate(&self, parts: &[Value]) -> Result<Value, Uncomputable> {
        match &self.small {
            Some(node) => node.evaluate(parts),
            None => {
                let rows = self.batch(std::slice::from_ref(&parts)).map_err(|_| Uncomputable)?;
                let answer = self.physical.evaluate(&rows).and_then(|answer| answer.into_array(1)).map_err(|_| Uncomputable)?;
                Ok(self.output.values(&answer).map_err(|_| Uncomputable)?.pop().unwrap_or_default())
            }
        }
    }

    /// The values for many rows of parts; null where there is none.
    pub fn evaluate_all<V: AsRef<[Value]>>(&self, parts: &[V]) -> Result<ArrayRef, ArrowError> {
        self.answers(&self.batch(parts)?)
    }

    /// Which rows the condition holds for, given the columns of its parts.
    pub fn holds(&self, parts: Vec<ArrayRef>, rows: usize) -> Result<BooleanBuffer, ArrowError> {
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let answers = self.answers(&RecordBatch::try_new_with_options(Arc::clone(&self.schema), parts, &options)?)?;
        let Some(answers) = answers.as_any().downcast_ref::<BooleanArray>() else { return Ok(BooleanBuffer::new_unset(rows)) };
        Ok(match answers.nulls() {
            Some(nulls) => answers.values() & nulls.inner(),
            None => answers.values().clone(),
        })
    }

    fn batch<V: AsRef<[Value]>>(&self, parts: &[V]) -> Result<RecordBatch, ArrowError> {
        let column = |(n, codec): (usize, &ColumnCodec)| codec.array(parts.iter().map(|row| &row.as_ref()[n]));
        let columns = self.codecs.iter().enumerate().map(column).collect::<Result<_, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(parts.len()));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)
    }

    /// Rows are asked together; where that fails, in halves, so that a row's answer does not depend on the others.
    fn answers(&self, rows: &RecordBatch) -> Result<ArrayRef, ArrowError> {
        let len = rows.num_rows();
        match self.physical.evaluate(rows).and_then(|answer| answer.into_array(len)) {
            Ok(answer) => Ok(answer),
            Err(_) if len <= 1 => Ok(new_null_array(self.data_type(), len)),
            Err(_) => {
                let (first, second) =
                    (self.answers(&rows.slice(0, len / 2))?, self.answers(&rows.slice(len / 2, len - len / 2))?);
                concat(&[first.as_ref(), second.as_ref()])
            }
        }
    }
}

/// The types that the small evaluator knows.
fn is_native(of: &DataType) -> bool {
    matches!(
        of,
        DataType::Boolean
            | DataType::Int32
            | DataType::Int64
            | DataType::Date32
            | DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, _)
            | DataType::Float64
            | DataType::Utf8
            | DataType::Decimal128(..)
            | DataType::Null
    )
}

/// The expression in the small evaluator's terms, if it has them all.
fn small(expr: &Expr, schema: &DFSchema) -> Option<Node> {
    let boxed = |expr: &Expr| small(expr, schema).map(Box::new);
    Some(match expr {
        Expr::Alias(alias) => small(&alias.expr, schema)?,
        Expr::Column(column) => {
            let of = expr.get_type(schema).ok()?;
            is_native(&of).then(|| column.name().strip_prefix('$')?.parse().ok().map(Node::Part))??
        }
        Expr::Literal(value, _) => Node::Constant(constant(value)?),
        Expr::Not(inner) => Node::Not(boxed(inner)?),
        Expr::IsNull(inner) => Node::IsNull(boxed(inner)?),
        Expr::IsNotNull(inner) => Node::Not(Box::new(Node::IsNull(boxed(inner)?))),
        Expr::IsTrue(inner) => Node::Is(true, boxed(inner)?),
        Expr::IsFalse(inner) => Node::Is(false, boxed(inner)?),
        Expr::IsNotTrue(inner) => Node::Not(Box::new(Node::Is(true, boxed(inner)?))),
        Expr::IsNotFalse(inner) => Node::Not(Box::new(Node::Is(false, boxed(inner)?))),
        Expr::IsUnknown(inner) => Node::IsNull(boxed(inner)?),
        Expr::IsNotUnknown(inner) => Node::Not(Box::new(Node::IsNull(boxed(inner)?))),
        Expr::Between(between) => {
            let of = between.expr.get_type(schema).ok()?;
            let same = |bound: &Expr| bound.get_type(schema).ok().filter(|bound| *bound == of);
            same(&between.low)?;
            same(&between.high)?;
            let low = Node::Compare(Sign::GtEq, boxed(&between.expr)?, boxed(&between.low)?);
            let high = Node::Compare(Sign::LtEq, boxed(&between.expr)?, boxed(&between.high)?);
            let both = Node::And(Box::new(low), Box::new(high));
            if between.negated { Node::Not(Box::new(both)) } else { both }
        }
        Expr::Cast(cast) => {
            let from = cast.expr.get_type(schema).ok()?;
            match (&from, cast.field.data_type()) {
                (from, to) if from == to => small(&cast.expr, schema)?,
                (DataType::Int32 | DataType::Int64, DataType::Float64) => Node::ToFloat(boxed(&cast.expr)?),
                (DataType::Int32, DataType::Int64) => small(&cast.expr, schema)?,
                (DataType::Null, to) if is_native(to) => small(&cast.expr, schema)?,
                _ => return None,
            }
        }
        Expr::BinaryExpr(binary) => {
            let (left, right) = (boxed(&binary.left)?, boxed(&binary.right)?);
            let types = (binary.left.get_type(schema).ok()?, binary.right.get_type(schema).ok()?);
            match binary.op {
                Sign::And => Node::And(left, right),
                Sign::Or => Node::Or(left, right),
                Sign::Eq | Sign::NotEq | Sign::Lt | Sign::LtEq | Sign::Gt | Sign::GtEq if types.0 == types.1 => {
                    Node::Compare(binary.op, left, right)
                }
                Sign::Plus | Sign::Minus | Sign::Multiply | Sign::Divide
                    if types.0 == types.1 && matches!(types.0, DataType::Int64 | DataType::Float64) =>
                {
                    Node::Arithmetic(binary.op, left, right)
                }
                _ => return None,
            }
        }
        _ => return None,
    })
}

fn constant(value: &ScalarValue) -> Option<Value> {
    Some(match value {
        ScalarValue::Null => Value::Null,
        value if value.is_null() && is_native(&value.data_type()) => Value::Null,
        ScalarValue::Boolean(Some(value)) => Value::Bool(*value),
        ScalarValue::Int32(Some(value)) | ScalarValue::Date32(Some(value)) => Value::Int(i64::from(*value)),
        ScalarValue::Int64(Some(value)) | ScalarValue::TimestampMicrosecond(Some(value), _) => Value::Int(*value),
        ScalarValue::Float64(Some(value)) => Value::Float(*value),
        ScalarValue::Decimal128(Some(value), _, _) => Value::Decimal(*value),
        ScalarValue::Utf8(Some(text)) => Value::Text(text.as_str().into()),
        _ => return None,
    })
}

impl Node {
    fn evaluate(&self, parts: &[Value]) -> Result<Value, Uncomputable> {
        Ok(match self {
            Self::Part(part) => parts[*part].clone(),
            Self::Constant(value) => value.clone(),
            // A side that decides alone spares the other, as DataFusion's batches of one row do.
            Self::And(left, right) => match left.truth(parts)? {
                Some(false) => Value::Bool(false),
                left => match (left, right.truth(parts)?) {
                    (_, Some(false)) => Value::Bool(false),
                    (Some(true), Some(true)) => Value::Bool(true),
                    _ => Value::Null,
                },
            },
            Self::Or(left, right) => match left.truth(parts)? {
                Some(true) => Value::Bool(true),
                left => match (left, right.truth(parts)?) {
                    (_, Some(true)) => Value::Bool(true),
                    (Some(false), Some(false)) => Value::Bool(false),
                    _ => Value::Null,
                },
            },
            Self::Not(inner) => inner.truth(parts)?.map_or(Value::Null, |truth| Value::Bool(!truth)),
            Self::IsNull(inner) => Value::Bool(inner.evaluate(parts)?.is_null()),
            Self::Is(wanted, inner) => Value::Bool(inner.truth(parts)? == Some(*wanted)),
            Self::Compare(sign, left, right) => {
                let (left, right) = (unsigned_zero(left.evaluate(parts)?), unsigned_zero(right.evaluate(parts)?));
                let Some(order) = left.compare(&right) else { return Ok(Value::Null) };
                Value::Bool(match sign {
                    Sign::Eq => order.is_eq(),
                    Sign::NotEq => order.is_ne(),
                    Sign::Lt => order.is_lt(),
                    Sign::LtEq => order.is_le(),
                    Sign::Gt => order.is_gt(),
                    _ => order.is_ge(),
                })
            }
            Self::Arithmetic(sign, left, right) => match (left.evaluate(parts)?, right.evaluate(parts)?) {
                (Value::Int(a), Value::Int(b)) => Value::Int(match sign {
                    Sign::Plus => a.wrapping_add(b),
                    Sign::Minus => a.wrapping_sub(b),
                    Sign::Multiply => a.wrapping_mul(b),
                    _ => a.checked_div(b).ok_or(Uncomputable)?,
                }),
                (Value::Float(a), Value::Float(b)) => Value::Float(match sign {
                    Sign::Plus => a + b,
                    Sign::Minus => a - b,
                    Sign::Multiply => a * b,
                    _ => a / b,
                }),
                _ => Value::Null,
            },
            Self::ToFloat(inner) => match inner.evaluate(parts)? {
                Value::Int(value) => Value::Float(value as f64),
                _ => Value::Null,
            },
        })
    }

    fn truth(&self, parts: &[Value]) -> Result<Option<bool>, Uncomputable> {
        Ok(if let Value::Bool(truth) = self.evaluate(parts)? { Some(truth) } else { None })
    }
}

/// SQL's comparisons, unlike the order of keys, know one zero.
fn unsigned_zero(value: Value) -> Value {
    match value {
        // IEEE 754: the sum of zeros of either sign is the positive one; all else stays as it is.
        Value::Float(number) => Value::Float(number + 0.0),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use datafusion::{
        logical_expr::{cast, col, lit},
        prelude::binary_expr,
    };
    use proptest::prelude::*;

    use super::*;

    /// Whole numbers `$0`, `$1`, floats `$2`, `$3`.
    const TYPES: [DataType; 4] = [DataType::Int64, DataType::Int64, DataType::Float64, DataType::Float64];

    fn number() -> impl Strategy<Value = Expr> {
        let ints = prop_oneof![Just(col("$0")), Just(col("$1")), (-2i64..3).prop_map(lit)];
        let floats = prop_oneof![Just(col("$2")), Just(col("$3")), Just(lit(0.5)), Just(lit(f64::NAN))];
        let signs = prop_oneof![Just(Sign::Plus), Just(Sign::Minus), Just(Sign::Multiply), Just(Sign::Divide)];
        prop_oneof![
            (ints.clone(), signs.clone(), ints.clone()).prop_map(|(a, sign, b)| cast(binary_expr(a, sign, b), DataType::Float64)),
            (floats.clone(), signs, floats.clone()).prop_map(|(a, sign, b)| binary_expr(a, sign, b)),
            floats,
            ints.prop_map(|int| cast(int, DataType::Float64)),
        ]
    }

    fn condition() -> impl Strategy<Value = Expr> {
        let signs =
            prop_oneof![Just(Sign::Eq), Just(Sign::NotEq), Just(Sign::Lt), Just(Sign::LtEq), Just(Sign::Gt), Just(Sign::GtEq)];
        let leaf = prop_oneof![
            (number(), signs, number()).prop_map(|(a, sign, b)| binary_expr(a, sign, b)),
            number().prop_map(|number| number.is_null()),
            (number(), number(), number()).prop_map(|(a, b, c)| a.between(b, c)),
        ];
        leaf.prop_recursive(3, 12, 2, |inner| {
            prop_oneof![
                (inner.clone(), inner.clone()).prop_map(|(a, b)| a.and(b)),
                (inner.clone(), inner.clone()).prop_map(|(a, b)| a.or(b)),
                inner.clone().prop_map(|inner| Expr::Not(Box::new(inner))),
                inner.prop_map(|inner| inner.is_true()),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_small_evaluator_agrees_with_datafusion(
            expr in condition(),
            ints in proptest::array::uniform2(proptest::option::of(-3i64..4)),
            floats in proptest::array::uniform2(proptest::option::of(
                prop_oneof![Just(0.0), Just(-0.0), Just(1.5), Just(f64::NAN), Just(f64::INFINITY)],
            )),
        ) {
            let compiled = Compiled::new(&expr, &TYPES).unwrap();
            prop_assert!(compiled.small.is_some(), "{expr}");
            let int = |n: usize| ints[n].map_or(Value::Null, Value::Int);
            let float = |n: usize| floats[n].map_or(Value::Null, Value::Float);
            let parts = [int(0), int(1), float(0), float(1)];
            let rows = compiled.batch(&[&parts[..]]).unwrap();
            // Where DataFusion gives up, a side that was decided already may have spared us the division.
            if let Ok(answer) = compiled.physical.evaluate(&rows) {
                let expected = compiled.output.values(&answer.into_array(1).unwrap()).unwrap();
                prop_assert_eq!(compiled.evaluate(&parts).unwrap_or_default(), expected[0].clone(), "{}", expr);
            }
        }
    }

    #[test]
    fn zeros_of_either_sign_compare_equal_in_both_evaluators() {
        for expr in [col("$2").eq(col("$3")), col("$2").gt_eq(col("$3")), col("$2").between(col("$3"), col("$2"))] {
            let compiled = Compiled::new(&expr, &TYPES).unwrap();
            let parts = [Value::Null, Value::Null, Value::Float(-0.0), Value::Float(0.0)];
            let rows = compiled.batch(&[&parts[..]]).unwrap();
            assert_eq!(compiled.evaluate(&parts).unwrap(), Value::Bool(true), "{expr}");
            let answer = compiled.physical.evaluate(&rows).unwrap().into_array(1).unwrap();
            assert_eq!(compiled.output.values(&answer).unwrap(), [Value::Bool(true)], "{expr}");
        }
    }

    #[test]
    fn what_the_small_evaluator_lacks_goes_through_datafusion() {
        let expr = binary_expr(col("$0"), Sign::Modulo, lit(2i64)).eq(lit(1i64));
        let compiled = Compiled::new(&expr, &[DataType::Int64]).unwrap();
        assert!(compiled.small.is_none());
        assert_eq!(compiled.evaluate(&[Value::Int(3)]).unwrap(), Value::Bool(true));
        assert_eq!(compiled.evaluate(&[Value::Null]).unwrap(), Value::Null);
        assert!(compiled.holds(vec![Arc::new(arrow::array::Int64Array::from(vec![3, 2]))], 2).unwrap().value(0));
    }
}
