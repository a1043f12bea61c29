//! What expressions ask of the rows matched so far, kept up to date row by row instead of looked for each time.
//!
//! Every `LAST`, `FIRST` and aggregate is a register of a few values. A partial match carries its registers along, so a condition
//! costs the same however long the match is; and two partial matches at one position with equal registers have the same future, so
//! that only the preferred one needs to be kept.

use arrow::datatypes::{DataType, SchemaRef};
use weir_plan::operator::{AggregateFunction, MatchPart};

use super::value::Value;

/// A value asked for, where it is found.
#[derive(Clone, Debug)]
pub enum Part {
    /// Of the row being judged.
    Current { slot: usize },
    /// Of the row so many before it in the partition.
    Prev { slot: usize, offset: usize },
    /// Of a register as it is, or as it is with the row being judged.
    Register { register: usize, with_current: bool, depth: usize },
}

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    /// The last values, the newest first.
    Last {
        depth: usize,
    },
    /// How many rows there were, no further than needed, and the value of the row with this number.
    First {
        offset: usize,
    },
    Aggregate(AggregateFunction, Number),
}

/// How an aggregate computes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Number {
    Int,
    Float,
    /// With how many more digits behind the point an average is given.
    Decimal(u32),
    Other,
}

#[derive(Clone, Debug)]
struct Register {
    variable: Option<usize>,
    /// The slot of the column among those kept of a row; none for `count(*)`.
    slot: Option<usize>,
    kind: Kind,
    /// Where its values are.
    at: usize,
    width: usize,
}

/// All registers of some expressions.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    registers: Vec<Register>,
    width: usize,
}

impl Layout {
    /// Empty registers.
    pub fn empty(&self) -> Box<[Value]> {
        let mut values = vec![Value::Null; self.width].into_boxed_slice();
        for register in &self.registers {
            let count = match &register.kind {
                Kind::First { .. } => true,
                Kind::Last { .. } => false,
                Kind::Aggregate(function, _) => counts(function),
            };
            if count {
                values[register.at] = Value::Int(0);
            }
        }
        values
    }

    pub fn is_empty(&self) -> bool {
        self.registers.is_empty()
    }

    /// Takes in a row that is mapped to a variable.
    pub fn update(&self, values: &mut [Value], row: &[Value], variable: usize) {
        for register in &self.registers {
            if register.variable.is_none_or(|of| of == variable) {
                register.update(&mut values[register.at..register.at + register.width], row);
            }
        }
    }

