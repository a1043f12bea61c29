//! The state of one partition: its rows in order, and the matches in the making that begin with the first of them.
//!
//! One first row is tried at a time, as the standard says it: the search for a match that begins at row `start` goes on until its
//! preferred match is known; then `AFTER MATCH SKIP` says where the next one starts, and the rows from there on, which are still
//! here, are looked at again. So there are never partial matches of rows that a match before might skip, and what is found comes in the
//! order of the matches' first rows.
//!
//! ```text
//!   rows     . . │ s a a a │ w w          . kept for PREV   s start   a taken in   w waits for the watermark
//!   links        A◀──B◀──B◀──B            who was mapped to what; partial matches share what they have in common
//!                     ▲   ╲__C
//!   runs         the ends of partial matches, the preferred first
//! ```

use std::{
    collections::VecDeque,
    hash::{BuildHasher, Hash, Hasher},
    sync::Arc,
};

use ahash::AHashMap;
use weir_plan::operator::AfterMatch;

use super::{
    matcher::Matcher,
    program::{Follow, Position},
    value::Value,
};

/// A row as far as conditions and measures need it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    pub time: i64,
    /// Among rows of equal time.
    pub order: Box<[u8]>,
    /// By variable: whether its condition holds, where that is known.
    pub truths: u64,
    pub known: u64,
    pub values: Box<[Value]>,
}

impl Row {
    pub fn heap_size(&self) -> usize {
        size_of::<Self>()
            + self.order.len()
            + self.values.iter().map(|value| size_of::<Value>() + value.heap_size()).sum::<usize>()
    }
}

pub(super) const NONE: u32 = u32::MAX;

/// A row of partial matches, mapped to a variable.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Link {
    pub(super) previous: u32,
    /// Counted from the match's first row.
    pub(super) row: u32,
    pub(super) variable: u32,
}

/// A partial match: what it takes next, and its last row.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Run {
    pub(super) position: Position,
    pub(super) link: u32,
    pub(super) registers: Arc<[Value]>,
}

/// All that is remembered of a partition.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Body {
    pub(super) rows: VecDeque<Row>,
    /// Index of the row that is tried as the first of a match, and of the first row not yet taken in.
    pub(super) start: usize,
    pub(super) next: usize,
    /// A search is under way.
    pub(super) active: bool,
    pub(super) runs: Vec<Run>,
    pub(super) links: Vec<Link>,
    /// The last link of the preferred match so far.
    pub(super) best: u32,
    /// The event time as of which the last search was decided; see [`Found::decided_at`].
    pub(super) decided_at: i64,
    /// When the partition is to be looked at: once the watermark has passed this.
    pub(super) wake_at: i64,
    pub(super) heap: usize,
}

/// A match.
#[derive(Debug)]
pub struct Found {
    /// The event time that had to pass before the match was certain: of the row that ended the search, or the end of `WITHIN`. The same
    /// however watermarks come.
    pub decided_at: i64,
    /// For each measure, the values of its parts.
    pub parts: Vec<Vec<Value>>,
}

/// Why a partition cannot go on.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    #[error(
        "more than {0} partial matches of one partition begin with the same row; add WITHIN, or make the conditions exclude each other"
    )]
    Runs(usize),
    #[error("a partition holds more than {0} rows; add WITHIN, or a condition under which a match in the making ends")]
    Rows(usize),
    #[error("AFTER MATCH SKIP TO {0}: a match has no row mapped to this variable; skip to a variable that each match has")]
    Nowhere(String),
    #[error(
        "AFTER MATCH SKIP TO {0}: it is the row where the match began, so the same match would be found for ever; skip to the next row or past the last"
    )]
    Endless(String),
}

impl Body {
    pub fn new() -> Self {
        Self { best: NONE, decided_at: i64::MIN, wake_at: i64::MAX, ..Self::default() }
    }

