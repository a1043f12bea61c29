//! Rules applied to a window's measures.

use weir_spec::metric::DistributionTest;

use super::{
    control::{Series, Signal},
    distribution::{chi_square_p, jensen_shannon, ks, psi},
    plan::{Judged, Measure, Plan, Reading, Rule},
    window::{Measured, Window},
};

/// What a rule says of a window.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The metric's value, if it has one. Freshness in seconds.
    pub observed: Option<f64>,
    pub verdict: Verdict,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    Kept,
    Broken(Finding),
    /// There was nothing to judge: no value, no bounds, or a baseline in the making.
    Open,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// In words and numbers.
    pub told: String,
    /// Without numbers that were measured: for those who may not see them.
    pub bare: String,
}

/// Judges a window that ends at `end`; `newest` is the newest event time so far.
pub fn judge(plan: &Plan, rule: &Rule, window: &Window, end: i64, newest: Option<i64>, series: &mut [Series]) -> Outcome {
    match &rule.judged {
        Judged::Bounds { metric, min, max } => {
            let observed = read(*metric, window);
            let verdict = match observed {
                None => Verdict::Open,
                Some(_) if min.is_none() && max.is_none() => Verdict::Open,
                Some(value) => bounds(&rule.metric, value, *min, *max),
            };
            Outcome { observed, verdict }
        }
        Judged::Freshness { max, .. } => {
            let Some(newest) = newest else { return Outcome { observed: None, verdict: Verdict::Open } };
            let age = end.saturating_sub(newest);
            let seconds = |span: i64| span as f64 / 1e6;
            let verdict = if age > *max {
                Verdict::Broken(Finding {
                    told: format!("the newest row is {} s old, more than {} s", seconds(age), seconds(*max)),
                    bare: format!("the newest row is more than {} s old", seconds(*max)),
                })
            } else {
                Verdict::Kept
            };
            Outcome { observed: Some(seconds(age)), verdict }
        }
        Judged::Distribution { histogram, test, max, min_p } => {
            let (Measured::Histogram(counts), Measure::Histogram { reference, .. }) =
                (&window.0[*histogram], &plan.measures[*histogram])
            else {
                return Outcome { observed: None, verdict: Verdict::Open };
            };
            if counts.total() == 0 {
                return Outcome { observed: None, verdict: Verdict::Open };
            }
            let (expected, observed) = (&reference.shares[..], &counts.0[..]);
            let (value, name, min) = match test {
                DistributionTest::Psi => (psi(expected, observed), "the population stability index", None),
                DistributionTest::Ks => (ks(expected, observed), "the Kolmogorov-Smirnov distance", None),
                DistributionTest::JensenShannon => (jensen_shannon(expected, observed), "the Jensen-Shannon divergence", None),
                DistributionTest::ChiSquare => (chi_square_p(expected, observed), "the chi-square probability", *min_p),
            };
            let max = if *test == DistributionTest::ChiSquare { None } else { *max };
            let verdict = if min.is_none() && max.is_none() { Verdict::Open } else { bounds(name, value, min, max) };
            Outcome { observed: Some(value), verdict }
        }
        Judged::Control { metric, series: which, plan } => {
            let Some(value) = read(*metric, window) else { return Outcome { observed: None, verdict: Verdict::Open } };
            let series = &mut series[*which];
            let training = series.baseline().is_none();
            let signals = series.observe(value, plan);
            let verdict = match signals[..] {
                [] if training => Verdict::Open,
                [] => Verdict::Kept,
                _ => Verdict::Broken(describe(&rule.metric, value, &signals, series)),
            };
            Outcome { observed: Some(value), verdict }
        }
    }
}

fn describe(metric: &str, value: f64, signals: &[Signal], series: &Series) -> Finding {
    let each = |numbers: bool| {
        let each = signals.iter().map(|signal| match signal {
            Signal::Above { statistic, limit } if numbers => {
                format!("the chart's {} is above its limit {}", round(*statistic), round(*limit))
            }
            Signal::Below { statistic, limit } if numbers => {
                format!("the chart's {} is beyond its lower limit {}", round(*statistic), round(*limit))
            }
            Signal::Above { .. } => "the chart is above its limit".to_owned(),
            Signal::Below { .. } => "the chart is beyond its lower limit".to_owned(),
            Signal::WesternElectric(rule) => format!("Western Electric rule {rule}"),
        });
        each.collect::<Vec<_>>().join("; ")
    };
    let center = series.baseline().map_or(0.0, |baseline| baseline.center);
    Finding {
        told: format!("{metric} is {}, usually {}: {}", round(value), round(center), each(true)),
        bare: format!("{metric} is not as usual: {}", each(false)),
    }
}

fn bounds(metric: &str, value: f64, min: Option<f64>, max: Option<f64>) -> Verdict {
    let broken = |how: &str, bound: f64| {
        Verdict::Broken(Finding {
            told: format!("{metric} is {}, {how} {bound}", round(value)),
            bare: format!("{metric} is {how} {bound}"),
        })
    };
    match (min, max) {
        (Some(min), _) if value < min => broken("below", min),
        (_, Some(max)) if value > max => broken("above", max),
        _ => Verdict::Kept,
    }
}

/// Six significant digits.
fn round(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return value.to_string();
    }
    let digits = (5 - value.abs().log10().floor() as i32).clamp(0, 12) as usize;
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// A metric of a window; none where there is nothing to compute it from.
pub fn read(metric: Reading, window: &Window) -> Option<f64> {
    let rows = window.rows() as f64;
    let moments = |at: usize| if let Measured::Moments(moments) = &window.0[at] { Some(moments) } else { None };
    match metric {
        Reading::Rows => Some(rows),
        Reading::Completeness(at) => match &window.0[at] {
            Measured::Present(present) if rows > 0.0 => Some(*present as f64 / rows),
            _ => None,
        },
        Reading::Uniqueness(at) => match &window.0[at] {
            Measured::Distinct(count, distinct) if *count > 0 => Some((distinct.count() / *count as f64).min(1.0)),
            _ => None,
        },
        Reading::Mean(at) => moments(at)?.mean(),
        Reading::Sum(at) => moments(at)?.sum(),
        Reading::Min(at) => moments(at)?.min(),
        Reading::Max(at) => moments(at)?.max(),
        Reading::Stddev(at) => moments(at)?.stddev(),
        Reading::Quantile(at, q) => match &window.0[at] {
            Measured::Digest(digest) => digest.quantile(q),
            _ => None,
        },
    }
}
