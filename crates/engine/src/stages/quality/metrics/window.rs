//! Windows: rows added up, windows closed and judged, in the order of time.

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
    distribution::Bins,
    judge::{Outcome, judge},
    measured::Measured,
    plan::{Measure, Plan},
};
use crate::{
    stages::transform::window::floor,
    state::{
        StateError,
        codec::{Reader, put_varint},
        key_hash,
    },
};

/// Windows without rows that are closed in a row, at most: beyond, the stream was still for so long that more of them say nothing new.
const MAX_EMPTY: usize = 10_000;

/// The measures of a window, in the order of the plan. Windows of one plan add up, also to longer ones.
#[derive(Clone, Debug, PartialEq)]
pub struct Window(pub Vec<Measured>);

impl Window {
    pub fn new(plan: &Plan) -> Self {
        Self(plan.measures.iter().map(Measured::new).collect())
    }

    pub fn rows(&self) -> u64 {
        if let Some(Measured::Rows(rows)) = self.0.first() { *rows } else { 0 }
    }

    /// Adds a window of the same plan.
    pub fn merge(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(mine, other)| mine.merge(other));
    }

    pub fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.0.len() as u64);
        self.0.iter().for_each(|measured| measured.encode(out));
    }

    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, StateError> {
        let count = reader.size()?;
        if count > reader.remaining().len() {
            return Err(StateError::Malformed("a window is cut off"));
        }
        Ok(Self((0..count).map(|_| Measured::decode(reader)).collect::<Result<_, _>>()?))
    }

    /// Bytes, roughly.
    fn memory(&self) -> usize {
        self.0.iter().map(Measured::memory).sum()
    }

    /// Whether it is a window of this plan.
    fn fits(&self, plan: &Plan) -> bool {
        let fresh = Self::new(plan);
        self.0.len() == fresh.0.len() && self.0.iter().zip(&fresh.0).all(|(mine, of)| mine.is_like(of))
    }
}

/// A window that is complete.
#[derive(Clone, Debug, PartialEq)]
pub struct Closed {
    /// Microseconds; the end is not included.
    pub start: i64,
    pub end: i64,
    pub window: Window,
    /// Rows that no window took in since the one before.
    pub late_rows: u64,
    /// One a rule, in the order of the plan.
    pub outcomes: Vec<Outcome>,
}

/// The open windows of a step, and what its control charts remember: all state of its window rules.
///
/// Rows are added one by one in their order, so that what a window adds up to does not depend on how they were cut into batches, to
/// the last bit.
pub struct OpenWindows {
    plan: Arc<Plan>,
    /// For measures of several columns, by measure.
    keys: Vec<Option<RowConverter>>,
    windows: BTreeMap<i64, Window>,
    /// No window before this one can be open; `None` before the first row.
    next: Option<i64>,
    /// The newest time in closed windows.
    newest: Option<i64>,
    /// The newest time of all rows.
    latest: Option<i64>,
    /// How far time is known to have come; not kept over a restore, after which it is told anew.
    until: i64,
    /// Windows closed without rows since the last one with rows.
    empty: usize,
    series: Vec<Series>,
    late_rows: u64,
}

impl OpenWindows {
    /// For rows of this schema.
    pub fn new(plan: Arc<Plan>, schema: &SchemaRef) -> Result<Self, ArrowError> {
        let field = |column: &usize| SortField::new(schema.field(*column).data_type().clone());
        let keys = plan.measures.iter().map(|measure| match measure {
            Measure::Distinct(columns) => RowConverter::new(columns.iter().map(field).collect()).map(Some),
            _ => Ok(None),
        });
        let keys = keys.collect::<Result<_, _>>()?;
        let series = vec![Series::default(); plan.series()];
        Ok(Self {
            plan,
            keys,
            windows: BTreeMap::new(),
            next: None,
            newest: None,
            latest: None,
            until: i64::MIN,
            empty: 0,
            series,
            late_rows: 0,
        })
    }

    /// Takes in rows and the time of each (event time, or the clock where there is none), microseconds. A row without a time counts with
    /// the newest one before it. Rows whose window is closed are counted.
    pub fn add(&mut self, rows: &RecordBatch, times: &[Option<i64>]) -> Result<(), ArrowError> {
        debug_assert_eq!(rows.num_rows(), times.len());
        let mut placed = Vec::with_capacity(times.len());
        for time in times {
            self.latest = self.latest.max(*time);
            placed.extend(time.or(self.latest));
        }
        let timeless = times.len() - placed.len();
        if timeless == 0 {
            return self.add_placed(rows, &placed);
        }
        // Nothing before them had a time either.
        self.late_rows += timeless as u64;
        self.add_placed(&rows.slice(timeless, placed.len()), &placed)
    }

