//! Dates and timestamps from and to text: RFC 3339, in UTC.
//!
//! Accepted: `YYYY-MM-DD`, then `T`, `t` or a space, `hh:mm:ss`, an optional fraction of 1 to 9 digits (cut to microseconds),
//! and `Z`, `z` or `+hh:mm` / `-hh:mm`. A time without zone is UTC. Leap seconds (`:60`) are refused: Arrow cannot hold them.

const MICROS_PER_SECOND: i64 = 1_000_000;
const SECONDS_PER_DAY: i64 = 86_400;

/// Days from 1970-01-01 to a date of the proleptic Gregorian calendar (Howard Hinnant, "chrono-compatible low-level date
/// algorithms", `days_from_civil`).
pub(crate) fn days_from_civil(year: i64, month: u32, day: u32) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let year_of_era = y.rem_euclid(400);
    let day_of_year = (153 * (i64::from(month) + if month > 2 { -3 } else { 9 }) + 2) / 5 + i64::from(day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The inverse of [`days_from_civil`].
pub(crate) fn civil_from_days(days: i64) -> (i64, u32, u32) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * shifted + 2) / 5 + 1) as u32;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 } as u32;
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

fn days_in_month(year: i64, month: u32) -> u32 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[inline]
fn two(bytes: &[u8], at: usize) -> Option<u32> {
    let (tens, ones) = (bytes.get(at)?.wrapping_sub(b'0'), bytes.get(at + 1)?.wrapping_sub(b'0'));
    (tens < 10 && ones < 10).then(|| u32::from(tens) * 10 + u32::from(ones))
}

/// The days of `YYYY-MM-DD` at the start of `bytes`.
#[inline]
fn leading_date(bytes: &[u8]) -> Option<i64> {
    let head = bytes.first_chunk::<10>()?;
    if head[4] != b'-' || head[7] != b'-' {
        return None;
    }
    let year = i64::from(two(head, 0)? * 100 + two(head, 2)?);
    let (month, day) = (two(head, 5)?, two(head, 8)?);
    if !(1..=12).contains(&month) || day == 0 || (day > 28 && day > days_in_month(year, month)) {
        return None;
    }
    Some(days_from_civil(year, month, day))
}

/// Days since 1970-01-01 of `YYYY-MM-DD`.
#[inline]
pub(crate) fn parse_date(bytes: &[u8]) -> Option<i32> {
    if bytes.len() != 10 {
        return None;
    }
    leading_date(bytes).map(|days| days as i32)
}

/// Microseconds since 1970-01-01T00:00:00Z of a timestamp.
#[inline]
pub(crate) fn parse_timestamp(bytes: &[u8]) -> Option<i64> {
    let days = leading_date(bytes)?;
    let clock = bytes.get(10..)?;
    let head = clock.first_chunk::<9>()?;
    if !matches!(head[0], b'T' | b't' | b' ') || head[3] != b':' || head[6] != b':' {
        return None;
    }
    let (hour, minute, second) = (two(head, 1)?, two(head, 4)?, two(head, 7)?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let mut rest = &clock[9..];
    let mut micros = 0_i64;
    if let Some(fraction) = rest.strip_prefix(b".") {
        let digits = fraction.iter().take_while(|b| b.is_ascii_digit()).count();
        if digits == 0 || digits > 9 {
            return None;
        }
        for place in 0..6 {
            let digit = fraction[..digits].get(place).map_or(0, |digit| i64::from(digit - b'0'));
            micros = micros * 10 + digit;
        }
        rest = &fraction[digits..];
    }
    let offset_seconds = match rest {
        [] | [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), zone @ ..] if zone.len() == 5 && zone[2] == b':' => {
            let (hours, minutes) = (two(zone, 0)?, two(zone, 3)?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let seconds = i64::from(hours * 3600 + minutes * 60);
            if *sign == b'-' { -seconds } else { seconds }
        }
        _ => return None,
    };
    let seconds = days * SECONDS_PER_DAY + i64::from(hour * 3600 + minute * 60 + second) - offset_seconds;
    Some(seconds * MICROS_PER_SECOND + micros)
}

const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut i = 0;
    while i < 100 {
        pairs[i] = [b'0' + (i / 10) as u8, b'0' + (i % 10) as u8];
        i += 1;
    }
    pairs
};

fn pair(n: u32) -> [u8; 2] {
    PAIRS[n as usize % 100]
}

/// Appends `YYYY-MM-DD`; years outside 0000 to 9999 are written signed, as ISO 8601's expanded form has it.
pub(crate) fn write_date(out: &mut Vec<u8>, days: i64) {
    let (year, month, day) = civil_from_days(days);
    let ([m0, m1], [d0, d1]) = (pair(month), pair(day));
    if (0..=9999).contains(&year) {
        let ([y0, y1], [y2, y3]) = (pair(year as u32 / 100), pair(year as u32 % 100));
        out.extend_from_slice(&[y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1]);
    } else {
        out.extend_from_slice(format!("{year:+05}").as_bytes());
        out.extend_from_slice(&[b'-', m0, m1, b'-', d0, d1]);
    }
}