    /// What a part is. `before` gives earlier rows of the partition: 1 is the one right before the row being judged.
    pub fn read<'r>(&self, part: &Part, values: &[Value], row: &[Value], before: impl Fn(usize) -> Option<&'r [Value]>) -> Value {
        match part {
            Part::Current { slot } => row[*slot].clone(),
            Part::Prev { slot, offset } => before(*offset).map_or(Value::Null, |row| row[*slot].clone()),
            Part::Register { register, with_current, depth } => {
                let register = &self.registers[*register];
                let values = &values[register.at..register.at + register.width];
                match (&register.kind, with_current) {
                    // The row being judged is the newest; what it is itself was asked for as `Current`.
                    (Kind::Last { .. }, with) => values[depth - usize::from(*with)].clone(),
                    (_, false) => register.result(values),
                    (_, true) => {
                        let mut values = values.to_vec();
                        register.update(&mut values, row);
                        register.result(&values)
                    }
                }
            }
        }
    }

    /// The place of a part and its type. `judged` is the variable of a definition; measures have none and see a whole match.
    pub fn place(
        &mut self,
        part: &MatchPart,
        judged: Option<usize>,
        schema: &SchemaRef,
        slot: &mut impl FnMut(usize) -> usize,
    ) -> Result<(Part, DataType), String> {
        let of = |column: usize| schema.field(column).data_type().clone();
        let with = |variable: &Option<usize>| judged.is_some_and(|judged| variable.is_none_or(|of| of == judged));
        Ok(match part {
            MatchPart::Prev { column, offset: 0 } => (Part::Current { slot: slot(*column) }, of(*column)),
            MatchPart::Prev { column, offset } => (Part::Prev { slot: slot(*column), offset: *offset as usize }, of(*column)),
            MatchPart::Last { variable, column, offset } => {
                let (with_current, offset) = (with(variable), *offset as usize);
                if with_current && offset == 0 {
                    return Ok((Part::Current { slot: slot(*column) }, of(*column)));
                }
                let depth = if with_current { offset } else { offset + 1 };
                let register = self.register(*variable, Some(slot(*column)), Kind::Last { depth });
                (Part::Register { register, with_current, depth: offset }, of(*column))
            }
            MatchPart::First { variable, column, offset } => {
                let kind = Kind::First { offset: *offset as usize };
                let register = self.register(*variable, Some(slot(*column)), kind);
                (Part::Register { register, with_current: with(variable), depth: 0 }, of(*column))
            }
            MatchPart::Aggregate { variable, function, column } => {
                let input = column.map_or(DataType::Int64, of);
                let (number, output) = aggregate_type(function, &input)?;
                let register = self.register(*variable, column.map(&mut *slot), Kind::Aggregate(function.clone(), number));
                (Part::Register { register, with_current: with(variable), depth: 0 }, output)
            }
        })
    }

    /// The register of this kind, which may serve several parts.
    fn register(&mut self, variable: Option<usize>, slot: Option<usize>, kind: Kind) -> usize {
        let same = |register: &Register| {
            register.variable == variable
                && register.slot == slot
                && (register.kind == kind || matches!((&register.kind, &kind), (Kind::Last { .. }, Kind::Last { .. })))
        };
        let found = self.registers.iter().position(same);
        if let Some(found) = found {
            if let (Kind::Last { depth: had }, Kind::Last { depth }) = (&mut self.registers[found].kind, &kind) {
                *had = (*had).max(*depth);
            }
            self.arrange();
            return found;
        }
        self.registers.push(Register { variable, slot, kind, at: 0, width: 0 });
        self.arrange();
        self.registers.len() - 1
    }

    fn arrange(&mut self) {
        self.width = 0;
        for register in &mut self.registers {
            register.at = self.width;
            register.width = match &register.kind {
                Kind::Last { depth } => *depth,
                Kind::First { .. } => 2,
                Kind::Aggregate(function, _) => width(function),
            };
            self.width += register.width;
        }
    }
}

/// Whether an aggregate's first value is a count.
fn counts(function: &AggregateFunction) -> bool {
    use AggregateFunction as F;
    matches!(function, F::Count | F::Avg | F::Stddev | F::StddevPop | F::Variance | F::VariancePop | F::FirstValue)
}

fn width(function: &AggregateFunction) -> usize {
    use AggregateFunction as F;
    match function {
        F::Avg | F::FirstValue => 2,
        F::Stddev | F::StddevPop | F::Variance | F::VariancePop => 3,
        _ => 1,
    }
}

/// How an aggregate computes over values of a type, and the type of its result: those of DataFusion's aggregates.
fn aggregate_type(function: &AggregateFunction, input: &DataType) -> Result<(Number, DataType), String> {
    use AggregateFunction as F;
    let number = match input {
        DataType::Int32 | DataType::Int64 => Number::Int,
        DataType::Float32 | DataType::Float64 => Number::Float,
        DataType::Decimal128(..) => Number::Decimal(0),
        _ => Number::Other,
    };
    let unfit = || Err(format!("{function:?} does not take values of type {input} in a pattern"));
    Ok(match function {
        F::Count => (number, DataType::Int64),
        F::Min | F::Max | F::FirstValue | F::LastValue => (number, input.clone()),
        F::Sum => match (number, input) {
            (Number::Int, _) => (number, DataType::Int64),
            (Number::Float, _) => (number, DataType::Float64),
            (_, DataType::Decimal128(precision, scale)) => (number, DataType::Decimal128((precision + 10).min(38), *scale)),
            _ => return unfit(),
        },
        F::Avg => match (number, input) {
            (Number::Int | Number::Float, _) => (number, DataType::Float64),
            (_, DataType::Decimal128(precision, scale)) => {
                let (to_precision, to_scale) = ((precision + 4).min(38), (scale + 4).min(38));
                (Number::Decimal((to_scale - scale).unsigned_abs().into()), DataType::Decimal128(to_precision, to_scale))
            }
            _ => return unfit(),
        },
        F::Stddev | F::StddevPop | F::Variance | F::VariancePop if matches!(number, Number::Int | Number::Float) => {
            (number, DataType::Float64)
        }
        F::BoolAnd | F::BoolOr if *input == DataType::Boolean => (number, DataType::Boolean),
        _ => return unfit(),
    })
}

impl Register {
    fn of(&self, row: &[Value]) -> Value {
        self.slot.map_or(Value::Int(1), |slot| row[slot].clone())
    }

