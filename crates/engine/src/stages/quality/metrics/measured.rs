//! One measure of a window so far: it takes in rows, merges with others of its kind, and goes to bytes and back.

use super::{digest::Digest, distinct::Distinct, distribution::Histogram, moments::Moments, plan::Measure};
use crate::state::{
    StateError,
    codec::{Reader, put_varint},
};

#[derive(Clone, Debug, PartialEq)]
pub enum Measured {
    Rows(u64),
    Present(u64),
    /// Rows that have values, and how many different ones.
    Distinct(u64, Distinct),
    Moments(Moments),
    Digest(Digest),
    Newest(Option<i64>),
    Histogram(Histogram),
}

impl Measured {
    /// Of no rows.
    pub fn new(measure: &Measure) -> Self {
        match measure {
            Measure::Rows => Self::Rows(0),
            Measure::Present(_) => Self::Present(0),
            Measure::Distinct(_) => Self::Distinct(0, Distinct::default()),
            Measure::Moments(_) => Self::Moments(Moments::default()),
            Measure::Digest(_) => Self::Digest(Digest::default()),
            Measure::Newest => Self::Newest(None),
            Measure::Histogram { reference, .. } => Self::Histogram(Histogram::new(&reference.bins)),
        }
    }

    /// Adds the same measure of other rows.
    pub fn merge(&mut self, other: &Self) {
        match (self, other) {
            (Self::Rows(mine), Self::Rows(other)) | (Self::Present(mine), Self::Present(other)) => *mine += other,
            (Self::Distinct(rows, mine), Self::Distinct(others, other)) => {
                *rows += others;
                mine.merge(other);
            }
            (Self::Moments(mine), Self::Moments(other)) => mine.merge(other),
            (Self::Digest(mine), Self::Digest(other)) => mine.merge(other),
            (Self::Newest(mine), Self::Newest(other)) => *mine = (*mine).max(*other),
            (Self::Histogram(mine), Self::Histogram(other)) => mine.merge(other),
            _ => debug_assert!(false, "measures of different kinds"),
        }
    }

    /// No rows follow: takes as little space as it can.
    pub fn settle(&mut self) {
        if let Self::Digest(digest) = self {
            digest.settle();
        }
    }

    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Rows(rows) => {
                out.push(0);
                put_varint(out, *rows);
            }
            Self::Present(rows) => {
                out.push(1);
                put_varint(out, *rows);
            }
            Self::Distinct(rows, distinct) => {
                out.push(2);
                put_varint(out, *rows);
                distinct.encode(out);
            }
            Self::Moments(moments) => {
                out.push(3);
                moments.encode(out);
            }
            Self::Digest(digest) => {
                out.push(4);
                digest.encode(out);
            }
            Self::Newest(newest) => {
                out.push(if newest.is_some() { 6 } else { 5 });
                out.extend_from_slice(&newest.unwrap_or_default().to_le_bytes());
            }
            Self::Histogram(histogram) => {
                out.push(7);
                histogram.encode(out);
            }
        }
    }

    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, StateError> {
        Ok(match reader.u8()? {
            0 => Self::Rows(reader.varint()?),
            1 => Self::Present(reader.varint()?),
            2 => Self::Distinct(reader.varint()?, Distinct::decode(reader)?),
            3 => Self::Moments(Moments::decode(reader)?),
            4 => Self::Digest(Digest::decode(reader)?),
            5 => reader.i64().map(|_| Self::Newest(None))?,
            6 => Self::Newest(Some(reader.i64()?)),
            7 => Self::Histogram(Histogram::decode(reader)?),
            _ => return Err(StateError::Malformed("no such measure")),
        })
    }

    /// Whether the two are of one kind, and over as many bins.
    pub fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Histogram(mine), Self::Histogram(other)) => mine.0.len() == other.0.len(),
            (mine, other) => std::mem::discriminant(mine) == std::mem::discriminant(other),
        }
    }

    /// Bytes, roughly.
    pub fn memory(&self) -> usize {
        let more = match self {
            Self::Distinct(_, Distinct::Exact(hashes)) => hashes.len() * 16,
            Self::Distinct(_, Distinct::Estimate(registers)) => registers.len(),
            Self::Digest(_) => 16 << 10,
            Self::Histogram(histogram) => histogram.0.len() * 8,
            _ => 0,
        };
        size_of::<Self>() + more
    }
}
