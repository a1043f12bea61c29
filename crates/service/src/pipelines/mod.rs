//! Pipelines: documents and their versions; what shall run of them is in `deploy`.

mod deploy;
mod view;

pub use deploy::{deploy, stop};
use view::{detail, state, summary, version_dto};

use std::collections::HashMap;

use sha2::{Digest, Sha256};
use weir_api::{
    CreatePipeline, FieldError, Page, PageQuery, PipelineDetail, PipelineState, PipelineSummary, PipelineVersion,
    PipelineVersionDetail, ProjectId, Slug, UpdatePipeline, ValidatePipeline, Validation,
};
use weir_authz::{Action, Resource, ResourceKind};
use weir_spec::Pipeline;
use weir_store::{
    StoreError, alerts,
    deployments::{self, Desired},
    documents::{self, Document, DocumentKind, NewVersion, VersionInfo},
    runs,
};

use crate::{
    Cx, Error, Result, graph,
    paging::page,
    planning::{self, Checked},
    users,
};

/// The longest document accepted, in bytes.
const MAX_DOCUMENT: usize = 1 << 20;
const KIND: DocumentKind = DocumentKind::Pipeline;

/// The pipelines of the project, by name.
pub async fn list(cx: &Cx, query: PageQuery) -> Result<Page<PipelineSummary>> {
    search(cx, "", query).await
}

/// The pipelines whose name, description, owner or purpose holds all words of the text, in any case; by name.
pub async fn search(cx: &Cx, text: &str, query: PageQuery) -> Result<Page<PipelineSummary>> {
    let project = cx.project()?.id;
    cx.authorize(Action::PipelineRead, &Resource::in_project(ResourceKind::Pipeline, project)).await?;
    let mut all = documents::list(cx.store(), project, KIND).await?;
    let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
    all.retain(|(document, latest)| {
        let told = ["description", "owner", "purpose"].map(|key| latest.summary[key].as_str().unwrap_or_default().to_lowercase());
        words.iter().all(|word| document.name.contains(word.as_str()) || told.iter().any(|text| text.contains(word.as_str())))
    });
    let page = page(all, &query, |(document, _)| document.name.clone())?;
    Ok(Page { items: summaries(cx, page.items).await?, next: page.next })
}

/// The pipelines to look at first, `limit` at most: those that failed, those whose newest version is not the one deployed, then those
/// that were changed last.
pub async fn notable(cx: &Cx, limit: usize) -> Result<Vec<PipelineSummary>> {
    let project = cx.project()?.id;
    cx.authorize(Action::PipelineRead, &Resource::in_project(ResourceKind::Pipeline, project)).await?;
    let mut known = known(cx, project).await?;
    known.sort_by_key(|one| {
        let failed = one.state == PipelineState::Failed;
        let behind = one.deployed.is_some_and(|deployed| deployed < one.document.latest_version);
        (!failed, !behind, std::cmp::Reverse(one.document.updated_at))
    });
    known.truncate(limit);
    summaries(cx, known.into_iter().map(|one| (one.document, one.latest)).collect()).await
}

async fn summaries(cx: &Cx, documents: Vec<(Document, VersionInfo)>) -> Result<Vec<PipelineSummary>> {
    let mut items = Vec::with_capacity(documents.len());
    let names = users::refs(cx.store()).await?;
    for (document, latest) in documents {
        items.push(summary(cx, &document, &latest, |id| names.get(&id?).cloned()).await?.0);
    }
    Ok(items)
}

/// A pipeline with what is known of it without looking at it closely.
pub(crate) struct Known {
    pub document: Document,
    pub latest: VersionInfo,
    pub deployed: Option<u32>,
    pub state: PipelineState,
}

/// All pipelines of a project, in three queries.
pub(crate) async fn known(cx: &Cx, project: ProjectId) -> Result<Vec<Known>> {
    let deployments: HashMap<_, _> =
        deployments::of_project(cx.store(), project).await?.into_iter().map(|one| (one.document, one)).collect();
    let runs = runs::latest_states(cx.store(), project).await?;
    let documents = documents::list(cx.store(), project, KIND).await?;
    let known = documents.into_iter().map(|(document, latest)| {
        let deployment = deployments.get(&document.id);
        let state = deployment.map_or(PipelineState::Draft, |one| state(one, runs.get(&document.id).copied()));
        Known { deployed: deployment.map(|one| one.version), state, document, latest }
    });
    Ok(known.collect())
}

