//! Quantiles of any number of values in bounded memory: a merging t-digest.
//!
//! T. Dunning, O. Ertl, "Computing Extremely Accurate Quantiles Using t-Digests" (2019), with scale function k1: centroids are small at the
//! ends and larger in the middle, so that extreme quantiles are the most exact.

use std::f64::consts::PI;

use super::moments::{float, put_float};
use crate::state::{
    StateError,
    codec::{Reader, put_varint},
};

/// About twice the number of centroids kept: in the middle, where it is the most, one holds a hundredth of the values.
const COMPRESSION: f64 = 300.0;
/// Values taken in before they are merged.
const BUFFER: usize = 1_000;

#[derive(Clone, Copy, Debug, PartialEq)]
struct Centroid {
    mean: f64,
    weight: f64,
}

/// Of all finite numbers given.
#[derive(Clone, Debug, PartialEq)]
pub struct Digest {
    centroids: Vec<Centroid>,
    /// Not merged yet.
    waiting: Vec<Centroid>,
    min: f64,
    max: f64,
}

impl Default for Digest {
    fn default() -> Self {
        Self { centroids: Vec::new(), waiting: Vec::new(), min: f64::INFINITY, max: f64::NEG_INFINITY }
    }
}

impl Digest {
    /// Takes in a number. What is not finite is left out.
    pub fn add(&mut self, value: f64) {
        if !value.is_finite() {
            return;
        }
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        self.waiting.push(Centroid { mean: value, weight: 1.0 });
        if self.waiting.len() >= BUFFER {
            self.settle();
        }
    }

    pub fn merge(&mut self, other: &Self) {
        self.waiting.extend_from_slice(&other.centroids);
        self.waiting.extend_from_slice(&other.waiting);
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.settle();
    }

    /// The value below which this fraction of the numbers lies.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let mut settled = self.clone();
        settled.settle();
        let centroids = &settled.centroids;
        let total: f64 = centroids.iter().map(|centroid| centroid.weight).sum();
        centroids.first()?;
        let rank = q.clamp(0.0, 1.0) * total;
        // Each centroid stands at the middle of its weight; between two of them the way is straight, and so it is to the ends.
        let (mut below, mut at) = (0.0, (0.0, self.min));
        for centroid in centroids {
            let middle = if centroid.weight > 1.0 { below + centroid.weight / 2.0 } else { below + 0.5 };
            if rank <= middle {
                return Some(between(rank, at, (middle, centroid.mean)).clamp(self.min, self.max));
            }
            below += centroid.weight;
            at = (middle, centroid.mean);
        }
        Some(between(rank, at, (total, self.max)).clamp(self.min, self.max))
    }

    /// Merges what waits: neighbours grow together as far as the scale function allows. At most some 300 centroids are left.
    pub fn settle(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let mut all = std::mem::take(&mut self.centroids);
        all.append(&mut self.waiting);
        all.sort_by(|a, b| a.mean.total_cmp(&b.mean).then(a.weight.total_cmp(&b.weight)));
        let total: f64 = all.iter().map(|centroid| centroid.weight).sum();
        let scale = |q: f64| COMPRESSION / (2.0 * PI) * (2.0 * q.clamp(0.0, 1.0) - 1.0).asin();
        let mut merged: Vec<Centroid> = Vec::new();
        let (mut before, mut began) = (0.0, scale(0.0));
        for next in all {
            match merged.last_mut() {
                Some(last) if scale((before + last.weight + next.weight) / total) - began <= 1.0 => {
                    last.weight += next.weight;
                    last.mean += (next.mean - last.mean) * next.weight / last.weight;
                }
                last => {
                    before += last.map_or(0.0, |last| last.weight);
                    began = scale(before / total);
                    merged.push(next);
                }
            }
        }
        self.centroids = merged;
    }

    pub fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.centroids.len() as u64);
        put_varint(out, self.waiting.len() as u64);
        for centroid in self.centroids.iter().chain(&self.waiting) {
            put_float(out, centroid.mean);
            put_float(out, centroid.weight);
        }
        put_float(out, self.min);
        put_float(out, self.max);
    }

    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, StateError> {
        let (settled, waiting) = (reader.size()?, reader.size()?);
        if settled.saturating_add(waiting) > reader.remaining().len() {
            return Err(StateError::Malformed("a digest is cut off"));
        }
        let mut some = |count: usize| -> Result<Vec<Centroid>, StateError> {
            (0..count).map(|_| Ok(Centroid { mean: float(reader)?, weight: float(reader)? })).collect()
        };
        let (centroids, waiting) = (some(settled)?, some(waiting)?);
        Ok(Self { centroids, waiting, min: float(reader)?, max: float(reader)? })
    }
}

fn between(rank: f64, from: (f64, f64), to: (f64, f64)) -> f64 {
    if to.0 <= from.0 { to.1 } else { from.1 + (to.1 - from.1) * (rank - from.0) / (to.0 - from.0) }
}
