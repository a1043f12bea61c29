//! Randomness that is a function of the seed and the row, and where bursts of anomalous rows lie.

/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Random {
    /// The randomness that belongs to `index` of a named stream.
    pub fn of(seed: u64, stream: u64, index: u64) -> Self {
        Self(mix(mix(seed ^ stream.wrapping_mul(0xd6e8_feb8_6659_fd93)).wrapping_add(index.wrapping_mul(0x9e37_79b9_7f4a_7c15))))
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// Uniform in `0..n`; 0 for `n` = 0.
    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(n)) >> 64) as u64
    }

    pub fn chance(&mut self, share: Share) -> bool {
        share.0 > 0 && (self.next() >> 1) < share.0
    }

    pub fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len() as u64) as usize]
    }

    /// Uniform in [0, 1).
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Roughly normal, mean 0, deviation 1: the sum of 4 uniform numbers, scaled.
    pub fn normal(&mut self) -> f64 {
        let sum: f64 = (0..4).map(|_| self.unit()).sum();
        (sum - 2.0) * 1.732_050_8
    }
}

/// A probability in units of 2^-63.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Share(u64);

impl Share {
    pub fn new(share: f64) -> Self {
        Self((share.clamp(0.0, 1.0) * (1_u64 << 63) as f64) as u64)
    }
}

/// The place of a row in a burst of anomalous rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Burst {
    /// Which burst; the same for all its rows.
    pub id: u64,
    /// Its how many-th row, from 0.
    pub step: u64,
    /// How many rows it has.
    pub length: u64,
}

/// Rows come in windows of this many; a window holds at most one burst.
const WINDOW: u64 = 1024;
const USUAL_LENGTH: u64 = 24;

/// The burst that `row` belongs to, if bursts make up `share` of all rows. Below a share of one usual burst per window some
/// windows have none; above it bursts grow.
pub(crate) fn burst(seed: u64, row: u64, share: f64) -> Option<Burst> {
    if share <= 0.0 {
        return None;
    }
    let id = row / WINDOW;
    let per_window = share * WINDOW as f64;
    let length = USUAL_LENGTH.max(per_window.ceil() as u64).min(WINDOW);
    let mut random = Random::of(seed, 0xb0, id);
    if !random.chance(Share::new(per_window / length as f64)) {
        return None;
    }
    // As far apart as fits, so that usual rows come between them.
    let stride = (WINDOW / length).clamp(1, 4);
    let offset = random.below(WINDOW - (length - 1) * stride);
    let place = (row % WINDOW).checked_sub(offset)?;
    (place % stride == 0 && place / stride < length).then_some(Burst { id, step: place / stride, length })
}
