//! Stateless rules over a batch: which rows fail?

use std::{path::Path, sync::Arc};

use ahash::AHashSet;
use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, BooleanBufferBuilder, Datum, RecordBatch, Scalar, StringArray},
    buffer::BooleanBuffer,
    compute::{CastOptions, cast_with_options, kernels::cmp},
    datatypes::{DataType, Float32Type, Float64Type, Int32Type, Int64Type, SchemaRef},
    error::ArrowError,
};
use datafusion::{
    common::{
        DFSchema,
        tree_node::{Transformed, TreeNode},
    },
    logical_expr::{execution_props::ExecutionProps, physical_planning_context::PhysicalPlanningContext},
    physical_expr::{PhysicalExpr, create_physical_expr, expressions::BinaryExpr},
};
use weir_plan::PlannedRule;
use weir_spec::quality::{Check, Scalar as Constant, TextFormat};

use super::{formats, references};
use crate::error::EngineError;

/// A rule bound to the columns of one schema.
pub enum RowCheck {
    NotNull(Vec<usize>),
    Between {
        column: usize,
        min: Option<Scalar<ArrayRef>>,
        max: Option<Scalar<ArrayRef>>,
    },
    InTexts {
        column: usize,
        values: AHashSet<String>,
    },
    InInts {
        column: usize,
        values: AHashSet<i64>,
    },
    /// Types without a set of their own: compared one by one.
    InValues {
        column: usize,
        values: Vec<Scalar<ArrayRef>>,
    },
    Matches {
        column: usize,
        pattern: regex::Regex,
    },
    Length {
        column: usize,
        min: u64,
        max: u64,
    },
    Format {
        column: usize,
        format: TextFormat,
    },
    Expression(Arc<dyn PhysicalExpr>),
    References {
        column: usize,
        known: Arc<AHashSet<String>>,
    },
}

impl RowCheck {
    pub fn compile(node: &str, rule: &PlannedRule, schema: &SchemaRef, base_dir: &Path) -> Result<Self, EngineError> {
        let wrong = |what: &str| EngineError::internal(node, format!("rule {}: {what}", rule.name));
        let index = |column: &String| schema.index_of(column).map_err(|e| wrong(&e.to_string()));
        let constant =
            |column: usize, value: &Constant| scalar(value, schema.field(column).data_type()).map_err(|e| wrong(&e.to_string()));
        Ok(match &rule.check {
            Check::NotNull { columns } => Self::NotNull(columns.iter().map(index).collect::<Result<_, _>>()?),
            Check::Between { column, min, max } => {
                let column = index(column)?;
                let bound = |value: &Option<Constant>| value.as_ref().map(|value| constant(column, value)).transpose();
                Self::Between { column, min: bound(min)?, max: bound(max)? }
            }
            Check::InSet { column, values } => {
                let column = index(column)?;
                match schema.field(column).data_type() {
                    DataType::Utf8 => Self::InTexts { column, values: values.iter().filter_map(text).collect() },
                    DataType::Int32 | DataType::Int64 => Self::InInts { column, values: values.iter().filter_map(int).collect() },
                    _ => Self::InValues {
                        column,
                        values: values.iter().map(|value| constant(column, value)).collect::<Result<_, _>>()?,
                    },
                }
            }
            Check::Matches { column, pattern } => {
                let pattern = regex::Regex::new(pattern).map_err(|e| wrong(&e.to_string()))?;
                Self::Matches { column: index(column)?, pattern }
            }
            Check::Length { column, min, max } => {
                Self::Length { column: index(column)?, min: min.unwrap_or(0), max: max.unwrap_or(u64::MAX) }
            }
            Check::Format { column, is } => Self::Format { column: index(column)?, format: *is },
            Check::Expression { .. } => {
                let expr = rule.expr.as_ref().ok_or_else(|| wrong("the plan has no expression"))?;
                Self::Expression(physical(expr, schema).map_err(|e| wrong(&e.to_string()))?)
            }
            Check::References { column, file, key } => {
                Self::References { column: index(column)?, known: references::load(node, &base_dir.join(file), key)? }
            }
            Check::Unique { .. } => return Err(wrong("unique rules keep state and are compiled elsewhere")),
        })
    }