    fn add_placed(&mut self, rows: &RecordBatch, times: &[i64]) -> Result<(), ArrowError> {
        let over = self.plan.over;
        let window_of = |time: i64| floor(time, over, 0);
        let Some(&first) = times.first() else { return Ok(()) };
        let first = window_of(first);
        if times.iter().all(|&time| (first..first.saturating_add(over)).contains(&time)) {
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

    fn add_to(&mut self, start: i64, rows: &RecordBatch, newest: Option<i64>) -> Result<(), ArrowError> {
        let end = start.saturating_add(self.plan.over);
        if self.next.is_some_and(|next| start < next) || end <= self.until {
            self.late_rows += rows.num_rows() as u64;
            return Ok(());
        }
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

    /// Closes the windows that end no later than this, the earliest first: those without rows between others too, and those without
    /// rows up to here, [`MAX_EMPTY`] in a row at most. At the end of the input (`i64::MAX`) none after the last one with rows.
    pub fn close(&mut self, until: i64) -> Vec<Closed> {
        let over = self.plan.over;
        self.until = self.until.max(until);
        let mut closed = Vec::new();
        while let Some((&start, _)) = self.windows.first_key_value() {
            let gap = self.next.unwrap_or(start);
            let at = if gap < start && self.empty < MAX_EMPTY { gap } else { start };
            if at.saturating_add(over) > until {
                return closed;
            }
            closed.push(self.close_one(at));
        }
        // Nothing is open: time goes on without rows.
        if let Some(mut next) = self.next
            && until != i64::MAX
        {
            while next.saturating_add(over) <= until && self.empty < MAX_EMPTY {
                closed.push(self.close_one(next));
                next += over;
            }
        }
        closed
    }

    /// Closes those windows with rows that end no later than this, and lets all others before pass: nobody was there to see whether
    /// rows came.
    pub fn close_after_absence(&mut self, until: i64) -> Vec<Closed> {
        let over = self.plan.over;
        self.until = self.until.max(until);
        let mut closed = Vec::new();
        while let Some((&start, _)) = self.windows.first_key_value().filter(|(start, _)| start.saturating_add(over) <= until) {
            closed.push(self.close_one(start));
        }
        if until != i64::MAX && self.next.is_some_and(|next| next.saturating_add(over) <= until) {
            self.next = Some(floor(until, over, 0));
        }
        closed
    }

    fn close_one(&mut self, start: i64) -> Closed {
        let mut window = self.windows.remove(&start).unwrap_or_else(|| Window::new(&self.plan));
        let end = start.saturating_add(self.plan.over);
        self.next = Some(end);
        self.empty = if window.rows() == 0 { self.empty + 1 } else { 0 };
        for measured in &mut window.0 {
            measured.settle();
            // The newest of all rows so far: a window without rows has an age too, and so has an hour of such.
            if let Measured::Newest(newest) = measured {
                self.newest = self.newest.max(*newest);
                *newest = self.newest;
            }
        }
        let judge = |rule| judge(rule, &window, end, &mut self.series);
        let outcomes = self.plan.rules.iter().map(judge).collect();
        Closed { start, end, window, late_rows: std::mem::take(&mut self.late_rows), outcomes }
    }

    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.plan.references().to_le_bytes());
        put_varint(out, self.windows.len() as u64);
        for (start, window) in &self.windows {
            out.extend_from_slice(&start.to_le_bytes());
            window.encode(out);
        }
        for time in [self.next, self.newest, self.latest] {
            out.push(u8::from(time.is_some()));
            out.extend_from_slice(&time.unwrap_or_default().to_le_bytes());
        }
        put_varint(out, self.empty as u64);
        put_varint(out, self.late_rows);
        put_varint(out, self.series.len() as u64);
        self.series.iter().for_each(|series| series.encode(out));
    }

    /// Goes on from what [`encode`](Self::encode) wrote for the same plan. Where a reference file has changed since, the values of open
    /// windows are compared from here on only: what was counted by other bins is forgotten.
    pub fn restore(&mut self, bytes: &[u8]) -> Result<(), StateError> {
        let mut reader = Reader::new(bytes);
        let same_references = reader.u64()? == self.plan.references();
        let fresh = Window::new(&self.plan);
        for _ in 0..reader.size()? {
            let start = reader.i64()?;
            let mut window = Window::decode(&mut reader)?;
            if !same_references && window.0.len() == fresh.0.len() {
                for (measured, fresh) in window.0.iter_mut().zip(&fresh.0) {
                    if let (Measured::Histogram(measured), Measured::Histogram(fresh)) = (measured, fresh) {
                        *measured = fresh.clone();
                    }
                }
            }
            if !window.fits(&self.plan) {
                return Err(StateError::Malformed("a window has other measures than the rules ask for"));
            }
            self.windows.insert(start, window);
        }
        let mut time = || -> Result<Option<i64>, StateError> {
            let given = reader.u8()? == 1;
            Ok(Some(reader.i64()?).filter(|_| given))
        };
        (self.next, self.newest, self.latest) = (time()?, time()?, time()?);
        self.empty = reader.size()?;
        self.late_rows = reader.varint()?;
        if reader.size()? != self.series.len() {
            return Err(StateError::Malformed("there are other control charts than the rules ask for"));
        }
        for series in &mut self.series {
            *series = Series::decode(&mut reader)?;
        }
        reader.finish()
    }

    /// Bytes, roughly.
    pub fn memory(&self) -> usize {
        self.windows.values().map(Window::memory).sum()
    }
}

fn each_number(column: &ArrayRef, mut take: impl FnMut(f64)) -> Result<(), ArrowError> {
    let numbers = cast(column, &DataType::Float64)?;
    numbers.as_primitive::<Float64Type>().iter().flatten().for_each(&mut take);
    Ok(())
}