    fn update(&self, values: &mut [Value], row: &[Value]) {
        let value = self.of(row);
        match &self.kind {
            Kind::Last { .. } => {
                values.rotate_right(1);
                values[0] = value;
            }
            Kind::First { offset } => {
                let count = int(&values[0]);
                if count == *offset as i64 {
                    values[1] = value;
                }
                values[0] = Value::Int((count + 1).min(*offset as i64 + 1));
            }
            Kind::Aggregate(function, _) => accumulate(function, values, value),
        }
    }

    fn result(&self, values: &[Value]) -> Value {
        match &self.kind {
            Kind::Last { .. } => values[0].clone(),
            Kind::First { .. } => values[1].clone(),
            Kind::Aggregate(function, number) => finish(function, *number, values),
        }
    }
}

fn accumulate(function: &AggregateFunction, values: &mut [Value], value: Value) {
    use AggregateFunction as F;
    match function {
        F::LastValue => values[0] = value,
        F::FirstValue if int(&values[0]) == 0 => {
            values[0] = Value::Int(1);
            values[1] = value;
        }
        F::FirstValue => {}
        _ if value.is_null() => {}
        F::Count => values[0] = Value::Int(int(&values[0]) + 1),
        F::Sum => values[0] = sum(&values[0], &value),
        F::Min if values[0].is_null() || value.compare(&values[0]).is_some_and(|order| order.is_lt()) => values[0] = value,
        F::Max if values[0].is_null() || value.compare(&values[0]).is_some_and(|order| order.is_gt()) => values[0] = value,
        F::Avg => {
            values[0] = Value::Int(int(&values[0]) + 1);
            // Averages of whole numbers are computed in floats, as DataFusion does.
            let value = if let Value::Int(whole) = value { Value::Float(whole as f64) } else { value };
            values[1] = sum(&values[1], &value);
        }
        F::Stddev | F::StddevPop | F::Variance | F::VariancePop => {
            let count = int(&values[0]) + 1;
            let (mean, m2, x) = (float(&values[1]), float(&values[2]), float(&value));
            let delta = x - mean;
            let mean = mean + delta / count as f64;
            (values[0], values[1], values[2]) = (Value::Int(count), Value::Float(mean), Value::Float(m2 + delta * (x - mean)));
        }
        F::BoolAnd | F::BoolOr => {
            let Value::Bool(new) = value else { return };
            let all = *function == F::BoolAnd;
            let old = if let Value::Bool(old) = values[0] { old } else { all };
            values[0] = Value::Bool(if all { old && new } else { old || new });
        }
        _ => {}
    }
}

fn finish(function: &AggregateFunction, number: Number, values: &[Value]) -> Value {
    use AggregateFunction as F;
    let count = int(&values[0]);
    match function {
        F::FirstValue => values[1].clone(),
        F::Avg if count == 0 => Value::Null,
        F::Avg => match (&values[1], number) {
            (Value::Decimal(sum), Number::Decimal(digits)) => {
                sum.checked_mul(10i128.pow(digits)).map_or(Value::Null, |sum| Value::Decimal(sum / i128::from(count)))
            }
            (sum, _) => Value::Float(float(sum) / count as f64),
        },
        F::Stddev | F::StddevPop | F::Variance | F::VariancePop => {
            let sample = matches!(function, F::Stddev | F::Variance);
            let degrees = if sample { count - 1 } else { count };
            if degrees < 1 {
                return Value::Null;
            }
            let variance = float(&values[2]) / degrees as f64;
            Value::Float(if matches!(function, F::Stddev | F::StddevPop) { variance.sqrt() } else { variance })
        }
        _ => values[0].clone(),
    }
}

fn sum(sum: &Value, value: &Value) -> Value {
    match (sum, value) {
        (Value::Null, value) => value.clone(),
        (Value::Int(a), Value::Int(b)) => Value::Int(a.wrapping_add(*b)),
        (Value::Decimal(a), Value::Decimal(b)) => Value::Decimal(a.wrapping_add(*b)),
        (a, b) => Value::Float(float(a) + float(b)),
    }
}

fn int(value: &Value) -> i64 {
    if let Value::Int(value) = value { *value } else { 0 }
}

fn float(value: &Value) -> f64 {
    match value {
        Value::Float(value) => *value,
        Value::Int(value) => *value as f64,
        _ => 0.0,
    }
}
