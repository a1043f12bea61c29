//! Rows into accumulators: for each aggregate one typed loop over the rows of a batch, each of which knows its part.

use std::{rc::Rc, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    buffer::{BooleanBuffer, NullBuffer},
    compute::cast,
    datatypes::DataType,
    error::ArrowError,
    row::Rows,
};
use weir_plan::operator::{AggregateFunction, Change};

use super::{
    accumulator::{Accumulator, Distinct, Item, halves, whole},
    call::{Call, Kernel},
    words,
};
use crate::state::key_hash;

/// Rows of a batch and the parts they go to.
pub(super) struct Grouped<'a> {
    pub(super) batch: &'a RecordBatch,
    pub(super) changes: Option<&'a [Change]>,
    /// The rows that count.
    pub(super) rows: &'a [u32],
    /// For each of these the number of its part.
    pub(super) parts: &'a [u32],
    /// For each of these how many of its key came before; empty if no call wants to know.
    pub(super) arrivals: &'a [u64],
}

/// Columns of one batch as the loops want them, made once for all calls.
#[derive(Default)]
pub(super) struct Columns(Vec<((Form, Vec<usize>), Rc<Column>)>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Words,
    Floats,
    Wides,
    Bools,
    Rows,
}

enum Column {
    Words(Vec<u64>),
    Floats(Vec<f64>),
    Wides(Vec<i128>),
    Bools(BooleanBuffer),
    Rows(Rows),
}

impl Columns {
    fn get(&mut self, call: &Call, form: Form, batch: &RecordBatch) -> Result<Rc<Column>, ArrowError> {
        let key = (form, call.args.clone());
        if let Some((_, column)) = self.0.iter().find(|(known, _)| *known == key) {
            return Ok(Rc::clone(column));
        }
        let arg = || batch.column(call.args[0]);
        let column = Rc::new(match form {
            Form::Words => Column::Words(words::words(arg())?),
            Form::Floats => Column::Floats(words::floats(arg())?),
            Form::Wides => Column::Wides(words::wides(arg())?),
            Form::Bools => Column::Bools(arg().as_boolean().values().clone()),
            Form::Rows => {
                let columns: Vec<ArrayRef> = call.args.iter().map(|&column| Arc::clone(batch.column(column))).collect();
                let converter = call.values.as_ref().expect("invariant: kernels that want rows have a converter");
                Column::Rows(converter.convert_columns(&columns)?)
            }
        });
        self.0.push((key, Rc::clone(&column)));
        Ok(column)
    }
}

impl Grouped<'_> {
    /// Calls with place, row and part of each row that is not masked out.
    #[inline(always)]
    fn each(&self, mask: Option<&NullBuffer>, mut visit: impl FnMut(usize, usize, usize)) {
        match mask {
            None => {
                self.rows.iter().zip(self.parts).enumerate().for_each(|(n, (&row, &part))| visit(n, row as usize, part as usize))
            }
            Some(mask) => {
                for (n, (&row, &part)) in self.rows.iter().zip(self.parts).enumerate() {
                    if mask.is_valid(row as usize) {
                        visit(n, row as usize, part as usize);
                    }
                }
            }
        }
    }

    #[inline(always)]
    fn sign(&self, row: usize) -> i64 {
        match self.changes {
            Some(changes) if changes[row].is_retraction() => -1,
            _ => 1,
        }
    }

    fn arrival(&self, n: usize) -> u64 {
        self.arrivals.get(n).copied().unwrap_or_default()
    }
}

impl Call {
    /// Rows that do not count: those with a null argument, and those for which the filter is not true.
    fn mask(&self, batch: &RecordBatch) -> Result<Option<NullBuffer>, ArrowError> {
        let mut mask = None;
        if self.function != AggregateFunction::ArrayAgg {
            for &column in &self.args {
                mask = NullBuffer::union(mask.as_ref(), batch.column(column).logical_nulls().as_ref());
            }
        }
        if let Some(column) = self.filter {
            let flags = match batch.column(column).data_type() {
                DataType::Boolean => Arc::clone(batch.column(column)),
                _ => cast(batch.column(column), &DataType::Boolean)?,
            };
            let flags = flags.as_boolean();
            let passes = match flags.nulls() {
                Some(nulls) => flags.values() & nulls.inner(),
                None => flags.values().clone(),
            };
            mask = NullBuffer::union(mask.as_ref(), Some(&NullBuffer::new(passes)));
        }
        Ok(mask.filter(|mask| mask.null_count() > 0))
    }

