//! Windows: added up in lanes, merged and closed in one place.

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array},
    compute::{cast, take_record_batch},
    datatypes::{DataType, Float64Type, SchemaRef},
    error::ArrowError,
    row::{RowConverter, SortField},
};

use super::{
    control::Series,
    digest::Digest,
    distinct::Distinct,
    distribution::{Bins, Histogram},
    judge::{Outcome, judge},
    moments::Moments,
    plan::{Measure, Plan},
};
use crate::state::{
    StateError,
    codec::{Reader, put_varint},
    key_hash,
};

/// Windows without rows that are closed at once, at most: beyond, the stream was still for so long that more of them say nothing new.
const MAX_EMPTY: usize = 10_000;

/// One measure of a window so far.
#[derive(Clone, Debug, PartialEq)]
pub enum Measured {
    Rows(u64),
    Present(u64),
    /// Rows that have values, and how many different ones.
    Distinct(u64, Distinct),
    Moments(Moments),
    Digest(Digest),
    Newest(Option<i64>),
    Histogram(Histogram),
}

/// The measures of a window, in the order of the plan. Windows of one plan add up, also to longer ones.
#[derive(Clone, Debug, PartialEq)]
pub struct Window(pub Vec<Measured>);

impl Window {
    pub fn new(plan: &Plan) -> Self {
        let empty = |measure: &Measure| match measure {
            Measure::Rows => Measured::Rows(0),
            Measure::Present(_) => Measured::Present(0),
            Measure::Distinct(_) => Measured::Distinct(0, Distinct::default()),
            Measure::Moments(_) => Measured::Moments(Moments::default()),
            Measure::Digest(_) => Measured::Digest(Digest::default()),
            Measure::Newest => Measured::Newest(None),
            Measure::Histogram { reference, .. } => Measured::Histogram(Histogram::new(&reference.bins)),
        };
        Self(plan.measures.iter().map(empty).collect())
    }

    pub fn rows(&self) -> u64 {
        if let Some(Measured::Rows(rows)) = self.0.first() { *rows } else { 0 }
    }

    /// Adds a window of the same plan.
    pub fn merge(&mut self, other: &Self) {
        for (mine, other) in self.0.iter_mut().zip(&other.0) {
            match (mine, other) {
                (Measured::Rows(mine), Measured::Rows(other)) | (Measured::Present(mine), Measured::Present(other)) => {
                    *mine += other;
                }
                (Measured::Distinct(rows, mine), Measured::Distinct(others, other)) => {
                    *rows += others;
                    mine.merge(other);
                }
                (Measured::Moments(mine), Measured::Moments(other)) => mine.merge(other),
                (Measured::Digest(mine), Measured::Digest(other)) => mine.merge(other),
                (Measured::Newest(mine), Measured::Newest(other)) => *mine = (*mine).max(*other),
                (Measured::Histogram(mine), Measured::Histogram(other)) => mine.merge(other),
                _ => debug_assert!(false, "windows of different plans"),
            }
        }
    }

    pub fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.0.len() as u64);
        for measured in &self.0 {
            match measured {
                Measured::Rows(rows) => {
                    out.push(0);
                    put_varint(out, *rows);
                }
                Measured::Present(rows) => {
                    out.push(1);
                    put_varint(out, *rows);
                }
                Measured::Distinct(rows, distinct) => {
                    out.push(2);
                    put_varint(out, *rows);
                    distinct.encode(out);
                }
                Measured::Moments(moments) => {
                    out.push(3);
                    moments.encode(out);
                }
                Measured::Digest(digest) => {
                    out.push(4);
                    digest.encode(out);
                }
                Measured::Newest(newest) => {
                    out.push(if newest.is_some() { 6 } else { 5 });
                    out.extend_from_slice(&newest.unwrap_or_default().to_le_bytes());
                }
                Measured::Histogram(histogram) => {
                    out.push(7);
                    histogram.encode(out);
                }
            }
        }
    }

    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, StateError> {
        let count = reader.size()?;
        if count > reader.remaining().len() {
            return Err(StateError::Malformed("a window is cut off"));
        }
        let mut measured = Vec::with_capacity(count);
        for _ in 0..count {
            measured.push(match reader.u8()? {
                0 => Measured::Rows(reader.varint()?),
                1 => Measured::Present(reader.varint()?),
                2 => Measured::Distinct(reader.varint()?, Distinct::decode(reader)?),
                3 => Measured::Moments(Moments::decode(reader)?),
                4 => Measured::Digest(Digest::decode(reader)?),
                5 => reader.i64().map(|_| Measured::Newest(None))?,
                6 => Measured::Newest(Some(reader.i64()?)),
                7 => Measured::Histogram(Histogram::decode(reader)?),
                _ => return Err(StateError::Malformed("no such measure")),
            });
        }
        Ok(Self(measured))
    }

    /// Whether it is a window of this plan.
    fn fits(&self, plan: &Plan) -> bool {
        let same = |(mine, of): (&Measured, &Measured)| match (mine, of) {
            (Measured::Histogram(mine), Measured::Histogram(of)) => mine.0.len() == of.0.len(),
            (mine, of) => std::mem::discriminant(mine) == std::mem::discriminant(of),
        };
        self.0.len() == plan.measures.len() && self.0.iter().zip(&Self::new(plan).0).all(same)
    }
}

