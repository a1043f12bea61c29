//! Times as the database keeps them: microseconds since 1970-01-01T00:00:00Z.

use chrono::{DateTime, Utc};

pub(crate) fn micros(at: DateTime<Utc>) -> i64 {
    at.timestamp_micros()
}

/// Total: what lies outside chrono's range, which nothing here writes, becomes the nearest end of it.
pub(crate) fn at(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).unwrap_or(if micros < 0 {
        DateTime::<Utc>::MIN_UTC
    } else {
        DateTime::<Utc>::MAX_UTC
    })
}

pub(crate) fn at_opt(micros: Option<i64>) -> Option<DateTime<Utc>> {
    micros.map(at)
}