    /// Folds rows into the accumulators of their parts.
    pub(super) fn fold(&self, input: &Grouped<'_>, columns: &mut Columns, into: &mut [Accumulator]) -> Result<(), ArrowError> {
        let mask = self.mask(input.batch)?;
        let mask = mask.as_ref();
        if self.kernel == Kernel::Count {
            input.each(mask, |_, row, part| match &mut into[part] {
                Accumulator::Count(count) => *count += input.sign(row),
                empty => *empty = Accumulator::Count(input.sign(row)),
            });
            return Ok(());
        }
        let column = columns.get(self, self.form(), input.batch)?;
        match &*column {
            Column::Words(words) => self.fold_words(input, mask, words, into),
            Column::Floats(floats) => self.fold_floats(input, mask, floats, into),
            Column::Wides(wides) => self.fold_wides(input, mask, wides, into),
            Column::Bools(bools) => input.each(mask, |_, row, part| {
                let (sign, value) = (input.sign(row), bools.value(row));
                match &mut into[part] {
                    Accumulator::Bools { trues, falses } => *if value { trues } else { falses } += sign,
                    empty => *empty = Accumulator::Bools { trues: sign * i64::from(value), falses: sign * i64::from(!value) },
                }
            }),
            Column::Rows(rows) => self.fold_rows(input, mask, rows, into)?,
        }
        Ok(())
    }

    fn form(&self) -> Form {
        match self.kernel {
            Kernel::BestWord { .. } | Kernel::DistinctWords => Form::Words,
            Kernel::Mean | Kernel::Floats | Kernel::Moments | Kernel::Digest => Form::Floats,
            Kernel::Wide | Kernel::Counted | Kernel::BestWide { .. } => Form::Wides,
            Kernel::Bools => Form::Bools,
            _ => Form::Rows,
        }
    }

    fn fold_words(&self, input: &Grouped<'_>, mask: Option<&NullBuffer>, words: &[u64], into: &mut [Accumulator]) {
        match self.kernel {
            Kernel::BestWord { greatest } => input.each(mask, |_, row, part| match &mut into[part] {
                Accumulator::Word(best) => *best = if greatest { words[row].max(*best) } else { words[row].min(*best) },
                empty => *empty = Accumulator::Word(words[row]),
            }),
            _ => input.each(mask, |_, row, part| distinct(&mut into[part], true).add_word(words[row], input.sign(row))),
        }
    }

    fn fold_floats(&self, input: &Grouped<'_>, mask: Option<&NullBuffer>, floats: &[f64], into: &mut [Accumulator]) {
        match self.kernel {
            Kernel::Mean => input.each(mask, |_, row, part| match &mut into[part] {
                Accumulator::Mean { sum, count } => {
                    *sum += floats[row];
                    *count += 1;
                }
                empty => *empty = Accumulator::Mean { sum: floats[row], count: 1 },
            }),
            Kernel::Floats => input.each(mask, |_, row, part| {
                let floats_of = &mut into[part];
                if !matches!(floats_of, Accumulator::Floats(_)) {
                    *floats_of = Accumulator::Floats(Box::default());
                }
                if let Accumulator::Floats(sum) = floats_of {
                    sum.add(floats[row], input.sign(row));
                }
            }),
            Kernel::Moments => input.each(mask, |_, row, part| {
                if !matches!(into[part], Accumulator::Moments(_)) {
                    into[part] = Accumulator::Moments(Box::default());
                }
                if let Accumulator::Moments(moments) = &mut into[part] {
                    if input.sign(row) > 0 { moments.add(floats[row]) } else { moments.take_back(floats[row]) }
                }
            }),
            _ => input.each(mask, |_, row, part| {
                if !matches!(into[part], Accumulator::Digest(_)) {
                    into[part] = Accumulator::Digest(Arc::default());
                }
                match &mut into[part] {
                    Accumulator::Digest(digest) if !floats[row].is_nan() => Arc::make_mut(digest).add(floats[row]),
                    _ => {}
                }
            }),
        }
    }

    fn fold_wides(&self, input: &Grouped<'_>, mask: Option<&NullBuffer>, wides: &[i128], into: &mut [Accumulator]) {
        match self.kernel {
            Kernel::Wide => input.each(mask, |_, row, part| match &mut into[part] {
                Accumulator::Wide(sum) => *sum = halves(whole(*sum).saturating_add(wides[row])),
                empty => *empty = Accumulator::Wide(halves(wides[row])),
            }),
            Kernel::BestWide { greatest } => input.each(mask, |_, row, part| match &mut into[part] {
                Accumulator::Wide(best) => {
                    let (old, new) = (whole(*best), wides[row]);
                    *best = halves(if greatest { new.max(old) } else { new.min(old) });
                }
                empty => *empty = Accumulator::Wide(halves(wides[row])),
            }),
            _ => input.each(mask, |_, row, part| {
                if !matches!(into[part], Accumulator::Counted(_)) {
                    into[part] = Accumulator::Counted(Box::default());
                }
                if let Accumulator::Counted(counted) = &mut into[part] {
                    let sign = input.sign(row);
                    counted.sum = counted.sum.saturating_add(wides[row].saturating_mul(i128::from(sign)));
                    counted.count += sign;
                }
            }),
        }
    }

