//! Where the points of a series stand in its drawing. Pure.

use weir_api::{QualityPoint, WindowVerdict};

pub const WIDTH: f64 = 480.0;
pub const HEIGHT: f64 = 120.0;
/// Kept free for the marks at the edges.
const SIDE: f64 = 8.0;
const TOP: f64 = 10.0;
/// The lowest place of a value; below it runs the strip of verdicts.
const FLOOR: f64 = 88.0;
/// The middle of the strip of verdicts.
pub const STRIP: f64 = 106.0;

/// A point, drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    /// The middle of its time.
    pub x: f64,
    /// Where its least and its greatest value stand; none where it has none.
    pub low: Option<f64>,
    pub high: Option<f64>,
    pub verdict: WindowVerdict,
}

/// A series, drawn.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Drawing {
    pub marks: Vec<Mark>,
    /// Through the middle of the values. It is broken where there is none.
    pub line: String,
    /// Between the least and the greatest values of summed-up windows; empty where every point is one window.
    pub bands: Vec<String>,
    /// The least and the greatest value.
    pub range: Option<(f64, f64)>,
}

pub fn draw(points: &[QualityPoint]) -> Drawing {
    let values = || points.iter().flat_map(|point| [point.low, point.high]).flatten().filter(|value| value.is_finite());
    let range = values().fold(None, |range: Option<(f64, f64)>, value| match range {
        None => Some((value, value)),
        Some((low, high)) => Some((low.min(value), high.max(value))),
    });
    let micros = |point: &QualityPoint| {
        let (start, end) = (point.start.timestamp_micros() as f64, point.end.timestamp_micros() as f64);
        (start + end) / 2.0
    };
    let (first, last) = match (points.first(), points.last()) {
        (Some(first), Some(last)) => (micros(first), micros(last)),
        _ => return Drawing::default(),
    };
    let x = |at: f64| match last - first {
        span if span > 0.0 => SIDE + (at - first) / span * (WIDTH - 2.0 * SIDE),
        _ => WIDTH / 2.0,
    };
    let y = |value: f64| match range {
        Some((low, high)) if high > low => FLOOR - (value - low) / (high - low) * (FLOOR - TOP),
        _ => (FLOOR + TOP) / 2.0,
    };
    let marks: Vec<Mark> = points
        .iter()
        .map(|point| Mark { x: x(micros(point)), low: point.low.map(y), high: point.high.map(y), verdict: point.verdict })
        .collect();
    // Stretches of points that have values.
    let stretches: Vec<Vec<(f64, f64, f64)>> = marks
        .split(|mark| mark.low.is_none())
        .map(|stretch| stretch.iter().filter_map(|mark| Some((mark.x, mark.low?, mark.high?))).collect())
        .filter(|stretch: &Vec<_>| !stretch.is_empty())
        .collect();
    let at = |x: f64, y: f64| format!("{x:.1},{y:.1}");
    let line = stretches.iter().map(|stretch| {
        let middle: Vec<String> = stretch.iter().map(|(x, low, high)| at(*x, (low + high) / 2.0)).collect();
        format!("M{}", middle.join("L"))
    });
    let bands = stretches.iter().filter(|stretch| stretch.iter().any(|(_, low, high)| low != high)).map(|stretch| {
        let above = stretch.iter().map(|(x, _, high)| at(*x, *high));
        let below = stretch.iter().rev().map(|(x, low, _)| at(*x, *low));
        format!("M{}Z", above.chain(below).collect::<Vec<_>>().join("L"))
    });
    Drawing { line: line.collect(), bands: bands.collect(), range, marks }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(minute: i64, low: Option<f64>, high: Option<f64>, verdict: WindowVerdict) -> QualityPoint {
        let at = |minute: i64| weir_api::DateTime::from_timestamp(minute * 60, 0).unwrap();
        let (start, end) = (at(minute), at(minute + 1));
        QualityPoint { start, end, windows: 1, broken: 0, verdict, rows: 1, late_rows: 0, low, high, detail: None }
    }

    fn kept(minute: i64, value: f64) -> QualityPoint {
        point(minute, Some(value), Some(value), WindowVerdict::Kept)
    }

    #[test]
    fn time_goes_from_edge_to_edge_and_values_from_floor_to_top() {
        let drawn = draw(&[kept(0, 10.0), kept(1, 30.0), kept(3, 20.0)]);
        assert_eq!(drawn.range, Some((10.0, 30.0)));
        assert_eq!(drawn.line, "M8.0,88.0L162.7,10.0L472.0,49.0");
        assert!(drawn.bands.is_empty());
    }

    #[test]
    fn the_line_is_broken_where_there_is_no_value() {
        let none = point(1, None, None, WindowVerdict::Open);
        let drawn = draw(&[kept(0, 1.0), none.clone(), kept(2, 2.0)]);
        assert_eq!(drawn.line.matches('M').count(), 2);
        let drawn = draw(&[none]);
        assert_eq!((drawn.line.as_str(), drawn.range, drawn.marks.len()), ("", None, 1));
        assert_eq!(draw(&[]), Drawing::default());
    }

    #[test]
    fn summed_up_windows_have_a_band_between_their_extremes() {
        let drawn =
            draw(&[point(0, Some(0.0), Some(4.0), WindowVerdict::Kept), point(1, Some(1.0), Some(2.0), WindowVerdict::Broken)]);
        assert_eq!(drawn.bands, ["M8.0,10.0L472.0,49.0L472.0,68.5L8.0,88.0Z"]);
    }

    #[test]
    fn a_level_series_stands_in_the_middle() {
        assert_eq!(draw(&[kept(0, 5.0), kept(1, 5.0)]).line, "M8.0,49.0L472.0,49.0");
        assert_eq!(draw(&[kept(0, 5.0)]).marks[0].x, WIDTH / 2.0);
    }
}
