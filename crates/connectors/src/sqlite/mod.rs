//! SQLite: a table that is kept up to date, or only grows, with each checkpoint; and reading one as reference data.
//!
//! What a column becomes, and what is read back into one:
//!
//! | type | written as | read from |
//! | --- | --- | --- |
//! | boolean | INTEGER, 0 or 1 | INTEGER, 0 or 1 |
//! | int32, int64 | INTEGER | INTEGER |
//! | float32, float64 | REAL; NaN, which SQLite has not, is NULL | REAL, INTEGER |
//! | decimal | TEXT, with all digits of its scale: SQLite's numbers would round it | TEXT, INTEGER, REAL |
//! | string | TEXT | TEXT |
//! | bytes | BLOB | BLOB |
//! | date | TEXT, `YYYY-MM-DD` | TEXT |
//! | timestamp | TEXT, `YYYY-MM-DDThh:mm:ss.ffffffZ`: in the order of time, and what SQLite's date functions take | TEXT, RFC 3339 |
//! | list, struct | TEXT, JSON, as SQLite's JSON functions take it | TEXT, JSON |
//!
//! ```text
//! lanes: rows -> records      writer: one change a key      committer: staging file      after the checkpoint: one transaction
//! (TableEncoder)              (Fold)                        (staging)                    (apply), with the epoch in `_weir`
//! ```

mod apply;
mod database;
mod encode;
mod fold;
mod merge;
mod read;
mod sink;
mod staging;
mod table;
mod value;

pub use encode::TableEncoder;
pub use read::{DatabaseVersion, TableReader};
pub use sink::TableWriter;

#[cfg(test)]
mod read_tests;
#[cfg(test)]
mod sink_tests;
