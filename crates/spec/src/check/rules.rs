//! Quality rules: bounds that nothing can keep, names given twice.

use std::{cmp::Ordering, collections::HashMap};

use super::Scope;
use crate::{
    diagnostic::Diagnostic,
    parse::quoted,
    pipeline::Step,
    quality::{Check, Rule, Scalar},
};

pub fn check(scope: &Scope<'_>, found: &mut Vec<Diagnostic>) {
    for (name, step) in &scope.pipeline.steps {
        let Step::Quality(quality) = step else {
            continue;
        };
        let path = |i: usize| format!("steps.{name}.quality.rules[{i}]");
        let clean: Vec<(String, &Rule)> =
            quality.rules.iter().enumerate().map(|(i, rule)| (path(i), rule)).filter(|(path, _)| scope.is_clean(path)).collect();
        for (path, rule) in &clean {
            bounds(path, &rule.check, found);
        }
        duplicate_names(clean, found);
    }
}

/// Failures are counted by rule name, so two rules cannot share one.
fn duplicate_names(rules: Vec<(String, &Rule)>, found: &mut Vec<Diagnostic>) {
    let mut first: HashMap<&str, String> = HashMap::new();
    for (path, rule) in rules {
        match first.get(rule.name.as_str()) {
            Some(earlier) => {
                let message = format!("two rules are named {}", quoted(&rule.name));
                let error = Diagnostic::error("duplicate-rule", path, message).with_note(format!("the other one is {earlier}"));
                found.push(error.with_help("give one of them a `name`"));
            }
            None => {
                first.insert(&rule.name, path);
            }
        }
    }
}

/// Bounds that exclude everything, or that cannot be compared. Shared with contracts.
pub fn bounds(path: &str, check: &Check, found: &mut Vec<Diagnostic>) {
    let (ordering, path) = match check {
        Check::Between { min: Some(min), max: Some(max), .. } => {
            let path = format!("{path}.between");
            let Some(ordering) = compare(min, max) else {
                let message = "`min` and `max` are of different types".to_owned();
                found.push(
                    Diagnostic::error("bad-bounds", path, message).with_help("write two numbers, or two texts such as dates"),
                );
                return;
            };
            (ordering, path)
        }
        Check::Length { min: Some(min), max: Some(max), .. } => (min.cmp(max), format!("{path}.length")),
        _ => return,
    };
    if ordering == Ordering::Greater {
        let message = "`min` is larger than `max`: no row could keep this rule";
        found.push(Diagnostic::error("bad-bounds", path, message).with_help("swap them"));
    }
}

fn compare(a: &Scalar, b: &Scalar) -> Option<Ordering> {
    match (a, b) {
        (Scalar::Int(a), Scalar::Int(b)) => Some(a.cmp(b)),
        (Scalar::String(a), Scalar::String(b)) => Some(a.cmp(b)),
        (Scalar::Bool(a), Scalar::Bool(b)) => Some(a.cmp(b)),
        _ => number(a)?.partial_cmp(&number(b)?),
    }
}

fn number(value: &Scalar) -> Option<f64> {
    match value {
        Scalar::Int(value) => Some(*value as f64),
        Scalar::Float(value) => Some(*value),
        Scalar::Bool(_) | Scalar::String(_) => None,
    }
}
