//! The numbers that rules look at, and how each is computed from what was measured: of one window, or of many that were added up.

use weir_spec::metric::DistributionTest;

use super::{
    distribution::{chi_square_p, jensen_shannon, ks, psi},
    measured::Measured,
    moments::{float, put_float},
};
use crate::state::{
    StateError,
    codec::{Reader, put_varint},
};

/// A number that is read from one measure.
#[derive(Clone, Debug, PartialEq)]
pub enum Number {
    Rows,
    Completeness,
    Uniqueness,
    Mean,
    Sum,
    Min,
    Max,
    Stddev,
    Quantile(f64),
    /// Seconds from the newest event time to the end.
    Age,
    /// From a reference whose bins have these shares.
    Distance(DistributionTest, Vec<f64>),
}

impl Number {
    /// The number of so many rows, which ended at `end` (microseconds); none where there is nothing to compute it from.
    pub fn of(&self, rows: u64, measured: &Measured, end: i64) -> Option<f64> {
        match (self, measured) {
            (Self::Rows, _) => Some(rows as f64),
            (Self::Completeness, Measured::Present(present)) => (rows > 0).then(|| *present as f64 / rows as f64),
            (Self::Uniqueness, Measured::Distinct(count, distinct)) => {
                (*count > 0).then(|| (distinct.count() / *count as f64).min(1.0))
            }
            (Self::Mean, Measured::Moments(moments)) => moments.mean(),
            (Self::Sum, Measured::Moments(moments)) => moments.sum(),
            (Self::Min, Measured::Moments(moments)) => moments.min(),
            (Self::Max, Measured::Moments(moments)) => moments.max(),
            (Self::Stddev, Measured::Moments(moments)) => moments.stddev(),
            (Self::Quantile(q), Measured::Digest(digest)) => digest.quantile(*q),
            (Self::Age, Measured::Newest(newest)) => newest.map(|newest| seconds(end.saturating_sub(newest))),
            (Self::Distance(test, expected), Measured::Histogram(counts)) if counts.total() > 0 => Some(match test {
                DistributionTest::Psi => psi(expected, &counts.0),
                DistributionTest::Ks => ks(expected, &counts.0),
                DistributionTest::JensenShannon => jensen_shannon(expected, &counts.0),
                DistributionTest::ChiSquare => chi_square_p(expected, &counts.0),
            }),
            _ => None,
        }
    }

    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Rows => out.push(0),
            Self::Completeness => out.push(1),
            Self::Uniqueness => out.push(2),
            Self::Mean => out.push(3),
            Self::Sum => out.push(4),
            Self::Min => out.push(5),
            Self::Max => out.push(6),
            Self::Stddev => out.push(7),
            Self::Quantile(q) => {
                out.push(8);
                put_float(out, *q);
            }
            Self::Age => out.push(9),
            Self::Distance(test, shares) => {
                out.push(match test {
                    DistributionTest::Psi => 10,
                    DistributionTest::Ks => 11,
                    DistributionTest::JensenShannon => 12,
                    DistributionTest::ChiSquare => 13,
                });
                put_varint(out, shares.len() as u64);
                shares.iter().for_each(|share| put_float(out, *share));
            }
        }
    }

    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, StateError> {
        let test = match reader.u8()? {
            0 => return Ok(Self::Rows),
            1 => return Ok(Self::Completeness),
            2 => return Ok(Self::Uniqueness),
            3 => return Ok(Self::Mean),
            4 => return Ok(Self::Sum),
            5 => return Ok(Self::Min),
            6 => return Ok(Self::Max),
            7 => return Ok(Self::Stddev),
            8 => return Ok(Self::Quantile(float(reader)?)),
            9 => return Ok(Self::Age),
            10 => DistributionTest::Psi,
            11 => DistributionTest::Ks,
            12 => DistributionTest::JensenShannon,
            13 => DistributionTest::ChiSquare,
            _ => return Err(StateError::Malformed("no such number")),
        };
        let bins = reader.size()?;
        if bins > reader.remaining().len() {
            return Err(StateError::Malformed("the shares of a reference are cut off"));
        }
        Ok(Self::Distance(test, (0..bins).map(|_| float(reader)).collect::<Result<_, _>>()?))
    }
}

/// Of microseconds.
pub fn seconds(span: i64) -> f64 {
    span as f64 / 1e6
}
