//! Use cases, one file per resource: the one layer that REST handlers and server functions both call.
//!
//! ```text
//! request --auth::resume | tokens::authenticate--> Cx --in_project(slug)--> Cx --pipelines::deploy(&cx, ..)--> DTO | Error
//!                                                                                      |
//!                                            cx.authorize(action, &resource) -> Grant, and a leaf in the audit log
//! ```
//!
//! Invariants: no rule lives in a handler and no SQL lives here; every use case asks [`Cx::authorize`] before it touches
//! anything; a denied request and an allowed change each leave a leaf in the audit log, and so does every reading of
//! sensitive content; time comes from a [`Clock`]; errors become problem documents in one place, [`Error::problem`].

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod change;
mod consent_csv;
mod failure_log;
mod graph;
mod jwt;
mod keys;
mod lockout;
mod paging;
mod password;
mod random;
mod refusal_log;
mod run_rows;

pub mod alert_feed;
pub mod alerts;
pub mod audit;
pub mod auth;
pub mod bootstrap;
pub mod clock;
pub mod confine;
pub mod consent;
pub mod contracts;
pub mod cx;
pub mod error;
pub mod foreground;
pub mod heads;
pub mod host;
pub mod ingest;
pub mod live;
pub mod members;
pub mod operator;
pub mod overview;
pub mod pipelines;
pub mod planning;
pub mod projects;
pub mod proof;
pub mod quality;
pub mod quarantine;
pub mod runs;
pub mod services;
pub mod tokens;
pub mod users;
pub mod versions;

pub use clock::{Clock, ManualClock, SystemClock};
pub use cx::{Cx, RequestInfo};
pub use error::{Error, Result};
pub use services::{Limits, Services, ServicesConfig};
