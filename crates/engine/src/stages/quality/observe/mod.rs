//! Operators that watch rows beside their way: window rules of quality steps ([`measure`]) and alerts ([`alert`]).
//!
//! Each runs in one lane, which sees all rows of its input in order, so that what it notices depends on neither lanes nor batches. It
//! absorbs every row. What it notices leaves at barriers ([`Operator::take_observations`]) and is committed with the rows' checkpoint.
//!
//! Where a row came behind the watermark, its exact watermark is known (see [`crate::batch::Batch::behind`]); where it did not, the
//! watermark is no later than the row. What is decided here asks for no more than that.

pub mod alert;
pub mod measure;
mod piece;

use std::path::Path;

use arrow::{array::RecordBatch, error::ArrowError};
use weir_plan::operator::{self as planned, TimeBasis};
use weir_vault::Mac;

use self::{alert::AlertOperator, measure::MeasureOperator};
use crate::{
    error::EngineError,
    stages::transform::{
        operator::{Operator, OperatorContext},
        window,
    },
};

/// What observers need besides what every operator does.
pub struct ObserverContext<'c> {
    pub operator: &'c OperatorContext,
    /// The step's name in the document.
    pub step: &'c str,
    /// Reference files lie relative to it.
    pub base_dir: &'c Path,
    /// Hashes causes of alerts.
    pub causes: Mac,
}

/// The observer of a node; none where the node is no observer.
pub fn build(planned: &planned::Operator, context: &ObserverContext<'_>) -> Option<Result<Box<dyn Operator>, EngineError>> {
    Some(match planned {
        planned::Operator::Measure(node) => MeasureOperator::new(node, context).map(|made| Box::new(made) as Box<dyn Operator>),
        planned::Operator::Alert(node) => AlertOperator::new(node, context).map(|made| Box::new(made) as Box<dyn Operator>),
        _ => return None,
    })
}

/// The clock as operators know it: as of the last ticket, the same after a restart of the thread.
#[derive(Debug)]
struct Clock(Option<i64>);

impl Clock {
    fn new() -> Self {
        Self(None)
    }

    /// Microseconds since 1970-01-01T00:00:00Z. Never goes back.
    fn now(&mut self) -> i64 {
        *self.0.get_or_insert_with(|| chrono::Utc::now().timestamp_micros())
    }

    fn told(&mut self, now: i64) {
        self.0 = self.0.max(Some(now));
    }
}

/// The time of each row; none where its column is null.
fn times(basis: TimeBasis, rows: &RecordBatch, now: i64) -> Result<Vec<Option<i64>>, ArrowError> {
    Ok(match basis {
        TimeBasis::Event(column) => window::micros(rows.column(column))?.iter().collect(),
        TimeBasis::Processing => vec![Some(now); rows.num_rows()],
    })
}

#[cfg(test)]
mod tests;
