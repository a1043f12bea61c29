//! How far the values of a window are from a reference: counts over fixed bins, and four measures of the distance.

use std::collections::{BTreeMap, HashMap};

use super::moments::put_float;
use crate::state::{
    StateError,
    codec::{Reader, put_bytes, put_varint},
};

/// What values are sorted into.
#[derive(Clone, Debug, PartialEq)]
pub enum Bins {
    /// Upper ends, ascending, each included; what is above the last one has a bin of its own.
    Numbers(Vec<f64>),
    /// By name; all other values share a last bin.
    Categories(HashMap<String, usize>),
}

/// The bins of a reference and what share of its values each has.
#[derive(Clone, Debug, PartialEq)]
pub struct Reference {
    pub bins: Bins,
    pub shares: Vec<f64>,
}

/// The share that an empty bin is given, so that logarithms and quotients stay finite: customary for PSI.
const LEAST_SHARE: f64 = 1e-4;

impl Reference {
    /// Bins of equal shares as far as ties allow. None without finite values.
    pub fn of_numbers(values: impl IntoIterator<Item = f64>, bins: usize) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        values.last()?;
        let mut ends: Vec<f64> = (1..bins).map(|n| values[(n * values.len()).div_ceil(bins) - 1]).collect();
        ends.dedup();
        let bins = Bins::Numbers(ends);
        let mut counts = vec![0; bins.len()];
        values.iter().for_each(|value| counts[bins.of_number(*value)] += 1);
        Some(Self { bins, shares: shares(&counts) })
    }

    /// The most frequent values, at most so many, and the rest together. None without values.
    pub fn of_categories<'v>(values: impl IntoIterator<Item = &'v str>, most: usize) -> Option<Self> {
        let mut counted: BTreeMap<&str, u64> = BTreeMap::new();
        values.into_iter().for_each(|value| *counted.entry(value).or_default() += 1);
        let mut by_count: Vec<(&str, u64)> = counted.into_iter().collect();
        // Stable: of equally frequent ones the first by name.
        by_count.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        by_count.first()?;
        let rest = by_count.iter().skip(most).map(|(_, count)| count).sum();
        by_count.truncate(most);
        let counts: Vec<u64> = by_count.iter().map(|(_, count)| *count).chain([rest]).collect();
        let names = by_count.iter().enumerate().map(|(n, (name, _))| ((*name).to_owned(), n)).collect();
        Some(Self { bins: Bins::Categories(names), shares: shares(&counts) })
    }
}

impl Reference {
    /// What tells it from other references.
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.shares.iter().for_each(|share| put_float(out, *share));
        match &self.bins {
            Bins::Numbers(ends) => ends.iter().for_each(|end| put_float(out, *end)),
            Bins::Categories(names) => {
                let mut names: Vec<_> = names.iter().collect();
                names.sort();
                names.iter().for_each(|(name, bin)| {
                    put_bytes(out, name.as_bytes());
                    put_varint(out, **bin as u64);
                });
            }
        }
    }
}

impl Bins {
    pub fn len(&self) -> usize {
        match self {
            Self::Numbers(ends) => ends.len() + 1,
            Self::Categories(names) => names.len() + 1,
        }
    }

    pub fn is_empty(&self) -> bool {
        false
    }

    /// The bin of a number.
    pub fn of_number(&self, value: f64) -> usize {
        match self {
            Self::Numbers(ends) => ends.partition_point(|end| *end < value),
            Self::Categories(names) => names.len(),
        }
    }

    /// The bin of a text.
    pub fn of_text(&self, value: &str) -> usize {
        match self {
            Self::Numbers(ends) => ends.len(),
            Self::Categories(names) => names.get(value).copied().unwrap_or(names.len()),
        }
    }
}

/// Values of a window by bin.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram(pub Vec<u64>);

impl Histogram {
    pub fn new(bins: &Bins) -> Self {
        Self(vec![0; bins.len()])
    }

    pub fn add(&mut self, bin: usize) {
        self.0[bin] += 1;
    }