    fn fold_rows(
        &self,
        input: &Grouped<'_>,
        mask: Option<&NullBuffer>,
        rows: &Rows,
        into: &mut [Accumulator],
    ) -> Result<(), ArrowError> {
        let orders = match &self.order {
            Some((columns, converter)) => {
                let columns: Vec<_> = columns.iter().map(|&column| Arc::clone(input.batch.column(column))).collect();
                Some(converter.convert_columns(&columns)?)
            }
            None => None,
        };
        let order = |row: usize| orders.as_ref().map_or(&[][..], |orders| orders.row(row).data());
        match self.kernel {
            Kernel::BestBytes { greatest } => input.each(mask, |_, row, part| {
                let value = rows.row(row).data();
                match &mut into[part] {
                    Accumulator::Bytes(best) if if greatest { value <= &**best } else { value >= &**best } => {}
                    worse => *worse = Accumulator::Bytes(value.into()),
                }
            }),
            Kernel::BestItem { greatest } => input.each(mask, |n, row, part| {
                let (order, arrival, value) = (order(row), input.arrival(n), rows.row(row).data());
                match &mut into[part] {
                    Accumulator::Item(best) if ((order, arrival) > best.place()) != greatest => {}
                    Accumulator::Item(best) => {
                        replace(&mut best.order, order);
                        replace(&mut best.value, value);
                        best.arrival = arrival;
                    }
                    empty => *empty = Accumulator::Item(Box::new(Item { order: order.into(), arrival, value: value.into() })),
                }
            }),
            Kernel::Items => input.each(mask, |n, row, part| {
                if !matches!(into[part], Accumulator::Items(_)) {
                    into[part] = Accumulator::Items(Arc::default());
                }
                if let Accumulator::Items(items) = &mut into[part] {
                    let (items, order, value) = (Arc::make_mut(items), order(row), rows.row(row).data());
                    match input.sign(row) {
                        1 => items.push(Item { order: order.into(), arrival: input.arrival(n), value: value.into() }),
                        _ => items.take_back(order, value),
                    }
                }
            }),
            Kernel::Sorted => {
                let nans = self.nans(input.batch)?;
                input.each(mask, |_, row, part| {
                    if nans.as_ref().is_some_and(|nans| nans.value(row)) {
                        return;
                    }
                    if !matches!(into[part], Accumulator::Sorted(_)) {
                        into[part] = Accumulator::Sorted(Arc::default());
                    }
                    if let Accumulator::Sorted(sorted) = &mut into[part] {
                        Arc::make_mut(sorted).add(rows.row(row).data(), input.sign(row));
                    }
                });
            }
            Kernel::Hll => input.each(mask, |_, row, part| {
                if !matches!(into[part], Accumulator::Hll(_)) {
                    into[part] = Accumulator::Hll(Arc::default());
                }
                if let Accumulator::Hll(hll) = &mut into[part] {
                    Arc::make_mut(hll).add(key_hash(rows.row(row).data()));
                }
            }),
            _ => input.each(mask, |_, row, part| {
                distinct(&mut into[part], false).add_bytes(rows.row(row).data(), input.sign(row));
            }),
        }
        Ok(())
    }

    /// Rows that percentiles pass over.
    fn nans(&self, batch: &RecordBatch) -> Result<Option<BooleanBuffer>, ArrowError> {
        if !matches!(self.function, AggregateFunction::ApproxPercentile(_)) || !self.types[0].is_floating() {
            return Ok(None);
        }
        Ok(Some(words::floats(batch.column(self.args[0]))?.into_iter().map(f64::is_nan).collect()))
    }
}

fn distinct(accumulator: &mut Accumulator, of_words: bool) -> &mut Distinct {
    if !matches!(accumulator, Accumulator::Distinct(_)) {
        *accumulator = Accumulator::Distinct(Arc::new(Distinct::new(of_words)));
    }
    match accumulator {
        Accumulator::Distinct(distinct) => Arc::make_mut(distinct),
        _ => unreachable!("made above"),
    }
}

/// Replaces bytes, in place if there are as many.
fn replace(bytes: &mut Box<[u8]>, with: &[u8]) {
    if bytes.len() == with.len() { bytes.copy_from_slice(with) } else { *bytes = with.into() }
}
