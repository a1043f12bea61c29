//! A store on a real file, a project in it, and grants from the real authorizer.
#![allow(dead_code, clippy::unwrap_used)]

use std::{collections::BTreeMap, path::Path, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use tempfile::TempDir;
use weir_api::{ProjectId, Role, UserId};
use weir_authz::{Action, Actor, Authorizer, Grant, Resource};
use weir_evidence::{
    Body, Hash,
    record::{AdminAction, AdminDecision, CheckpointDecision},
};
use weir_store::{
    Store,
    checkpoints::CheckpointCommit,
    deployments,
    documents::{self, Document, DocumentKind, NewVersion},
    evidence::NewLeaf,
    leases::{self, Lease},
    projects,
    runs::{self, NewRun, RowTotals, Run},
    users::{self, NewUser, User},
};

pub const LEASE: Duration = Duration::from_secs(15);

/// 2026-03-01T12:00:00Z, and some seconds later.
pub fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_772_366_400, 0).unwrap() + TimeDelta::seconds(seconds)
}

pub struct World {
    pub dir: TempDir,
    pub store: Store,
    pub authorizer: Authorizer,
    pub admin: Actor,
    pub user: User,
    pub project: ProjectId,
}

pub async fn world() -> World {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let authorizer = Authorizer::new().unwrap();
    let boot = Actor::system("bootstrap");
    let of = |action: Action| authorizer.authorize(&boot, action, &Resource::of_instance(action.on())).unwrap();
    let tx = store.begin().await.unwrap();
    let user = users::create(&tx, &of(Action::UserCreate), new_user("ada"), at(0)).await.unwrap();
    let project = projects::create(&tx, &of(Action::ProjectCreate), "main", "Main", at(0)).await.unwrap().id;
    projects::set_roles(&tx, &of(Action::ProjectCreate), project, user.id, &[Role::Admin].into(), at(0)).await.unwrap();
    tx.commit().await.unwrap();
    let admin = Actor::user(user.id, "Ada").with_role(project, Role::Admin);
    World { dir, store, authorizer, admin, user, project }
}

pub async fn open(data: &Path) -> Store {
    Store::open(data, at(0)).await.unwrap()
}

pub fn new_user(name: &str) -> NewUser {
    NewUser {
        name: name.to_owned(),
        display_name: name.to_uppercase(),
        password_hash: "$argon2id$x".to_owned(),
        instance_admin: false,
    }
}

impl World {
    /// The administrator's grant in the project.
    pub fn may(&self, action: Action) -> Grant {
        self.authorizer.authorize(&self.admin, action, &Resource::in_project(action.on(), self.project)).unwrap()
    }

    /// A grant that the bootstrap has outside of projects.
    pub fn boot(&self, action: Action) -> Grant {
        self.authorizer.authorize(&Actor::system("bootstrap"), action, &Resource::of_instance(action.on())).unwrap()
    }

    pub async fn pipeline(&self, name: &str) -> Document {
        let tx = self.store.begin().await.unwrap();
        let grant = self.may(Action::PipelineCreate);
        let made =
            documents::create(&tx, &grant, self.project, DocumentKind::Pipeline, name, version("one"), at(0)).await.unwrap();
        tx.commit().await.unwrap();
        made.0
    }

    /// A pipeline, deployed, with a run that waits for a worker.
    pub async fn run(&self, name: &str) -> Run {
        let pipeline = self.pipeline(name).await;
        let tx = self.store.begin().await.unwrap();
        let deployment = deployments::deploy(&tx, &self.may(Action::PipelineDeploy), &pipeline, 1, at(0)).await.unwrap();
        let new = NewRun {
            project: self.project,
            deployment: deployment.id,
            document: pipeline.id,
            pipeline: name.to_owned(),
            version: 1,
            document_hash: "00".repeat(32),
        };
        let run = runs::create(&tx, new, at(0)).await.unwrap();
        tx.commit().await.unwrap();
        run
    }

    pub async fn lease(&self, run: &Run, owner: &str, now: DateTime<Utc>) -> Option<Lease> {
        let tx = self.store.begin().await.unwrap();
        let lease = leases::acquire(&tx, run.id, owner, LEASE, now).await.unwrap();
        tx.commit().await.unwrap();
        lease
    }
}

pub fn version(text: &str) -> NewVersion {
    NewVersion {
        text: text.to_owned(),
        hash: Hash::of(text.as_bytes()).to_string(),
        label: None,
        summary: serde_json::json!({ "purpose": "essential" }),
        message: None,
    }
}

pub fn leaf(project: Option<ProjectId>, seconds: i64, actor: &str, action: &str, resource: &str, allowed: bool) -> NewLeaf {
    NewLeaf {
        project,
        at: at(seconds),
        actor: actor.to_owned(),
        run: None,
        body: Body::Admin(AdminAction {
            address: "local".to_owned(),
            action: action.to_owned(),
            resource: resource.to_owned(),
            decision: if allowed { AdminDecision::Allowed } else { AdminDecision::Denied },
            rule: None,
            before: None,
            after: None,
            request_id: None,
        }),
    }
}

pub fn checkpoint(lease: &Lease, epoch: u64, seconds: i64) -> CheckpointCommit {
    CheckpointCommit {
        lease: lease.clone(),
        renew: None,
        epoch,
        at: at(seconds),
        duration_ms: Some(12),
        plan_fingerprint: "plan".to_owned(),
        content: format!("content of {epoch}").into_bytes(),
        positions: serde_json::json!({ "payments": [] }),
        counters: serde_json::json!({ "payments": { "in": epoch } }),
        totals: RowTotals { rows_in: 10 * epoch, rows_out: 9 * epoch, rows_quarantined: epoch, rows_refused: 0 },
        new_subject_keys: Vec::new(),
        quarantine: Vec::new(),
        metrics: None,
        windows: Vec::new(),
        alerts: Vec::new(),
        decision: Box::new(CheckpointDecision {
            run: lease.run.to_string(),
            pipeline: "card-fraud".to_owned(),
            document: Hash::of(b"document"),
            plan: "plan".to_owned(),
            epoch,
            positions: BTreeMap::new(),
            nodes: BTreeMap::new(),
            rules: BTreeMap::new(),
            consent: BTreeMap::new(),
            masking: Vec::new(),
            lineage_digest: Hash::of(b"lineage"),
            lineage: None,
            sinks: BTreeMap::new(),
            checkpoint: Hash::of(b"content"),
        }),
    }
}

pub fn subject(n: u64) -> [u8; 32] {
    *Hash::of(&n.to_be_bytes()).as_bytes()
}

pub fn nobody() -> UserId {
    UserId::generate()
}
