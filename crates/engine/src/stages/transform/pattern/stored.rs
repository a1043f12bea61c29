//! Partitions in keyed state: shared until changed, and their encoding.

use std::sync::Arc;

use super::{
    partition::{Body, Link, NONE, Row, Run},
    value::{Value, unzigzag, zigzag},
};
use crate::state::{
    StateError, StateValue,
    codec::{Reader, put_bytes, put_varint},
};

/// A partition. A copy of a page of state shares it; it is copied when it is next changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Partition {
    body: Arc<Body>,
}

impl Default for Partition {
    fn default() -> Self {
        Self { body: Arc::new(Body::new()) }
    }
}

impl Partition {
    pub fn body(&self) -> &Body {
        &self.body
    }

    pub fn body_mut(&mut self) -> &mut Body {
        Arc::make_mut(&mut self.body)
    }
}

impl StateValue for Partition {
    fn encode(&self, out: &mut Vec<u8>) {
        let body = &*self.body;
        put_varint(out, body.rows.len() as u64);
        let mut time = 0i64;
        for row in &body.rows {
            put_varint(out, zigzag(row.time.wrapping_sub(time)));
            time = row.time;
            put_bytes(out, &row.order);
            put_varint(out, row.truths);
            put_varint(out, row.known);
            put_values(out, &row.values);
        }
        put_varint(out, body.start as u64);
        put_varint(out, body.next as u64);
        out.push(u8::from(body.active));
        put_varint(out, body.links.len() as u64);
        for link in &body.links {
            put_varint(out, u64::from(link.previous.wrapping_add(1)));
            put_varint(out, u64::from(link.row));
            put_varint(out, u64::from(link.variable));
        }
        put_varint(out, body.runs.len() as u64);
        for run in &body.runs {
            put_varint(out, u64::from(run.position));
            put_varint(out, u64::from(run.link.wrapping_add(1)));
            put_values(out, &run.registers);
        }
        put_varint(out, u64::from(body.best.wrapping_add(1)));
        put_varint(out, zigzag(body.decided_at));
        put_varint(out, zigzag(body.wake_at));
    }

    fn decode(bytes: &[u8]) -> Result<Self, StateError> {
        let mut reader = Reader::new(bytes);
        let reader = &mut reader;
        let mut body = Body::new();
        let mut time = 0i64;
        for _ in 0..count(reader)? {
            time = time.wrapping_add(unzigzag(reader.varint()?));
            let row = Row {
                time,
                order: reader.bytes()?.into(),
                truths: reader.varint()?,
                known: reader.varint()?,
                values: values(reader)?.into(),
            };
            body.heap += row.heap_size();
            body.rows.push_back(row);
        }
        (body.start, body.next) = (reader.size()?, reader.size()?);
        body.active = reader.u8()? == 1;
        for at in 0..count(reader)? {
            let link = Link { previous: index(reader, at)?, row: number(reader)?, variable: number(reader)? };
            if link.row as usize >= body.rows.len() {
                return Err(StateError::Malformed("a match has a row that is not there"));
            }
            body.links.push(link);
        }
        let links = body.links.len();
        for _ in 0..count(reader)? {
            let position = number(reader)?;
            let link = index(reader, links)?;
            body.runs.push(Run { position, link, registers: values(reader)?.into() });
        }
        body.best = index(reader, links)?;
        body.decided_at = unzigzag(reader.varint()?);
        body.wake_at = unzigzag(reader.varint()?);
        if !reader.is_empty() {
            return Err(StateError::Malformed("bytes follow where none should"));
        }
        let rows = body.rows.len();
        if body.start > rows || body.next > rows || body.active && (body.start >= rows || body.next < body.start) {
            return Err(StateError::Malformed("a search is beyond the rows"));
        }
        Ok(Self { body: Arc::new(body) })
    }

    fn heap_size(&self) -> usize {
        self.body.heap_size()
    }

    /// The row whose match is searched for, or what is waited for: not later than the time the partition is to be looked at.
    fn timer(&self) -> Option<i64> {
        Some(self.body.pending_since().unwrap_or(i64::MAX).min(self.body.wake_at()))
    }
}

fn put_values(out: &mut Vec<u8>, values: &[Value]) {
    put_varint(out, values.len() as u64);
    values.iter().for_each(|value| value.encode(out));
}

fn values(reader: &mut Reader<'_>) -> Result<Vec<Value>, StateError> {
    (0..count(reader)?).map(|_| Value::decode(reader)).collect()
}

/// How many things follow, each of at least one byte.
fn count(reader: &mut Reader<'_>) -> Result<usize, StateError> {
    let count = reader.size()?;
    if count > reader.remaining().len() { Err(StateError::Malformed("a count is too large")) } else { Ok(count) }
}

fn number(reader: &mut Reader<'_>) -> Result<u32, StateError> {
    u32::try_from(reader.varint()?).map_err(|_| StateError::Malformed("a number is too large"))
}

/// A place before `end`, or none.
fn index(reader: &mut Reader<'_>, end: usize) -> Result<u32, StateError> {
    match number(reader)? {
        0 => Ok(NONE),
        place if place as usize <= end => Ok(place - 1),
        _ => Err(StateError::Malformed("a partial match leads nowhere")),
    }
}