    /// Of a histogram over the same bins.
    pub fn merge(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(count, other)| *count += other);
    }

    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    pub fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.0.len() as u64);
        self.0.iter().for_each(|count| put_varint(out, *count));
    }

    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, StateError> {
        let bins = reader.size()?;
        if bins > reader.remaining().len() {
            return Err(StateError::Malformed("a histogram is cut off"));
        }
        Ok(Self((0..bins).map(|_| reader.varint()).collect::<Result<_, _>>()?))
    }
}

fn shares(counts: &[u64]) -> Vec<f64> {
    let total = counts.iter().sum::<u64>().max(1) as f64;
    counts.iter().map(|count| *count as f64 / total).collect()
}

/// Population stability index: the sum of `(o - e) ln(o / e)` over the bins' shares (N. Siddiqi, "Credit Risk Scorecards", 2006, ch. 8).
/// Below 0.1 is customarily called stable, above 0.25 a shift.
pub fn psi(expected: &[f64], observed: &[u64]) -> f64 {
    let observed = shares(observed);
    let pair = |(e, o): (&f64, &f64)| (e.max(LEAST_SHARE), o.max(LEAST_SHARE));
    expected.iter().zip(&observed).map(pair).map(|(e, o)| (o - e) * (o / e).ln()).sum()
}

/// Kolmogorov-Smirnov: the largest difference of the cumulative shares (NIST/SEMATECH e-Handbook, 1.3.5.16), here at the ends of the bins.
pub fn ks(expected: &[f64], observed: &[u64]) -> f64 {
    let mut difference = 0.0f64;
    let mut largest = 0.0f64;
    for (e, o) in expected.iter().zip(shares(observed)) {
        difference += o - e;
        largest = largest.max(difference.abs());
    }
    largest
}

/// Jensen-Shannon divergence to base 2, from 0 (equal) to 1 (nothing in common) (J. Lin, IEEE Trans. Inf. Theory 37, 1991).
pub fn jensen_shannon(expected: &[f64], observed: &[u64]) -> f64 {
    let term = |p: f64, m: f64| if p > 0.0 { p * (p / m).log2() } else { 0.0 };
    let pairs = expected.iter().zip(shares(observed));
    let divergence: f64 = pairs.map(|(&e, o)| (term(e, (e + o) / 2.0) + term(o, (e + o) / 2.0)) / 2.0).sum();
    divergence.clamp(0.0, 1.0)
}

/// Pearson's chi-square statistic: the sum of `(O - E)² / E` over the bins' counts (e-Handbook, 1.3.5.15).
pub fn chi_square(expected: &[f64], observed: &[u64]) -> f64 {
    let total = observed.iter().sum::<u64>() as f64;
    let occupied = expected.iter().zip(observed).filter(|(e, o)| **e > 0.0 || **o > 0);
    occupied.map(|(e, o)| (e.max(LEAST_SHARE) * total, *o as f64)).map(|(e, o)| (o - e).powi(2) / e).sum()
}

/// How likely a chi-square statistic at least this large is if nothing has changed.
pub fn chi_square_p(expected: &[f64], observed: &[u64]) -> f64 {
    let occupied = expected.iter().zip(observed).filter(|(e, o)| **e > 0.0 || **o > 0).count();
    if occupied < 2 {
        return 1.0;
    }
    upper_gamma((occupied - 1) as f64 / 2.0, chi_square(expected, observed) / 2.0)
}

/// The regularised upper incomplete gamma function Q(a, x) (NIST DLMF 8.11.4 for small x, the continued fraction 8.9.2 by Lentz's
/// method for large).
fn upper_gamma(a: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 1.0;
    }
    let front = (a * x.ln() - x - ln_gamma(a)).exp();
    if x < a + 1.0 {
        let (mut term, mut sum, mut n) = (1.0 / a, 1.0 / a, a);
        while term.abs() > sum.abs() * 1e-16 && n < a + 10_000.0 {
            n += 1.0;
            term *= x / n;
            sum += term;
        }
        return (1.0 - front * sum).clamp(0.0, 1.0);
    }
    const TINY: f64 = 1e-300;
    let mut b = x + 1.0 - a;
    let (mut c, mut d) = (1.0 / TINY, 1.0 / b);
    let mut fraction = d;
    for n in 1..10_000 {
        let an = -f64::from(n) * (f64::from(n) - a);
        b += 2.0;
        d = 1.0 / nonzero(an * d + b, TINY);
        c = nonzero(b + an / c, TINY);
        fraction *= d * c;
        if (d * c - 1.0).abs() < 1e-15 {
            break;
        }
    }
    (front * fraction).clamp(0.0, 1.0)
}

