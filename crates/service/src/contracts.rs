//! Data contracts (ODCS v3), registered once and never changed.

use weir_api::{ContractDetail, ContractSummary, Diagnostic, Page, PageQuery, RegisterContract, Slug, UserId, UserRef};
use weir_authz::{Action, Resource, ResourceKind};
use weir_evidence::{Body, Hash, record::ContractRegistered};
use weir_spec::{Contract, parse_contract};
use weir_store::documents::{self, Document, DocumentKind, NewVersion, VersionInfo};

use crate::{
    Cx, Error, Result, graph,
    paging::page,
    runs::slug,
    users,
    versions::{major, newer},
};

const MAX_DOCUMENT: usize = 1 << 20;
const KIND: DocumentKind = DocumentKind::Contract;

/// The newest version of each contract, by name.
pub async fn list(cx: &Cx, query: PageQuery) -> Result<Page<ContractSummary>> {
    let project = cx.project()?.id;
    cx.authorize(Action::ContractRead, &Resource::in_project(ResourceKind::Contract, project)).await?;
    let names = users::refs(cx.store()).await?;
    let all = documents::list(cx.store(), project, KIND).await?;
    let page = page(all, &query, |(document, _)| document.name.clone())?;
    let mut items = Vec::with_capacity(page.items.len());
    for (document, _) in page.items {
        let versions = documents::versions(cx.store(), document.id).await?;
        if let Some(newest) = versions.into_iter().reduce(|a, b| if newer(label(&b), label(&a)) { b } else { a }) {
            items.push(summary(&document, newest, |id| names.get(&id?).cloned())?);
        }
    }
    Ok(Page { items, next: page.next })
}

/// All versions of a contract, newest first.
pub async fn versions(cx: &Cx, name: &Slug) -> Result<Vec<ContractSummary>> {
    let document = find(cx, name).await?;
    let names = users::refs(cx.store()).await?;
    sorted(cx, &document).await?.into_iter().map(|info| summary(&document, info, |id| names.get(&id?).cloned())).collect()
}

/// One contract; the newest version unless one such as `1.4.0` is given.
pub async fn get(cx: &Cx, name: &Slug, version: Option<&str>) -> Result<ContractDetail> {
    let document = find(cx, name).await?;
    let wanted = match version {
        Some(version) => Some(version.to_owned()),
        None => sorted(cx, &document).await?.first().map(|info| label(info).to_owned()),
    };
    let stored = match &wanted {
        Some(label) => documents::labelled(cx.store(), document.id, label).await?,
        None => None,
    };
    let stored = stored.ok_or_else(|| Error::not_found(format!("contract {name} {}", wanted.unwrap_or_default())))?;
    detail(cx, &document, stored.info, stored.text).await
}

/// Registers a version. The same text again changes nothing; another text under the same version is a `Conflict`.
pub async fn register(cx: &Cx, request: RegisterContract) -> Result<ContractDetail> {
    let project = cx.project()?.id;
    let resource = Resource::in_project(ResourceKind::Contract, project);
    let permitted = cx.authorize(Action::ContractWrite, &resource).await?;
    if request.document.len() > MAX_DOCUMENT {
        return Err(Error::TooLarge(format!(
            "the contract has {} bytes; at most {MAX_DOCUMENT} are accepted",
            request.document.len()
        )));
    }
    let parsed = parse_contract(&request.document);
    let Some(contract) = parsed.value else {
        return Err(Error::Document(parsed.diagnostics));
    };
    let name: Slug = contract.name.parse().map_err(|e: weir_api::InvalidId| Error::invalid("name", e.to_string()))?;
    let Some(major) = major(&contract.version) else {
        let finding = Diagnostic::error("bad-value", "version", format!("`{}` does not begin with a number", contract.version));
        return Err(Error::Document(vec![finding.with_help("write a version such as 1.0.0")]));
    };
    let hash = Hash::of(request.document.as_bytes());
    let new = NewVersion {
        text: request.document.clone(),
        hash: hash.to_string(),
        label: Some(contract.version.clone()),
        summary: serde_json::json!({
            "description": contract.description,
            "status": contract.status,
            "columns": contract.columns.len(),
        }),
        message: None,
    };
    let mut change = cx.change(&permitted).await?;
    let existing = documents::by_name(change.tx(), project, KIND, name.as_str()).await?;
    if let Some(document) = &existing
        && let Some(stored) = documents::labelled(change.tx(), document.id, &contract.version).await?
    {
        if stored.text == request.document {
            drop(change);
            return detail(cx, document, stored.info, stored.text).await;
        }
        return Err(Error::Conflict(format!(
            "contract {name} {} is registered with another text, and a version is never changed; raise the version",
            contract.version
        )));
    }
    let now = cx.now();
    let (document, info) = match existing {
        None => documents::create(change.tx(), &permitted, project, KIND, name.as_str(), new, now).await?,
        Some(document) => {
            let info = documents::add_version(change.tx(), &permitted, document.id, document.latest_version, new, now).await?;
            (document, info)
        }
    };
    change.after(format!("contract:{name}@{} sha256:{hash}", contract.version));
    change.with(Body::ContractRegistered(ContractRegistered {
        name: name.to_string(),
        version: u64::from(major),
        document: hash,
    }));
    change.commit().await?;
    detail(cx, &document, info, request.document).await
}

async fn find(cx: &Cx, name: &Slug) -> Result<Document> {
    let project = cx.project()?.id;
    let resource = Resource::in_project(ResourceKind::Contract, project).id(name);
    cx.authorize(Action::ContractRead, &resource).await?;
    documents::by_name(cx.store(), project, KIND, name.as_str()).await?.ok_or_else(|| Error::missing(&resource))
}

/// Newest first by version, not by time.
async fn sorted(cx: &Cx, document: &Document) -> Result<Vec<VersionInfo>> {
    let mut versions = documents::versions(cx.store(), document.id).await?;
    versions.sort_by(|a, b| match (newer(label(a), label(b)), newer(label(b), label(a))) {
        (true, _) => std::cmp::Ordering::Less,
        (_, true) => std::cmp::Ordering::Greater,
        _ => std::cmp::Ordering::Equal,
    });
    Ok(versions)
}

fn label(info: &VersionInfo) -> &str {
    info.label.as_deref().unwrap_or_default()
}

fn summary(document: &Document, info: VersionInfo, name: impl Fn(Option<UserId>) -> Option<UserRef>) -> Result<ContractSummary> {
    Ok(ContractSummary {
        name: slug(&document.name)?,
        version: label(&info).to_owned(),
        major: major(label(&info)).unwrap_or_default(),
        status: info.summary["status"].as_str().unwrap_or_default().to_owned(),
        description: info.summary["description"].as_str().map(str::to_owned),
        columns: info.summary["columns"].as_u64().and_then(|n| u32::try_from(n).ok()).unwrap_or_default(),
        hash: info.hash,
        registered_at: info.created_at,
        registered_by: name(info.author),
    })
}

async fn detail(cx: &Cx, document: &Document, info: VersionInfo, text: String) -> Result<ContractDetail> {
    let names = users::refs(cx.store()).await?;
    let parsed: Option<Contract> = parse_contract(&text).value;
    let (columns, rules) = match &parsed {
        Some(contract) => (graph::declared(&contract.columns), contract.rules.iter().map(|rule| rule.name.clone()).collect()),
        None => (Vec::new(), Vec::new()),
    };
    Ok(ContractDetail { summary: summary(document, info, |id| names.get(&id?).cloned())?, document: text, columns, rules })
}