/// Adds up the rows of one lane.
pub struct Collector {
    plan: Arc<Plan>,
    /// For measures of several columns, by measure.
    keys: Vec<Option<RowConverter>>,
    windows: BTreeMap<i64, Window>,
}

impl Collector {
    pub fn new(plan: Arc<Plan>, schema: &SchemaRef) -> Result<Self, ArrowError> {
        let field = |column: &usize| SortField::new(schema.field(*column).data_type().clone());
        let keys = plan.measures.iter().map(|measure| match measure {
            Measure::Distinct(columns) => RowConverter::new(columns.iter().map(field).collect()).map(Some),
            _ => Ok(None),
        });
        Ok(Self { keys: keys.collect::<Result<_, _>>()?, plan, windows: BTreeMap::new() })
    }

    /// Takes in rows and the time of each (event time, or the clock where there is none), microseconds.
    pub fn add(&mut self, rows: &RecordBatch, times: &[i64]) -> Result<(), ArrowError> {
        debug_assert_eq!(rows.num_rows(), times.len());
        let window_of = |time: i64| time.div_euclid(self.plan.over).saturating_mul(self.plan.over);
        let Some(&first) = times.first() else { return Ok(()) };
        let first = window_of(first);
        if times.iter().all(|&time| window_of(time) == first) {
            return self.add_to(first, rows, times.iter().copied().max());
        }
        let mut by_window: BTreeMap<i64, Vec<u32>> = BTreeMap::new();
        times.iter().enumerate().for_each(|(row, &time)| by_window.entry(window_of(time)).or_default().push(row as u32));
        for (start, places) in by_window {
            let newest = places.iter().map(|&row| times[row as usize]).max();
            self.add_to(start, &take_record_batch(rows, &UInt32Array::from(places))?, newest)?;
        }
        Ok(())
    }

    /// Hands over all that was added up, by the windows' starts.
    pub fn take(&mut self) -> BTreeMap<i64, Window> {
        std::mem::take(&mut self.windows)
    }

    fn add_to(&mut self, start: i64, rows: &RecordBatch, newest: Option<i64>) -> Result<(), ArrowError> {
        let window = self.windows.entry(start).or_insert_with(|| Window::new(&self.plan));
        for ((measured, measure), keys) in window.0.iter_mut().zip(&self.plan.measures).zip(&self.keys) {
            match (measured, measure) {
                (Measured::Rows(count), _) => *count += rows.num_rows() as u64,
                (Measured::Present(count), Measure::Present(column)) => {
                    let column = rows.column(*column);
                    *count += (column.len() - column.logical_null_count()) as u64;
                }
                (Measured::Distinct(count, distinct), Measure::Distinct(columns)) => {
                    let columns: Vec<ArrayRef> = columns.iter().map(|&column| rows.column(column).clone()).collect();
                    let nulls: Vec<_> = columns.iter().filter_map(|column| column.logical_nulls()).collect();
                    let keys = keys.as_ref().expect("invariant: distinct measures have a converter").convert_columns(&columns)?;
                    for (row, key) in keys.iter().enumerate() {
                        if nulls.iter().all(|nulls| nulls.is_valid(row)) {
                            *count += 1;
                            distinct.add(key_hash(key.as_ref()));
                        }
                    }
                }
                (Measured::Moments(moments), Measure::Moments(column)) => {
                    each_number(rows.column(*column), |value| moments.add(value))?;
                }
                (Measured::Digest(digest), Measure::Digest(column)) => {
                    each_number(rows.column(*column), |value| digest.add(value))?;
                }
                (Measured::Newest(known), _) => *known = (*known).max(newest),
                (Measured::Histogram(histogram), Measure::Histogram { column, reference }) => match &reference.bins {
                    Bins::Numbers(_) => each_number(rows.column(*column), |value| {
                        if value.is_finite() {
                            histogram.add(reference.bins.of_number(value));
                        }
                    })?,
                    Bins::Categories(_) => {
                        let texts = cast(rows.column(*column), &DataType::Utf8)?;
                        texts.as_string::<i32>().iter().flatten().for_each(|text| histogram.add(reference.bins.of_text(text)));
                    }
                },
                _ => debug_assert!(false, "a window of another plan"),
            }
        }
        Ok(())
    }
}

fn each_number(column: &ArrayRef, mut take: impl FnMut(f64)) -> Result<(), ArrowError> {
    let numbers = cast(column, &DataType::Float64)?;
    numbers.as_primitive::<Float64Type>().iter().flatten().for_each(&mut take);
    Ok(())
}

