//! Rules applied to a window's measures.

use super::{
    control::{Series, Signal},
    number::seconds,
    plan::{Judged, Rule},
    window::Window,
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

/// Judges a window that ends at `end`.
pub fn judge(rule: &Rule, window: &Window, end: i64, series: &mut [Series]) -> Outcome {
    let Some(value) = rule.value(window, end) else { return Outcome { observed: None, verdict: Verdict::Open } };
    let verdict = match &rule.judged {
        Judged::Bounds { min: None, max: None, .. } => Verdict::Open,
        Judged::Bounds { what, min, max } => bounds(what, value, *min, *max),
        Judged::Freshness { max } if value > seconds(*max) => Verdict::Broken(Finding {
            told: format!("the newest row is {value} s old, more than {} s", seconds(*max)),
            bare: format!("the newest row is more than {} s old", seconds(*max)),
        }),
        Judged::Freshness { .. } => Verdict::Kept,
        Judged::Control { series: which, plan } => {
            let series = &mut series[*which];
            let training = series.baseline().is_none();
            let signals = series.observe(value, plan);
            match signals[..] {
                [] if training => Verdict::Open,
                [] => Verdict::Kept,
                _ => Verdict::Broken(describe(&rule.metric, value, &signals, series)),
            }
        }
    };
    Outcome { observed: Some(value), verdict }
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
