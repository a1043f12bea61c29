//! Window rules and alerts: bounds that nothing can keep, names given twice, options of another chart or test, rules that do not exist.

use std::collections::HashMap;

use super::Scope;
use crate::{
    diagnostic::Diagnostic,
    metric::{AlertCondition, ChartKind, Control, Distribution, DistributionTest, WindowCheck},
    nearest::did_you_mean,
    parse::quoted,
    pipeline::Step,
    quality::QualityStep,
};

pub fn check(scope: &Scope<'_>, found: &mut Vec<Diagnostic>) {
    for (name, step) in &scope.pipeline.steps {
        match step {
            Step::Quality(quality) => of_quality(scope, name, quality, found),
            Step::Alert(alert) => {
                let path = format!("steps.{name}.alert");
                if let AlertCondition::Rule(rule) = &alert.when
                    && scope.is_clean(&path)
                {
                    of_rule(scope, &path, found);
                    reference(scope, &path, &alert.from, rule, found);
                }
            }
            _ => {}
        }
    }
}

fn of_quality(scope: &Scope<'_>, name: &str, quality: &QualityStep, found: &mut Vec<Diagnostic>) {
    let whole = format!("steps.{name}.quality");
    let Some(windows) = &quality.windows else {
        if scope.spans.contains(&format!("{whole}.over")) && scope.is_clean(&whole) {
            let error = Diagnostic::error(
                "unused-key",
                format!("{whole}.over"),
                "`over` says how long windows are, but nothing is measured over them",
            );
            found.push(error.with_help("add `metrics`, or remove `over`"));
        }
        return;
    };
    let mut first: HashMap<&str, String> =
        quality.rules.iter().enumerate().map(|(i, rule)| (rule.name.as_str(), format!("{whole}.rules[{i}]"))).collect();
    for (i, rule) in windows.rules.iter().enumerate() {
        let path = format!("{whole}.metrics[{i}]");
        if !scope.is_clean(&path) {
            continue;
        }
        if let Some(earlier) = first.insert(&rule.name, path.clone()) {
            let message = format!("two rules are named {}", quoted(&rule.name));
            let error = Diagnostic::error("duplicate-rule", &path, message).with_note(format!("the other one is {earlier}"));
            found.push(error.with_help("give one of them a `name`"));
        }
        let path = format!("{path}.{}", rule.check.key());
        match &rule.check {
            WindowCheck::Bounds { min: Some(min), max: Some(max), .. } if min > max => {
                let message = "`min` is larger than `max`: no window could keep this rule";
                found.push(Diagnostic::error("bad-bounds", path, message).with_help("swap them"));
            }
            WindowCheck::Distribution(distribution) => of_distribution(&path, distribution, found),
            WindowCheck::Control(control) => of_control(scope, &path, control, found),
            _ => {}
        }
    }
}

fn of_distribution(path: &str, distribution: &Distribution, found: &mut Vec<Diagnostic>) {
    let chi_square = distribution.test == DistributionTest::ChiSquare;
    let (wrong, right) = if chi_square { ("max", "min_p") } else { ("min_p", "max") };
    let given = if chi_square { distribution.max.is_some() } else { distribution.min_p.is_some() };
    if given {
        let message = if chi_square {
            "chi_square is judged by its probability, which `max` does not bound"
        } else {
            "only chi_square has a probability for `min_p` to bound"
        };
        found.push(
            Diagnostic::error("conflicting-keys", format!("{path}.{wrong}"), message).with_help(format!("write `{right}`")),
        );
    }
}

fn of_control(scope: &Scope<'_>, path: &str, control: &Control, found: &mut Vec<Diagnostic>) {
    let options = [
        (ChartKind::Shewhart, "shewhart", &["sigmas"][..]),
        (ChartKind::Ewma, "ewma", &["lambda", "limit"]),
        (ChartKind::Cusum, "cusum", &["slack", "decision"]),
    ];
    let own = |kind: ChartKind| options.iter().find(|(of, ..)| *of == kind).map_or(&[][..], |(_, _, keys)| keys);
    for (kind, chart, keys) in options {
        for key in keys.iter().filter(|key| kind != control.chart.kind() && scope.spans.contains(&format!("{path}.{key}"))) {
            let message = format!("`{key}` is an option of `chart: {chart}`");
            let own = own(control.chart.kind()).iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(" and ");
            let help = format!("this chart takes {own}, or write `chart: {chart}`");
            found.push(Diagnostic::error("conflicting-keys", format!("{path}.{key}"), message).with_help(help));
        }
    }
}

/// A rule is one cause, and a later window that keeps it resolves the alert.
fn of_rule(scope: &Scope<'_>, path: &str, found: &mut Vec<Diagnostic>) {
    let reasons = [
        ("key", "a window rule is one cause: there are no rows whose columns could tell causes apart"),
        ("resolve_after", "an alert of a window rule is resolved by the next window that keeps the rule, not by time"),
    ];
    for (key, message) in reasons {
        let path = format!("{path}.{key}");
        if scope.spans.contains(&path) {
            found
                .push(Diagnostic::error("conflicting-keys", path, message).with_help(format!("remove `{key}`, or write `when`")));
        }
    }
}

/// The rule that an alert waits for is one of the step it reads.
fn reference(scope: &Scope<'_>, path: &str, from: &str, rule: &str, found: &mut Vec<Diagnostic>) {
    let path = format!("{path}.rule");
    let rules = match scope.pipeline.steps.get(from) {
        Some(Step::Quality(quality)) => {
            if !scope.is_clean(&format!("steps.{from}")) {
                return;
            }
            quality.windows.as_ref().map(|windows| &windows.rules[..]).unwrap_or_default()
        }
        // That it does not exist is said elsewhere.
        None if !scope.pipeline.sources.contains_key(from) => return,
        _ => {
            let message = format!("`{from}` is no quality step, so it has no window rules");
            found.push(Diagnostic::error("unknown-rule", path, message).with_help("read the quality step whose rule is meant"));
            return;
        }
    };
    if rules.iter().any(|known| known.name == rule) {
        return;
    }
    let names = || rules.iter().map(|known| known.name.as_str());
    let help = did_you_mean(rule, names()).unwrap_or_else(|| match rules {
        [] => format!("add `metrics` to `{from}`"),
        _ => format!("`{from}` has: {}", names().collect::<Vec<_>>().join(", ")),
    });
    found.push(Diagnostic::error("unknown-rule", path, format!("`{from}` has no window rule {}", quoted(rule))).with_help(help));
}
