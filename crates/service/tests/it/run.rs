//! A run of the pipeline `card-fraud`, whose checkpoints a test writes as a worker would.

use std::{collections::BTreeMap, time::Duration};

use weir_api::{CreatePipeline, DeployPipeline, NodeCounters, NodeKind};
use weir_evidence::{Hash, record::CheckpointDecision};
use weir_service::pipelines;
use weir_store::{
    Store,
    checkpoints::{self, CheckpointCommit},
    deployments, documents,
    leases::{self, Lease},
    runs::{self as stored, NewRun, RowTotals},
};

use crate::world::{PIPELINE, World, slug, start};

pub struct Carried {
    store: Store,
    lease: Lease,
    pub run: stored::Run,
    epoch: u64,
}

/// The pipeline, deployed, and its first run taken up.
pub async fn deployed(world: &World) -> Carried {
    let admin = world.admin().await;
    let project = admin.project().unwrap().id;
    pipelines::create(&admin, CreatePipeline { document: PIPELINE.to_owned(), note: None }).await.unwrap();
    pipelines::deploy(&admin, &slug("card-fraud"), DeployPipeline::default()).await.unwrap();
    let store = world.services.store();
    let document = documents::by_name(store, project, documents::DocumentKind::Pipeline, "card-fraud").await.unwrap().unwrap();
    let deployment = deployments::by_document(store, document.id).await.unwrap().unwrap();
    let tx = store.begin().await.unwrap();
    let new = NewRun {
        project,
        deployment: deployment.id,
        document: document.id,
        pipeline: "card-fraud".into(),
        version: 1,
        document_hash: "00".repeat(32),
    };
    let run = stored::create(&tx, new, start()).await.unwrap();
    let lease = leases::acquire(&tx, run.id, "worker-1", Duration::from_secs(30), start()).await.unwrap().unwrap();
    tx.commit().await.unwrap();
    Carried { store: store.clone(), lease, run, epoch: 0 }
}

impl Carried {
    /// The run has stopped.
    pub async fn end(&self) {
        let tx = self.store.begin().await.unwrap();
        stored::end(&tx, &self.lease, weir_api::RunState::Stopped, None, start()).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// The run has stopped, and the next one of its deployment begins.
    pub async fn again(mut self) -> Self {
        self.end().await;
        let tx = self.store.begin().await.unwrap();
        let new = NewRun {
            project: self.run.project,
            deployment: self.run.deployment,
            document: self.run.document,
            pipeline: self.run.pipeline.clone(),
            version: self.run.version,
            document_hash: self.run.document_hash.clone(),
        };
        self.run = stored::create(&tx, new, start()).await.unwrap();
        self.lease = leases::acquire(&tx, self.run.id, "worker-1", Duration::from_secs(30), start()).await.unwrap().unwrap();
        tx.commit().await.unwrap();
        self
    }

    /// Takes back the last checkpoint.
    pub async fn discard(&self) {
        let tx = self.store.begin().await.unwrap();
        checkpoints::discard(&tx, &self.lease, self.run.deployment, self.epoch).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// Commits the next checkpoint, with what `fill` puts into it.
    pub async fn commit(&mut self, fill: impl FnOnce(&mut CheckpointCommit)) {
        self.epoch += 1;
        let decision = CheckpointDecision {
            run: self.run.id.to_string(),
            pipeline: "card-fraud".into(),
            document: Hash::default(),
            plan: String::new(),
            epoch: self.epoch,
            positions: BTreeMap::new(),
            nodes: BTreeMap::new(),
            rules: BTreeMap::new(),
            consent: BTreeMap::new(),
            masking: vec![],
            lineage_digest: Hash::default(),
            lineage: None,
            sinks: BTreeMap::new(),
            checkpoint: Hash::default(),
        };
        let mut commit = CheckpointCommit {
            lease: self.lease.clone(),
            renew: None,
            epoch: self.epoch,
            at: start(),
            duration_ms: Some(3),
            plan_fingerprint: String::new(),
            content: vec![],
            positions: serde_json::json!([{ "source": "payments", "partition": "0", "row": 10, "byte": 0, "done": false }]),
            counters: serde_json::to_value(counters()).unwrap(),
            totals: RowTotals { rows_in: 10, rows_out: 8, rows_quarantined: 2, rows_refused: 0 },
            new_subject_keys: vec![],
            quarantine: vec![],
            metrics: None,
            windows: vec![],
            alerts: vec![],
            decision: Box::new(decision),
        };
        fill(&mut commit);
        let tx = self.store.begin().await.unwrap();
        checkpoints::commit(&tx, commit).await.unwrap();
        tx.commit().await.unwrap();
    }
}

/// Ten rows, of which two were held.
pub fn counters() -> Vec<NodeCounters> {
    let node = |node: &str, kind, rows_in, rows_out| NodeCounters {
        node: node.to_owned(),
        kind,
        rows_in,
        rows_out,
        ..NodeCounters::default()
    };
    vec![
        node("payments", NodeKind::Source, 10, 10),
        NodeCounters { quarantined: 2, held: 2, ..node("checked", NodeKind::Step, 10, 8) },
        node("clean", NodeKind::Sink, 8, 8),
    ]
}
