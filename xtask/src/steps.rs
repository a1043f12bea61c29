//! The steps of a long command: what came of each, and how long it took.

use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

use anyhow::Result;

use crate::shell::say;

/// What test harnesses counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub passed: u64,
    pub failed: u64,
    pub skipped: u64,
}

struct Step {
    name: &'static str,
    counts: Counts,
    took: Duration,
    /// Processor time of the programs that it ran, where the system tells.
    busy: Option<Duration>,
}

#[derive(Default)]
pub struct Steps(Vec<Step>);

impl Steps {
    /// Runs a step that counts tests; its own failure counts as one failed test.
    pub fn count(&mut self, name: &'static str, step: impl FnOnce() -> Result<Counts>) {
        say(name);
        let (began, busy) = (Instant::now(), children_busy());
        let counts = step().unwrap_or_else(|error| {
            eprintln!("{name}: {error:#}");
            Counts { failed: 1, ..Counts::default() }
        });
        let busy = children_busy().zip(busy).map(|(after, before)| after.saturating_sub(before));
        self.0.push(Step { name, counts, took: began.elapsed(), busy });
    }

    /// Runs a step that is one check; gives what it made.
    pub fn check<T>(&mut self, name: &'static str, step: impl FnOnce() -> Result<T>) -> Option<T> {
        let mut made = None;
        self.count(name, || {
            made = Some(step()?);
            Ok(Counts { passed: 1, ..Counts::default() })
        });
        made
    }

    pub fn total(&self) -> Counts {
        self.0.iter().fold(Counts::default(), |sum, step| Counts {
            passed: sum.passed + step.counts.passed,
            failed: sum.failed + step.counts.failed,
            skipped: sum.skipped + step.counts.skipped,
        })
    }

    /// Where the time went, one line a step. Processor time can be more than the time by the clock: cores work side by side.
    pub fn table(&self) -> String {
        let mut table = format!("{:<28} {:>8} {:>8}   {}\n", "step", "clock", "cpu", "result");
        let mut line = |name: &str, took: Duration, busy: Option<Duration>, counts: Counts| {
            let busy = busy.map_or_else(|| "-".to_owned(), clock);
            let Counts { passed, failed, skipped } = counts;
            writeln!(table, "{name:<28} {:>8} {busy:>8}   {passed} passed, {failed} failed, {skipped} skipped", clock(took))
                .expect("a String takes every write");
        };
        for step in &self.0 {
            line(step.name, step.took, step.busy, step.counts);
        }
        let took = self.0.iter().map(|step| step.took).sum();
        line("all", took, self.0.iter().map(|step| step.busy).sum(), self.total());
        table
    }
}

/// `3:07`, minutes and seconds.
fn clock(time: Duration) -> String {
    let seconds = time.as_secs_f64().round() as u64;
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

/// Processor time of all programs that this one ran and waited for, theirs included (`proc(5)`: `cutime` and `cstime` of `stat`).
fn children_busy() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The program's name, the second field, stands in parentheses and may hold blanks; the third follows it.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(13)?.parse::<u64>().ok()? + fields.get(14)?.parse::<u64>().ok()?;
    // The kernel tells userland hundredths of a second, whatever its own tick is.
    Some(Duration::from_millis(ticks * 10))
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::bail;

    #[test]
    fn a_step_that_fails_is_one_failure_and_the_others_go_on() {
        let mut steps = Steps::default();
        assert_eq!(steps.check("one", || Ok(7)), Some(7));
        assert_eq!(steps.check::<()>("two", || bail!("broken")), None);
        steps.count("three", || Ok(Counts { passed: 5, failed: 1, skipped: 2 }));
        assert_eq!(steps.total(), Counts { passed: 6, failed: 2, skipped: 2 });
        let names: Vec<String> = steps.table().lines().map(|line| line.split_whitespace().next().unwrap().to_owned()).collect();
        assert_eq!(names, ["step", "one", "two", "three", "all"]);
    }

    #[test]
    fn times_are_minutes_and_seconds() {
        for (millis, text) in [(0, "0:00"), (59_600, "1:00"), (187_000, "3:07"), (3_600_000, "60:00")] {
            assert_eq!(clock(Duration::from_millis(millis)), text);
        }
    }
}
