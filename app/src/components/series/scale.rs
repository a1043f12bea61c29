//! Where the points of a series stand in its drawing. Pure.

use weir_api::{QualityPoint, WindowVerdict};

pub const WIDTH: f64 = 480.0;
pub const HEIGHT: f64 = 120.0;
/// Kept free for the marks at the edges.
const SIDE: f64 = 8.0;
const TOP: f64 = 10.0;
/// The lowest place of a value; below it runs the strip of verdicts.
const FLOOR: f64 = 88.0;
/// How far the band of a point reaches to either side that has no neighbour.
const ALONE: f64 = 2.0;
/// The middle of the strip of verdicts.
pub const STRIP: f64 = 106.0;

/// A point, drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    /// The middle of its time.
    pub x: f64,
    /// Where the least and the greatest value of what is drawn of it stand; none where it has none.
    pub low: Option<f64>,
    pub high: Option<f64>,
    /// Where the line goes through it; none where there is no value.
    pub middle: Option<f64>,
    pub verdict: WindowVerdict,
}

/// A series, drawn.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Drawing {
    pub marks: Vec<Mark>,
    /// Through the values; where windows are summed up by their values, through the middle of them. It is broken where there is none.
    pub line: String,
    /// Between the least and the greatest values of windows that are summed up or do not add up; empty where every point has a value.
    pub bands: Vec<String>,
    /// The least and the greatest value.
    pub range: Option<(f64, f64)>,
}

/// What is drawn of a point: its value. The values of its windows, which may lie elsewhere (an hour's count is not a minute's), where it
/// has none.
fn reach(point: &QualityPoint) -> Option<(f64, f64)> {
    let (low, high) = point.value.map(|value| (value, value)).or(point.low.zip(point.high))?;
    (low.is_finite() && high.is_finite()).then_some((low, high))
}

pub fn draw(points: &[QualityPoint]) -> Drawing {
    let range = points.iter().filter_map(reach).reduce(|range, (low, high)| (range.0.min(low), range.1.max(high)));
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
        .map(|point| {
            let (low, high) = reach(point).map(|(low, high)| (y(low), y(high))).unzip();
            let middle = low.zip(high).map(|(low, high)| (low + high) / 2.0).filter(|_| point.no_value.is_none());
            Mark { x: x(micros(point)), low, high, middle, verdict: point.verdict }
        })
        .collect();
    let at = |x: f64, y: f64| format!("{x:.1},{y:.1}");
    let line = marks.split(|mark| mark.middle.is_none()).filter(|stretch| !stretch.is_empty()).map(|stretch| {
        let through: Vec<String> = stretch.iter().filter_map(|mark| Some(at(mark.x, mark.middle?))).collect();
        // A value between two gaps is a dash, for a line needs two.
        match stretch {
            [alone] => format!("M{:.1},{:.1}h{}", alone.x - ALONE, alone.middle.unwrap_or_default(), 2.0 * ALONE),
            _ => format!("M{}", through.join("L")),
        }
    });
    // Stretches of points that have more than a value; a value is not led over to those of other points' windows.
    let added_up = points.iter().any(|point| point.no_value.is_some());
    let stretches: Vec<Vec<(f64, f64, f64)>> = marks
        .split(|mark| mark.low.is_none() || added_up && mark.middle.is_some())
        .map(|stretch| stretch.iter().filter_map(|mark| Some((mark.x, mark.low?, mark.high?))).collect())
        .filter(|stretch: &Vec<_>| !stretch.is_empty())
        .collect();
    let bands = stretches.iter().filter(|stretch| stretch.iter().any(|(_, low, high)| low != high)).map(|stretch| {
        if let [(x, low, high)] = stretch[..] {
            let corners = [at(x - ALONE, high), at(x + ALONE, high), at(x + ALONE, low), at(x - ALONE, low)];
            return format!("M{}Z", corners.join("L"));
        }
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
        let value = low.filter(|low| Some(*low) == high);
        let (rows, late_rows, detail, no_value) = (1, 0, None, None);
        QualityPoint { start, end, windows: 1, broken: 0, verdict, rows, late_rows, value, no_value, low, high, detail }
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
        assert_eq!(drawn.line.matches('h').count(), 2, "each can be seen: {}", drawn.line);
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
    fn hours_are_drawn_by_their_own_values_and_by_their_windows_where_they_have_none() {
        let hour = |minute, value: Option<f64>| QualityPoint {
            value,
            no_value: value.is_none().then_some(weir_api::NoValue::Unalike),
            ..point(minute, Some(10.0), Some(20.0), WindowVerdict::Kept)
        };
        let drawn = draw(&[hour(0, Some(600.0)), hour(1, Some(300.0)), hour(2, None)]);
        assert_eq!(drawn.range, Some((10.0, 600.0)));
        assert_eq!(drawn.line, "M8.0,10.0L240.0,49.7", "it does not go on where nothing is known");
        assert_eq!(drawn.bands, ["M470.0,86.7L474.0,86.7L474.0,88.0L470.0,88.0Z"]);
        assert!(draw(&[hour(0, Some(600.0)), hour(1, Some(300.0))]).bands.is_empty());
    }

    #[test]
    fn a_level_series_stands_in_the_middle() {
        assert_eq!(draw(&[kept(0, 5.0), kept(1, 5.0)]).line, "M8.0,49.0L472.0,49.0");
        assert_eq!(draw(&[kept(0, 5.0)]).marks[0].x, WIDTH / 2.0);
    }
}
