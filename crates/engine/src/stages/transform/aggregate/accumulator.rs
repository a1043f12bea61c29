//! What one aggregate remembers of one group: 24 bytes, with a heap only for what has no fixed size.
//!
//! Which variant stands for what is decided once per call (see [`super::call::Kernel`]); an aggregate that has seen no value yet is
//! [`Accumulator::Empty`] in all of them. Where the input takes rows back, sums know how many values they are of, and what cannot be
//! subtracted (the least value, the first) is kept as a multiset.

use std::{collections::BTreeMap, sync::Arc};

use ahash::AHashMap;

use super::sketch::{Digest, Hll};

/// See the [module](self).
#[derive(Clone, Debug, Default)]
pub(super) enum Accumulator {
    #[default]
    Empty,
    /// Rows or values; the difference of added and taken back.
    Count(i64),
    /// The least or greatest value so far, as an ordered word.
    Word(u64),
    /// The sum, least or greatest of wide integers, in two halves (which keeps the alignment at 8).
    Wide([u64; 2]),
    /// Sum of floats and their number.
    Mean {
        sum: f64,
        count: i64,
    },
    /// Number of true and of false values.
    Bools {
        trues: i64,
        falses: i64,
    },
    /// The least or greatest value so far, in row format.
    Bytes(Box<[u8]>),
    /// The first or last value so far.
    Item(Box<Item>),
    Counted(Box<Counted>),
    Floats(Box<Floats>),
    Moments(Box<Moments>),
    Items(Arc<Items>),
    Sorted(Arc<Sorted>),
    Distinct(Arc<Distinct>),
    Hll(Arc<Hll>),
    Digest(Arc<Digest>),
}

/// Sum of wide integers, and of how many.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) sum: i128,
    pub(super) count: i64,
}

/// Sum of floats that can be taken back: compensated (Neumaier, 1974), and with what is not finite beside it, for nothing could be
/// subtracted from that.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Floats {
    pub(super) sum: f64,
    pub(super) lost: f64,
    pub(super) count: i64,
    pub(super) nans: i64,
    pub(super) infinite: [i64; 2],
}

/// Mean and sum of squared distances from it (Welford, 1962; merging by Chan, Golub and LeVeque, 1979).
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Moments {
    pub(super) count: i64,
    pub(super) mean: f64,
    pub(super) squares: f64,
    /// Values that are not finite; while there are any, the result is NaN.
    pub(super) wild: i64,
}

/// A value and its place among others: by `order` (row format of the sort columns), then by arrival.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Item {
    pub(super) order: Box<[u8]>,
    pub(super) arrival: u64,
    /// In row format; null has one too.
    pub(super) value: Box<[u8]>,
}

impl Item {
    pub(super) fn place(&self) -> (&[u8], u64) {
        (&self.order, self.arrival)
    }
}

/// Values of an ordered aggregate in the order of their arrival.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Items {
    pub(super) items: Vec<Item>,
    pub(super) bytes: usize,
}

/// How often each value is there, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sorted {
    pub(super) counts: BTreeMap<Box<[u8]>, i64>,
    pub(super) bytes: usize,
}

/// How often each value is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Distinct {
    Words(AHashMap<u64, i64>),
    Bytes { counts: AHashMap<Box<[u8]>, i64>, bytes: usize },
}

impl Accumulator {
    /// Bytes on the heap. Quick.
    pub(super) fn heap_size(&self) -> usize {
        match self {
            Self::Empty | Self::Count(_) | Self::Word(_) | Self::Wide(_) | Self::Mean { .. } | Self::Bools { .. } => 0,
            Self::Bytes(bytes) => bytes.len(),
            Self::Item(item) => size_of::<Item>() + item.order.len() + item.value.len(),
            Self::Counted(_) => size_of::<Counted>(),
            Self::Floats(_) => size_of::<Floats>(),
            Self::Moments(_) => size_of::<Moments>(),
            Self::Items(items) => items.bytes + items.items.capacity() * size_of::<Item>(),
            Self::Sorted(sorted) => sorted.bytes + sorted.counts.len() * 40,
            Self::Distinct(distinct) => distinct.heap_size(),
            Self::Hll(hll) => hll.heap_size(),
            Self::Digest(digest) => digest.heap_size(),
        }
    }

