//! Patterns against published results, against a naive matcher, and through checkpoints.

mod golden;
mod limits;
mod oracle;
mod random;

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray},
    datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType},
};
use datafusion::logical_expr::{Expr, col};
use weir_plan::operator::{AfterMatch, AggregateFunction, MatchExpr, MatchNode, MatchPart, Pattern};

use super::MatchOperator;
use crate::{
    batch::{Batch, Origin},
    error::EngineError,
    stages::transform::operator::{Operator, OperatorContext, Output, Progress, Time},
    state::{LaneState, Settings},
};

/// Columns of the test table.
const SYMBOL: usize = 0;
const TIME: usize = 1;
const PRICE: usize = 2;
/// A bit of its own for each row of a partition, so that a sum over a variable tells its rows.
const BIT: usize = 3;

const A: usize = 0;
const B: usize = 1;
const C: usize = 2;

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("symbol", DataType::Utf8, true),
        Field::new("rowtime", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true),
        Field::new("price", DataType::Int64, true),
        Field::new("bit", DataType::Int64, true),
    ]))
}

/// A row of the test table: symbol, time, price.
type Tick = (&'static str, i64, Option<i64>);

fn batch(rows: &[Tick], bits: &[i64]) -> Batch {
    let symbols: ArrayRef = Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.0)));
    let times: ArrayRef =
        Arc::new(TimestampMicrosecondArray::from_iter_values(rows.iter().map(|row| row.1)).with_timezone("UTC"));
    let prices: ArrayRef = Arc::new(rows.iter().map(|row| row.2).collect::<Int64Array>());
    let bits: ArrayRef = Arc::new(Int64Array::from(bits.to_vec()));
    let rows = RecordBatch::try_new(schema(), vec![symbols, times, prices, bits]).unwrap();
    Batch::new(rows, Arc::new(Origin { source: 0, partition: "p".into(), first_row: 0 }), None)
}

fn last(variable: impl Into<Option<usize>>, column: usize) -> MatchPart {
    MatchPart::Last { variable: variable.into(), column, offset: 0 }
}

fn first(variable: impl Into<Option<usize>>, column: usize) -> MatchPart {
    MatchPart::First { variable: variable.into(), column, offset: 0 }
}

fn aggregate(function: AggregateFunction, variable: impl Into<Option<usize>>, column: usize) -> MatchPart {
    MatchPart::Aggregate { variable: variable.into(), function, column: Some(column) }
}

/// An expression over parts, which it calls `$0`, `$1`, ...
fn over(parts: impl Into<Vec<MatchPart>>, expr: Expr) -> MatchExpr {
    MatchExpr { expr: Arc::new(expr), parts: parts.into() }
}

fn part(part: MatchPart) -> MatchExpr {
    over([part], col("$0"))
}

fn repeat(variable: usize, min: u32, max: Option<u32>, greedy: bool) -> Pattern {
    Pattern::Repeat { pattern: Box::new(Pattern::Variable(variable)), min, max, greedy }
}

/// A node over the test table, partitioned by symbol.
fn node(pattern: Pattern, defines: Vec<Option<MatchExpr>>, measures: Vec<MatchExpr>, after: AfterMatch) -> MatchNode {
    MatchNode {
        partition: vec![SYMBOL],
        time: TIME,
        order: Vec::new(),
        variables: ["A", "B", "C"].iter().take(defines.len()).map(|name| (*name).to_owned()).collect(),
        pattern,
        defines,
        measures: measures.into_iter().enumerate().map(|(n, measure)| (measure, format!("m{n}"))).collect(),
        after,
        within: None,
    }
}

struct Bench {
    node: MatchNode,
    types: Vec<DataType>,
    settings: Settings,
    files: usize,
    operator: MatchOperator,
    _folder: tempfile::TempDir,
}

impl Bench {
    /// An operator whose measures have these types.
    fn new(node: MatchNode, types: Vec<DataType>) -> Result<Self, EngineError> {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings {
            key: weir_vault::Key::generate().unwrap(),
            operator: [7; 32],
            folder: folder.path().to_owned(),
            memory_limit: None,
        };
        let operator = MatchOperator::new(&node, &context(&types, &settings, Vec::new()))?;
        Ok(Self { node, types, settings, files: 0, operator, _folder: folder })
    }

    fn push(&mut self, batch: &Batch) -> Result<Output, EngineError> {
        let mut out = Output::default();
        self.operator.process(0, batch, &mut out)?;
        Ok(out)
    }

    /// Rows put out when the watermark comes to this, as text: the symbol and each measure.
    fn advance(&mut self, watermark: i64) -> Result<Vec<String>, EngineError> {
        let mut out = Output::default();
        while self.operator.advance(Time { watermark, now: 0 }, &mut out)? == Progress::More {}
        Ok(out.rows.iter().flat_map(|emitted| texts(&emitted.rows)).collect())
    }

    /// Takes a checkpoint and goes on from it, as after a crash.
    fn restart(&mut self) {
        self.files += 1;
        let name = format!("state-{}", self.files);
        let written = self.operator.states().remove(0).1.snapshot().write(&name).unwrap();
        let context = context(&self.types, &self.settings, vec![written]);
        self.operator = MatchOperator::new(&self.node, &context).unwrap();
    }
}

fn context(types: &[DataType], settings: &Settings, restored: Vec<LaneState>) -> OperatorContext {
    let measures = types.iter().enumerate().map(|(n, of)| Field::new(format!("m{n}"), of.clone(), true));
    let output =
        Arc::new(Schema::new(std::iter::once(Field::new("symbol", DataType::Utf8, true)).chain(measures).collect::<Vec<_>>()));
    let restored = if restored.is_empty() { BTreeMap::new() } else { BTreeMap::from([("partitions".to_owned(), restored)]) };
    OperatorContext {
        node: "spikes".into(),
        inputs: vec![schema()],
        input_changes: vec![false],
        output,
        lane: 0,
        lanes: 1,
        settings: settings.clone(),
        restored,
    }
}

fn texts(rows: &RecordBatch) -> Vec<String> {
    let cell = |column: &ArrayRef, row: usize| {
        if column.is_null(row) {
            return "null".to_owned();
        }
        match column.data_type() {
            DataType::Int64 => column.as_primitive::<Int64Type>().value(row).to_string(),
            DataType::Timestamp(..) => column.as_primitive::<TimestampMicrosecondType>().value(row).to_string(),
            _ => arrow::util::display::array_value_to_string(column, row).unwrap(),
        }
    };
    (0..rows.num_rows()).map(|row| rows.columns().iter().map(|column| cell(column, row)).collect::<Vec<_>>().join(" ")).collect()
}

fn moment() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}
