//! Summaries of bounded size: HyperLogLog for distinct counts, t-digest for percentiles.

use datafusion_functions_aggregate_common::tdigest::{Centroid, TDigest};

use crate::state::{
    StateError,
    codec::{Reader, put_varint},
};

/// 2^14 registers: a standard error of 0.81 %.
const PRECISION: u32 = 14;
const REGISTERS: usize = 1 << PRECISION;
/// Up to so many distinct hashes are kept as they are, and counted exactly but for collisions of 64 bits.
const SPARSE: usize = 1024;

/// HyperLogLog (Flajolet and others, 2007) with the estimator of Ertl ("New cardinality estimation algorithms for HyperLogLog
/// sketches", 2017, algorithm 6), which needs no corrections for small or large counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Hll {
    /// Hashes, sorted.
    Sparse(Vec<u64>),
    Dense(Box<[u8]>),
}

impl Default for Hll {
    fn default() -> Self {
        Self::Sparse(Vec::new())
    }
}

impl Hll {
    pub(super) fn add(&mut self, hash: u64) {
        match self {
            Self::Sparse(hashes) => {
                let Err(at) = hashes.binary_search(&hash) else { return };
                hashes.insert(at, hash);
                if hashes.len() > SPARSE {
                    let mut dense = Self::Dense(vec![0; REGISTERS].into_boxed_slice());
                    std::mem::take(hashes).into_iter().for_each(|hash| dense.add(hash));
                    *self = dense;
                }
            }
            Self::Dense(registers) => {
                let register = &mut registers[(hash >> (64 - PRECISION)) as usize];
                let rank = ((hash << PRECISION) | 1 << (PRECISION - 1)).leading_zeros() + 1;
                *register = (*register).max(rank as u8);
            }
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        match (&mut *self, other) {
            (_, Self::Sparse(hashes)) => hashes.iter().for_each(|&hash| self.add(hash)),
            (Self::Dense(mine), Self::Dense(theirs)) => {
                mine.iter_mut().zip(theirs).for_each(|(mine, theirs)| *mine = (*mine).max(*theirs));
            }
            (Self::Sparse(hashes), Self::Dense(_)) => {
                let hashes = std::mem::take(hashes);
                *self = other.clone();
                hashes.into_iter().for_each(|hash| self.add(hash));
            }
        }
    }

    pub(super) fn count(&self) -> u64 {
        let registers = match self {
            Self::Sparse(hashes) => return hashes.len() as u64,
            Self::Dense(registers) => registers,
        };
        const MOST: usize = (64 - PRECISION) as usize + 1;
        let mut histogram = [0u32; MOST + 1];
        registers.iter().for_each(|&rank| histogram[usize::from(rank).min(MOST)] += 1);
        let m = REGISTERS as f64;
        let mut z = m * tau((m - f64::from(histogram[MOST])) / m);
        for k in (1..MOST).rev() {
            z = 0.5 * (z + f64::from(histogram[k]));
        }
        z += m * sigma(f64::from(histogram[0]) / m);
        (0.5 / std::f64::consts::LN_2 * m * m / z).round() as u64
    }

    pub(super) fn heap_size(&self) -> usize {
        match self {
            Self::Sparse(hashes) => hashes.capacity() * 8,
            Self::Dense(registers) => registers.len(),
        }
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Sparse(hashes) => {
                put_varint(out, hashes.len() as u64);
                hashes.iter().for_each(|hash| out.extend_from_slice(&hash.to_le_bytes()));
            }
            Self::Dense(registers) => {
                put_varint(out, SPARSE as u64 + 1);
                out.extend_from_slice(registers);
            }
        }
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, StateError> {
        let count = reader.size()?;
        if count > SPARSE {
            return Ok(Self::Dense(reader.take(REGISTERS)?.into()));
        }
        let words = reader.take(count * 8)?.as_chunks().0;
        let hashes: Vec<u64> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
        if !hashes.is_sorted_by(|a, b| a < b) {
            return Err(StateError::Malformed("hashes of a sketch are not in order"));
        }
        Ok(Self::Sparse(hashes))
    }
}

fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z == before {
            return z;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x).powi(2) * y;
        if z == before {
            return z / 3.0;
        }
    }
}

