//! Count, mean, spread and range of numbers, one by one and merged.
//!
//! Updates are Welford's (Technometrics 4, 1962), merging is Chan, Golub and LeVeque's (COMPSTAT 1982, equations 2.1): neither loses digits
//! where numbers are large and their spread is small.

use crate::state::{
    StateError,
    codec::{Reader, put_varint},
};

/// Of all finite numbers given.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moments {
    pub count: u64,
    mean: f64,
    /// The sum of squared differences from the mean.
    m2: f64,
    min: f64,
    max: f64,
}

impl Moments {
    /// Takes in a number. What is not finite is left out.
    pub fn add(&mut self, value: f64) {
        if !value.is_finite() {
            return;
        }
        if self.count == 0 {
            *self = Self { count: 1, mean: value, m2: 0.0, min: value, max: value };
            return;
        }
        self.count += 1;
        let delta = value - self.mean;
        self.mean += delta / self.count as f64;
        self.m2 += delta * (value - self.mean);
        self.min = self.min.min(value);
        self.max = self.max.max(value);
    }

    pub fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        if self.count == 0 {
            *self = *other;
            return;
        }
        let (a, b) = (self.count as f64, other.count as f64);
        let delta = other.mean - self.mean;
        self.count += other.count;
        self.mean += delta * b / (a + b);
        self.m2 += other.m2 + delta * delta * a * b / (a + b);
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then_some(self.mean)
    }

    pub fn min(&self) -> Option<f64> {
        (self.count > 0).then_some(self.min)
    }

    pub fn max(&self) -> Option<f64> {
        (self.count > 0).then_some(self.max)
    }

    pub fn sum(&self) -> Option<f64> {
        (self.count > 0).then_some(self.mean * self.count as f64)
    }

    /// The sample standard deviation (n - 1).
    pub fn stddev(&self) -> Option<f64> {
        (self.count > 1).then(|| (self.m2 / (self.count - 1) as f64).max(0.0).sqrt())
    }

    pub fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.count);
        for number in [self.mean, self.m2, self.min, self.max] {
            put_float(out, number);
        }
    }

    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, StateError> {
        Ok(Self { count: reader.varint()?, mean: float(reader)?, m2: float(reader)?, min: float(reader)?, max: float(reader)? })
    }
}

pub fn put_float(out: &mut Vec<u8>, number: f64) {
    out.extend_from_slice(&number.to_bits().to_le_bytes());
}

pub fn float(reader: &mut Reader<'_>) -> Result<f64, StateError> {
    Ok(f64::from_bits(reader.u64()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_numbers_keep_the_digits_of_their_spread() {
        // NIST StRD, univariate, NumAcc4: mean 10000000.2, standard deviation 0.1, 1001 observations.
        let mut whole = Moments::default();
        let mut halves = [Moments::default(), Moments::default()];
        for n in 0..1001 {
            let value = if n == 0 {
                10_000_000.2
            } else if n % 2 == 1 {
                10_000_000.1
            } else {
                10_000_000.3
            };
            whole.add(value);
            halves[n % 2].add(value);
        }
        let [mut merged, other] = halves;
        merged.merge(&other);
        for moments in [whole, merged] {
            assert!((moments.mean().unwrap() - 10_000_000.2).abs() < 1e-8);
            assert!((moments.stddev().unwrap() - 0.1).abs() < 1e-8);
        }
    }

    #[test]
    fn nothing_has_no_moments_and_one_number_no_spread() {
        let mut moments = Moments::default();
        moments.add(f64::NAN);
        assert_eq!((moments.mean(), moments.min(), moments.stddev()), (None, None, None));
        moments.add(3.0);
        assert_eq!((moments.mean(), moments.max(), moments.sum(), moments.stddev()), (Some(3.0), Some(3.0), Some(3.0), None));
    }
}
