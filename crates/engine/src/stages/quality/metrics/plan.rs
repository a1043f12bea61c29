//! What is measured of each window, and which rule asks for it.

use std::{path::Path, sync::Arc};

use arrow::datatypes::{DataType, SchemaRef};
use weir_connectors::ConnectorError;
use weir_spec::{
    metric::{ControlChart, DistributionTest, Metric, RuleSeverity, WindowCheck, WindowQuality},
    types::Timespan,
};

use super::{
    control::{self, Chart},
    distribution::{Bins, Reference},
    reference_file,
};
use crate::{
    error::EngineError,
    state::{
        codec::{put_bytes, put_varint},
        key_hash,
    },
};

/// The rules of a step bound to the columns of its input.
#[derive(Debug)]
pub struct Plan {
    /// The length of a window, microseconds.
    pub over: i64,
    pub measures: Vec<Measure>,
    pub rules: Vec<Rule>,
}

/// Something added up over a window's rows. Columns of the input.
#[derive(Clone, Debug, PartialEq)]
pub enum Measure {
    /// Always the first one.
    Rows,
    Present(usize),
    Distinct(Vec<usize>),
    Moments(usize),
    Digest(usize),
    /// The newest event time.
    Newest,
    Histogram {
        column: usize,
        reference: Arc<Reference>,
    },
}

/// A rule and where its number comes from.
#[derive(Debug)]
pub struct Rule {
    pub name: String,
    pub severity: RuleSeverity,
    /// The metric in words: `mean(amount)`.
    pub metric: String,
    pub judged: Judged,
}

/// How a rule judges.
#[derive(Debug)]
pub enum Judged {
    Bounds {
        metric: Reading,
        min: Option<f64>,
        max: Option<f64>,
    },
    Freshness {
        newest: usize,
        max: i64,
    },
    Distribution {
        histogram: usize,
        test: DistributionTest,
        max: Option<f64>,
        min_p: Option<f64>,
    },
    /// `series` counts control rules.
    Control {
        metric: Reading,
        series: usize,
        plan: control::Plan,
    },
}

/// A metric as it is read from measures (by number).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reading {
    Rows,
    Completeness(usize),
    Uniqueness(usize),
    Mean(usize),
    Sum(usize),
    Min(usize),
    Max(usize),
    Stddev(usize),
    Quantile(usize, f64),
}

impl Plan {
    /// Binds rules to the columns of a schema and reads their reference files, which lie relative to `base_dir`.
    pub fn compile(node: &str, quality: &WindowQuality, schema: &SchemaRef, base_dir: &Path) -> Result<Self, EngineError> {
        let mut plan = Self { over: micros(quality.over).max(1), measures: vec![Measure::Rows], rules: Vec::new() };
        for rule in &quality.rules {
            let wrong =
                |message: String| EngineError::connector(node, ConnectorError::Config(format!("rule {}: {message}", rule.name)));
            let judged = plan.judged(&rule.check, schema, base_dir).map_err(wrong)?;
            let metric = match &rule.check {
                WindowCheck::Bounds { metric, .. } => metric.to_string(),
                WindowCheck::Control(control) => control.metric.to_string(),
                other => other.default_name(),
            };
            plan.rules.push(Rule { name: rule.name.clone(), severity: rule.severity, metric, judged });
        }
        Ok(plan)
    }

    /// How many control series there are.
    pub fn series(&self) -> usize {
        self.rules.iter().filter(|rule| matches!(rule.judged, Judged::Control { .. })).count()
    }

    /// Tells the reference files' contents from others.
    pub fn references(&self) -> u64 {
        let mut bytes = Vec::new();
        for measure in &self.measures {
            if let Measure::Histogram { reference, .. } = measure {
                bytes.extend(reference.shares.iter().flat_map(|share| share.to_le_bytes()));
                match &reference.bins {
                    Bins::Numbers(ends) => bytes.extend(ends.iter().flat_map(|end| end.to_le_bytes())),
                    Bins::Categories(names) => {
                        let mut names: Vec<_> = names.iter().collect();
                        names.sort();
                        names.iter().for_each(|(name, bin)| {
                            put_bytes(&mut bytes, name.as_bytes());
                            put_varint(&mut bytes, **bin as u64);
                        });
                    }
                }
            }
        }
        key_hash(&bytes)
    }

