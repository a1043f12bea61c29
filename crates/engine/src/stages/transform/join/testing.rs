//! For tests: operators in lanes, fed with rows of numbers, restarted from checkpoints, and an SQL engine to hold them against.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use arrow::{
    array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray},
    datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType},
};
use datafusion::prelude::{SessionConfig, SessionContext};
use weir_plan::operator::Change;

use super::encode::RowEncoder;
use crate::{
    batch::{Batch, Origin},
    error::EngineError,
    stages::transform::operator::{Operator, OperatorContext, Output, Progress, Time},
    state::{LaneState, Settings, key_hash, lane_of},
};

/// Every value is a number, whatever the column's type.
pub type Row = Vec<Option<i64>>;

pub fn moment() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

pub fn schema(fields: &[(&str, DataType)]) -> SchemaRef {
    Arc::new(Schema::new(fields.iter().map(|(name, of)| Field::new(*name, of.clone(), true)).collect::<Vec<_>>()))
}

/// Key, time, text.
pub fn keyed() -> SchemaRef {
    schema(&[("k", DataType::Int64), ("t", moment()), ("v", DataType::Utf8)])
}

pub fn joined(left: &SchemaRef, right: &SchemaRef) -> SchemaRef {
    Arc::new(Schema::new(left.fields().iter().chain(right.fields()).cloned().collect::<Vec<_>>()))
}

pub fn batch(schema: &SchemaRef, rows: &[Row], changes: Option<Vec<Change>>) -> Batch {
    let columns = schema.fields().iter().enumerate().map(|(column, field)| -> ArrayRef {
        let values = rows.iter().map(|row| row[column]);
        match field.data_type() {
            DataType::Utf8 => Arc::new(values.map(|value| value.map(|value| value.to_string())).collect::<StringArray>()),
            DataType::Timestamp(..) => Arc::new(values.collect::<TimestampMicrosecondArray>().with_timezone("UTC")),
            _ => Arc::new(values.collect::<Int64Array>()),
        }
    });
    let rows = RecordBatch::try_new(schema.clone(), columns.collect()).unwrap();
    let origin = Arc::new(Origin { source: 0, partition: "p".into(), first_row: 0 });
    let mut batch = Batch::new(rows, origin, None);
    batch.changes = changes.map(Into::into);
    batch
}

pub fn rows_of(batch: &RecordBatch) -> Vec<Row> {
    let value = |column: &ArrayRef, row: usize| {
        column.is_valid(row).then(|| match column.data_type() {
            DataType::Utf8 => column.as_string::<i32>().value(row).parse().unwrap(),
            DataType::Utf8View => column.as_string_view().value(row).parse().unwrap(),
            DataType::Timestamp(..) => column.as_primitive::<TimestampMicrosecondType>().value(row),
            DataType::UInt64 => column.as_primitive::<arrow::datatypes::UInt64Type>().value(row) as i64,
            _ => column.as_primitive::<Int64Type>().value(row),
        })
    };
    (0..batch.num_rows()).map(|row| batch.columns().iter().map(|column| value(column, row)).collect()).collect()
}

type Build = Box<dyn Fn(&OperatorContext) -> Result<Box<dyn Operator>, EngineError>>;

/// An operator in some lanes, and all that it put out.
pub struct Rig {
    build: Build,
    inputs: Vec<SchemaRef>,
    changes: Vec<bool>,
    output: SchemaRef,
    keys: Vec<Vec<usize>>,
    settings: Settings,
    files: usize,
    pub lanes: Vec<Box<dyn Operator>>,
    pub time: Time,
    pub emitted: Vec<(Change, Row)>,
    pub late: Vec<Row>,
    /// Rows with the text of their reasons.
    pub rejected: Vec<(Row, String)>,
    _folder: tempfile::TempDir,
}

