//! From a document's text to its plan: the one place that asks `weir-spec` and `weir-plan`.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::LazyLock,
};

use tokio::sync::Semaphore;
use weir_api::{Classification, Diagnostic, ProjectId};
use weir_plan::{Lookup, Plan, Planned};
use weir_spec::{Column, Contract, Pipeline, connector::GeneratorKind, contract::ContractRef, parse_contract, parse_pipeline};
use weir_store::{
    Db,
    documents::{self, DocumentKind},
};

use crate::{
    Error, Result, Services,
    services::GeneratorColumns,
    versions::{major, newer},
};

/// A wide document takes seconds to plan, so that only so many are planned side by side, and none on a thread that serves others.
static PLANNERS: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(4));

/// What there is to say about a pipeline's text.
pub struct Checked {
    /// Present when the text could be read.
    pub pipeline: Option<Pipeline>,
    /// Present when nothing stands against running it.
    pub plan: Option<Plan>,
    /// All findings, in the order of the text.
    pub diagnostics: Vec<Diagnostic>,
}

impl Checked {
    pub(crate) fn errors(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }

    /// The most sensitive class that leaves the pipeline: who may deploy it depends on it.
    pub(crate) fn classification(&self) -> Classification {
        let Some(plan) = &self.plan else {
            return Classification::Restricted;
        };
        let sinks = plan.nodes.iter().filter(|node| matches!(node.kind, weir_plan::NodeKind::Sink(_)));
        sinks.flat_map(|sink| &sink.columns).map(|column| column.classification).max().unwrap_or_default()
    }
}

/// Reads and plans a pipeline's text against the contracts registered in the project. On a server, its paths must stay in the
/// project's folders.
pub async fn check(services: &Services, project: ProjectId, text: &str) -> Result<Checked> {
    let _turn = PLANNERS.acquire().await.map_err(|_| Error::Internal("planning has ended".to_owned()))?;
    let text = text.to_owned();
    let parsed = off_thread(move || parse_pipeline(&text)).await?;
    let contracts = Contracts::load(services.store(), services.generator_columns, project, parsed.understood()).await?;
    let (parsed, contracts, planned) = off_thread(move || {
        let planned = weir_plan::plan_parsed(&parsed, &contracts);
        (parsed, contracts, planned)
    })
    .await?;
    let Planned { mut plan, mut diagnostics } = planned;
    if let (Some(pipeline), Some(confinement)) = (parsed.understood(), services.confinement(project).await?) {
        let mut refusals = confinement.refusals(pipeline, &contracts);
        plan = plan.filter(|_| refusals.is_empty());
        parsed.spans.locate(&mut refusals);
        diagnostics.append(&mut refusals);
        diagnostics.sort_by_key(|finding| (finding.span.map(|span| span.start), finding.severity));
    }
    Ok(Checked { pipeline: parsed.value, plan, diagnostics })
}

async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|e| Error::internal("planning", e))
}

/// The contracts that a pipeline refers to, read beforehand: planning does no I/O.
struct Contracts {
    referenced: BTreeMap<(String, u32), Contract>,
    names: BTreeSet<String>,
    generators: GeneratorColumns,
}

impl Contracts {
    async fn load(db: &impl Db, generators: GeneratorColumns, project: ProjectId, pipeline: Option<&Pipeline>) -> Result<Self> {
        let wanted: HashSet<&ContractRef> = pipeline.into_iter().flat_map(Pipeline::contracts).collect();
        let mut loaded = Self { referenced: BTreeMap::new(), names: BTreeSet::new(), generators };
        if wanted.is_empty() {
            return Ok(loaded);
        }
        for (document, _) in documents::list(db, project, DocumentKind::Contract).await? {
            for version in documents::versions(db, document.id).await? {
                let Some(label) = version.label else { continue };
                let Some(major) = major(&label) else { continue };
                loaded.names.insert(format!("{}@{major}", document.name));
                let key = (document.name.clone(), major);
                let is_wanted = wanted.iter().any(|one| one.name == key.0 && one.version == key.1);
                let newer = loaded.referenced.get(&key).is_none_or(|known| newer(&label, &known.version));
                if is_wanted
                    && newer
                    && let Some(stored) = documents::version(db, document.id, version.version).await?
                    && let Some(contract) = parse_contract(&stored.text).value
                {
                    loaded.referenced.insert(key, contract);
                }
            }
        }
        Ok(loaded)
    }
}

impl Lookup for Contracts {
    fn contract(&self, reference: &ContractRef) -> Option<Contract> {
        self.referenced.get(&(reference.name.clone(), reference.version)).cloned()
    }

    fn contract_names(&self) -> Vec<String> {
        self.names.iter().cloned().collect()
    }

    fn generator_columns(&self, kind: GeneratorKind) -> Vec<Column> {
        (self.generators)(kind)
    }
}