    fn judged(&mut self, check: &WindowCheck, schema: &SchemaRef, base_dir: &Path) -> Result<Judged, String> {
        Ok(match check {
            WindowCheck::Bounds { metric, min, max } => {
                Judged::Bounds { metric: self.reading(metric, schema)?, min: *min, max: *max }
            }
            WindowCheck::Freshness { max } => Judged::Freshness { newest: self.measure(Measure::Newest), max: micros(*max) },
            WindowCheck::Distribution(distribution) => {
                let column = index(schema, &distribution.column)?;
                let key = distribution.key.as_deref().unwrap_or(&distribution.column);
                let values = reference_file::values(&base_dir.join(&distribution.reference), key)?;
                let bins = distribution.bins as usize;
                let reference = if is_number(schema.field(column).data_type()) {
                    Reference::of_numbers(values.iter().filter_map(|value| value.trim().parse().ok()), bins)
                } else {
                    Reference::of_categories(values.iter().map(String::as_str), bins)
                };
                let reference =
                    reference.ok_or_else(|| format!("`{key}` of {} has no values to compare with", distribution.reference))?;
                let histogram = self.measure(Measure::Histogram { column, reference: Arc::new(reference) });
                Judged::Distribution { histogram, test: distribution.test, max: distribution.max, min_p: distribution.min_p }
            }
            WindowCheck::Control(rule) => {
                let chart = match rule.chart {
                    ControlChart::Shewhart { sigmas } => Chart::Shewhart { sigmas },
                    ControlChart::Ewma { lambda, limit } => Chart::Ewma { lambda, limit },
                    ControlChart::Cusum { slack, decision } => Chart::Cusum { slack, decision },
                };
                let plan = control::Plan { chart, training: rule.training, western_electric: rule.western_electric };
                Judged::Control { metric: self.reading(&rule.metric, schema)?, series: self.series(), plan }
            }
        })
    }

    fn reading(&mut self, metric: &Metric, schema: &SchemaRef) -> Result<Reading, String> {
        let columns = metric.columns().into_iter().map(|column| index(schema, column)).collect::<Result<Vec<_>, _>>()?;
        if let Some(&column) = columns.first().filter(|_| metric.is_numeric()) {
            let field = schema.field(column);
            if !is_number(field.data_type()) {
                return Err(format!("{metric} needs numbers; `{}` is {}", field.name(), field.data_type()));
            }
        }
        let mut moments = || self.measure(Measure::Moments(columns[0]));
        Ok(match metric {
            Metric::RowCount => Reading::Rows,
            Metric::Mean { .. } => Reading::Mean(moments()),
            Metric::Sum { .. } => Reading::Sum(moments()),
            Metric::Min { .. } => Reading::Min(moments()),
            Metric::Max { .. } => Reading::Max(moments()),
            Metric::Stddev { .. } => Reading::Stddev(moments()),
            Metric::Completeness { .. } => Reading::Completeness(self.measure(Measure::Present(columns[0]))),
            Metric::Uniqueness { .. } => Reading::Uniqueness(self.measure(Measure::Distinct(columns))),
            Metric::Quantile { q, .. } => Reading::Quantile(self.measure(Measure::Digest(columns[0])), *q),
        })
    }

    fn measure(&mut self, measure: Measure) -> usize {
        self.measures.iter().position(|known| *known == measure).unwrap_or_else(|| {
            self.measures.push(measure);
            self.measures.len() - 1
        })
    }
}

fn index(schema: &SchemaRef, column: &str) -> Result<usize, String> {
    schema.index_of(column).map_err(|_| format!("there is no column `{column}`"))
}

fn is_number(of: &DataType) -> bool {
    of.is_numeric()
}

fn micros(span: Timespan) -> i64 {
    i64::try_from(span.as_duration().as_micros()).unwrap_or(i64::MAX)
}