    /// Nothing left to remember.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub fn wake_at(&self) -> i64 {
        self.wake_at
    }

    /// The time of the row that a search is under way for.
    pub fn pending_since(&self) -> Option<i64> {
        self.active.then(|| self.rows[self.start].time)
    }

    pub fn heap_size(&self) -> usize {
        self.heap + self.links.capacity() * size_of::<Link>() + self.runs.capacity() * size_of::<Run>() + size_of::<Self>()
    }

    /// Puts a row where it belongs, behind its equals. Gives it back if rows behind its place were taken in already.
    pub fn insert(&mut self, row: Row, matcher: &Matcher) -> Result<Option<Row>, Trouble> {
        let at = self.rows.partition_point(|other| (other.time, &other.order) <= (row.time, &row.order));
        if at < self.next.max(self.start) {
            return Ok(Some(row));
        }
        if self.rows.len() >= matcher.limits.rows {
            return Err(Trouble::Rows(matcher.limits.rows));
        }
        self.heap += row.heap_size();
        self.rows.insert(at, row);
        self.plan_visit(matcher);
        Ok(None)
    }

    /// Searches as far as the watermark allows: rows older than it are all there.
    pub fn visit(&mut self, matcher: &Matcher, watermark: i64, into: &mut Vec<Found>) -> Result<(), Trouble> {
        let ended = watermark == i64::MAX;
        loop {
            if !self.active {
                if !self.rows.get(self.start).is_some_and(|row| ended || row.time < watermark) {
                    break;
                }
                self.begin(matcher);
            }
            let began_at = self.rows[self.start].time;
            let last_at = matcher.within.map_or(i64::MAX, |within| began_at.saturating_add(within));
            while !self.runs.is_empty() {
                let Some(row) = self.rows.get(self.next).filter(|row| ended || row.time < watermark) else { break };
                if row.time > last_at {
                    self.runs.clear();
                    self.decided_at = self.decided_at.max(last_at);
                    break;
                }
                self.decided_at = self.decided_at.max(row.time);
                self.take_in(matcher)?;
            }
            if !self.runs.is_empty() {
                if ended || last_at < watermark {
                    self.runs.clear();
                    self.decided_at = self.decided_at.max(last_at);
                } else {
                    break;
                }
            }
            self.decide(matcher, into)?;
        }
        self.release(matcher);
        self.plan_visit(matcher);
        Ok(())
    }

    fn begin(&mut self, matcher: &Matcher) {
        (self.active, self.next, self.best) = (true, self.start, NONE);
        self.links.clear();
        let registers: Arc<[Value]> = matcher.layout.empty().into();
        let run = |&position: &Position| Run { position, link: NONE, registers: Arc::clone(&registers) };
        self.runs = matcher.program.start().positions.iter().map(run).collect();
    }

    /// Takes in the next row: every partial match takes it, or ends.
    fn take_in(&mut self, matcher: &Matcher) -> Result<(), Trouble> {
        let (at, first) = (self.next, (self.next - self.start) as u32);
        self.next += 1;
        let mut after = Successors::default();
        for run in std::mem::take(&mut self.runs) {
            let variable = matcher.program.variable(run.position);
            let row = &self.rows[at];
            let before = |offset: usize| at.checked_sub(offset).map(|at| &*self.rows[at].values);
            let judgement = matcher.accepts(variable, &run.registers, row, before);
            if judgement.of_partition {
                let row = &mut self.rows[at];
                row.known |= 1 << variable;
                row.truths |= u64::from(judgement.holds) << variable;
            }
            if !judgement.holds {
                continue;
            }
            let registers = if matcher.layout.is_empty() {
                run.registers
            } else {
                let mut registers = run.registers;
                matcher.layout.update(Arc::make_mut(&mut registers), &self.rows[at].values, variable);
                registers
            };
            let link = self.links.len() as u32;
            self.links.push(Link { previous: run.link, row: first, variable: variable as u32 });
            let Follow { positions, accepts } = matcher.program.follow(run.position);
            for &position in positions {
                after.push(Run { position, link, registers: Arc::clone(&registers) });
            }
            if after.runs.len() > matcher.limits.runs {
                return Err(Trouble::Runs(matcher.limits.runs));
            }
            if *accepts {
                self.best = link;
                // Those behind are less preferred than this match.
                break;
            }
        }
        self.runs = after.runs;
        if self.links.len() > 64 && self.links.len() > 4 * (self.next - self.start) {
            self.compact();
        }
        Ok(())
    }

    /// The search from `start` is over: reports the match if there is one, and goes to the next start.
    fn decide(&mut self, matcher: &Matcher, into: &mut Vec<Found>) -> Result<(), Trouble> {
        self.active = false;
        if self.best == NONE {
            self.start += 1;
            return Ok(());
        }
        let mut mapped = Vec::new();
        let mut link = self.best;
        while link != NONE {
            let Link { previous, row, variable } = self.links[link as usize];
            mapped.push((self.start + row as usize, variable as usize));
            link = previous;
        }
        mapped.reverse();
        let last = mapped.last().map_or(self.start, |&(row, _)| row);
        let before = |offset: usize| last.checked_sub(offset).map(|at| &*self.rows[at].values);
        let rows = mapped.iter().map(|&(row, variable)| (&self.rows[row], variable));
        let parts = matcher.summarize(rows, &self.rows[last], before);
        into.push(Found { decided_at: self.decided_at, parts });
        let to = |variable: usize, row: Option<&(usize, usize)>| match row {
            Some(&(row, _)) if row == self.start => Err(Trouble::Endless(matcher.variables[variable].clone())),
            Some(&(row, _)) => Ok(row),
            None => Err(Trouble::Nowhere(matcher.variables[variable].clone())),
        };
        self.start = match matcher.after {
            AfterMatch::PastLastRow => last + 1,
            AfterMatch::ToNextRow => self.start + 1,
            AfterMatch::ToFirst(variable) => to(variable, mapped.iter().find(|(_, of)| *of == variable))?,
            AfterMatch::ToLast(variable) => to(variable, mapped.iter().rfind(|(_, of)| *of == variable))?,
        };
        Ok(())
    }

    /// Lets go of rows that no match and no `PREV` can need.
    fn release(&mut self, matcher: &Matcher) {
        let released = self.start.saturating_sub(matcher.before);
        for row in self.rows.drain(..released) {
            self.heap = self.heap.saturating_sub(row.heap_size());
        }
        self.start -= released;
        self.next = self.next.saturating_sub(released);
        if !self.active {
            (self.next, self.best) = (self.start, NONE);
            self.links = Vec::new();
            self.runs = Vec::new();
        }
        if self.rows.capacity() > 64 && self.rows.len() * 4 < self.rows.capacity() {
            self.rows.shrink_to_fit();
        }
    }

    fn plan_visit(&mut self, matcher: &Matcher) {
        let next = if self.active { self.next } else { self.start };
        let row_at = self.rows.get(next).map_or(i64::MAX, |row| row.time);
        let ends_at = match (matcher.within, self.pending_since()) {
            (Some(within), Some(since)) => since.saturating_add(within),
            _ => i64::MAX,
        };
        self.wake_at = row_at.min(ends_at);
    }

    /// Drops links that no partial match leads to.
    fn compact(&mut self) {
        let mut used = vec![false; self.links.len()];
        let mut mark = |link: u32| {
            if link != NONE {
                used[link as usize] = true;
            }
        };
        self.runs.iter().for_each(|run| mark(run.link));
        mark(self.best);
        for at in (0..self.links.len()).rev() {
            if used[at] && self.links[at].previous != NONE {
                used[self.links[at].previous as usize] = true;
            }
        }
        let mut places = vec![NONE; self.links.len()];
        let mut kept = Vec::new();
        for (at, link) in self.links.iter().enumerate().filter(|(at, _)| used[*at]) {
            places[at] = kept.len() as u32;
            let previous = if link.previous == NONE { NONE } else { places[link.previous as usize] };
            kept.push(Link { previous, ..*link });
        }
        let moved = |link: u32| if link == NONE { NONE } else { places[link as usize] };
        self.runs.iter_mut().for_each(|run| run.link = moved(run.link));
        self.best = moved(self.best);
        self.links = kept;
    }
}

