//! What is measured of each window, and which rule asks for it.

use std::{path::Path, slice, sync::Arc};

use arrow::datatypes::{DataType, SchemaRef};
use weir_connectors::ConnectorError;
use weir_spec::{
    metric::{ControlChart, DistributionTest, Metric, RuleSeverity, WindowCheck, WindowQuality},
    types::Timespan,
};

use super::{
    control::{self, Chart},
    distribution::Reference,
    number::Number,
    reference_file,
    window::Window,
};
use crate::{
    error::EngineError,
    state::{codec::put_bytes, key_hash},
};

/// The rules of a step bound to the columns of its input.
#[derive(Debug)]
pub struct Plan {
    /// The length of a window, microseconds.
    pub over: i64,
    pub measures: Vec<Measure>,
    /// Of each measure, what tells it from measures of something else, in this plan and in any other.
    pub identities: Vec<u64>,
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
    /// What is judged, and the measure it is read from.
    pub number: Number,
    pub measure: usize,
    pub judged: Judged,
}

/// How a rule judges its number.
#[derive(Debug)]
pub enum Judged {
    /// Inclusive; `what` is the number in words.
    Bounds { what: String, min: Option<f64>, max: Option<f64> },
    /// Microseconds.
    Freshness { max: i64 },
    /// `series` counts control rules.
    Control { series: usize, plan: control::Plan },
}

impl Rule {
    /// The rule's number of a window that ends at `end`; none where there is nothing to compute it from.
    pub fn value(&self, window: &Window, end: i64) -> Option<f64> {
        self.number.of(window.rows(), window.0.get(self.measure)?, end)
    }
}

impl Plan {
    /// Binds rules to the columns of a schema and reads their reference files, which lie relative to `base_dir`.
    pub fn compile(node: &str, quality: &WindowQuality, schema: &SchemaRef, base_dir: &Path) -> Result<Self, EngineError> {
        let over = micros(quality.over).max(1);
        let mut plan = Self { over, measures: vec![Measure::Rows], identities: Vec::new(), rules: Vec::new() };
        for rule in &quality.rules {
            let wrong =
                |message: String| EngineError::connector(node, ConnectorError::Config(format!("rule {}: {message}", rule.name)));
            let (number, measure, judged) = plan.judged(&rule.check, schema, base_dir).map_err(wrong)?;
            let metric = match &rule.check {
                WindowCheck::Bounds { metric, .. } => metric.to_string(),
                WindowCheck::Control(control) => control.metric.to_string(),
                other => other.default_name(),
            };
            plan.rules.push(Rule { name: rule.name.clone(), severity: rule.severity, metric, number, measure, judged });
        }
        plan.identities = plan.measures.iter().map(|measure| measure.identity(schema)).collect();
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
                reference.encode(&mut bytes);
            }
        }
        key_hash(&bytes)
    }

    /// The number a rule looks at, the measure it is read from, and how it is judged.
    fn judged(&mut self, check: &WindowCheck, schema: &SchemaRef, base_dir: &Path) -> Result<(Number, usize, Judged), String> {
        Ok(match check {
            WindowCheck::Bounds { metric, min, max } => {
                let (number, measure) = self.number(metric, schema)?;
                (number, measure, Judged::Bounds { what: metric.to_string(), min: *min, max: *max })
            }
            WindowCheck::Freshness { max } => {
                (Number::Age, self.measure(Measure::Newest), Judged::Freshness { max: micros(*max) })
            }
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
                let number = Number::Distance(distribution.test, reference.shares.clone());
                let histogram = self.measure(Measure::Histogram { column, reference: Arc::new(reference) });
                let (what, min, max) = match distribution.test {
                    DistributionTest::Psi => ("the population stability index", None, distribution.max),
                    DistributionTest::Ks => ("the Kolmogorov-Smirnov distance", None, distribution.max),
                    DistributionTest::JensenShannon => ("the Jensen-Shannon divergence", None, distribution.max),
                    DistributionTest::ChiSquare => ("the chi-square probability", distribution.min_p, None),
                };
                (number, histogram, Judged::Bounds { what: what.to_owned(), min, max })
            }
            WindowCheck::Control(rule) => {
                let chart = match rule.chart {
                    ControlChart::Shewhart { sigmas } => Chart::Shewhart { sigmas },
                    ControlChart::Ewma { lambda, limit } => Chart::Ewma { lambda, limit },
                    ControlChart::Cusum { slack, decision } => Chart::Cusum { slack, decision },
                };
                let plan = control::Plan { chart, training: rule.training, western_electric: rule.western_electric };
                let (number, measure) = self.number(&rule.metric, schema)?;
                (number, measure, Judged::Control { series: self.series(), plan })
            }
        })
    }

    fn number(&mut self, metric: &Metric, schema: &SchemaRef) -> Result<(Number, usize), String> {
        let columns = metric.columns().into_iter().map(|column| index(schema, column)).collect::<Result<Vec<_>, _>>()?;
        if let Some(&column) = columns.first().filter(|_| metric.is_numeric()) {
            let field = schema.field(column);
            if !is_number(field.data_type()) {
                return Err(format!("{metric} needs numbers; `{}` is {}", field.name(), field.data_type()));
            }
        }
        let (number, measure) = match metric {
            Metric::RowCount => (Number::Rows, Measure::Rows),
            Metric::Mean { .. } => (Number::Mean, Measure::Moments(columns[0])),
            Metric::Sum { .. } => (Number::Sum, Measure::Moments(columns[0])),
            Metric::Min { .. } => (Number::Min, Measure::Moments(columns[0])),
            Metric::Max { .. } => (Number::Max, Measure::Moments(columns[0])),
            Metric::Stddev { .. } => (Number::Stddev, Measure::Moments(columns[0])),
            Metric::Completeness { .. } => (Number::Completeness, Measure::Present(columns[0])),
            Metric::Uniqueness { .. } => (Number::Uniqueness, Measure::Distinct(columns)),
            Metric::Quantile { q, .. } => (Number::Quantile(*q), Measure::Digest(columns[0])),
        };
        Ok((number, self.measure(measure)))
    }

    fn measure(&mut self, measure: Measure) -> usize {
        self.measures.iter().position(|known| *known == measure).unwrap_or_else(|| {
            self.measures.push(measure);
            self.measures.len() - 1
        })
    }
}

impl Measure {
    /// The kind, the columns with their types, and the bins, hashed.
    fn identity(&self, schema: &SchemaRef) -> u64 {
        let mut bytes = Vec::new();
        let columns = match self {
            Self::Rows => &[][..],
            Self::Newest => {
                bytes.push(1);
                &[]
            }
            Self::Present(column) => {
                bytes.push(2);
                slice::from_ref(column)
            }
            Self::Distinct(columns) => {
                bytes.push(3);
                columns
            }
            Self::Moments(column) => {
                bytes.push(4);
                slice::from_ref(column)
            }
            Self::Digest(column) => {
                bytes.push(5);
                slice::from_ref(column)
            }
            Self::Histogram { column, reference } => {
                bytes.push(6);
                reference.encode(&mut bytes);
                slice::from_ref(column)
            }
        };
        for &column in columns {
            let field = schema.field(column);
            put_bytes(&mut bytes, field.name().as_bytes());
            put_bytes(&mut bytes, field.data_type().to_string().as_bytes());
        }
        key_hash(&bytes)
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
