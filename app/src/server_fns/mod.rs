//! What the browser asks of the server: one file per resource, each function a few lines around the service.
//!
//! Each is a public endpoint under `/fn`; who may do what is decided by the service alone.

pub mod alerts;
pub mod audit;
pub mod overview;
pub mod pipelines;
pub mod quality;
pub mod quarantine;
pub mod runs;
pub mod session;