/// Partial matches after a row, each future once: of those with the same position and registers the first is preferred.
#[derive(Default)]
struct Successors {
    runs: Vec<Run>,
    /// Once there are many: by hash.
    seen: AHashMap<u64, Vec<u32>>,
}

const FEW: usize = 16;

impl Successors {
    fn push(&mut self, run: Run) {
        let same = |other: &Run| other.position == run.position && other.registers == run.registers;
        if self.runs.len() < FEW {
            if !self.runs.iter().any(same) {
                self.runs.push(run);
            }
            return;
        }
        if self.seen.is_empty() {
            for (at, run) in self.runs.iter().enumerate() {
                let hash = hash_of(self.seen.hasher(), run);
                self.seen.entry(hash).or_default().push(at as u32);
            }
        }
        let hash = hash_of(self.seen.hasher(), &run);
        let places = self.seen.entry(hash).or_default();
        if !places.iter().any(|&at| same(&self.runs[at as usize])) {
            places.push(self.runs.len() as u32);
            self.runs.push(run);
        }
    }
}

fn hash_of(hasher: &impl BuildHasher, run: &Run) -> u64 {
    let mut hasher = hasher.build_hasher();
    run.position.hash(&mut hasher);
    for value in run.registers.iter() {
        match value {
            Value::Null => hasher.write_u8(0),
            Value::Bool(value) => value.hash(&mut hasher),
            Value::Int(value) => value.hash(&mut hasher),
            Value::Float(value) => value.to_bits().hash(&mut hasher),
            Value::Decimal(value) => value.hash(&mut hasher),
            Value::Text(text) => text.hash(&mut hasher),
            Value::Row(bytes) => bytes.hash(&mut hasher),
        }
    }
    hasher.finish()
}
