//! What the use cases work with: store, keys, authorizer, evidence signer, live metrics, and what the host adds.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock, RwLock},
};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::Notify;
use weir_api::ProjectId;
use weir_authz::Authorizer;
use weir_evidence::{PublicKey, SigningKey};
use weir_spec::{Column, connector::GeneratorKind};
use weir_store::{Store, projects};
use weir_vault::{MasterKey, ProjectKeys};

use crate::{
    Clock, Error, Result, SystemClock,
    alert_feed::AlertFeed,
    confine::Confinement,
    failure_log::FailureLog,
    heads,
    host::RunHost,
    ingest::{HttpSources, IngestLog},
    jwt::TokenSigner,
    keys,
    live::LiveHub,
    lockout::Strangers,
    quality::{WindowSums, hours::AddedUp},
    refusal_log::RefusalLog,
};

/// The columns that a generator brings; connectors know them, and services do not know connectors.
pub type GeneratorColumns = fn(GeneratorKind) -> Vec<Column>;

/// How long things last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// A session ends after so long, whatever happens.
    pub session_lifetime: TimeDelta,
    /// A session that nobody used for so long is over.
    pub session_idle: TimeDelta,
    /// The longest life of an API token.
    pub token_lifetime: TimeDelta,
}

impl Default for Limits {
    fn default() -> Self {
        Self { session_lifetime: TimeDelta::hours(12), session_idle: TimeDelta::hours(2), token_lifetime: TimeDelta::days(90) }
    }
}

/// What [`Services::open`] needs.
pub struct ServicesConfig {
    pub store: Store,
    pub master_key: MasterKey,
    /// Signed heads are appended to [`crate::heads::FILE`] in this folder.
    pub data: PathBuf,
    pub generator_columns: GeneratorColumns,
    pub window_sums: WindowSums,
    pub clock: Arc<dyn Clock>,
    pub limits: Limits,
}

impl ServicesConfig {
    /// The machine's clock and the usual limits.
    pub fn new(
        store: Store,
        master_key: MasterKey,
        data: &Path,
        generator_columns: GeneratorColumns,
        window_sums: WindowSums,
    ) -> Self {
        Self {
            store,
            master_key,
            data: data.to_owned(),
            generator_columns,
            window_sums,
            clock: Arc::new(SystemClock),
            limits: Limits::default(),
        }
    }
}

/// Everything a use case needs besides the caller. One per process, shared.
pub struct Services {
    pub(crate) store: Store,
    pub(crate) authorizer: Authorizer,
    pub(crate) live: LiveHub,
    alert_feed: AlertFeed,
    pub(crate) limits: Limits,
    pub(crate) strangers: Strangers,
    pub(crate) failed_sign_ins: FailureLog,
    pub(crate) refusals: RefusalLog,
    pub(crate) token_signer: TokenSigner,
    pub(crate) evidence_key: SigningKey,
    /// Keys that signed heads of this log, the current one first.
    pub(crate) evidence_keys: Vec<PublicKey>,
    pub(crate) master_key: MasterKey,
    pub(crate) project_keys: RwLock<HashMap<ProjectId, Arc<ProjectKeys>>>,
    pub(crate) heads_file: PathBuf,
    /// One head is signed at a time. Whether the stored hashes were looked at since this process began.
    pub(crate) signing: tokio::sync::Mutex<bool>,
    data: PathBuf,
    /// Folders beside the projects' own in which deployed pipelines may read and write; unset where none are deployed.
    allowed: OnceLock<Vec<PathBuf>>,
    pub(crate) ingest: OnceLock<Arc<dyn IngestLog>>,
    run_host: OnceLock<Arc<dyn RunHost>>,
    pub(crate) http_sources: HttpSources,
    pub(crate) generator_columns: GeneratorColumns,
    pub(crate) window_sums: WindowSums,
    pub(crate) added_up: AddedUp,
    deployments_changed: Notify,
    consent_changed: Notify,
    clock: Arc<dyn Clock>,
}

