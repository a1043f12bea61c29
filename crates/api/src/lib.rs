//! What travels between console, machines and server: DTOs, ids and problems. Builds for wasm32.
//!
//! Each module is one resource of the REST API and of the console. A type here is plain data: no rule lives in it, apart from
//! the shape of an id. The feature `openapi` derives the schemas that `/api/openapi.json` is made of.
//!
//! Times are UTC and travel as RFC 3339. Hashes and keys travel as lower-case hex.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod alert;
pub mod audit;
pub mod consent;
pub mod contract;
pub mod graph;
pub mod id;
pub mod ingest;
pub mod live;
pub mod overview;
pub mod page;
pub mod pipeline;
pub mod problem;
pub mod project;
pub mod quality;
pub mod quarantine;
pub mod role;
pub mod run;
#[cfg(feature = "openapi")]
pub mod schema;
pub mod secret;
pub mod session;
pub mod token;
pub mod user;

pub use alert::{
    AcknowledgeAlert, Acknowledgement, Alert, AlertQuery, AlertSeverity, AlertState, AlertStates, OpenAlerts, UnknownSeverity,
};
pub use audit::{
    AuditEntry, AuditQuery, ConsistencyProof, Head, InclusionProof, Outcome, PreviousHead, VerifyFailure, VerifyResult,
};
pub use consent::{ConsentHistory, ConsentRecord, ConsentState, ImportLineError, ImportResult, SetConsent, ShowConsent};
pub use contract::{ContractDetail, ContractSummary, RegisterContract};
pub use graph::{Graph, GraphColumn, GraphEdge, GraphNode, NodeKind};
pub use id::{AlertId, DeploymentId, DocumentId, InvalidId, ProjectId, RunId, SegmentId, SessionId, Slug, TokenId, UserId};
pub use ingest::IngestReceipt;
pub use live::{NodeRates, RunRates};
pub use overview::{EvidenceState, Overview, PipelineCounts};
pub use page::{Cursor, Page, PageQuery};
pub use pipeline::{
    CreatePipeline, DeletePipeline, DeployPipeline, Deployment, PipelineDetail, PipelineState, PipelineSummary, PipelineVersion,
    PipelineVersionDetail, UpdatePipeline, ValidatePipeline, Validation,
};
pub use problem::{FieldError, Problem, ProblemError};
pub use project::{CreateProject, Project, UpdateProject};
pub use quality::{
    NoValue, QualityPoint, QualityQuery, QualityResolution, QualityRule, QualitySeries, UnknownVerdict, WindowVerdict,
};
pub use quarantine::{HeldRows, QuarantineContent, QuarantineEntry, QuarantineQuery, QuarantineReason, QuarantineRow};
pub use role::{Role, UnknownRole};
pub use run::{
    CheckpointSummary, FailureDomain, NodeCounters, PartitionOffset, RunDetail, RunFailure, RunQuery, RunRows, RunState,
    RunSummary,
};
pub use secret::Secret;
pub use session::{ChangePassword, Me, Permission, ProjectRoles, SignIn};
pub use token::{CreateToken, CreatedToken, Jwk, Jwks, TokenSummary};
pub use user::{AddMember, CreateUser, CreatedUser, Member, SetMember, SetPassword, UpdateUser, User, UserRef};

pub use chrono::{DateTime, Utc};
pub use weir_spec::{Classification, Diagnostic, Position, Severity, Span, Trail};