/// Appends `YYYY-MM-DDThh:mm:ss[.fraction]Z`, with 3 or 6 digits of fraction when there is one.
pub(crate) fn write_timestamp(out: &mut Vec<u8>, micros: i64) {
    let fraction = micros.rem_euclid(MICROS_PER_SECOND);
    write_timestamp_with(out, micros, if fraction == 0 { 0 } else { 3 + 3 * usize::from(fraction % 1000 != 0) });
}

/// Appends `YYYY-MM-DDThh:mm:ss.ffffffZ`: texts of years 0 to 9999 are in the order of their times.
pub(crate) fn write_sortable_timestamp(out: &mut Vec<u8>, micros: i64) {
    write_timestamp_with(out, micros, 6);
}

/// With so many digits of fraction: 0, 3 or 6.
fn write_timestamp_with(out: &mut Vec<u8>, micros: i64, digits: usize) {
    let seconds = micros.div_euclid(MICROS_PER_SECOND);
    let fraction = micros.rem_euclid(MICROS_PER_SECOND) as u32;
    write_date(out, seconds.div_euclid(SECONDS_PER_DAY));
    let clock = seconds.rem_euclid(SECONDS_PER_DAY) as u32;
    let ([h0, h1], [m0, m1], [s0, s1]) = (pair(clock / 3600), pair(clock / 60 % 60), pair(clock % 60));
    let ([a0, a1], [b0, b1], [c0, c1]) = (pair(fraction / 10_000), pair(fraction / 100 % 100), pair(fraction % 100));
    if digits == 0 {
        out.extend_from_slice(&[b'T', h0, h1, b':', m0, m1, b':', s0, s1, b'Z']);
    } else if digits == 3 {
        out.extend_from_slice(&[b'T', h0, h1, b':', m0, m1, b':', s0, s1, b'.', a0, a1, b0, b'Z']);
    } else {
        out.extend_from_slice(&[b'T', h0, h1, b':', m0, m1, b':', s0, s1, b'.', a0, a1, b0, b1, c0, c1, b'Z']);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{DateTime, NaiveDate, SecondsFormat};
    use proptest::prelude::*;

    #[test]
    fn accepted_and_refused_forms() {
        let t = |text: &str| parse_timestamp(text.as_bytes());
        let base = DateTime::parse_from_rfc3339("2026-01-31T13:45:06Z").unwrap().timestamp_micros();
        for same in [
            "2026-01-31T13:45:06Z",
            "2026-01-31t13:45:06z",
            "2026-01-31 13:45:06",
            "2026-01-31T13:45:06.000Z",
            "2026-01-31T15:15:06+01:30",
            "2026-01-31T08:45:06-05:00",
            "2026-01-31T13:45:06.000000999Z",
        ] {
            assert_eq!(t(same), Some(base), "{same}");
        }
        assert_eq!(t("2026-01-31T13:45:06.1Z"), Some(base + 100_000));
        for bad in [
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "2026-01-31T24:00:00Z",
            "2026-01-31T23:60:00Z",
            "2026-01-31T23:59:60Z",
            "2026-01-31T23:59:59.Z",
            "2026-01-31T23:59:59.0123456789Z",
            "2026-01-31T23:59:59+1:00",
            "2026-01-31T23:59:59+0100",
            "2026-01-31",
            "2026-01-31T23:59Z",
            "1769867106",
            "",
            "2026-01-31T13:45:06Z ",
        ] {
            assert_eq!(t(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn timestamps_agree_with_chrono(micros in -62_167_219_200_000_000_i64..253_402_300_800_000_000) {
            let oracle = DateTime::from_timestamp_micros(micros).unwrap();
            prop_assert_eq!(parse_timestamp(oracle.to_rfc3339_opts(SecondsFormat::Micros, true).as_bytes()), Some(micros));
            let mut out = Vec::new();
            write_timestamp(&mut out, micros);
            prop_assert_eq!(DateTime::parse_from_rfc3339(std::str::from_utf8(&out).unwrap()).unwrap(), oracle);
            out.clear();
            write_sortable_timestamp(&mut out, micros);
            prop_assert_eq!(std::str::from_utf8(&out).unwrap(), oracle.to_rfc3339_opts(SecondsFormat::Micros, true));
        }

        #[test]
        fn dates_agree_with_chrono(days in -2_000_000_i32..2_000_000) {
            let epoch = NaiveDate::from_ymd_opt(1970, 1, 1).unwrap();
            let oracle = epoch + chrono::Duration::days(i64::from(days));
            let mut out = Vec::new();
            write_date(&mut out, i64::from(days));
            prop_assert_eq!(std::str::from_utf8(&out).unwrap(), oracle.to_string());
            if out.len() == 10 {
                prop_assert_eq!(parse_date(&out), Some(days));
            }
        }

        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = (parse_timestamp(&bytes), parse_date(&bytes));
        }
    }
}