/// A window that is complete.
#[derive(Clone, Debug, PartialEq)]
pub struct Closed {
    /// Microseconds; the end is not included.
    pub start: i64,
    pub end: i64,
    pub window: Window,
    /// One a rule, in the order of the plan.
    pub outcomes: Vec<Outcome>,
}

/// Adds up what lanes hand over, and closes windows. All state of a step's window rules.
pub struct Merger {
    plan: Arc<Plan>,
    windows: BTreeMap<i64, Window>,
    /// No window before this one can be open; `None` before the first row.
    next: Option<i64>,
    newest: Option<i64>,
    series: Vec<Series>,
    late_rows: u64,
}

impl Merger {
    pub fn new(plan: Arc<Plan>) -> Self {
        let series = vec![Series::default(); plan.series()];
        Self { plan, windows: BTreeMap::new(), next: None, newest: None, series, late_rows: 0 }
    }

    /// Adds windows of a lane.
    pub fn merge(&mut self, partial: BTreeMap<i64, Window>) {
        for (start, window) in partial {
            if self.next.is_some_and(|next| start < next) {
                self.late_rows += window.rows();
                continue;
            }
            match self.windows.entry(start) {
                std::collections::btree_map::Entry::Occupied(mut known) => known.get_mut().merge(&window),
                std::collections::btree_map::Entry::Vacant(free) => {
                    free.insert(window);
                }
            }
        }
    }

    /// Closes the windows that end no later than the watermark, the earliest first. At the end of the input (`i64::MAX`) all that
    /// have rows.
    pub fn close(&mut self, watermark: i64) -> Vec<Closed> {
        let over = self.plan.over;
        let mut closed = Vec::new();
        let mut empty = 0;
        while let Some((&start, _)) = self.windows.first_key_value() {
            let gap = self.next.unwrap_or(start);
            let at = if gap < start && empty < MAX_EMPTY { gap } else { start };
            if at.saturating_add(over) > watermark {
                return closed;
            }
            empty += usize::from(at < start);
            closed.push(self.close_one(at));
        }
        // Nothing is open: time goes on without rows.
        if let Some(mut next) = self.next
            && watermark != i64::MAX
        {
            while next.saturating_add(over) <= watermark && empty < MAX_EMPTY {
                empty += 1;
                closed.push(self.close_one(next));
                next += over;
            }
            if next.saturating_add(over) <= watermark {
                self.next = Some(watermark.div_euclid(over) * over);
            }
        }
        closed
    }

    fn close_one(&mut self, start: i64) -> Closed {
        let window = self.windows.remove(&start).unwrap_or_else(|| Window::new(&self.plan));
        let end = start.saturating_add(self.plan.over);
        self.next = Some(end);
        for measured in &window.0 {
            if let Measured::Newest(newest) = measured {
                self.newest = self.newest.max(*newest);
            }
        }
        let judge = |rule| judge(&self.plan, rule, &window, end, self.newest, &mut self.series);
        let outcomes = self.plan.rules.iter().map(judge).collect();
        Closed { start, end, window, outcomes }
    }

    /// Rows that came when their window was closed.
    pub fn late_rows(&self) -> u64 {
        self.late_rows
    }

    /// How long ago, by the clock, the newest row of closed windows was: a source that has fallen silent closes no window.
    pub fn age(&self, now: i64) -> Option<i64> {
        self.newest.map(|newest| now.saturating_sub(newest))
    }

    pub fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.windows.len() as u64);
        for (start, window) in &self.windows {
            out.extend_from_slice(&start.to_le_bytes());
            window.encode(out);
        }
        for time in [self.next, self.newest] {
            out.push(u8::from(time.is_some()));
            out.extend_from_slice(&time.unwrap_or_default().to_le_bytes());
        }
        put_varint(out, self.late_rows);
        put_varint(out, self.series.len() as u64);
        self.series.iter().for_each(|series| series.encode(out));
    }

    /// The state that [`encode`](Self::encode) wrote, for the same plan.
    pub fn decode(plan: Arc<Plan>, bytes: &[u8]) -> Result<Self, StateError> {
        let mut reader = Reader::new(bytes);
        let mut merger = Self::new(plan);
        for _ in 0..reader.size()? {
            let start = reader.i64()?;
            let window = Window::decode(&mut reader)?;
            if !window.fits(&merger.plan) {
                return Err(StateError::Malformed("a window has other measures than the rules ask for"));
            }
            merger.windows.insert(start, window);
        }
        let mut time = || -> Result<Option<i64>, StateError> {
            let given = reader.u8()? == 1;
            Ok(Some(reader.i64()?).filter(|_| given))
        };
        (merger.next, merger.newest) = (time()?, time()?);
        merger.late_rows = reader.varint()?;
        if reader.size()? != merger.series.len() {
            return Err(StateError::Malformed("there are other control charts than the rules ask for"));
        }
        for series in &mut merger.series {
            *series = Series::decode(&mut reader)?;
        }
        reader.finish()?;
        Ok(merger)
    }
}