fn nonzero(value: f64, tiny: f64) -> f64 {
    if value.abs() < tiny { tiny } else { value }
}

/// Stirling's series (DLMF 5.11.1), after lifting the argument to 15.
fn ln_gamma(mut x: f64) -> f64 {
    let mut lifted = 0.0;
    while x < 15.0 {
        lifted += x.ln();
        x += 1.0;
    }
    let squared = x * x;
    let series = (1.0 / 12.0 - (1.0 / 360.0 - (1.0 / 1260.0 - 1.0 / (1680.0 * squared)) / squared) / squared) / x;
    (x - 0.5) * x.ln() - x + 0.5 * (2.0 * std::f64::consts::PI).ln() + series - lifted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn critical_values_of_chi_square_have_their_published_probability() {
        // e-Handbook, 1.3.6.7.4, upper-tail critical values: degrees of freedom, probability, value.
        for (degrees, p, value) in
            [(1.0, 0.05, 3.841), (10.0, 0.05, 18.307), (5.0, 0.01, 15.086), (30.0, 0.10, 40.256), (100.0, 0.001, 149.449)]
        {
            assert!((upper_gamma(degrees / 2.0, value / 2.0) - p).abs() < p * 0.002, "{degrees} {p}");
        }
        assert_eq!(upper_gamma(3.0, 0.0), 1.0);
    }

    #[test]
    fn distances_by_hand() {
        let expected = [0.5, 0.5];
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-9, "{a} {b}");
        near(psi(&expected, &[60, 40]), 0.1 * 1.2f64.ln() - 0.1 * 0.8f64.ln());
        near(ks(&expected, &[60, 40]), 0.1);
        near(chi_square(&expected, &[60, 40]), 4.0);
        near(jensen_shannon(&[1.0, 0.0], &[0, 7]), 1.0);
        for (distance, same) in
            [(psi(&expected, &[3, 3]), 0.0), (jensen_shannon(&expected, &[3, 3]), 0.0), (chi_square_p(&expected, &[3, 3]), 1.0)]
        {
            near(distance, same);
        }
        assert!((chi_square_p(&expected, &[60, 40]) - 0.0455).abs() < 1e-4, "two sigma, two-sided");
        assert!(psi(&[1.0, 0.0], &[0, 5]).is_finite() && chi_square(&[1.0, 0.0], &[0, 5]).is_finite());
    }

    #[test]
    fn numbers_get_bins_of_equal_shares_and_texts_the_frequent_ones() {
        let numbers = Reference::of_numbers((1..=100).map(f64::from), 4).unwrap();
        assert_eq!(numbers, Reference { bins: Bins::Numbers(vec![25.0, 50.0, 75.0]), shares: vec![0.25; 4] });
        assert_eq!([1.0, 25.0, 25.5, 1e9].map(|value| numbers.bins.of_number(value)), [0, 0, 1, 3]);
        let ties = Reference::of_numbers([1.0; 10], 4).unwrap();
        assert_eq!((ties.bins.len(), &ties.shares[..]), (2, &[1.0, 0.0][..]));

        let texts = Reference::of_categories(["b", "a", "b", "c", "d"], 2).unwrap();
        assert_eq!(texts.shares, [0.4, 0.2, 0.4]);
        assert_eq!(["b", "a", "c", "new"].map(|value| texts.bins.of_text(value)), [0, 1, 2, 2]);
        assert_eq!((Reference::of_numbers([f64::NAN], 4), Reference::of_categories([], 4)), (None, None));
    }
}
