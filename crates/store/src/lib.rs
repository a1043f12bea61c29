//! The control database: entities and repositories. The only crate that names sea-orm entities.
//!
//! One file per aggregate, each with plain functions over plain structs. What reads takes a [`Db`] (a [`Store`] or a [`Tx`]); what
//! writes takes a [`Tx`], so that a use case changes several things, and records the evidence of it, in one transaction:
//!
//! ```text
//! let tx = store.begin().await?;
//! documents::add_version(&tx, &grant, ..., now).await?;
//! evidence::append(&tx, vec![leaf]).await?;
//! tx.commit().await?;                      // dropping it instead rolls everything back
//! ```
//!
//! Invariants: what a person may trigger takes the [`Grant`](weir_authz::Grant) that permits it, and checks that it is the right one;
//! nobody here reads a clock; evidence is appended within the transaction of what it is evidence of; a run's checkpoint is
//! committed only by the holder of its newest lease ([`StoreError::StaleLease`]).
//!
//! SQLite has one writer at a time. A [`Store`] has one connection for writing, so that writers queue for it, and begins with `BEGIN
//! IMMEDIATE`, so that writers of other processes wait for each other instead of failing half-way.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod bulk;
mod db;
mod entity;
mod error;
mod open;
mod permit;
mod stored;
mod time;

pub mod actors;
pub mod alerts;
pub mod checkpoints;
pub mod consent;
pub mod consent_import;
pub mod consent_snapshot;
pub mod deployments;
pub mod documents;
pub mod evidence;
pub mod heads;
pub mod host;
pub mod keys;
pub mod leases;
pub mod measures;
pub mod metrics;
pub mod projects;
pub mod quality;
pub mod quarantine;
pub mod runs;
pub mod sessions;
pub mod subject_keys;
pub mod tokens;
pub mod users;

pub use db::{Db, Tx};
pub use error::{Result, StoreError};
pub use open::{Store, StoreOptions};