    /// The rows that fail, or None when all pass.
    pub fn failures(&self, rows: &RecordBatch) -> Result<Option<BooleanBuffer>, ArrowError> {
        let failed = match self {
            Self::NotNull(columns) => {
                let mut failed: Option<BooleanBuffer> = None;
                for &column in columns {
                    if let Some(nulls) = rows.column(column).logical_nulls().filter(|nulls| nulls.null_count() > 0) {
                        let missing = !nulls.inner();
                        failed = Some(failed.map_or_else(|| missing.clone(), |failed| &failed | &missing));
                    }
                }
                return Ok(failed);
            }
            Self::Between { column, min, max } => outside(rows.column(*column), min.as_ref(), max.as_ref())?,
            Self::InTexts { column, values } => texts(rows.column(*column), |text| values.contains(text)),
            Self::InInts { column, values } => {
                let column = rows.column(*column);
                match column.data_type() {
                    DataType::Int32 => {
                        let ints = column.as_primitive::<Int32Type>();
                        failing(column, |row| values.contains(&i64::from(ints.value(row))))
                    }
                    _ => {
                        let ints = column.as_primitive::<Int64Type>();
                        failing(column, |row| values.contains(&ints.value(row)))
                    }
                }
            }
            Self::InValues { column, values } => {
                let column = rows.column(*column);
                let mut found = BooleanBuffer::new_unset(column.len());
                for value in values {
                    found = &found | &certain(&cmp::eq(column, value)?);
                }
                failing(column, |row| found.value(row))
            }
            Self::Matches { column, pattern } => texts(rows.column(*column), |text| pattern.is_match(text)),
            Self::Length { column, min, max } => {
                let column = rows.column(*column);
                let within = |length: usize| (*min..=*max).contains(&(length as u64));
                match column.data_type() {
                    DataType::List(_) => {
                        let lists = column.as_list::<i32>();
                        failing(column, |row| within(lists.value_length(row) as usize))
                    }
                    DataType::Binary => {
                        let bytes = column.as_binary::<i32>();
                        failing(column, |row| within(bytes.value(row).len()))
                    }
                    _ => texts(column, |text| within(if text.is_ascii() { text.len() } else { text.chars().count() })),
                }
            }
            Self::Format { column, format } => texts(rows.column(*column), |text| formats::is_valid(*format, text)),
            Self::Expression(expr) => violations(expr, rows)?,
            Self::References { column, known } => {
                let column = rows.column(*column);
                if column.data_type() == &DataType::Utf8 {
                    texts(column, |text| known.contains(text))
                } else {
                    let column = arrow::compute::cast(column, &DataType::Utf8)?;
                    texts(&column, |text| known.contains(text))
                }
            }
        };
        Ok((failed.count_set_bits() > 0).then_some(failed))
    }
}

/// What the rule says of a row that fails it.
pub fn describe(check: &Check) -> String {
    let constant = |value: &Constant| match value {
        Constant::Bool(value) => value.to_string(),
        Constant::Int(value) => value.to_string(),
        Constant::Float(value) => value.to_string(),
        Constant::String(value) => format!("'{value}'"),
    };
    match check {
        Check::NotNull { columns } if columns.len() == 1 => format!("`{}` is null", columns[0]),
        Check::NotNull { columns } => format!("one of `{}` is null", columns.join("`, `")),
        Check::Between { column, min: Some(min), max: Some(max) } => {
            format!("`{column}` is not between {} and {}", constant(min), constant(max))
        }
        Check::Between { column, min: Some(min), max: None } => format!("`{column}` is below {}", constant(min)),
        Check::Between { column, max: Some(max), .. } => format!("`{column}` is above {}", constant(max)),
        Check::Between { column, .. } => format!("`{column}` is out of range"),
        Check::InSet { column, values } if values.len() <= 8 => {
            format!("`{column}` is not one of {}", values.iter().map(constant).collect::<Vec<_>>().join(", "))
        }
        Check::InSet { column, values } => format!("`{column}` is not one of {} allowed values", values.len()),
        Check::Matches { column, pattern } => format!("`{column}` does not match /{pattern}/"),
        Check::Length { column, min, max } => match (min, max) {
            (Some(min), Some(max)) => format!("the length of `{column}` is not between {min} and {max}"),
            (Some(min), None) => format!("`{column}` is shorter than {min}"),
            (None, Some(max)) => format!("`{column}` is longer than {max}"),
            (None, None) => format!("`{column}` has no length"),
        },
        Check::Format { column, is } => format!("`{column}` is not a valid {}", format!("{is:?}").to_lowercase()),
        Check::Unique { columns, within } => format!("`{}` was seen before within {within}", columns.join("`, `")),
        Check::Expression { sql } => format!("{sql} does not hold"),
        Check::References { column, file, .. } => format!("`{column}` is not in {file}"),
    }
}

/// Compiles a typed expression for batches of a schema. Sums and products that do not fit their type fail rather than wrap.
pub fn physical(expr: &datafusion::logical_expr::Expr, schema: &SchemaRef) -> datafusion::error::Result<Arc<dyn PhysicalExpr>> {
    let schema = DFSchema::try_from(schema.as_ref().clone())?;
    let expr = create_physical_expr(expr, &schema, &ExecutionProps::new(), &PhysicalPlanningContext::default())?;
    let checked = expr.transform_up(|expr| {
        Ok(match expr.downcast_ref::<BinaryExpr>() {
            Some(binary) => Transformed::yes(Arc::new(binary.clone().with_fail_on_overflow(true)) as Arc<dyn PhysicalExpr>),
            None => Transformed::no(expr),
        })
    });
    Ok(checked?.data)
}

