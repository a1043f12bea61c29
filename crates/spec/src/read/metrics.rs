//! Window rules and alerts.

use super::{choice, flag, float, number, optional_text, span, text, texts};
use crate::{
    metric::{
        AlertCondition, AlertStep, ChartKind, Control, ControlChart, Distribution, Metric, WindowCheck, WindowQuality, WindowRule,
    },
    parse::Node,
    types::Timespan,
};

/// The window rules of a quality step, if it has any.
pub fn windows(quality: &Node) -> Option<WindowQuality> {
    let rules = quality.get("metrics")?;
    Some(WindowQuality {
        over: span(quality, "over").unwrap_or(Timespan::from_millis(60_000)),
        rules: rules.items().iter().map(rule).collect(),
    })
}

/// One that cannot be read counts rows in its place, so that the others keep their numbers.
fn rule(node: &Node) -> WindowRule {
    let found = node.entries().iter().find_map(|entry| check(&entry.key, &entry.value));
    let check = found.unwrap_or(WindowCheck::Bounds { metric: Metric::RowCount, min: None, max: None });
    WindowRule {
        name: optional_text(node, "name").unwrap_or_else(|| check.default_name()),
        severity: choice(node, "severity").unwrap_or_default(),
        check,
    }
}

fn check(key: &str, body: &Node) -> Option<WindowCheck> {
    let column = || text(body, "column");
    let metric = match key {
        "row_count" => Metric::RowCount,
        "completeness" => Metric::Completeness { column: column() },
        "uniqueness" => Metric::Uniqueness { columns: texts(body, "columns") },
        "mean" => Metric::Mean { column: column() },
        "sum" => Metric::Sum { column: column() },
        "min" => Metric::Min { column: column() },
        "max" => Metric::Max { column: column() },
        "stddev" => Metric::Stddev { column: column() },
        "quantile" => Metric::Quantile { column: column(), q: float(body, "q")? },
        "freshness" => return Some(WindowCheck::Freshness { max: span(body, "max")? }),
        "distribution" => {
            return Some(WindowCheck::Distribution(Distribution {
                column: column(),
                reference: text(body, "reference"),
                key: optional_text(body, "key"),
                test: choice(body, "test").unwrap_or_default(),
                max: float(body, "max"),
                min_p: float(body, "min_p"),
                bins: number(body, "bins").unwrap_or(10),
            }));
        }
        "control" => {
            return Some(WindowCheck::Control(Control {
                metric: text(body, "metric").parse().ok()?,
                chart: chart(body),
                training: number(body, "training").unwrap_or(20),
                western_electric: flag(body, "western_electric").unwrap_or(false),
            }));
        }
        _ => return None,
    };
    Some(WindowCheck::Bounds { metric, min: float(body, "min"), max: float(body, "max") })
}

fn chart(body: &Node) -> ControlChart {
    let or = |key: &str, default: f64| float(body, key).unwrap_or(default);
    match choice(body, "chart").unwrap_or_default() {
        ChartKind::Shewhart => ControlChart::Shewhart { sigmas: or("sigmas", 3.0) },
        ChartKind::Ewma => ControlChart::Ewma { lambda: or("lambda", 0.2), limit: or("limit", 3.0) },
        ChartKind::Cusum => ControlChart::Cusum { slack: or("slack", 0.5), decision: or("decision", 5.0) },
    }
}

/// An alert step.
pub fn alert(node: &Node) -> AlertStep {
    AlertStep {
        from: text(node, "from"),
        when: match optional_text(node, "rule") {
            Some(rule) => AlertCondition::Rule(rule),
            None => AlertCondition::Rows(text(node, "when")),
        },
        severity: choice(node, "severity").unwrap_or_default(),
        key: texts(node, "key"),
        message: optional_text(node, "message"),
        resolve_after: span(node, "resolve_after").unwrap_or(Timespan::from_millis(300_000)),
    }
}