    /// Adds what another has seen of the same aggregate. `greatest` says which way words and the like are compared, or which of two
    /// items stays; `None` that wide integers are sums.
    pub(super) fn merge(&mut self, other: Self, greatest: Option<bool>) {
        use std::cmp::Ordering::{Greater, Less};
        let wins = if greatest == Some(true) { Greater } else { Less };
        match (&mut *self, other) {
            (_, Self::Empty) => {}
            (mine @ Self::Empty, other) => *mine = other,
            (Self::Count(mine), Self::Count(theirs)) => *mine += theirs,
            (Self::Word(mine), Self::Word(theirs)) => {
                if theirs.cmp(mine) == wins {
                    *mine = theirs;
                }
            }
            (Self::Wide(mine), Self::Wide(theirs)) => match greatest {
                None => *mine = halves(whole(*mine).wrapping_add(whole(theirs))),
                Some(_) if whole(theirs).cmp(&whole(*mine)) == wins => *mine = theirs,
                Some(_) => {}
            },
            (Self::Mean { sum, count }, Self::Mean { sum: other, count: more }) => {
                *sum += other;
                *count += more;
            }
            (Self::Bools { trues, falses }, Self::Bools { trues: t, falses: f }) => {
                *trues += t;
                *falses += f;
            }
            (Self::Bytes(mine), Self::Bytes(theirs)) => {
                if theirs.cmp(mine) == wins {
                    *mine = theirs;
                }
            }
            (Self::Item(mine), Self::Item(theirs)) => {
                if theirs.place().cmp(&mine.place()) == wins {
                    *mine = theirs;
                }
            }
            (Self::Counted(mine), Self::Counted(theirs)) => {
                mine.sum = mine.sum.wrapping_add(theirs.sum);
                mine.count += theirs.count;
            }
            (Self::Floats(mine), Self::Floats(theirs)) => mine.merge(&theirs),
            (Self::Moments(mine), Self::Moments(theirs)) => mine.merge(&theirs),
            (Self::Items(mine), Self::Items(theirs)) => Arc::make_mut(mine).merge(Arc::unwrap_or_clone(theirs)),
            (Self::Sorted(mine), Self::Sorted(theirs)) => {
                let mine = Arc::make_mut(mine);
                Arc::unwrap_or_clone(theirs).counts.into_iter().for_each(|(value, count)| mine.add(&value, count));
            }
            (Self::Distinct(mine), Self::Distinct(theirs)) => Arc::make_mut(mine).merge(&theirs),
            (Self::Hll(mine), Self::Hll(theirs)) => Arc::make_mut(mine).merge(&theirs),
            (Self::Digest(mine), Self::Digest(theirs)) => Arc::make_mut(mine).merge(&theirs),
            (mine, theirs) => debug_assert!(false, "accumulators of one call differ: {mine:?} and {theirs:?}"),
        }
    }
}

pub(super) fn whole([high, low]: [u64; 2]) -> i128 {
    (i128::from(high as i64) << 64) | i128::from(low)
}

pub(super) fn halves(value: i128) -> [u64; 2] {
    [(value >> 64) as u64, value as u64]
}

impl Floats {
    pub(super) fn add(&mut self, value: f64, times: i64) {
        self.count += times;
        if value.is_nan() {
            self.nans += times;
        } else if value.is_infinite() {
            self.infinite[usize::from(value > 0.0)] += times;
        } else {
            self.add_finite(value * times as f64);
        }
    }

    fn add_finite(&mut self, value: f64) {
        let sum = self.sum + value;
        self.lost += if self.sum.abs() >= value.abs() { (self.sum - sum) + value } else { (value - sum) + self.sum };
        self.sum = sum;
    }

    fn merge(&mut self, other: &Self) {
        self.add_finite(other.sum);
        self.lost += other.lost;
        self.count += other.count;
        self.nans += other.nans;
        self.infinite.iter_mut().zip(other.infinite).for_each(|(mine, theirs)| *mine += theirs);
    }

    pub(super) fn sum(&self) -> f64 {
        match self.infinite {
            _ if self.nans > 0 => f64::NAN,
            [0, 0] => self.sum + self.lost,
            [_, 0] => f64::NEG_INFINITY,
            [0, _] => f64::INFINITY,
            _ => f64::NAN,
        }
    }
}

impl Moments {
    pub(super) fn add(&mut self, value: f64) {
        if !value.is_finite() {
            self.wild += 1;
            return;
        }
        self.count += 1;
        let away = value - self.mean;
        self.mean += away / self.count as f64;
        self.squares += away * (value - self.mean);
    }

    pub(super) fn take_back(&mut self, value: f64) {
        if !value.is_finite() {
            self.wild -= 1;
        } else if self.count <= 1 {
            (self.count, self.mean, self.squares) = (0, 0.0, 0.0);
        } else {
            let away = value - self.mean;
            self.count -= 1;
            self.mean -= away / self.count as f64;
            self.squares = (self.squares - away * (value - self.mean)).max(0.0);
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.wild += other.wild;
        if other.count == 0 {
            return;
        }
        let (mine, theirs) = (self.count as f64, other.count as f64);
        let away = other.mean - self.mean;
        self.count += other.count;
        self.mean += away * theirs / (mine + theirs);
        self.squares += other.squares + away * away * mine * theirs / (mine + theirs);
    }

    /// `None` for a population of none, and for a sample of fewer than two.
    pub(super) fn variance(&self, sample: bool) -> Option<f64> {
        let count = self.count + self.wild - i64::from(sample);
        match count {
            ..=0 => None,
            _ if self.wild > 0 => Some(f64::NAN),
            _ => Some(self.squares / count as f64),
        }
    }
}

impl Items {
    pub(super) fn push(&mut self, item: Item) {
        self.bytes += item.order.len() + item.value.len();
        self.items.push(item);
    }