/// A constant as a scalar of a column's type.
fn scalar(value: &Constant, data_type: &DataType) -> Result<Scalar<ArrayRef>, ArrowError> {
    let array: ArrayRef = match value {
        Constant::Bool(value) => Arc::new(BooleanArray::from(vec![*value])),
        Constant::Int(value) => Arc::new(arrow::array::Int64Array::from(vec![*value])),
        Constant::Float(value) => Arc::new(arrow::array::Float64Array::from(vec![*value])),
        Constant::String(value) => Arc::new(StringArray::from(vec![value.as_str()])),
    };
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    Ok(Scalar::new(cast_with_options(&array, data_type, &strict)?))
}

fn text(value: &Constant) -> Option<String> {
    match value {
        Constant::String(value) => Some(value.clone()),
        _ => None,
    }
}

fn int(value: &Constant) -> Option<i64> {
    match value {
        Constant::Int(value) => Some(*value),
        _ => None,
    }
}

/// Rows with a value for which `passes` is false. Nulls pass.
fn failing(column: &ArrayRef, passes: impl Fn(usize) -> bool) -> BooleanBuffer {
    match column.nulls().filter(|nulls| nulls.null_count() > 0) {
        Some(nulls) => BooleanBuffer::collect_bool(column.len(), |row| nulls.is_valid(row) && !passes(row)),
        None => BooleanBuffer::collect_bool(column.len(), |row| !passes(row)),
    }
}

fn texts(column: &ArrayRef, passes: impl Fn(&str) -> bool) -> BooleanBuffer {
    let texts = column.as_string::<i32>();
    failing(column, |row| passes(texts.value(row)))
}

/// True where the answer is true; null is not.
fn certain(answer: &BooleanArray) -> BooleanBuffer {
    match answer.nulls() {
        Some(nulls) => answer.values() & nulls.inner(),
        None => answer.values().clone(),
    }
}

/// Rows for which the expression is false, or cannot be computed. Rows are asked together; where that fails, in halves, so
/// that a row's answer does not depend on the others.
fn violations(expr: &Arc<dyn PhysicalExpr>, rows: &RecordBatch) -> Result<BooleanBuffer, ArrowError> {
    let len = rows.num_rows();
    match expr.evaluate(rows).and_then(|answer| answer.into_array(len)) {
        Ok(answer) => Ok(certain(&arrow::compute::not(answer.as_boolean())?)),
        Err(_) if len <= 1 => Ok(BooleanBuffer::new_set(len)),
        Err(_) => {
            let mut failed = BooleanBufferBuilder::new(len);
            failed.append_buffer(&violations(expr, &rows.slice(0, len / 2))?);
            failed.append_buffer(&violations(expr, &rows.slice(len / 2, len - len / 2))?);
            Ok(failed.finish())
        }
    }
}

/// Rows outside the bounds; NaN is outside of every range.
fn outside(
    column: &ArrayRef,
    min: Option<&Scalar<ArrayRef>>,
    max: Option<&Scalar<ArrayRef>>,
) -> Result<BooleanBuffer, ArrowError> {
    let below = min.map(|min| cmp::lt(column, min as &dyn Datum)).transpose()?;
    let above = max.map(|max| cmp::gt(column, max as &dyn Datum)).transpose()?;
    let mut failed = match (below, above) {
        (Some(below), Some(above)) => &certain(&below) | &certain(&above),
        (Some(one), None) | (None, Some(one)) => certain(&one),
        (None, None) => BooleanBuffer::new_unset(column.len()),
    };
    let nan = match column.data_type() {
        DataType::Float64 => {
            let floats = column.as_primitive::<Float64Type>();
            Some(BooleanBuffer::collect_bool(column.len(), |row| floats.is_valid(row) && floats.value(row).is_nan()))
        }
        DataType::Float32 => {
            let floats = column.as_primitive::<Float32Type>();
            Some(BooleanBuffer::collect_bool(column.len(), |row| floats.is_valid(row) && floats.value(row).is_nan()))
        }
        _ => None,
    };
    if let Some(nan) = nan {
        failed = &failed | &nan;
    }
    Ok(failed)
}

#[cfg(test)]
mod tests {
    use arrow::array::Int64Array;
    use datafusion::logical_expr::{cast, col, lit};

    use super::*;

    #[test]
    fn a_row_whose_expression_cannot_be_computed_fails_the_rule_and_its_neighbours_do_not() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("1"), Some("x"), None, Some("-1"), Some("2"), Some("")]));
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 1, 1, 1, 0, 1]));
        let rows = RecordBatch::try_from_iter([("s", texts), ("n", numbers)]).unwrap();
        let positive = cast(col("s"), DataType::Int64).gt(lit(0i64));
        let divided = (lit(1i64) / col("n")).gt(lit(0i64));
        for (expr, expected) in [(positive, vec![1, 3, 5]), (divided, vec![4])] {
            let check = RowCheck::Expression(physical(&expr, &rows.schema()).unwrap());
            let failed = check.failures(&rows).unwrap().unwrap();
            assert_eq!(failed.set_indices().collect::<Vec<_>>(), expected, "{expr}");
        }
    }
}