/// Values waiting to go into a digest; merging is dear, so many go at once.
const WAITING: usize = 256;

/// A t-digest (Dunning and Ertl, 2019) of 100 centroids, as DataFusion's `approx_percentile_cont` has it.
#[derive(Clone, Debug, Default)]
pub(super) struct Digest {
    merged: TDigest,
    waiting: Vec<f64>,
}

impl Digest {
    pub(super) fn add(&mut self, value: f64) {
        self.waiting.push(value);
        if self.waiting.len() >= WAITING {
            self.settle();
        }
    }

    fn settle(&mut self) {
        if !self.waiting.is_empty() {
            self.merged = self.merged.merge_unsorted_f64(std::mem::take(&mut self.waiting));
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.settle();
        if other.merged.count() > 0.0 {
            self.merged = TDigest::merge_digests([&self.merged, &other.merged]);
        }
        other.waiting.iter().for_each(|&value| self.add(value));
    }

    /// `None` if there are no values.
    pub(super) fn quantile(&self, fraction: f64) -> Option<f64> {
        let all = self.merged.merge_unsorted_f64(self.waiting.clone());
        (all.count() > 0.0).then(|| all.estimate_quantile(fraction))
    }

    pub(super) fn heap_size(&self) -> usize {
        self.merged.size() + self.waiting.capacity() * 8
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let mut float = |value: f64| out.extend_from_slice(&value.to_bits().to_le_bytes());
        [self.merged.sum(), self.merged.count(), self.merged.max(), self.merged.min()].into_iter().for_each(&mut float);
        put_varint(out, self.merged.centroids().len() as u64);
        let mut float = |value: f64| out.extend_from_slice(&value.to_bits().to_le_bytes());
        for centroid in self.merged.centroids() {
            float(centroid.mean());
            float(centroid.weight());
        }
        put_varint(out, self.waiting.len() as u64);
        self.waiting.iter().for_each(|value| out.extend_from_slice(&value.to_bits().to_le_bytes()));
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, StateError> {
        fn float(reader: &mut Reader<'_>) -> Result<f64, StateError> {
            Ok(f64::from_bits(reader.u64()?))
        }
        let [sum, count, max, min] = [float(reader)?, float(reader)?, float(reader)?, float(reader)?];
        let mut centroids = Vec::new();
        for _ in 0..reader.size()? {
            centroids.push(Centroid::new(float(reader)?, float(reader)?));
        }
        let mut waiting = Vec::new();
        for _ in 0..reader.size()? {
            waiting.push(float(reader)?);
        }
        let merged = TDigest::try_from_parts(TDigest::default().max_size(), sum, count, max, min, centroids);
        Ok(Self { merged: merged.map_err(|_| StateError::Malformed("not a t-digest"))?, waiting })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::key_hash;

    #[test]
    fn a_sketch_counts_within_its_error_and_merging_is_a_union() {
        for (count, error) in [(0, 0.0), (1, 0.0), (1_000, 0.0), (5_000, 0.03), (200_000, 0.03)] {
            let (mut whole, mut even, mut odd) = (Hll::default(), Hll::default(), Hll::default());
            for n in 0..count as u64 {
                let hash = key_hash(&n.to_le_bytes());
                whole.add(hash);
                if n % 2 == 0 { even.add(hash) } else { odd.add(hash) }
            }
            even.merge(&odd);
            assert_eq!(even, whole);
            let off = (whole.count() as f64 - count as f64).abs();
            assert!(off <= error * count as f64, "{count}: {}", whole.count());
            let mut bytes = Vec::new();
            whole.encode(&mut bytes);
            assert_eq!(Hll::decode(&mut Reader::new(&bytes)).unwrap(), whole);
        }
    }

    #[test]
    fn a_digest_survives_its_encoding() {
        let mut digest = Digest::default();
        (0..1_000).for_each(|n| digest.add(f64::from(n)));
        let mut bytes = Vec::new();
        digest.encode(&mut bytes);
        let back = Digest::decode(&mut Reader::new(&bytes)).unwrap();
        assert_eq!(back.quantile(0.3), digest.quantile(0.3));
        assert!((digest.quantile(0.5).unwrap() - 499.5).abs() < 10.0);
        assert!(Digest::decode(&mut Reader::new(&bytes[..20])).is_err());
    }
}
