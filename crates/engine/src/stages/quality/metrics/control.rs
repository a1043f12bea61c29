//! Statistical process control of a metric's series: a shift is noticed without a threshold set by hand.
//!
//! Charts are those of D. Montgomery, "Introduction to Statistical Quality Control" (chapters 5, 6 and 9), and of the NIST/SEMATECH
//! e-Handbook of Statistical Methods, section 6.3.2. The first values are the baseline: their mean is the centre, and sigma is their mean
//! moving range over 1.128 (individual measurements, 6.3.2.2), which a slow drift within the baseline does not inflate.

use std::collections::VecDeque;

use super::moments::{float, put_float};
use crate::state::{
    StateError,
    codec::{Reader, put_varint},
};

/// The kind of chart and how sensitive it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Chart {
    /// Each value for itself: beyond so many sigmas from the centre. Finds large shifts at once.
    Shewhart { sigmas: f64 },
    /// The exponentially weighted moving average beyond `limit` of its own sigmas. Finds small shifts.
    Ewma { lambda: f64, limit: f64 },
    /// Tabular: deviations beyond `slack` add up to `decision`, both in sigmas. Finds small lasting shifts soonest.
    Cusum { slack: f64, decision: f64 },
}

/// What a series is watched for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    pub chart: Chart,
    /// Values that make the baseline; at least 2.
    pub training: u32,
    /// Also the Western Electric rules (e-Handbook, 6.3.2).
    pub western_electric: bool,
}

/// Centre and sigma of a process in control.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Baseline {
    pub center: f64,
    pub sigma: f64,
}

/// How a value is out of control.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Signal {
    /// The chart's statistic is above or below its limit.
    Above {
        statistic: f64,
        limit: f64,
    },
    Below {
        statistic: f64,
        limit: f64,
    },
    /// A Western Electric rule: 1 to 4.
    WesternElectric(u8),
}

/// A series so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    baseline: Option<Baseline>,
    /// Of the baseline in the making: values, their sum, the sum of moving ranges, the last value.
    count: u32,
    sum: f64,
    ranges: f64,
    last: f64,
    /// The EWMA, or the upper and the lower sum.
    statistics: [f64; 2],
    /// The last values in sigmas from the centre, for the Western Electric rules.
    zones: VecDeque<f64>,
}

/// The expected range of two values of a normal distribution, in sigmas (d2 for n = 2).
const D2: f64 = 1.128;

impl Series {
    /// A series with a baseline known beforehand.
    pub fn with_baseline(baseline: Baseline, plan: &Plan) -> Self {
        let mut series = Self::default();
        series.start(baseline, plan);
        series
    }

    pub fn baseline(&self) -> Option<Baseline> {
        self.baseline
    }

    /// The EWMA, or the upper and the lower sum, once there is a baseline.
    pub fn statistics(&self) -> [f64; 2] {
        self.statistics
    }

    /// Takes in the next value. What is not finite is passed over.
    pub fn observe(&mut self, value: f64, plan: &Plan) -> Vec<Signal> {
        if !value.is_finite() {
            return Vec::new();
        }
        let Some(Baseline { center, sigma }) = self.baseline else {
            self.train(value, plan);
            return Vec::new();
        };
        let mut signals = Vec::new();
        let mut judge = |statistic: f64, lower: f64, upper: f64| {
            if statistic > upper {
                signals.push(Signal::Above { statistic, limit: upper });
            } else if statistic < lower {
                signals.push(Signal::Below { statistic, limit: lower });
            }
        };
        match plan.chart {
            Chart::Shewhart { sigmas } => judge(value, center - sigmas * sigma, center + sigmas * sigma),
            Chart::Ewma { lambda, limit } => {
                self.statistics[0] += lambda * (value - self.statistics[0]);
                // The variance as it is in the long run, as in 6.3.2.4.
                let width = limit * sigma * (lambda / (2.0 - lambda)).sqrt();
                judge(self.statistics[0], center - width, center + width);
            }
            Chart::Cusum { slack, decision } => {
                let [high, low] = &mut self.statistics;
                *high = (*high + value - center - slack * sigma).max(0.0);
                *low = (*low + center - slack * sigma - value).max(0.0);
                let limit = decision * sigma;
                if *high > limit {
                    signals.push(Signal::Above { statistic: *high, limit });
                }
                if *low > limit {
                    signals.push(Signal::Below { statistic: *low, limit });
                }
            }
        }
        if plan.western_electric {
            self.zones.push_front((value - center) / sigma);
            self.zones.truncate(8);
            signals.extend(self.western_electric().map(Signal::WesternElectric));
        }
        signals
    }

