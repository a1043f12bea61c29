//! Pipelines: documents, versions, deployments.

use weir_api::{
    CreatePipeline, DeployPipeline, Deployment, Page, PageQuery, PipelineDetail, PipelineSummary,
    PipelineVersion, PipelineVersionDetail, Slug, UpdatePipeline, ValidatePipeline, Validation,
};

use crate::{Cx, Result};

/// The pipelines of the project, by name.
pub async fn list(cx: &Cx, query: PageQuery) -> Result<Page<PipelineSummary>> {
    let _ = (cx, query);
    todo!()
}

/// One pipeline with its newest document, its graph and its deployment.
pub async fn get(cx: &Cx, name: &Slug) -> Result<PipelineDetail> {
    let _ = (cx, name);
    todo!()
}

/// Stores the first version of a new pipeline. Errors: `Document` when it has errors, `Conflict` when the name is taken.
pub async fn create(cx: &Cx, request: CreatePipeline) -> Result<PipelineDetail> {
    let _ = (cx, request);
    todo!()
}

/// Stores a new version. Errors: `Document`, `Stale`.
pub async fn update(cx: &Cx, name: &Slug, request: UpdatePipeline) -> Result<PipelineDetail> {
    let _ = (cx, name, request);
    todo!()
}

/// Everything that is wrong with a document, without storing it.
pub async fn validate(cx: &Cx, request: ValidatePipeline) -> Result<Validation> {
    let _ = (cx, request);
    todo!()
}

/// The versions, newest first.
pub async fn versions(cx: &Cx, name: &Slug, query: PageQuery) -> Result<Page<PipelineVersion>> {
    let _ = (cx, name, query);
    todo!()
}

/// One version with its text.
pub async fn version(cx: &Cx, name: &Slug, version: u32) -> Result<PipelineVersionDetail> {
    let _ = (cx, name, version);
    todo!()
}

/// Puts a version to work. Refused with `Document` when the plan refuses it.
pub async fn deploy(cx: &Cx, name: &Slug, request: DeployPipeline) -> Result<Deployment> {
    let _ = (cx, name, request);
    todo!()
}

/// Asks the run to take a last checkpoint and end.
pub async fn stop(cx: &Cx, name: &Slug) -> Result<Deployment> {
    let _ = (cx, name);
    todo!()
}

/// Deletes a pipeline that does not run. `expected_version` is the newest version the caller has seen.
pub async fn delete(cx: &Cx, name: &Slug, expected_version: u32) -> Result<()> {
    let _ = (cx, name, expected_version);
    todo!()
}

/// The newest document as text, for `weir diff` and for a download.
pub async fn export(cx: &Cx, name: &Slug) -> Result<String> {
    let _ = (cx, name);
    todo!()
}
