//! The REST API.

pub mod schemas;
pub mod v1;
