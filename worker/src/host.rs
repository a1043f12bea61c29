//! The engine's outside, made of the control database and the vault.

use std::{
    error::Error,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use weir_api::{DeploymentId, NodeCounters, PartitionOffset, ProjectId, SegmentId};
use weir_connectors::{PreCommit, PreparedFile};
use weir_engine::{
    Checkpoint, CheckpointCommit, EngineError, Host, NodeCounts,
    host::{LiveConsent, Restorable},
    quarantine::{QuarantineSealer, QuarantineSegment},
    steps::{StepCounts, by_step},
    summary::EvidenceSummary,
};
use weir_evidence::{
    Body, Leaf,
    record::{CheckpointDiscarded, SinkCommit},
};
use weir_plan::{NodeId, NodeKind, Plan};
use weir_service::Services;
use weir_store::{
    StoreError, alerts, checkpoints,
    evidence::{self, NewLeaf},
    host::BlockingStore,
    leases::Lease,
    quarantine::NewSegment,
    runs::RowTotals,
    subject_keys::{self, NewSubjectKey},
};
use weir_vault::{
    Key, Lookup, ProjectKeys, Sealed, StoredKey, SubjectHasher, SubjectId, SubjectKeyId, SubjectKeyStore, SubjectKeyring,
    quarantine::count_by_rule,
};

use crate::{consent::ConsentFeed, observed, runner::kind};

/// How long a lease lasts without being renewed.
pub const LEASE: Duration = Duration::from_secs(15);

/// Subjects' keys kept in memory.
const KEYS_IN_MEMORY: usize = 500_000;

/// Bytes of memory that the keyed state of a run may take before it goes to disk, where nobody says otherwise.
pub const DEFAULT_STATE_MEMORY: usize = 2 << 30;

/// The outside of one pipeline's runs.
pub struct StoreHost {
    services: Arc<Services>,
    store: BlockingStore,
    project: ProjectId,
    deployment: DeploymentId,
    plan: Arc<Plan>,
    lease: Mutex<Lease>,
    consent: Arc<ConsentFeed>,
    keys: Arc<ProjectKeys>,
    keyring: Arc<SubjectKeyring>,
    hasher: Arc<SubjectHasher>,
    quarantine: Arc<QuarantineSealer>,
    state_dir: PathBuf,
    ingest_dir: PathBuf,
    state_memory: usize,
    last_epoch: AtomicU64,
    fingerprint: String,
}

/// Where a pipeline keeps files, below the data folder.
#[derive(Clone, Debug)]
pub struct Folders {
    pub state: PathBuf,
    pub ingest: PathBuf,
}

impl Folders {
    pub fn of(data: &std::path::Path, deployment: DeploymentId) -> Self {
        let name = deployment.to_string();
        Self { state: data.join("state").join(&name), ingest: data.join("ingest").join(&name) }
    }
}

impl StoreHost {
    pub fn new(
        services: Arc<Services>,
        store: BlockingStore,
        project: ProjectId,
        deployment: DeploymentId,
        plan: Arc<Plan>,
        lease: Lease,
        consent: Arc<ConsentFeed>,
        keys: Arc<ProjectKeys>,
        folders: Folders,
        state_memory: usize,
    ) -> Self {
        let key_store = Arc::new(KeyStore { store: store.clone(), project });
        let keyring = Arc::new(SubjectKeyring::new(key_store, keys.subject_key_sealer(), KEYS_IN_MEMORY));
        let hasher = Arc::new(keys.subject_hasher());
        let quarantine =
            QuarantineSealer { sealer: keys.quarantine_sealer(), hasher: Arc::clone(&hasher), project: project.to_string() };
        Self {
            fingerprint: hex_of(&plan.fingerprint),
            services,
            store,
            project,
            deployment,
            plan,
            lease: Mutex::new(lease),
            consent,
            keys,
            keyring,
            hasher,
            quarantine: Arc::new(quarantine),
            state_dir: folders.state,
            ingest_dir: folders.ingest,
            state_memory,
            last_epoch: AtomicU64::new(0),
        }
    }

    /// The lease as last renewed.
    pub fn lease(&self) -> Lease {
        self.lease.lock().clone()
    }

    pub fn set_lease(&self, lease: Lease) {
        let mut current = self.lease.lock();
        if lease.until > current.until {
            *current = lease;
        }
    }

    /// Appends a leaf in a transaction of its own. Blocking.
    pub fn record(&self, leaf: NewLeaf) -> Result<(), EngineError> {
        self.store.append(vec![leaf]).map(|_| ()).map_err(failed)
    }

    /// Ends, on record, the alerts of steps that are not in the plan any longer. Blocking.
    pub fn forget_alerts(&self) -> Result<(), EngineError> {
        let steps = self.plan.nodes.iter().map(|node| node.step.as_str()).collect();
        let forgotten =
            self.store.transaction(async |tx| alerts::forget_missing(tx, &self.lease(), &steps, chrono::Utc::now()).await);
        forgotten.map(|_| ()).map_err(failed)
    }

    /// The epoch of the last checkpoint this host has committed or restored.
    pub fn last_epoch(&self) -> Option<u64> {
        Some(self.last_epoch.load(Ordering::Relaxed)).filter(|&epoch| epoch > 0)
    }
}

impl StoreHost {
    /// A checkpoint as the engine knows it; of one that is damaged what its evidence tells.
    fn read(&self, stored: checkpoints::Restorable) -> Result<Restorable, EngineError> {
        let epoch = stored.epoch;
        match stored.checkpoint {
            Ok(stored) => {
                let checkpoint: Checkpoint = serde_json::from_slice(&stored.content)
                    .map_err(|e| EngineError::Resume(format!("checkpoint {epoch} cannot be read: {e}")))?;
                Ok(Restorable { epoch, commits: checkpoint.pre_commits.clone(), checkpoint: Ok(checkpoint) })
            }
            Err(StoreError::Corrupt(damage)) => {
                let leaf = self.store.wait(evidence::by_seq(self.store.store(), stored.leaf_seq)).map_err(failed)?;
                let leaf = leaf.and_then(|leaf| Leaf::from_canonical(&leaf.body).ok());
                let Some(Body::Checkpoint(decision)) = leaf.map(|leaf| leaf.body) else {
                    return Err(EngineError::Resume(format!("{damage}, and so is its evidence; start anew: `weir run --fresh`")));
                };
                let commits = decision.sinks.into_iter().map(|(sink, commit)| (sink, pre_commit(epoch, commit))).collect();
                Ok(Restorable { epoch, commits, checkpoint: Err(damage) })
            }
            Err(other) => Err(failed(other)),
        }
    }
}

/// What a sink has committed, by the evidence, which does not tell temporary names.
fn pre_commit(epoch: u64, commit: SinkCommit) -> PreCommit {
    let files = commit.files.into_iter().map(|file| PreparedFile {
        temporary: String::new(),
        path: file.path,
        rows: file.rows,
        bytes: file.bytes,
        sha256: file.sha256.map(|hash| hash.to_string()).unwrap_or_default(),
    });
    PreCommit { epoch, rows: commit.rows, bytes: commit.bytes, files: files.collect() }
}

impl Host for StoreHost {
    fn restorable(&self) -> Result<Vec<Restorable>, EngineError> {
        let stored = self.store.wait(checkpoints::restorable(self.store.store(), self.deployment)).map_err(failed)?;
        let restorable: Vec<Restorable> = stored.into_iter().map(|one| self.read(one)).collect::<Result<_, _>>()?;
        if let Some(newest) = restorable.iter().find(|one| one.checkpoint.is_ok()) {
            self.last_epoch.store(newest.epoch, Ordering::Relaxed);
        }
        Ok(restorable)
    }

    fn discard(&self, epoch: u64, reason: &str, instead: u64) -> Result<(), EngineError> {
        let lease = self.lease();
        let body = Body::CheckpointDiscarded(CheckpointDiscarded {
            run: lease.run.to_string(),
            pipeline: self.plan.pipeline.clone(),
            epoch,
            reason: reason.to_owned(),
            resumed_from: instead,
        });
        let leaf = NewLeaf {
            project: Some(self.project),
            at: chrono::Utc::now(),
            actor: format!("run:{}", lease.run),
            run: Some(lease.run),
            body,
        };
        let discarded = self.store.transaction(async |tx| {
            checkpoints::discard(tx, &lease, self.deployment, epoch).await?;
            evidence::append(tx, vec![leaf]).await
        });
        discarded.map_err(failed)?;
        self.last_epoch.store(instead, Ordering::Relaxed);
        Ok(())
    }

    fn newest_epoch(&self) -> Result<u64, EngineError> {
        let newest = self.store.wait(checkpoints::newest_epoch(self.store.store(), self.deployment)).map_err(failed)?;
        Ok(newest.unwrap_or_default())
    }

    fn commit(&self, commit: CheckpointCommit) -> Result<(), EngineError> {
        let CheckpointCommit { checkpoint, began_at, quarantine, observations, decision } = commit;
        let alerts = observed::alerts(observations.alerts);
        let windows = observed::windows(observations.windows, &self.keys, self.deployment)?;
        let new_keys = self.keyring.drain_new();
        let content = serde_json::to_vec(&checkpoint).map_err(|e| EngineError::internal("checkpoint", e))?;
        let committed = self.store.commit_checkpoint(
            checkpoints::CheckpointCommit {
                lease: self.lease(),
                renew: Some(LEASE),
                epoch: checkpoint.epoch,
                at: chrono::Utc::now(),
                duration_ms: Some(began_at.elapsed().as_millis() as u64),
                plan_fingerprint: self.fingerprint.clone(),
                content,
                positions: to_value(offsets(&checkpoint))?,
                counters: to_value(counters(&self.plan, &checkpoint))?,
                totals: totals(&self.plan, &checkpoint),
                new_subject_keys: new_keys.iter().map(new_subject_key).collect(),
                quarantine: quarantine.into_iter().map(segment).collect::<Result<_, _>>()?,
                metrics: None,
                windows,
                alerts: alerts.clone(),
                decision: Box::new(decision),
            },
            Vec::new(),
        );
        let committed = committed.map_err(|error| {
            self.keyring.requeue(new_keys.clone());
            failed(error)
        })?;
        self.keyring.confirm(&new_keys);
        self.last_epoch.store(checkpoint.epoch, Ordering::Relaxed);
        self.set_lease(committed.lease);
        for alert in alerts {
            self.services.alert_feed().publish(observed::news(self.project, &self.plan.pipeline, alert));
        }
        Ok(())
    }

    fn evidence(&self) -> Result<EvidenceSummary, EngineError> {
        let log = self.store.wait(evidence::state(self.store.store())).map_err(failed)?;
        Ok(EvidenceSummary { leaves: log.range.size(), root: log.range.root().to_string() })
    }

    fn consent(&self, purpose: &str) -> Result<LiveConsent, EngineError> {
        self.store.wait(self.consent.table(purpose)).map_err(failed)
    }

    fn subject_hasher(&self) -> Arc<SubjectHasher> {
        Arc::clone(&self.hasher)
    }

    fn project_keys(&self) -> Arc<ProjectKeys> {
        Arc::clone(&self.keys)
    }

    fn keyring(&self) -> Arc<SubjectKeyring> {
        Arc::clone(&self.keyring)
    }

    fn quarantine_sealer(&self) -> Arc<QuarantineSealer> {
        Arc::clone(&self.quarantine)
    }

    fn state_key(&self) -> [u8; 16] {
        let key = self.keys.derive("operator-state");
        std::array::from_fn(|i| key.expose()[i])
    }

    fn keyed_state_key(&self) -> Key {
        self.keys.derive("keyed-state")
    }

    fn state_memory(&self) -> Option<usize> {
        Some(self.state_memory)
    }

    fn state_dir(&self) -> PathBuf {
        self.state_dir.clone()
    }

    fn ingest(&self) -> Option<(PathBuf, [u8; 32])> {
        Some((self.ingest_dir.clone(), *self.keys.derive("ingest-log").expose()))
    }
}

fn to_value<T: serde::Serialize>(value: T) -> Result<serde_json::Value, EngineError> {
    serde_json::to_value(value).map_err(|e| EngineError::internal("checkpoint", e))
}

/// The counters of all nodes, as lists show them.
fn counters(plan: &Plan, checkpoint: &Checkpoint) -> Vec<NodeCounters> {
    let of_node = |node: usize| checkpoint.counts.get(&plan.nodes[node].name).copied().unwrap_or_default();
    by_step(plan, of_node)
        .into_iter()
        .map(|StepCounts { name, node, counts }| {
            let rules = checkpoint.rules.get(name).into_iter().flatten();
            // What a `WHERE` leaves out was refused by nobody.
            let filters = filters(plan, node);
            NodeCounters {
                node: name.to_owned(),
                kind: kind(&plan.nodes[node].kind),
                rows_in: counts.rows_in,
                rows_out: counts.out,
                quarantined: counts.quarantined,
                denied: counts.denied,
                late: counts.late,
                dropped: if filters { 0 } else { counts.dropped },
                filtered: if filters { counts.dropped } else { 0 },
                absorbed: counts.absorbed,
                emitted: counts.emitted,
                held: counts.held,
                observer: plan.is_observer(node),
                malformed: counts.malformed,
                rule_failures: rules
                    .filter(|(_, counts)| counts.failed > 0)
                    .map(|(rule, counts)| (rule.clone(), counts.failed))
                    .collect(),
            }
        })
        .collect()
}

/// Whether a node drops rows because the text of its SQL says so: what a `WHERE` leaves out was refused by nobody.
pub(crate) fn filters(plan: &Plan, id: NodeId) -> bool {
    match &plan.nodes[id].kind {
        NodeKind::Sql(_) => true,
        NodeKind::Operator(_) => !plan.is_observer(id),
        _ => false,
    }
}

fn offsets(checkpoint: &Checkpoint) -> Vec<PartitionOffset> {
    let sources = checkpoint.positions.iter();
    sources
        .flat_map(|(source, positions)| {
            positions.iter().map(|position| PartitionOffset {
                source: source.clone(),
                partition: position.partition.clone(),
                row: position.offset.row,
                byte: position.offset.byte,
                done: position.done,
            })
        })
        .collect()
}

fn failed(error: StoreError) -> EngineError {
    match error {
        StoreError::StaleLease { .. } => EngineError::LeaseLost,
        StoreError::Corrupt(_) => EngineError::Resume(error.to_string()),
        other => EngineError::Host { message: other.to_string(), retryable: true },
    }
}

fn segment(segment: QuarantineSegment) -> Result<NewSegment, EngineError> {
    let stage = serde_json::to_value(segment.stage).map_err(|e| EngineError::internal(&segment.node, e))?;
    Ok(NewSegment {
        id: SegmentId::generate(),
        stage: stage.as_str().unwrap_or_default().to_owned(),
        contract: segment.contract,
        classification: segment.classification.to_string(),
        rows: u32::try_from(segment.entries.len()).unwrap_or(u32::MAX),
        counts: count_by_rule(&segment.entries),
        entries: serde_json::to_string(&segment.entries).map_err(|e| EngineError::internal(&segment.node, e))?,
        subjects: segment.subjects.iter().map(|subject| *subject.as_bytes()).collect(),
        sealed: segment.sealed,
        node: segment.node,
    })
}

fn new_subject_key(key: &StoredKey) -> NewSubjectKey {
    NewSubjectKey {
        subject_hash: *key.subject.as_bytes(),
        key_id: key.key_id.to_string(),
        sealed: key.sealed.as_bytes().to_vec(),
    }
}

/// What became of the rows, for lists: sources' input, sinks' output.
pub fn totals(plan: &Plan, checkpoint: &Checkpoint) -> RowTotals {
    let mut totals = RowTotals::default();
    for (id, node) in plan.nodes.iter().enumerate() {
        let counts: NodeCounts = checkpoint.counts.get(&node.name).copied().unwrap_or_default();
        match node.kind {
            NodeKind::Source(_) => totals.rows_in += counts.rows_in,
            NodeKind::Sink(_) => totals.rows_out += counts.out,
            _ => {}
        }
        let dropped = if filters(plan, id) { 0 } else { counts.dropped };
        totals.rows_quarantined += counts.held;
        totals.rows_refused += (counts.malformed + counts.quarantined + counts.late).saturating_sub(counts.held);
        totals.rows_refused += counts.denied + dropped;
    }
    totals
}

fn hex_of(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Subjects' keys in the control database.
struct KeyStore {
    store: BlockingStore,
    project: ProjectId,
}

impl SubjectKeyStore for KeyStore {
    fn load(&self, subjects: &[SubjectId]) -> Result<Vec<Lookup>, Box<dyn Error + Send + Sync>> {
        let hashes: Vec<[u8; 32]> = subjects.iter().map(|subject| *subject.as_bytes()).collect();
        let known = self.store.wait(subject_keys::of(self.store.store(), self.project, &hashes))?;
        let mut found = std::collections::HashMap::with_capacity(known.len());
        for key in known {
            let subject = SubjectId::from_bytes(key.subject_hash);
            let lookup = match key.sealed.filter(|_| key.erased_at.is_none()) {
                Some(sealed) => {
                    Lookup::Known(StoredKey { subject, key_id: parse_key_id(&key.key_id)?, sealed: Sealed::from_bytes(sealed)? })
                }
                None => Lookup::Erased,
            };
            found.insert(subject, lookup);
        }
        Ok(subjects.iter().map(|subject| found.get(subject).cloned().unwrap_or(Lookup::Unknown)).collect())
    }
}

fn parse_key_id(text: &str) -> Result<SubjectKeyId, Box<dyn Error + Send + Sync>> {
    let mut bytes = [0; 16];
    for (i, byte) in bytes.iter_mut().enumerate() {
        let digits = text.get(2 * i..2 * i + 2).ok_or("a subject key's id is too short")?;
        *byte = u8::from_str_radix(digits, 16)?;
    }
    Ok(SubjectKeyId::from_bytes(bytes))
}
