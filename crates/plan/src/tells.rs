//! What the rules of a quality step tell of columns where they take rows away: by the rows that are left.
//!
//! A rule is a filter that everyone writes, on the most sensitive columns above all, so the line is drawn at what a rule can choose.
//! One that only asks for a value or for a format known to all tells nothing that a reader of the contract does not expect. One that many
//! values keep alike (a length, a wide range, a kind of characters, uniqueness) counts as a mask would that leaves so much: one class
//! lower. One that names values tells what WHERE would tell. All this holds of a source's own column, masked or not; of what the
//! document computes any rule could be made to tell anything.

use regex_syntax::hir::{Class, Hir, HirKind};
use weir_spec::{
    DataType,
    quality::{Check, OnFail, QualityStep, Scalar},
};

use crate::{
    flow::{By, FilterUse, Tells},
    origin::Origin,
    plan::{NodeId, PlannedRule},
    range,
    rules::{self, Ordered},
    schema,
    sql::{column_uses, null_tested_only},
};

/// A range that is narrower than this share of its larger bound names values rather than bounding them.
const NARROW: f64 = 0.1;
/// The same of dates and times, which have no zero: a year, the widest that masks generalize to.
const NARROW_DAYS: i64 = 365;
const DAY: i64 = 86_400_000_000;

/// What the rules of a step tell, in their order. Rules that let rows go on, or stop the run, tell nothing by them.
pub(crate) fn of(step: &QualityStep, rules: &[PlannedRule], input: NodeId, origin: Origin<'_>) -> Vec<FilterUse> {
    if !matches!(step.on_fail, OnFail::Drop | OnFail::Quarantine) {
        return Vec::new();
    }
    let mut uses = Vec::new();
    for (number, rule) in step.rules.iter().enumerate() {
        // One with an error has been spoken of.
        let Some(planned) = rules.iter().find(|planned| planned.name == rule.name && planned.check == rule.check) else {
            continue;
        };
        let by = By::Rule(number);
        let place = |name: &str| origin.nodes[input].schema.index_of(name).expect("invariant: rules are bound to columns");
        let mut add = |column: usize, field: Vec<String>, tells: Option<Tells>| {
            let tells = if origin.is_own(input, column) { tells } else { Some(Tells::Value) };
            uses.extend(tells.map(|tells| FilterUse { input, column, field, by, tells }));
        };
        match (&rule.check, &planned.expr) {
            (Check::Expression { .. }, Some(expr)) => {
                let only_tested = null_tested_only(expr);
                for used in column_uses(expr).into_keys() {
                    let tells = (!only_tested.contains(&used.column)).then_some(Tells::Value);
                    add(place(&used.column), used.field, tells);
                }
            }
            (check, _) => {
                for name in check.columns() {
                    let column = place(name);
                    add(column, Vec::new(), told(check, column, step, input, origin));
                }
            }
        }
    }
    uses
}

fn told(check: &Check, column: usize, step: &QualityStep, input: NodeId, origin: Origin<'_>) -> Option<Tells> {
    match check {
        Check::NotNull { .. } | Check::Format { .. } => None,
        Check::Length { .. } | Check::Unique { .. } => Some(Tells::Coarse),
        Check::Between { .. } if is_wide(column, step, input, origin) => Some(Tells::Coarse),
        Check::Matches { pattern, .. } if is_shape(pattern) => Some(Tells::Coarse),
        Check::References { .. } => Some(Tells::Member),
        Check::Between { .. } | Check::Matches { .. } | Check::InSet { .. } | Check::Expression { .. } => Some(Tells::Value),
    }
}

