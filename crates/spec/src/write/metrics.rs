//! Window rules and alerts as nodes.

use super::{Build, flag, float, int, name, span, texts};
use crate::{
    metric::{AlertCondition, AlertStep, Control, ControlChart, Distribution, Metric, WindowCheck, WindowRule},
    parse::Node,
};

/// A window rule; its name is left out where it is the one that the rule gets anyway, except in canonical form.
pub fn rule(rule: &WindowRule, canonical: bool) -> Node {
    let given = (canonical || rule.name != rule.check.default_name()).then(|| rule.name.clone());
    Build::new()
        .maybe_text("name", &given)
        .with("severity", name(&rule.severity))
        .with(rule.check.key(), check(&rule.check))
        .done()
}

fn check(check: &WindowCheck) -> Node {
    match check {
        WindowCheck::Bounds { metric, min, max } => {
            let body = match metric {
                Metric::RowCount => Build::new(),
                Metric::Uniqueness { columns } => Build::new().with("columns", texts(columns)),
                Metric::Quantile { column, q } => Build::new().text("column", column).with("q", float(*q)),
                other => Build::new().text("column", other.columns().first().copied().unwrap_or_default()),
            };
            body.maybe("min", min, |v| float(*v)).maybe("max", max, |v| float(*v)).done()
        }
        WindowCheck::Freshness { max } => Build::new().with("max", span(max)).done(),
        WindowCheck::Distribution(Distribution { column, reference, key, test, max, min_p, bins }) => Build::new()
            .text("column", column)
            .text("reference", reference)
            .maybe_text("key", key)
            .with("test", name(test))
            .maybe("max", max, |v| float(*v))
            .maybe("min_p", min_p, |v| float(*v))
            .with("bins", int((*bins).into()))
            .done(),
        WindowCheck::Control(Control { metric, chart, training, western_electric }) => {
            let body = Build::new()
                .text("metric", &metric.to_string())
                .with("chart", name(&chart.kind()))
                .with("training", int((*training).into()))
                .with("western_electric", flag(*western_electric));
            match chart {
                ControlChart::Shewhart { sigmas } => body.with("sigmas", float(*sigmas)),
                ControlChart::Ewma { lambda, limit } => body.with("lambda", float(*lambda)).with("limit", float(*limit)),
                ControlChart::Cusum { slack, decision } => body.with("slack", float(*slack)).with("decision", float(*decision)),
            }
            .done()
        }
    }
}

/// An alert step.
pub fn alert(alert: &AlertStep) -> Node {
    let body = Build::new().text("from", &alert.from);
    let body = match &alert.when {
        AlertCondition::Rows(expression) => body.text("when", expression),
        AlertCondition::Rule(rule) => body.text("rule", rule),
    };
    let body = body.with("severity", name(&alert.severity)).maybe_text("message", &alert.message);
    match &alert.when {
        AlertCondition::Rows(_) => body.with("key", texts(&alert.key)).with("resolve_after", span(&alert.resolve_after)).done(),
        AlertCondition::Rule(_) => body.done(),
    }
}
