//! What closed windows added up to, as it leaves the engine, and how windows add up later: without the document, the reference files or
//! the rows.
//!
//! Encoded measures say by themselves what each is of and which number each rule reads from it. So windows are added only where the
//! rule's measure is the same (column, type, bins), whichever version of the document measured it; what differs is refused.
//!
//! ```text
//! version 1 | rows | measures: (identity 8 | length | bytes)* | rules: (name | which measure | number)*
//! ```

use super::{measured::Measured, number::Number, plan::Plan, window::Window};
use crate::state::{
    StateError,
    codec::{Reader, put_bytes, put_varint},
};

const VERSION: u8 = 1;

/// The measures of a window that the rules chosen by `told` (by their place in the plan) need; empty where it chooses none.
pub fn encode(plan: &Plan, window: &Window, told: impl Fn(usize) -> bool) -> Vec<u8> {
    let rules: Vec<_> = plan.rules.iter().enumerate().filter(|(n, _)| told(*n)).map(|(_, rule)| rule).collect();
    if rules.is_empty() {
        return Vec::new();
    }
    let mut needed: Vec<usize> = rules.iter().map(|rule| rule.measure).collect();
    needed.sort_unstable();
    needed.dedup();
    let mut out = vec![VERSION];
    put_varint(&mut out, window.rows());
    put_varint(&mut out, needed.len() as u64);
    let mut bytes = Vec::new();
    for &measure in &needed {
        out.extend_from_slice(&plan.identities[measure].to_le_bytes());
        bytes.clear();
        window.0[measure].encode(&mut bytes);
        put_bytes(&mut out, &bytes);
    }
    put_varint(&mut out, rules.len() as u64);
    for rule in rules {
        put_bytes(&mut out, rule.name.as_bytes());
        put_varint(&mut out, needed.partition_point(|&measure| measure < rule.measure) as u64);
        rule.number.encode(&mut out);
    }
    out
}

/// Why a window cannot be added.
#[derive(Debug, thiserror::Error)]
pub enum CannotAdd {
    /// Another version of the document measured something else under the rule's name.
    #[error("the windows were measured by rules that look at different things")]
    Unalike,
    /// The rule's measure is not among them, because it may not be told.
    #[error("the rule's measure was not handed on")]
    Missing,
    #[error("the measures cannot be read: {0}")]
    Damaged(#[from] StateError),
}

/// What windows add up to for one rule.
#[derive(Clone, Debug)]
pub struct Sum {
    rule: String,
    added: Option<Added>,
}

#[derive(Clone, Debug)]
struct Added {
    identity: u64,
    number: Number,
    rows: u64,
    measured: Measured,
}

impl Sum {
    /// Of no windows yet.
    pub fn of(rule: &str) -> Self {
        Self { rule: rule.to_owned(), added: None }
    }

    /// Adds a window's encoded measures. After an error the sum is what it was before.
    pub fn add(&mut self, measures: &[u8]) -> Result<(), CannotAdd> {
        let other = Added::decode(&self.rule, measures)?;
        match &mut self.added {
            None => self.added = Some(other),
            Some(added) if added.is_like(&other) => {
                added.rows += other.rows;
                added.measured.merge(&other.measured);
            }
            Some(_) => return Err(CannotAdd::Unalike),
        }
        Ok(())
    }

    /// The rule's number over all rows of the windows, the last of which ended at `end` (microseconds); none where there is nothing to
    /// compute it from.
    pub fn value(&self, end: i64) -> Option<f64> {
        let added = self.added.as_ref()?;
        added.number.of(added.rows, &added.measured, end).filter(|value| value.is_finite())
    }
}

impl Added {
    /// Reads what one rule needs; the other measures are passed over.
    fn decode(rule: &str, measures: &[u8]) -> Result<Self, CannotAdd> {
        let mut reader = Reader::new(measures);
        if reader.u8()? != VERSION {
            return Err(StateError::Malformed("measures of a version that is not known").into());
        }
        let rows = reader.varint()?;
        let mut encoded = Vec::new();
        for _ in 0..reader.size()? {
            encoded.push((reader.u64()?, reader.bytes()?));
        }
        let mut found = None;
        for _ in 0..reader.size()? {
            let name = reader.bytes()?;
            let (place, number) = (reader.size()?, Number::decode(&mut reader)?);
            if name == rule.as_bytes() {
                found = Some((place, number));
            }
        }
        reader.finish()?;
        let (place, number) = found.ok_or(CannotAdd::Missing)?;
        let &(identity, bytes) = encoded.get(place).ok_or(StateError::Malformed("a rule has no measure"))?;
        let mut reader = Reader::new(bytes);
        let measured = Measured::decode(&mut reader)?;
        reader.finish()?;
        Ok(Self { identity, number, rows, measured })
    }

    fn is_like(&self, other: &Self) -> bool {
        self.identity == other.identity && self.number == other.number && self.measured.is_like(&other.measured)
    }
}
