//! What travels between console, machines and server: DTOs, ids and problems. Builds for wasm32.

pub mod ids;

pub use ids::{DeploymentId, DocumentId, InvalidId, ProjectId, RunId, SegmentId, TokenId, UserId};