/// One pipeline with its newest document, its graph and its deployment.
pub async fn get(cx: &Cx, name: &Slug) -> Result<PipelineDetail> {
    let document = find(cx, name, Action::PipelineRead).await?;
    detail(cx, &document).await
}

/// Stores the first version of a new pipeline. Errors: `Document` when the text cannot be read, `Conflict` when the name is taken.
/// What only planning finds (a leak, a missing contract) does not stand against a draft, but against its deployment.
pub async fn create(cx: &Cx, request: CreatePipeline) -> Result<PipelineDetail> {
    let project = cx.project()?.id;
    let resource = Resource::in_project(ResourceKind::Pipeline, project);
    let permitted = cx.authorize(Action::PipelineCreate, &resource).await?;
    let checked = check(cx, &request.document).await?;
    let pipeline = readable(&checked)?;
    let name: Slug = pipeline.name.parse().map_err(|e: weir_api::InvalidId| Error::invalid("name", e.to_string()))?;
    let first = new_version(&request.document, pipeline, request.note)?;
    let mut change = cx.change(&permitted).await?;
    let created = documents::create(change.tx(), &permitted, project, KIND, name.as_str(), first, cx.now()).await;
    let (document, info) = created.map_err(|error| match error {
        StoreError::Exists { .. } => {
            Error::Conflict(format!("there is a pipeline {name} already; change that one, or choose another name"))
        }
        other => other.into(),
    })?;
    change.after(format!("pipeline:{name}@1 sha256:{}", info.hash));
    change.commit().await?;
    detail(cx, &document).await
}

/// Stores a new version. Errors: `Document`, `Stale`. The same text again changes nothing.
pub async fn update(cx: &Cx, name: &Slug, request: UpdatePipeline) -> Result<PipelineDetail> {
    let document = find(cx, name, Action::PipelineUpdate).await?;
    let permitted = cx.authorize(Action::PipelineUpdate, &resource(&document)).await?;
    let checked = check(cx, &request.document).await?;
    let pipeline = readable(&checked)?;
    if pipeline.name != document.name {
        let message = format!("is {}, but this is the pipeline {}; a pipeline keeps its name", pipeline.name, document.name);
        return Err(Error::Invalid(vec![FieldError { field: "name".to_owned(), message }]));
    }
    let new = new_version(&request.document, pipeline, request.note)?;
    let mut change = cx.change(&permitted).await?;
    let current = documents::version(change.tx(), document.id, document.latest_version).await?;
    if document.latest_version == request.expected_version && current.as_ref().is_some_and(|one| one.text == request.document) {
        return detail(cx, &document).await;
    }
    let added = documents::add_version(change.tx(), &permitted, document.id, request.expected_version, new, cx.now()).await;
    let info = added.map_err(|error| stale(name, error))?;
    if let Some(current) = current {
        change.before(format!("pipeline:{name}@{} sha256:{}", current.info.version, current.info.hash));
    }
    change.after(format!("pipeline:{name}@{} sha256:{}", info.version, info.hash));
    change.commit().await?;
    let document = Document { latest_version: info.version, updated_at: info.created_at, ..document };
    detail(cx, &document).await
}

/// Everything that is wrong with a document, without storing it.
pub async fn validate(cx: &Cx, request: ValidatePipeline) -> Result<Validation> {
    let project = cx.project()?.id;
    cx.authorize(Action::PipelineValidate, &Resource::in_project(ResourceKind::Pipeline, project)).await?;
    let checked = check(cx, &request.document).await?;
    Ok(Validation {
        deployable: checked.plan.is_some() && !checked.errors(),
        graph: graph::draw(&checked),
        diagnostics: checked.diagnostics,
    })
}

/// The versions, newest first.
pub async fn versions(cx: &Cx, name: &Slug, query: PageQuery) -> Result<Page<PipelineVersion>> {
    let document = find(cx, name, Action::PipelineRead).await?;
    let versions = documents::versions(cx.store(), document.id).await?;
    let names = users::refs(cx.store()).await?;
    Ok(page(versions, &query, |info| info.version)?.map(|info| version_dto(info, |id| names.get(&id?).cloned())))
}

/// One version with its text.
pub async fn version(cx: &Cx, name: &Slug, version: u32) -> Result<PipelineVersionDetail> {
    let document = find(cx, name, Action::PipelineRead).await?;
    let stored = stored_version(cx, &document, version).await?;
    let names = users::refs(cx.store()).await?;
    Ok(PipelineVersionDetail { version: version_dto(stored.info, |id| names.get(&id?).cloned()), document: stored.text })
}