/// Whether all `between` rules that a value has kept, here and before, leave it in a wide range.
fn is_wide(column: usize, step: &QualityStep, input: NodeId, origin: Origin<'_>) -> bool {
    let node = &origin.nodes[input];
    let data_type = schema::logical_type(node.schema.field(column).data_type());
    let data_type = data_type.expect("invariant: columns between nodes have logical types");
    let bounds = step.rules.iter().filter_map(|rule| match &rule.check {
        Check::Between { column: name, min, max } if *name == node.columns[column].name => Some((min.as_ref(), max.as_ref())),
        _ => None,
    });
    let (lows, highs): (Vec<_>, Vec<_>) = bounds.unzip();
    let ordered = |bounds: Vec<Option<&Scalar>>| -> Vec<Ordered> {
        bounds.into_iter().flatten().filter_map(|bound| rules::reduce(bound, &data_type)).collect()
    };
    let (lows, highs) = (ordered(lows), ordered(highs));
    match data_type {
        DataType::String => lows.iter().all(|low| highs.iter().all(|high| differ_at_once(low, high))),
        DataType::Date | DataType::Timestamp => {
            let unit = if data_type == DataType::Date { 1 } else { DAY };
            let days = |bound: &Ordered| if let Ordered::Int(value) = bound { value / unit } else { 0 };
            let (low, high) = (lows.iter().map(days).max(), highs.iter().map(days).min());
            low.zip(high).is_none_or(|(low, high)| high.saturating_sub(low) >= NARROW_DAYS)
        }
        _ => {
            let number = |bound: &Ordered| match bound {
                Ordered::Number(value) => *value,
                Ordered::Int(value) => *value as f64,
                Ordered::Text(_) | Ordered::Flag(_) => f64::NAN,
            };
            let (before_low, before_high) = range::bounds(input, column, origin.nodes, origin.flows);
            let low = lows.iter().map(number).fold(before_low, f64::max);
            let high = highs.iter().map(number).fold(before_high, f64::min);
            let width = high - low;
            width > 0.0 && (width.is_infinite() || width >= NARROW * low.abs().max(high.abs()))
        }
    }
}

/// Whether two texts have no first characters in common, so that what lies between them has none either.
fn differ_at_once(low: &Ordered, high: &Ordered) -> bool {
    match (low, high) {
        (Ordered::Text(low), Ordered::Text(high)) => low.chars().next() != high.chars().next(),
        _ => false,
    }
}

/// Whether a pattern asks for kinds of characters (digits, letters of one case, the letters of a hexadecimal number) and signs between
/// them only, and for no letter or digit itself.
fn is_shape(pattern: &str) -> bool {
    regex_syntax::parse(pattern).is_ok_and(|pattern| asks_for_kinds(&pattern))
}

fn asks_for_kinds(pattern: &Hir) -> bool {
    match pattern.kind() {
        HirKind::Empty | HirKind::Look(_) => true,
        HirKind::Literal(literal) => std::str::from_utf8(&literal.0).is_ok_and(|text| !text.chars().any(char::is_alphanumeric)),
        HirKind::Class(Class::Bytes(_)) => false,
        HirKind::Class(Class::Unicode(class)) => {
            const KINDS: [(char, char); 5] = [('0', '9'), ('A', 'F'), ('G', 'Z'), ('a', 'f'), ('g', 'z')];
            let holds = |c: char| class.iter().any(|range| range.start() <= c && c <= range.end());
            let whole = |&(first, last): &(char, char)| {
                let held = (first..=last).filter(|&c| holds(c)).count();
                held == 0 || held == (first..=last).count()
            };
            // Of other alphabets whatever Unicode groups by a property, which is many, and not all but some that are named.
            let others = class.iter().filter(|range| range.end() > '\u{7f}');
            let ends: Vec<(u32, u32)> =
                others.map(|range| (u32::from(range.start().max('\u{80}')), u32::from(range.end()))).collect();
            let held: u32 = ends.iter().map(|(first, last)| last - first + 1).sum();
            let left_out: u32 = (0x0010_FFFF - 0x7f) - held;
            KINDS.iter().all(whole) && (held == 0 || (held > 100 && !(1..100).contains(&left_out)))
        }
        HirKind::Repetition(repeated) => asks_for_kinds(&repeated.sub),
        HirKind::Capture(group) => asks_for_kinds(&group.sub),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => parts.iter().all(asks_for_kinds),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_of_kinds_of_characters_is_a_shape_and_one_with_letters_or_digits_is_not() {
        for shape in [
            "^[0-9]{13,19}$",
            r"^\d{4}-\d{4}$",
            "^[A-Z]{2}[0-9]{2}[A-Z0-9]+$",
            "^[0-9a-fA-F-]{36}$",
            "^[^@ ]+@[^@ ]+[.][a-zA-Z]+$",
            "^.+$",
            "",
        ] {
            assert!(is_shape(shape), "{shape}");
        }
        for named in ["^4111", "^[4]", "^[0-8]", "^[^4]", "(?i)^jo", "^[0-9]{4}$|^x", "[A-C]", "^[^é]*$", "k{3}", "("] {
            assert!(!is_shape(named), "{named}");
        }
    }
}
