//! The dataflow: stages in the order data meets them, lanes, barriers and checkpoints.
//!
//! ```text
//!  reader thread      dispatcher            lanes (parallelism)                       writer
//!  ┌───────────┐     ┌──────────┐     ┌────────────────────────────────┐     ┌─────────────────────┐
//!  │  source   │────▶│ tickets  │──▶──│ decode contract quality consent│──▶──│ append, in ticket   │
//!  │  source   │────▶│ barriers │──▶──│ mask transform ... encode      │──▶──│ order; checkpoints  │
//!  └───────────┘     └──────────┘     └────────────────────────────────┘     └─────────────────────┘
//! ```
//!
//! Every chunk of input gets a *ticket*, a number in one sequence for the run. Ticket `n` goes to lane `n % lanes`, and the
//! writer takes results in the same order, so the output of many lanes is in the order of the input, whatever the lanes'
//! speeds. A *barrier* is a ticket that all lanes see: what lies before it belongs to its checkpoint, what lies after does not.
//! Stages with state that depends on order ([`ordered::Ordered`]) are entered in ticket order; all else runs side by side.
//!
//! What the engine needs of the outside (committing a checkpoint, consent, keys) it asks of a [`host::Host`]. It knows nothing
//! of HTTP and nothing of the control database.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod batch;
pub mod checkpoint;
pub mod consent_table;
pub mod counts;
pub mod error;
pub mod host;
pub mod live;
pub mod observation;
pub mod ordered;
pub mod output;
pub mod quarantine;
pub mod run;
pub mod stages;
pub mod state;
pub mod steps;
pub mod summary;

pub use checkpoint::{Checkpoint, CheckpointCommit};
pub use consent_table::{ConsentState, ConsentTable};
pub use counts::NodeCounts;
pub use error::EngineError;
pub use host::Host;
pub use observation::Observations;
pub use output::{MissingOutput, missing_output};
pub use run::{Control, Options, Outcome, Status, check_definitions, check_replacement, finish_commit, run};
pub use summary::Summary;