/// Deletes a pipeline that does not run. `expected_version` is the newest version the caller has seen. Versions, runs and evidence
/// stay on record; rows that were posted to it and its state are removed; the name is free again.
pub async fn delete(cx: &Cx, name: &Slug, expected_version: u32) -> Result<()> {
    let document = find(cx, name, Action::PipelineDelete).await?;
    let permitted = cx.authorize(Action::PipelineDelete, &resource(&document)).await?;
    let mut change = cx.change(&permitted).await?;
    let deployed = deployments::by_document(change.tx(), document.id).await?;
    if let Some(current) = &deployed {
        let alive = runs::alive(change.tx(), current.id).await?;
        if current.desired == Desired::Running || alive.is_some() {
            return Err(Error::Conflict(format!(
                "pipeline {name} runs; stop it and wait for its last checkpoint, then delete it"
            )));
        }
        alerts::forget(change.tx(), &permitted, current, cx.now()).await?;
        change.after(format!("removed: rows posted to deployment {} and its state", current.id));
    }
    documents::delete(change.tx(), &permitted, document.id, expected_version, cx.now())
        .await
        .map_err(|error| stale(name, error))?;
    change.before(format!("pipeline:{name}@{}", document.latest_version));
    change.commit().await?;
    if let (Some(host), Some(deployed)) = (cx.services.run_host(), deployed)
        && let Err(error) = host.remove_files(deployed.id).await
    {
        tracing::warn!(deployment = %deployed.id, ?error, "the files of a deleted pipeline could not be removed; the next start tries again");
    }
    Ok(())
}

/// The newest document as text, for `weir diff` and for a download.
pub async fn export(cx: &Cx, name: &Slug) -> Result<String> {
    let document = find(cx, name, Action::PipelineRead).await?;
    Ok(stored_version(cx, &document, document.latest_version).await?.text)
}

/// The pipeline, once the caller may know of it. Without one, the action on its name decides between 403 and 404, so that a refusal
/// does not tell which names exist.
pub(crate) async fn find(cx: &Cx, name: &Slug, action: Action) -> Result<Document> {
    let project = cx.project()?.id;
    let found = documents::by_name(cx.store(), project, KIND, name.as_str()).await?;
    match found {
        Some(document) => {
            if action == Action::PipelineRead {
                cx.authorize(action, &resource(&document)).await?;
            }
            Ok(document)
        }
        None => {
            let unknown = Resource::in_project(ResourceKind::Pipeline, project).id(name);
            cx.authorize(action, &unknown).await?;
            Err(Error::missing(&unknown))
        }
    }
}

pub(crate) fn resource(document: &Document) -> Resource {
    let resource = Resource::in_project(ResourceKind::Pipeline, document.project).id(&document.name);
    match document.owner {
        Some(owner) => resource.owned_by(owner),
        None => resource,
    }
}

async fn check(cx: &Cx, text: &str) -> Result<Checked> {
    if text.len() > MAX_DOCUMENT {
        return Err(Error::TooLarge(format!("the document has {} bytes; at most {MAX_DOCUMENT} are accepted", text.len())));
    }
    planning::check(&cx.services, cx.project()?.id, text).await
}

fn readable(checked: &Checked) -> Result<&Pipeline> {
    checked.pipeline.as_ref().ok_or_else(|| Error::Document(checked.diagnostics.clone()))
}

fn new_version(text: &str, pipeline: &Pipeline, note: Option<String>) -> Result<NewVersion> {
    let message = note.map(|note| note.trim().to_owned()).filter(|note| !note.is_empty());
    if message.as_ref().is_some_and(|note| note.chars().count() > 500) {
        return Err(Error::invalid("note", "use at most 500 characters"));
    }
    let summary = serde_json::json!({
        "description": pipeline.description,
        "owner": pipeline.owner,
        "purpose": pipeline.purpose,
    });
    Ok(NewVersion { text: text.to_owned(), hash: hex::encode(Sha256::digest(text.as_bytes())), label: None, summary, message })
}

async fn stored_version(cx: &Cx, document: &Document, number: u32) -> Result<documents::Version> {
    let stored = documents::version(cx.store(), document.id, number).await?;
    stored.ok_or_else(|| Error::not_found(format!("version {number} of pipeline {}", document.name)))
}

fn stale(name: &Slug, error: StoreError) -> Error {
    match error.into() {
        Error::Stale { expected, found, .. } => Error::Stale { what: format!("pipeline {name}"), expected, found },
        other => other,
    }
}
