//! Who may do what: [`Actor`], [`Action`], [`Resource`], and the [`Grant`] that proves that the question was asked.
//!
//! The rules are `policies/policy.csv`, read by casbin with `policies/model.conf`; both are part of the binary. What no rule
//! allows is denied. Roles come with the [`Actor`], from the database; a token never has more than its owner. This is the
//! only crate that names casbin.
//!
//! ```text
//! Actor + Action + Resource --Authorizer::authorize--> Grant --> a repository that changes something
//!                                              \-----> Denied (403, or 404 where existence is secret)
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod action;
pub mod actor;
pub mod authorizer;
mod effect;
pub mod grant;
pub mod resource;

pub use action::Action;
pub use actor::{Actor, InvalidScope, Principal, Scope};
pub use authorizer::{Authorizer, Decision, Denied, PolicyError};
pub use grant::Grant;
pub use resource::{Resource, ResourceKind};
pub use weir_api::Role;
