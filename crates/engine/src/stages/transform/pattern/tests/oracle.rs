//! A matcher written straight from the standard's text: tries everything, in the order of preference, over a whole partition.

use weir_plan::operator::{AfterMatch, Pattern};

/// A row of a partition: time and price.
pub type Point = (i64, Option<i64>);

/// The rows of a match, each with its variable.
pub type Mapping = Vec<(usize, usize)>;

/// Whether a row (index) may be mapped to a variable, given what is mapped so far.
pub type Condition<'c> = &'c dyn Fn(usize, usize, &Mapping) -> bool;

/// All matches of a partition; `Err` for a skip that leads nowhere.
pub fn matches(
    pattern: &Pattern,
    after: AfterMatch,
    within: Option<i64>,
    rows: &[Point],
    condition: Condition<'_>,
) -> Result<Vec<Mapping>, &'static str> {
    let mut found = Vec::new();
    let mut start = 0;
    while start < rows.len() {
        let takes = |row: usize, variable: usize, mapped: &Mapping| {
            within.is_none_or(|within| rows[row].0 - rows[start].0 <= within) && condition(row, variable, mapped)
        };
        let mut mapped = Mapping::new();
        if !attempt(pattern, start, rows.len(), &mut mapped, &takes, &mut |_, _| true) {
            start += 1;
            continue;
        }
        let to = |row: Option<&(usize, usize)>| match row {
            None => Err("nowhere"),
            Some(&(row, _)) if row == start => Err("endless"),
            Some(&(row, _)) => Ok(row),
        };
        start = match after {
            AfterMatch::PastLastRow => mapped[mapped.len() - 1].0 + 1,
            AfterMatch::ToNextRow => start + 1,
            AfterMatch::ToFirst(variable) => to(mapped.iter().find(|(_, of)| *of == variable))?,
            AfterMatch::ToLast(variable) => to(mapped.iter().rfind(|(_, of)| *of == variable))?,
        };
        found.push(mapped);
    }
    Ok(found)
}

/// Matches a pattern from row `at` on, then what follows it (`rest`). The first way that works is the preferred one, and is left in
/// `mapped`.
fn attempt(
    pattern: &Pattern,
    at: usize,
    end: usize,
    mapped: &mut Mapping,
    takes: Condition<'_>,
    rest: &mut dyn FnMut(usize, &mut Mapping) -> bool,
) -> bool {
    match pattern {
        Pattern::Variable(variable) => {
            if at >= end || !takes(at, *variable, mapped) {
                return false;
            }
            mapped.push((at, *variable));
            if rest(at + 1, mapped) {
                return true;
            }
            mapped.pop();
            false
        }
        Pattern::Sequence(parts) => match parts.split_first() {
            None => rest(at, mapped),
            Some((first, others)) => {
                let others = Pattern::Sequence(others.to_vec());
                attempt(first, at, end, mapped, takes, &mut |at, mapped| attempt(&others, at, end, mapped, takes, rest))
            }
        },
        Pattern::Alternation(arms) => arms.iter().any(|arm| attempt(arm, at, end, mapped, takes, rest)),
        Pattern::Repeat { pattern, min, max, greedy } => repetitions(pattern, *min, *max, *greedy, at, end, mapped, takes, rest),
    }
}

fn repetitions(
    pattern: &Pattern,
    min: u32,
    max: Option<u32>,
    greedy: bool,
    at: usize,
    end: usize,
    mapped: &mut Mapping,
    takes: Condition<'_>,
    rest: &mut dyn FnMut(usize, &mut Mapping) -> bool,
) -> bool {
    if min > 0 {
        let max = max.map(|max| max - 1);
        return attempt(pattern, at, end, mapped, takes, &mut |at, mapped| {
            repetitions(pattern, min - 1, max, greedy, at, end, mapped, takes, rest)
        });
    }
    if !greedy && rest(at, mapped) {
        return true;
    }
    let more = max != Some(0)
        && attempt(pattern, at, end, mapped, takes, &mut |then, mapped| {
            // One more repetition that takes no row is none.
            then > at && repetitions(pattern, 0, max.map(|max| max - 1), greedy, then, end, mapped, takes, rest)
        });
    more || greedy && rest(at, mapped)
}
