//! Accumulators into a column of results, of exactly the type the plan says.

use std::sync::Arc;

use arrow::{
    array::{
        Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, Float64Array, Int64Array, LargeStringBuilder, ListArray,
        RecordBatch, UInt64Array, new_null_array,
    },
    buffer::{NullBuffer, OffsetBuffer},
    compute::cast,
    datatypes::{DataType, Field, Schema},
    error::ArrowError,
};
use weir_plan::operator::AggregateFunction;

use super::{
    accumulator::{Accumulator, Distinct, Item, whole},
    call::{Call, Kernel},
    fold::{Columns, Grouped},
    words::from_words,
};

impl Call {
    /// The results of these accumulators.
    pub(super) fn finish(&self, of: &[&Accumulator]) -> Result<ArrayRef, ArrowError> {
        if let Some(inner) = &self.inner {
            return self.finish_distinct(inner, of);
        }
        let column = self.finish_natural(of)?;
        if *column.data_type() == self.output { Ok(column) } else { cast(&column, &self.output) }
    }

    fn finish_natural(&self, of: &[&Accumulator]) -> Result<ArrayRef, ArrowError> {
        use AggregateFunction::*;
        Ok(match &self.function {
            Count | ApproxDistinct => Arc::new(Int64Array::from_iter_values(of.iter().map(|of| match of {
                Accumulator::Count(count) => *count,
                Accumulator::Distinct(distinct) => distinct.len() as i64,
                Accumulator::Hll(hll) => i64::try_from(hll.count()).unwrap_or(i64::MAX),
                _ => 0,
            }))),
            Sum | Avg => match self.kernel {
                Kernel::Wide | Kernel::Counted => self.finish_wides(of)?,
                _ => self.finish_floats(of),
            },
            Stddev | StddevPop | Variance | VariancePop => {
                let sample = matches!(self.function, Stddev | Variance);
                let root = matches!(self.function, Stddev | StddevPop);
                let variance = of.iter().map(|of| match of {
                    Accumulator::Moments(moments) => moments.variance(sample),
                    _ => None,
                });
                Arc::new(variance.map(|of| of.map(|of| if root { of.sqrt() } else { of })).collect::<Float64Array>())
            }
            BoolAnd | BoolOr => Arc::new(
                of.iter()
                    .map(|of| match **of {
                        Accumulator::Bools { trues, falses } if trues + falses > 0 => {
                            Some(if self.function == BoolAnd { falses == 0 } else { trues > 0 })
                        }
                        _ => None,
                    })
                    .collect::<BooleanArray>(),
            ),
            Min | Max => self.finish_best(of)?,
            FirstValue | LastValue => {
                let last = self.function == LastValue;
                self.decode(of.iter().map(|of| match of {
                    Accumulator::Item(item) => Some(&*item.value),
                    Accumulator::Items(items) if last => {
                        items.items.iter().max_by_key(|item| item.place()).map(|item| &*item.value)
                    }
                    Accumulator::Items(items) => items.items.iter().min_by_key(|item| item.place()).map(|item| &*item.value),
                    _ => None,
                }))?
            }
            ApproxPercentile(fraction) => self.finish_percentile(*fraction, of)?,
            StringAgg { separator } => self.finish_strings(separator, of)?,
            ArrayAgg => self.finish_arrays(of)?,
        })
    }

    fn scale(&self) -> i8 {
        match self.types.first() {
            Some(DataType::Decimal128(_, scale) | DataType::Decimal64(_, scale) | DataType::Decimal32(_, scale)) => *scale,
            _ => 0,
        }
    }