impl Services {
    /// Opens the keys of the instance, or makes them and begins the evidence log when it is new.
    pub async fn open(config: ServicesConfig) -> Result<Arc<Self>> {
        let authorizer = Authorizer::new().map_err(|e| Error::internal("the permission policies", e))?;
        let now = config.clock.now();
        let instance = keys::open_instance(&config.store, &config.master_key, now).await?;
        let issuer = format!("weir:{}", config.store.log_id());
        let services = Arc::new(Self {
            authorizer,
            live: LiveHub::default(),
            alert_feed: AlertFeed::default(),
            limits: config.limits,
            strangers: Strangers::default(),
            failed_sign_ins: FailureLog::default(),
            refusals: RefusalLog::default(),
            token_signer: TokenSigner::new(&instance.token, issuer),
            evidence_key: instance.evidence,
            evidence_keys: instance.evidence_keys,
            master_key: config.master_key,
            project_keys: RwLock::default(),
            heads_file: config.data.join(crate::heads::FILE),
            signing: tokio::sync::Mutex::default(),
            data: config.data,
            allowed: OnceLock::new(),
            ingest: OnceLock::new(),
            run_host: OnceLock::new(),
            http_sources: HttpSources::default(),
            generator_columns: config.generator_columns,
            window_sums: config.window_sums,
            added_up: AddedUp::default(),
            deployments_changed: Notify::new(),
            consent_changed: Notify::new(),
            clock: config.clock,
            store: config.store,
        });
        heads::settle(&services).await;
        Ok(services)
    }

    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// For the supervisor and for background jobs; handlers use the use cases.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Alerts as they are committed.
    pub fn alert_feed(&self) -> &AlertFeed {
        &self.alert_feed
    }

    /// Where workers publish the rates of their runs.
    pub fn live(&self) -> &LiveHub {
        &self.live
    }

    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// The file beside the database to which signed heads are appended.
    pub fn heads_file(&self) -> &Path {
        &self.heads_file
    }

    /// The public half of the key that signs heads now.
    pub fn evidence_public_key(&self) -> PublicKey {
        self.evidence_key.public_key()
    }

    /// What names this instance's evidence log.
    pub fn log_id(&self) -> String {
        self.store.log_id().to_string()
    }

    /// The keys of a project, for masking, hashing and quarantine.
    pub async fn project_keys(&self, project: ProjectId) -> Result<Arc<ProjectKeys>> {
        keys::of_project(self, project).await
    }

    /// The durable log behind `http` sources. Set once, by the host that owns it.
    pub fn set_ingest_log(&self, log: Arc<dyn IngestLog>) {
        if self.ingest.set(log).is_err() {
            tracing::warn!("the ingest log was set before; the first one stays");
        }
    }

    /// The host that runs what is deployed. Set once, by itself.
    pub fn set_run_host(&self, host: Arc<dyn RunHost>) {
        if self.run_host.set(host).is_err() {
            tracing::warn!("the host of runs was set before; the first one stays");
        }
    }

    /// None where nothing is run.
    pub(crate) fn run_host(&self) -> Option<&Arc<dyn RunHost>> {
        self.run_host.get()
    }

    /// Confines the paths of pipelines to their project's folder and these. Set once, by the host that runs what is deployed; `weir
    /// run` reads a document of the user's own and does not.
    pub fn confine_to(&self, allowed: Vec<PathBuf>) {
        if self.allowed.set(allowed).is_err() {
            tracing::warn!("the allowed folders were set before; the first ones stay");
        }
    }

    /// The folder of a project's files.
    pub async fn files(&self, project: ProjectId) -> Result<PathBuf> {
        let known = projects::by_id(&self.store, project).await?;
        Ok(self.data.join("files").join(known.map_or_else(|| project.to_string(), |project| project.slug)))
    }

    pub(crate) async fn confinement(&self, project: ProjectId) -> Result<Option<Confinement>> {
        let Some(allowed) = self.allowed.get() else { return Ok(None) };
        Ok(Some(Confinement { base_dir: self.files(project).await?, allowed: allowed.clone() }))
    }

    /// Returns when somebody of this process has deployed or stopped a pipeline since the last call: the supervisor looks at once
    /// instead of at its next round.
    pub async fn deployments_changed(&self) {
        self.deployments_changed.notified().await;
    }

    /// Returns when somebody of this process has changed consent since the last call.
    pub async fn consent_changed(&self) {
        self.consent_changed.notified().await;
    }

    pub(crate) fn notify_deployments(&self) {
        self.deployments_changed.notify_one();
    }

    pub(crate) fn notify_consent(&self) {
        self.consent_changed.notify_one();
    }
}