impl Rig {
    /// `keys` are the columns of each input by whose hash rows find their lanes.
    pub fn new(
        inputs: Vec<SchemaRef>,
        changes: Vec<bool>,
        output: SchemaRef,
        keys: Vec<Vec<usize>>,
        build: impl Fn(&OperatorContext) -> Result<Box<dyn Operator>, EngineError> + 'static,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings {
            key: weir_vault::Key::generate().unwrap(),
            operator: [7; 32],
            folder: folder.path().to_owned(),
            memory_limit: None,
        };
        let time = Time { watermark: i64::MIN, now: 0 };
        let mut rig = Self {
            build: Box::new(build),
            inputs,
            changes,
            output,
            keys,
            settings,
            files: 0,
            lanes: Vec::new(),
            time,
            emitted: Vec::new(),
            late: Vec::new(),
            rejected: Vec::new(),
            _folder: folder,
        };
        rig.open(1, BTreeMap::new());
        rig
    }

    pub fn context(&self, lane: usize, lanes: usize, restored: BTreeMap<String, Vec<LaneState>>) -> OperatorContext {
        OperatorContext {
            node: "step".into(),
            inputs: self.inputs.clone(),
            input_changes: self.changes.clone(),
            output: self.output.clone(),
            lane,
            lanes,
            settings: self.settings.clone(),
            restored,
        }
    }

    fn open(&mut self, lanes: usize, restored: BTreeMap<String, Vec<LaneState>>) {
        self.lanes = (0..lanes).map(|lane| (self.build)(&self.context(lane, lanes, restored.clone())).unwrap()).collect();
    }

    /// Takes a checkpoint and goes on from it in so many lanes, as after a crash.
    pub fn restart(&mut self, lanes: usize) {
        let mut written: BTreeMap<String, Vec<LaneState>> = BTreeMap::new();
        for lane in 0..self.lanes.len() {
            for (name, state) in self.lanes[lane].states() {
                self.files += 1;
                let state = state.snapshot().write(&format!("state-{}", self.files)).unwrap();
                written.entry(name.to_owned()).or_default().push(state);
            }
        }
        self.open(lanes, written);
        self.advance(self.time);
    }

    /// Rows of one input, in order.
    pub fn push(&mut self, input: usize, rows: &[(Row, Change)]) {
        if rows.is_empty() {
            return;
        }
        let encoder = RowEncoder::new(&self.inputs[input], &self.keys[input]).unwrap();
        let plain: Vec<Row> = rows.iter().map(|(row, _)| row.clone()).collect();
        let keys = encoder.encode(&batch(&self.inputs[input], &plain, None).rows).unwrap();
        let lanes = self.lanes.len();
        for lane in 0..lanes {
            let own = |row: &usize| lane_of(key_hash(keys.get(*row)), lanes) == lane;
            let (own, changes): (Vec<Row>, Vec<Change>) = (0..rows.len()).filter(own).map(|row| rows[row].clone()).unzip();
            if own.is_empty() {
                continue;
            }
            let batch = batch(&self.inputs[input], &own, self.changes[input].then_some(changes));
            let mut out = Output::default();
            self.lanes[lane].process(input, &batch, &mut out).unwrap();
            let late: usize = out.late.iter().map(|rows| rows.rows.len()).sum();
            let rejected: usize = out.rejected.iter().map(|(rows, _)| rows.rows.len()).sum();
            assert_eq!(out.absorbed + out.dropped + (late + rejected) as u64, own.len() as u64, "rows are conserved");
            self.collect(out);
        }
    }

    pub fn insert(&mut self, input: usize, rows: &[Row]) {
        self.push(input, &rows.iter().map(|row| (row.clone(), Change::Insert)).collect::<Vec<_>>());
    }

    pub fn advance(&mut self, time: Time) {
        self.time = time;
        for lane in 0..self.lanes.len() {
            let mut out = Output::default();
            while self.lanes[lane].advance(time, &mut out).unwrap() == Progress::More {}
            self.collect(out);
        }
    }

    pub fn watermark(&mut self, watermark: i64) {
        self.advance(Time { watermark, ..self.time });
    }

    pub fn clock(&mut self, now: i64) {
        self.advance(Time { now, ..self.time });
    }

    fn collect(&mut self, out: Output) {
        for emitted in out.rows {
            let rows = rows_of(&emitted.rows);
            let changes = emitted.changes.map_or(vec![Change::Insert; rows.len()], |changes| changes.to_vec());
            self.emitted.extend(changes.into_iter().zip(rows));
        }
        self.late.extend(out.late.iter().flat_map(|rows| rows_of(&rows.batch.take(&rows.rows).unwrap())));
        let input = out.rejected.into_iter().map(|(rows, reasons)| (rows.batch.take(&rows.rows).unwrap(), reasons));
        for (rows, reasons) in input.chain(out.rejected_later) {
            let reasons = reasons
                .iter()
                .map(|reasons| reasons.iter().map(|reason| format!("{}: {}", reason.rule, reason.detail)).collect());
            self.rejected.extend(rows_of(&rows).into_iter().zip(reasons));
        }
    }

    /// What was put out since the last call.
    pub fn take(&mut self) -> Vec<(Change, Row)> {
        std::mem::take(&mut self.emitted)
    }

    /// As [`Self::take`], as text.
    pub fn texts(&mut self) -> Vec<String> {
        let cell = |value: &Option<i64>| value.map_or("-".to_owned(), |value| value.to_string());
        let text =
            |(change, row): (Change, Row)| format!("{} {}", change.as_str(), row.iter().map(cell).collect::<Vec<_>>().join(" "));
        self.take().into_iter().map(text).collect()
    }
}

/// The rows of a changelog that are there now.
#[derive(Debug, Default)]
pub struct Materialised(HashMap<Row, i64>);

impl Materialised {
    pub fn apply(&mut self, log: Vec<(Change, Row)>) {
        for (change, row) in log {
            let count = self.0.entry(row.clone()).or_default();
            *count += if change.is_retraction() { -1 } else { 1 };
            assert!(*count >= 0, "{row:?} is taken back more often than it was put out");
        }
    }

    pub fn rows(&self) -> Vec<Row> {
        let mut rows: Vec<Row> =
            self.0.iter().flat_map(|(row, &count)| std::iter::repeat_n(row.clone(), count as usize)).collect();
        rows.sort();
        rows
    }
}

/// What DataFusion answers, sorted. All columns are BIGINT.
pub fn sql(tables: &[(&str, &[&str], &[Row])], query: &str) -> Vec<Row> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
        for (name, columns, rows) in tables {
            let schema = schema(&columns.iter().map(|column| (*column, DataType::Int64)).collect::<Vec<_>>());
            context.register_batch(*name, batch(&schema, rows, None).rows).unwrap();
        }
        let batches = context.sql(query).await.unwrap().collect().await.unwrap();
        let mut rows: Vec<Row> = batches.iter().flat_map(rows_of).collect();
        rows.sort();
        rows
    })
}
