//! An instant as leaves and heads write it: RFC 3339, UTC, six digits of a second.

use std::fmt;

use chrono::{DateTime, NaiveDateTime, Utc};
use serde::{Deserialize, Serialize};
use thiserror::Error;

const FORMAT: &str = "%Y-%m-%dT%H:%M:%S%.6fZ";
/// 0000-01-01T00:00:00Z.
const FIRST: i64 = -62_167_219_200_000_000;
/// 9999-12-31T23:59:59.999999Z.
const LAST: i64 = 253_402_300_799_999_999;

/// An instant such as `2026-03-01T12:00:00.000000Z`. It has one spelling, so text order is time order (years 0 to 9999).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp(String);

/// Text or a number that is not an instant of the years 0 to 9999.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{0}` is not an instant; write it like 2026-03-01T12:00:00.000000Z")]
pub struct TimestampError(String);

impl Timestamp {
    /// From microseconds since 1970-01-01T00:00:00Z.
    pub fn from_micros(micros: i64) -> Result<Self, TimestampError> {
        let bad = || TimestampError(format!("{micros} microseconds"));
        DateTime::<Utc>::from_timestamp_micros(micros).ok_or_else(bad)?.format(FORMAT).to_string().try_into()
    }

    /// The instant of the years 0 to 9999 that is nearest: for event times, which data may hold at will.
    pub fn nearest(micros: i64) -> Self {
        Self::from_micros(micros.clamp(FIRST, LAST)).expect("invariant: within the years 0 to 9999")
    }

    /// Microseconds since 1970-01-01T00:00:00Z.
    pub fn as_micros(&self) -> i64 {
        let time = NaiveDateTime::parse_from_str(&self.0, FORMAT).expect("invariant: checked when made");
        time.and_utc().timestamp_micros()
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Timestamp {
    type Error = TimestampError;
    fn try_from(text: String) -> Result<Self, TimestampError> {
        // Rendering the instant again refuses every other spelling of it, leap seconds and years of five digits.
        let instant = NaiveDateTime::parse_from_str(&text, FORMAT)
            .ok()
            .and_then(|time| DateTime::<Utc>::from_timestamp_micros(time.and_utc().timestamp_micros()));
        match instant {
            Some(time) if text.len() == 27 && time.format(FORMAT).to_string() == text => Ok(Self(text)),
            _ => Err(TimestampError(text)),
        }
    }
}

impl From<Timestamp> for String {
    fn from(timestamp: Timestamp) -> Self {
        timestamp.0
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_from_micros_and_goes_back() {
        for (micros, text) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (1_772_366_400_000_001, "2026-03-01T12:00:00.000001Z"),
            (-1, "1969-12-31T23:59:59.999999Z"),
        ] {
            let at = Timestamp::from_micros(micros).unwrap();
            assert_eq!((at.as_str(), at.as_micros()), (text, micros));
        }
        assert!(Timestamp::from_micros(i64::MAX).is_err());
    }

    #[test]
    fn what_lies_outside_of_four_digit_years_is_told_as_the_nearest_end() {
        for (micros, text) in [
            (i64::MIN, "0000-01-01T00:00:00.000000Z"),
            (FIRST, "0000-01-01T00:00:00.000000Z"),
            (1, "1970-01-01T00:00:00.000001Z"),
            (LAST, "9999-12-31T23:59:59.999999Z"),
            (i64::MAX, "9999-12-31T23:59:59.999999Z"),
        ] {
            assert_eq!(Timestamp::nearest(micros).as_str(), text);
        }
        assert!(Timestamp::from_micros(FIRST - 1).is_err() && Timestamp::from_micros(LAST + 1).is_err());
    }

    #[test]
    fn refuses_other_spellings() {
        for text in [
            "",
            "2026-03-01",
            "2026-03-01T12:00:00Z",
            "2026-03-01T12:00:00.000Z",
            "2026-03-01T12:00:00.000000+00:00",
            "2026-03-01 12:00:00.000000Z",
            "2026-02-30T12:00:00.000000Z",
            "2026-03-01T12:00:60.000000Z",
            "2026-03-01T12:00:00.000000z",
            "2026-3-01T12:00:00.0000000Z",
        ] {
            assert!(Timestamp::try_from(text.to_owned()).is_err(), "{text}");
        }
    }
}