    /// Sums and averages of wide integers. What does not fit into the type of the result is null.
    fn finish_wides(&self, of: &[&Accumulator]) -> Result<ArrayRef, ArrowError> {
        let average = self.function == AggregateFunction::Avg;
        let sums = of.iter().map(|of| match of {
            Accumulator::Wide(sum) => Some((whole(*sum), 1)),
            Accumulator::Counted(counted) if counted.count > 0 => Some((counted.sum, counted.count)),
            _ => None,
        });
        let scale = self.scale();
        let divided = |sum: i128, count: i64, up: u32| {
            let (count, factor) = (i128::from(if average { count } else { 1 }), 10i128.checked_pow(up)?);
            // In two steps, so that a large sum is not scaled out of range.
            (sum / count).checked_mul(factor)?.checked_add((sum % count).checked_mul(factor)? / count)
        };
        let most = |precision: u8| 10i128.checked_pow(u32::from(precision)).unwrap_or(i128::MAX);
        Ok(match &self.output {
            DataType::Decimal128(precision, to) => {
                let up = u32::from((to - scale).max(0) as u8);
                let fits = |value: &i128| value.unsigned_abs() < most(*precision).unsigned_abs();
                let values = sums.map(|sum| divided(sum?.0, sum?.1, up).filter(fits));
                Arc::new(values.collect::<Decimal128Array>().with_precision_and_scale(*precision, *to)?)
            }
            DataType::Decimal32(_, to) | DataType::Decimal64(_, to) => {
                let up = u32::from((to - scale).max(0) as u8);
                let values: Decimal128Array = sums.map(|sum| divided(sum?.0, sum?.1, up)).collect();
                cast(&values.with_precision_and_scale(38, *to)?, &self.output)?
            }
            DataType::Float32 | DataType::Float64 => {
                let unit = 10f64.powi(i32::from(scale));
                let float = |(sum, count): (i128, i64)| sum as f64 / unit / if average { count as f64 } else { 1.0 };
                Arc::new(sums.map(|sum| sum.map(float)).collect::<Float64Array>())
            }
            DataType::UInt64 => {
                Arc::new(sums.map(|sum| u64::try_from(divided(sum?.0, sum?.1, 0)?).ok()).collect::<UInt64Array>())
            }
            _ => Arc::new(sums.map(|sum| i64::try_from(divided(sum?.0, sum?.1, 0)?).ok()).collect::<Int64Array>()),
        })
    }

    fn finish_floats(&self, of: &[&Accumulator]) -> ArrayRef {
        let average = self.function == AggregateFunction::Avg;
        let sums = of.iter().map(|of| match of {
            Accumulator::Mean { sum, count } => Some((*sum, *count)),
            Accumulator::Floats(floats) if floats.count > 0 => Some((floats.sum(), floats.count)),
            _ => None,
        });
        Arc::new(sums.map(|sum| sum.map(|(sum, count)| if average { sum / count as f64 } else { sum })).collect::<Float64Array>())
    }

    fn finish_best(&self, of: &[&Accumulator]) -> Result<ArrayRef, ArrowError> {
        let greatest = self.function == AggregateFunction::Max;
        match self.kernel {
            Kernel::BestWord { .. } => {
                let words = of.iter().map(|of| match of {
                    Accumulator::Word(word) => Some(*word),
                    _ => None,
                });
                from_words(words.collect(), &self.types[0])
            }
            Kernel::BestWide { .. } => {
                let values: Decimal128Array = of
                    .iter()
                    .map(|of| match of {
                        Accumulator::Wide(best) => Some(whole(*best)),
                        _ => None,
                    })
                    .collect();
                Ok(Arc::new(values.with_data_type(self.types[0].clone())))
            }
            _ => self.decode(of.iter().map(|of| match of {
                Accumulator::Bytes(best) => Some(&**best),
                Accumulator::Sorted(sorted) if greatest => sorted.counts.last_key_value().map(|(value, _)| &**value),
                Accumulator::Sorted(sorted) => sorted.counts.first_key_value().map(|(value, _)| &**value),
                _ => None,
            })),
        }
    }

    fn finish_percentile(&self, fraction: f64, of: &[&Accumulator]) -> Result<ArrayRef, ArrowError> {
        if self.kernel == Kernel::Sorted {
            return self.decode(of.iter().map(|of| match of {
                Accumulator::Sorted(sorted) => {
                    let count: i64 = sorted.counts.values().sum();
                    let rank = ((fraction * count as f64).ceil() as i64).clamp(1, count.max(1));
                    let mut passed = 0;
                    let found = sorted.counts.iter().find(|(_, times)| {
                        passed += **times;
                        passed >= rank
                    });
                    found.map(|(value, _)| &**value)
                }
                _ => None,
            }));
        }
        let values = of.iter().map(|of| match of {
            Accumulator::Digest(digest) => digest.quantile(fraction),
            _ => None,
        });
        let values: Float64Array = values.collect();
        // An integer's percentile is cut off, as by a CAST.
        cast(&values, &self.output)
    }