    fn train(&mut self, value: f64, plan: &Plan) {
        if self.count > 0 {
            self.ranges += (value - self.last).abs();
        }
        self.count += 1;
        self.sum += value;
        self.last = value;
        if self.count >= plan.training.max(2) {
            let center = self.sum / f64::from(self.count);
            let sigma = self.ranges / f64::from(self.count - 1) / D2;
            self.start(Baseline { center, sigma }, plan);
        }
    }

    fn start(&mut self, baseline: Baseline, plan: &Plan) {
        // A baseline without any spread: what differs by more than rounding is out of control.
        let sigma = baseline.sigma.max(baseline.center.abs() * 1e-9).max(1e-12);
        self.baseline = Some(Baseline { sigma, ..baseline });
        self.statistics = if let Chart::Ewma { .. } = plan.chart { [baseline.center, 0.0] } else { [0.0, 0.0] };
    }

    /// The rules that the last values break, on one side of the centre: 1 any beyond 3 sigmas, 2 two of three beyond 2, 3 four of five
    /// beyond 1, 4 eight in a row on the same side. A rule counts when the newest value takes part.
    fn western_electric(&self) -> impl Iterator<Item = u8> {
        let beyond = |side: f64, last: usize, sigmas: f64, least: usize| {
            let zones = || self.zones.iter().take(last).map(|zone| zone * side);
            zones().next().is_some_and(|newest| newest > sigmas) && zones().filter(|zone| *zone > sigmas).count() >= least
        };
        let broken = [(1, 3.0, 1), (3, 2.0, 2), (5, 1.0, 4), (8, 0.0, 8)]
            .map(|(last, sigmas, least)| beyond(1.0, last, sigmas, least) || beyond(-1.0, last, sigmas, least));
        (1..=4).zip(broken).filter(|(_, broken)| *broken).map(|(rule, _)| rule)
    }

    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.baseline.is_some()));
        let Baseline { center, sigma } = self.baseline.unwrap_or(Baseline { center: 0.0, sigma: 0.0 });
        put_varint(out, self.count.into());
        for number in [center, sigma, self.sum, self.ranges, self.last, self.statistics[0], self.statistics[1]] {
            put_float(out, number);
        }
        put_varint(out, self.zones.len() as u64);
        self.zones.iter().for_each(|zone| put_float(out, *zone));
    }

    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, StateError> {
        let trained = reader.u8()? == 1;
        let count = u32::try_from(reader.varint()?).map_err(|_| StateError::Malformed("a count is too large"))?;
        let baseline = Baseline { center: float(reader)?, sigma: float(reader)? };
        let (sum, ranges, last) = (float(reader)?, float(reader)?, float(reader)?);
        let statistics = [float(reader)?, float(reader)?];
        let zones = (0..reader.size()?.min(8)).map(|_| float(reader)).collect::<Result<_, _>>()?;
        Ok(Self { baseline: trained.then_some(baseline), count, sum, ranges, last, statistics, zones })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plan(chart: Chart, training: u32, western_electric: bool) -> Plan {
        Plan { chart, training, western_electric }
    }

    /// e-Handbook, 6.3.2.2: individuals control chart of flow rates.
    #[test]
    fn nist_individuals_chart() {
        let rates = [49.6, 47.6, 49.9, 51.3, 47.8, 51.2, 52.6, 52.4, 53.6, 52.1];
        let plan = plan(Chart::Shewhart { sigmas: 3.0 }, 10, false);
        let mut series = Series::default();
        rates.iter().for_each(|rate| assert!(series.observe(*rate, &plan).is_empty()));
        let Baseline { center, sigma } = series.baseline().unwrap();
        assert!((center - 50.81).abs() < 1e-9);
        assert!((center + 3.0 * sigma - 55.8041).abs() < 1e-3 && (center - 3.0 * sigma - 45.8159).abs() < 1e-3);
        assert!(series.observe(55.7, &plan).is_empty() && series.observe(45.9, &plan).is_empty());
        assert!(matches!(series.observe(55.9, &plan)[..], [Signal::Above { .. }]));
        assert!(matches!(series.observe(45.7, &plan)[..], [Signal::Below { .. }]));
    }

    /// e-Handbook, 6.3.2.4: EWMA with lambda 0.3 around 50, sigma 2.0539.
    #[test]
    fn nist_ewma_chart() {
        let values = [
            52.0, 47.0, 53.0, 49.3, 50.1, 47.0, 51.0, 50.1, 51.2, 50.5, 49.6, 47.6, 49.9, 51.3, 47.8, 51.2, 52.6, 52.4, 53.6,
            52.1,
        ];
        let published = [
            50.60, 49.52, 50.56, 50.18, 50.16, 49.21, 49.75, 49.85, 50.26, 50.33, 50.11, 49.36, 49.52, 50.05, 49.38, 49.92,
            50.73, 51.23, 51.94, 51.99,
        ];
        let plan = plan(Chart::Ewma { lambda: 0.3, limit: 3.0 }, 2, false);
        let mut series = Series::with_baseline(Baseline { center: 50.0, sigma: 2.0539 }, &plan);
        for (value, published) in values.iter().zip(published) {
            assert!(series.observe(*value, &plan).is_empty(), "the process is in control");
            assert!((series.statistics()[0] - published).abs() < 0.0051, "{} {published}", series.statistics()[0]);
        }
        let signals = series.observe(60.0, &plan);
        assert!(matches!(signals[..], [Signal::Above { limit, .. }] if (limit - 52.5884).abs() < 1e-3), "{signals:?}");
    }

    /// e-Handbook, 6.3.2.3: tabular CUSUM with k 0.3175 and h 4.1959 around 325.
    #[test]
    fn nist_cusum_chart() {
        let values = [
            324.925, 324.675, 324.725, 324.350, 325.350, 325.225, 324.125, 324.525, 325.225, 324.600, 324.625, 325.150, 328.325,
            327.250, 327.825, 328.500, 326.675, 327.775, 326.875, 328.350,
        ];
        let published =
            [0.0, 0.0, 0.0, 0.0, 0.03, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 3.01, 4.94, 7.45, 10.63, 11.99, 14.44, 16.00, 19.04];
        let plan = plan(Chart::Cusum { slack: 0.3175, decision: 4.1959 }, 2, false);
        let mut series = Series::with_baseline(Baseline { center: 325.0, sigma: 1.0 }, &plan);
        for (n, (value, published)) in values.iter().zip(published).enumerate() {
            let signals = series.observe(*value, &plan);
            assert!((series.statistics()[0] - published).abs() < 0.0101, "{n}: {} {published}", series.statistics()[0]);
            assert_eq!(!signals.is_empty(), n >= 13, "out of control from the 14th value on");
        }
    }

    #[test]
    fn western_electric_rules_one_by_one() {
        let cases: [(&[f64], &[u8]); 9] = [
            (&[3.1], &[1]),
            (&[-3.1], &[1]),
            (&[2.1, 0.0, 2.1], &[2]),
            (&[2.1, 2.1, 0.0], &[]),
            (&[2.1, -2.1], &[]),
            (&[1.1, 1.1, 0.0, 1.1, 1.1], &[3]),
            (&[-1.1, -1.1, -1.1, 0.5, -1.1], &[3]),
            (&[0.1; 8], &[4]),
            (&[0.1, 0.1, 0.1, -0.1, 0.1, 0.1, 0.1, 0.1], &[]),
        ];
        for (zones, expected) in cases {
            let plan = plan(Chart::Shewhart { sigmas: 99.0 }, 2, true);
            let mut series = Series::with_baseline(Baseline { center: 10.0, sigma: 2.0 }, &plan);
            let last = zones.iter().map(|zone| series.observe(10.0 + zone * 2.0, &plan)).last().unwrap();
            let rules: Vec<u8> =
                last.iter().map(|signal| if let Signal::WesternElectric(rule) = signal { *rule } else { 0 }).collect();
            assert_eq!(rules, expected, "{zones:?}");
        }
    }

    #[test]
    fn a_constant_series_is_in_control_until_it_changes() {
        for chart in
            [Chart::Shewhart { sigmas: 3.0 }, Chart::Ewma { lambda: 0.2, limit: 3.0 }, Chart::Cusum { slack: 0.5, decision: 5.0 }]
        {
            let plan = plan(chart, 5, true);
            let mut series = Series::default();
            (0..20).for_each(|_| assert!(series.observe(7.0, &plan).is_empty()));
            assert!(!series.observe(7.1, &plan).is_empty(), "{chart:?}");
        }
    }

    proptest! {
        #[test]
        fn a_series_goes_on_from_its_encoding(
            values in proptest::collection::vec(-5.0f64..5.0, 0usize..40),
            cut in 0usize..40,
            which in 0usize..3,
        ) {
            let charts = [Chart::Shewhart { sigmas: 1.5 }, Chart::Ewma { lambda: 0.4, limit: 1.0 }, Chart::Cusum { slack: 0.2, decision: 1.0 }];
            let plan = plan(charts[which], 6, true);
            let (mut whole, mut parted) = (Series::default(), Series::default());
            for (n, value) in values.iter().enumerate() {
                if n == cut {
                    let mut bytes = Vec::new();
                    parted.encode(&mut bytes);
                    let mut reader = Reader::new(&bytes);
                    parted = Series::decode(&mut reader).unwrap();
                    prop_assert!(reader.is_empty());
                }
                prop_assert_eq!(whole.observe(*value, &plan), parted.observe(*value, &plan));
            }
        }
    }
}
