//! What a run needs of the outside.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use parking_lot::RwLock;
use weir_connectors::PreCommit;
use weir_vault::{Key, ProjectKeys, SubjectHasher, SubjectKeyring};

use crate::{
    checkpoint::{Checkpoint, CheckpointCommit},
    consent_table::ConsentTable,
    error::EngineError,
    quarantine::QuarantineSealer,
    summary::EvidenceSummary,
};

/// A table of consent that changes while lanes read it. Lanes hold the lock for one batch at a time.
pub type LiveConsent = Arc<RwLock<ConsentTable>>;

/// A committed checkpoint that a run may begin from.
#[derive(Clone, Debug)]
pub struct Restorable {
    pub epoch: u64,
    /// By sink: what this checkpoint has made visible. Known from the evidence where the checkpoint itself cannot be read.
    pub commits: BTreeMap<String, PreCommit>,
    /// The checkpoint, or what is wrong with its record.
    pub checkpoint: Result<Checkpoint, String>,
}

/// The outside of a run: where checkpoints are committed, where consent and keys come from. One host serves one pipeline.
pub trait Host: Send + Sync {
    /// The checkpoints of this pipeline that a run may begin from, whichever run made them, newest first: the last three at least.
    fn restorable(&self) -> Result<Vec<Restorable>, EngineError>;

    /// Forgets a checkpoint that is damaged, and puts on record why and which one the run begins from instead.
    fn discard(&self, epoch: u64, reason: &str, instead: u64) -> Result<(), EngineError>;

    /// The epoch of the newest checkpoint ever committed, restorable or not; 0 before the first. New epochs come after it, so that
    /// files named by epoch never meet.
    fn newest_epoch(&self) -> Result<u64, EngineError>;

    /// Commits a checkpoint, its quarantined rows, new subject keys and its decision record in one transaction. When this
    /// returns, the checkpoint is durable; when it fails, nothing of it is.
    fn commit(&self, commit: CheckpointCommit) -> Result<(), EngineError>;

    /// The evidence log as it is now: its size and root.
    fn evidence(&self) -> Result<EvidenceSummary, EngineError>;

    /// Everyone's consent to a purpose. The host keeps it current while the run lasts.
    fn consent(&self, purpose: &str) -> Result<LiveConsent, EngineError>;

    /// Turns subjects into keyed hashes.
    fn subject_hasher(&self) -> Arc<SubjectHasher>;

    /// The project's keys, for the masking operators.
    fn project_keys(&self) -> Arc<ProjectKeys>;

    /// The subjects' own keys, for encryption. New ones are stored with the checkpoint that follows.
    fn keyring(&self) -> Arc<SubjectKeyring>;

    /// Seals rejected rows.
    fn quarantine_sealer(&self) -> Arc<QuarantineSealer>;

    /// A secret for hashes in state files, so that a value cannot be guessed from them.
    fn state_key(&self) -> [u8; 16];

    /// The key that seals keyed state.
    fn keyed_state_key(&self) -> Key;

    /// How many bytes of memory the keyed state of a run may take before it goes to disk; None for no limit.
    fn state_memory(&self) -> Option<usize>;

    /// The folder for operator state of this pipeline.
    fn state_dir(&self) -> PathBuf;

    /// The folder where rows posted over HTTP wait for this pipeline, and the key that seals them.
    fn ingest(&self) -> Option<(PathBuf, [u8; 32])>;
}