    /// Removes the first of these.
    pub(super) fn take_back(&mut self, order: &[u8], value: &[u8]) {
        if let Some(at) = self.items.iter().position(|item| *item.order == *order && *item.value == *value) {
            self.items.remove(at);
            self.bytes -= order.len() + value.len();
        }
    }

    fn merge(&mut self, other: Self) {
        other.items.into_iter().for_each(|item| self.push(item));
        self.items.sort_by_key(|item| item.arrival);
    }
}

impl Sorted {
    pub(super) fn add(&mut self, value: &[u8], times: i64) {
        match self.counts.get_mut(value) {
            Some(count) => {
                *count += times;
                if *count <= 0 {
                    self.counts.remove(value);
                    self.bytes -= value.len();
                }
            }
            None if times > 0 => {
                self.counts.insert(value.into(), times);
                self.bytes += value.len();
            }
            None => {}
        }
    }
}

impl Distinct {
    pub(super) fn new(of_words: bool) -> Self {
        if of_words { Self::Words(AHashMap::default()) } else { Self::Bytes { counts: AHashMap::default(), bytes: 0 } }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Words(counts) => counts.len(),
            Self::Bytes { counts, .. } => counts.len(),
        }
    }

    pub(super) fn add_word(&mut self, word: u64, times: i64) {
        let Self::Words(counts) = self else { return };
        if times > 0 {
            *counts.entry(word).or_insert(0) += times;
        } else if let Some(count) = counts.get_mut(&word) {
            *count += times;
            if *count <= 0 {
                counts.remove(&word);
            }
        }
    }

    pub(super) fn add_bytes(&mut self, value: &[u8], times: i64) {
        let Self::Bytes { counts, bytes } = self else { return };
        match counts.get_mut(value) {
            Some(count) => {
                *count += times;
                if *count <= 0 {
                    counts.remove(value);
                    *bytes -= value.len();
                }
            }
            None if times > 0 => {
                counts.insert(value.into(), times);
                *bytes += value.len();
            }
            None => {}
        }
    }

    fn merge(&mut self, other: &Self) {
        match other {
            Self::Words(counts) => counts.iter().for_each(|(&word, &count)| self.add_word(word, count)),
            Self::Bytes { counts, .. } => counts.iter().for_each(|(value, &count)| self.add_bytes(value, count)),
        }
    }

    fn heap_size(&self) -> usize {
        match self {
            Self::Words(counts) => counts.capacity() * 17,
            Self::Bytes { counts, bytes } => counts.capacity() * 25 + counts.len() * 16 + bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_accumulator_is_small() {
        assert_eq!(size_of::<Accumulator>(), 24);
    }

    #[test]
    fn wide_integers_come_back_from_their_halves() {
        for value in [0, 1, -1, i128::MIN, i128::MAX, -(1 << 64), 1 << 64, i128::from(i64::MIN)] {
            assert_eq!(whole(halves(value)), value);
        }
    }

    #[test]
    fn what_is_not_finite_can_be_taken_back() {
        let mut floats = Floats::default();
        [1.0, f64::NAN, f64::INFINITY, 2.0].into_iter().for_each(|value| floats.add(value, 1));
        assert!(floats.sum().is_nan());
        floats.add(f64::NAN, -1);
        assert_eq!(floats.sum(), f64::INFINITY);
        floats.add(f64::INFINITY, -1);
        assert_eq!((floats.sum(), floats.count), (3.0, 2));
    }

    #[test]
    fn moments_merge_and_take_back() {
        let of = |values: &[f64]| {
            let mut moments = Moments::default();
            values.iter().for_each(|&value| moments.add(value));
            moments
        };
        let mut merged = of(&[1.0, 2.0]);
        merged.merge(&of(&[4.0, 9.0]));
        merged.add(100.0);
        merged.take_back(100.0);
        assert!((merged.variance(true).unwrap() - 38.0 / 3.0).abs() < 1e-9);
        assert_eq!(of(&[5.0]).variance(true), None);
        assert_eq!(of(&[5.0]).variance(false), Some(0.0));
        assert!(of(&[5.0, f64::NAN]).variance(true).unwrap().is_nan());
    }
}
