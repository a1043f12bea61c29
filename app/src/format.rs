//! Numbers, sizes of time and moments as people read them.

use weir_api::{DateTime, Utc};

/// `1,234,567`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `842`, `12.3k`, `4.57M`: for places where a whole number does not fit.
pub fn short(n: f64) -> String {
    let (scaled, unit) = match n.abs() {
        x if x >= 1e9 => (n / 1e9, "G"),
        x if x >= 1e6 => (n / 1e6, "M"),
        x if x >= 10_000.0 => (n / 1e3, "k"),
        _ => (n, ""),
    };
    match (scaled.abs(), unit) {
        // As they are shown: what rounds to 10 is told as 10 is.
        (x, "") if x >= 9.95 || x.fract() == 0.0 => count(n.max(0.0).round() as u64),
        (_, "") => format!("{scaled:.1}"),
        (x, _) if x >= 99.95 => format!("{scaled:.0}{unit}"),
        (x, _) if x >= 9.995 => format!("{scaled:.1}{unit}"),
        _ => format!("{scaled:.2}{unit}"),
    }
}

/// A measured value to six significant digits: `0.0125`, `1234.5`, `1.2e9`.
pub fn measured(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 || !value.is_finite() {
        return format!("{value}");
    }
    if !(1e-6..1e9).contains(&size) {
        let text = format!("{value:.5e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        return format!("{}e{exponent}", trimmed(digits));
    }
    let decimals = (5 - size.log10().floor() as i32).max(0) as usize;
    trimmed(&format!("{value:.decimals$}")).to_owned()
}

/// Without zeros that say nothing.
fn trimmed(digits: &str) -> &str {
    if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits }
}

/// `1 row`, `2 rows`.
pub fn plural(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(n), if n == 1 { one } else { many })
}

/// `0.42%`; a share that is not nothing never reads as 0.
pub fn share(part: u64, whole: u64) -> String {
    if whole == 0 || part == 0 {
        return "0%".to_owned();
    }
    match part as f64 * 100.0 / whole as f64 {
        p if p < 0.01 => "<0.01%".to_owned(),
        p if p < 10.0 => format!("{p:.2}%"),
        p => format!("{p:.1}%"),
    }
}

/// `2026-01-31 13:05:09 UTC`.
pub fn moment(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// `just now`, `42 s ago`, `3 min ago`; older than a week, the date.
pub fn ago(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    match (now - at).num_seconds() {
        s if s < 3 => "just now".to_owned(),
        s if s < 60 => format!("{s} s ago"),
        s if s < 3_600 => format!("{} min ago", s / 60),
        s if s < 86_400 => format!("{} h ago", s / 3_600),
        s if s < 7 * 86_400 => format!("{} d ago", s / 86_400),
        _ => at.format("%Y-%m-%d").to_string(),
    }
}

/// `850 ms`, `42 s`, `3 min 12 s`, `2 h 5 min`, `3 d 4 h`.
pub fn span(milliseconds: i64) -> String {
    let seconds = milliseconds / 1_000;
    match seconds {
        _ if milliseconds < 1_000 => format!("{} ms", milliseconds.max(0)),
        s if s < 60 => format!("{s} s"),
        s if s < 3_600 => format!("{} min {} s", s / 60, s % 60),
        s if s < 86_400 => format!("{} h {} min", s / 3_600, s % 3_600 / 60),
        s => format!("{} d {} h", s / 86_400, s % 86_400 / 3_600),
    }
}

/// The first characters of a hash; enough to tell two apart by eye.
pub fn short_hash(hash: &str) -> String {
    hash.chars().take(12).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well_at_every_size() {
        for (n, text) in
            [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567"), (u64::MAX, "18,446,744,073,709,551,615")]
        {
            assert_eq!(count(n), text);
        }
        for (n, text) in [
            (0.0, "0"),
            (0.25, "0.2"),
            (9.96, "10"),
            (99_960.0, "100k"),
            (842.4, "842"),
            (9_999.0, "9,999"),
            (12_345.0, "12.3k"),
            (4_567_000.0, "4.57M"),
            (123e6, "123M"),
        ] {
            assert_eq!(short(n), text, "{n}");
        }
    }

    #[test]
    fn a_measured_value_has_six_digits_that_say_something() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0125, "-0.0125"),
            (1.0 / 3.0, "0.333333"),
            (120.0, "120"),
            (1_234.567_89, "1234.57"),
            (999_999.96, "1000000"),
            (12_345_678.4, "12345678"),
            (1.25e12, "1.25e12"),
            (3.5e-9, "3.5e-9"),
        ] {
            assert_eq!(measured(value), text);
        }
    }

    #[test]
    fn a_small_share_is_never_nothing() {
        assert_eq!(share(0, 10), "0%");
        assert_eq!(share(1, 1_000_000), "<0.01%");
        assert_eq!(share(1, 300), "0.33%");
        assert_eq!(share(10, 10), "100.0%");
        assert_eq!(share(0, 0), "0%");
    }

    #[test]
    fn times_are_told_from_a_given_now() {
        let at: DateTime<Utc> = "2026-01-31T13:05:09Z".parse().unwrap();
        let now = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        assert_eq!(moment(at), "2026-01-31 13:05:09 UTC");
        assert_eq!(ago(at, now("2026-01-31T13:05:08Z")), "just now");
        assert_eq!(ago(at, now("2026-01-31T13:05:51Z")), "42 s ago");
        assert_eq!(ago(at, now("2026-01-31T15:05:51Z")), "2 h ago");
        assert_eq!(ago(at, now("2026-03-31T15:05:51Z")), "2026-01-31");
        assert_eq!(span(850), "850 ms");
        assert_eq!(span(192_000), "3 min 12 s");
        assert_eq!(span(273_600_000), "3 d 4 h");
    }
}