    /// The items of an ordered aggregate, in order.
    fn items<'a>(&self, of: &'a Accumulator) -> Vec<&'a Item> {
        let Accumulator::Items(items) = of else { return Vec::new() };
        let mut items: Vec<_> = items.items.iter().collect();
        items.sort_by_key(|item| item.place());
        if self.distinct {
            let mut seen = hashbrown::HashSet::new();
            items.retain(|item| seen.insert(&item.value));
        }
        items
    }

    fn finish_strings(&self, separator: &str, of: &[&Accumulator]) -> Result<ArrayRef, ArrowError> {
        let items: Vec<_> = of.iter().map(|of| self.items(of)).collect();
        let values = self.decode(items.iter().flatten().map(|item| Some(&*item.value)))?;
        let values = cast(&values, &DataType::LargeUtf8)?;
        let mut texts = values.as_string::<i64>().iter().map(Option::unwrap_or_default);
        let mut joined = LargeStringBuilder::new();
        for items in &items {
            if items.is_empty() {
                joined.append_null();
                continue;
            }
            let parts: Vec<&str> = texts.by_ref().take(items.len()).collect();
            joined.append_value(parts.join(separator));
        }
        Ok(Arc::new(joined.finish()))
    }

    fn finish_arrays(&self, of: &[&Accumulator]) -> Result<ArrayRef, ArrowError> {
        let items: Vec<_> = of.iter().map(|of| self.items(of)).collect();
        let values = self.decode(items.iter().flatten().map(|item| Some(&*item.value)))?;
        let lengths = OffsetBuffer::from_lengths(items.iter().map(Vec::len));
        let nulls: NullBuffer = items.iter().map(|items| !items.is_empty()).collect();
        let field = match &self.output {
            DataType::List(field) | DataType::LargeList(field) => Arc::clone(field),
            _ => Arc::new(Field::new_list_field(values.data_type().clone(), true)),
        };
        let values = if values.data_type() == field.data_type() { values } else { cast(&values, field.data_type())? };
        Ok(Arc::new(ListArray::try_new(field, lengths, values, Some(nulls))?))
    }

    /// Values from row format.
    fn decode<'a>(&'a self, values: impl Iterator<Item = Option<&'a [u8]>>) -> Result<ArrayRef, ArrowError> {
        let converter = self.values.as_ref().expect("invariant: kernels that keep row format have a converter");
        let parser = converter.parser();
        let rows: Vec<_> = values.map(|value| parser.parse(value.unwrap_or(&self.null))).collect();
        if rows.is_empty() {
            return Ok(new_null_array(&self.types[0], 0));
        }
        Ok(Arc::clone(&converter.convert_rows(rows)?[0]))
    }

    /// Feeds the distinct values, in their order, to the aggregate of them.
    fn finish_distinct(&self, inner: &Self, of: &[&Accumulator]) -> Result<ArrayRef, ArrowError> {
        let (mut words, mut bytes, mut parts) = (Vec::new(), Vec::new(), Vec::new());
        for (part, of) in of.iter().enumerate() {
            let Accumulator::Distinct(distinct) = of else { continue };
            let from = words.len().max(bytes.len());
            match &**distinct {
                Distinct::Words(counts) => {
                    words.extend(counts.keys().map(|&word| Some(word)));
                    words[from..].sort_unstable();
                }
                Distinct::Bytes { counts, .. } => {
                    bytes.extend(counts.keys().map(|value| Some(&**value)));
                    bytes[from..].sort_unstable();
                }
            }
            parts.resize(words.len().max(bytes.len()), part as u32);
        }
        let column = match self.kernel {
            Kernel::DistinctWords => from_words(words, &self.types[0])?,
            _ => self.decode(bytes.into_iter())?,
        };
        let schema = Arc::new(Schema::new(vec![Field::new("value", column.data_type().clone(), true)]));
        let batch = RecordBatch::try_new(schema, vec![column])?;
        let rows: Vec<u32> = (0..parts.len() as u32).collect();
        let mut accumulators = vec![Accumulator::Empty; of.len()];
        let grouped = Grouped { batch: &batch, changes: None, rows: &rows, parts: &parts, arrivals: &[] };
        inner.fold(&grouped, &mut Columns::default(), &mut accumulators)?;
        inner.finish(&accumulators.iter().collect::<Vec<_>>())
    }
}
