//! Documents (pipelines, contracts, policies) and their versions. A version is never changed; a change is a new version, and must
//! name the version that it changes.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use weir_api::{DocumentId, ProjectId, UserId};
use weir_authz::{Action, Grant};

use crate::{
    db::{Db, Tx},
    entity::{deployments, document_versions, documents},
    error::{Result, StoreError},
    permit::needs_in,
    stored::{from_json, named, to_json, unsigned32},
    time::{at, micros},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DocumentKind {
    Pipeline,
    Contract,
    Policy,
}

impl DocumentKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pipeline => "pipeline",
            Self::Contract => "contract",
            Self::Policy => "policy",
        }
    }

    fn create(self) -> Action {
        match self {
            Self::Pipeline => Action::PipelineCreate,
            Self::Contract => Action::ContractWrite,
            Self::Policy => Action::PolicyWrite,
        }
    }

    fn update(self) -> Action {
        match self {
            Self::Pipeline => Action::PipelineUpdate,
            Self::Contract => Action::ContractWrite,
            Self::Policy => Action::PolicyWrite,
        }
    }

    fn delete(self) -> Action {
        match self {
            Self::Pipeline => Action::PipelineDelete,
            Self::Contract => Action::ContractDelete,
            Self::Policy => Action::PolicyDelete,
        }
    }
}

impl std::str::FromStr for DocumentKind {
    type Err = ();
    fn from_str(text: &str) -> std::result::Result<Self, ()> {
        [Self::Pipeline, Self::Contract, Self::Policy].into_iter().find(|kind| kind.as_str() == text).ok_or(())
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    pub id: DocumentId,
    pub project: ProjectId,
    pub kind: DocumentKind,
    pub name: String,
    pub owner: Option<UserId>,
    pub latest_version: u32,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// A version without its text.
#[derive(Clone, Debug, PartialEq)]
pub struct VersionInfo {
    pub document: DocumentId,
    /// From 1, without gaps.
    pub version: u32,
    /// The version as the document calls itself, such as a contract's `1.4.0`. Unique in its document.
    pub label: Option<String>,
    /// SHA-256 of the canonical document, hex.
    pub hash: String,
    /// What lists show of it, as its writer chose.
    pub summary: serde_json::Value,
    pub author: Option<UserId>,
    pub created_at: DateTime<Utc>,
    pub message: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Version {
    pub info: VersionInfo,
    pub text: String,
}

#[derive(Clone, Debug)]
pub struct NewVersion {
    pub text: String,
    /// SHA-256 of the canonical document, hex.
    pub hash: String,
    pub label: Option<String>,
    pub summary: serde_json::Value,
    pub message: Option<String>,
}

/// Makes a document with its version 1. Errors with [`StoreError::Exists`] when the name is taken.
pub async fn create(
    tx: &Tx,
    grant: &Grant,
    project: ProjectId,
    kind: DocumentKind,
    name: &str,
    first: NewVersion,
    now: DateTime<Utc>,
) -> Result<(Document, VersionInfo)> {
    needs_in(grant, &[kind.create()], project)?;
    let row = documents::Model {
        id: DocumentId::generate().0,
        project_id: project.0,
        kind: kind.as_str().to_owned(),
        name: name.to_owned(),
        owner_id: grant.user().map(|user| user.0),
        latest_version: 1,
        created_at: micros(now),
        updated_at: micros(now),
        deleted_at: None,
    };
    documents::Entity::insert(documents::ActiveModel::from(row.clone()))
        .exec_without_returning(tx.conn())
        .await
        .map_err(|e| StoreError::or_exists(e, kind.as_str(), name))?;
    let info = insert_version(tx, grant, DocumentId(row.id), 1, first, now).await?;
    Ok((document(row)?, info))
}

/// Adds a version after `expected`, the latest that the author has seen. Errors with [`StoreError::VersionConflict`] when there is a
/// later one, and with [`StoreError::Exists`] when the label is taken.
pub async fn add_version(
    tx: &Tx,
    grant: &Grant,
    id: DocumentId,
    expected: u32,
    new: NewVersion,
    now: DateTime<Utc>,
) -> Result<VersionInfo> {
    let document = at_version(tx, id, expected).await?;
    needs_in(grant, &[document.kind.update()], document.project)?;
    let next = expected + 1;
    // The condition matters on databases with many writers; the count tells whether it held.
    let moved = documents::Entity::update_many()
        .col_expr(documents::Column::LatestVersion, i64::from(next).into())
        .col_expr(documents::Column::UpdatedAt, micros(now).into())
        .filter(documents::Column::Id.eq(id.0))
        .filter(documents::Column::LatestVersion.eq(i64::from(expected)))
        .exec(tx.conn())
        .await?;
    if moved.rows_affected == 0 {
        return Err(StoreError::VersionConflict { what: "the document", expected: expected.into(), found: u64::from(next) });
    }
    insert_version(tx, grant, id, next, new, now).await
}

/// Deletes the document; its versions stay, for evidence, and its name is free again. Refused while it is deployed to run.
pub async fn delete(tx: &Tx, grant: &Grant, id: DocumentId, expected: u32, now: DateTime<Utc>) -> Result<()> {
    let document = at_version(tx, id, expected).await?;
    needs_in(grant, &[document.kind.delete()], document.project)?;
    let deployed = deployments::Entity::find()
        .filter(deployments::Column::DocumentId.eq(id.0))
        .filter(deployments::Column::Desired.eq("running"))
        .one(tx.conn())
        .await?;
    if deployed.is_some() {
        return Err(StoreError::Conflict(format!("{} {} is deployed; stop it first", document.kind.as_str(), document.name)));
    }
    documents::Entity::update_many()
        .col_expr(documents::Column::DeletedAt, micros(now).into())
        .filter(documents::Column::Id.eq(id.0))
        .exec(tx.conn())
        .await?;
    Ok(())
}

pub async fn by_name(db: &impl Db, project: ProjectId, kind: DocumentKind, name: &str) -> Result<Option<Document>> {
    let found = of_kind(project, kind).filter(documents::Column::Name.eq(name)).one(db.conn()).await?;
    found.map(document).transpose()
}

/// The document, deleted or not.
pub async fn by_id(db: &impl Db, id: DocumentId) -> Result<Option<Document>> {
    documents::Entity::find_by_id(id.0).one(db.conn()).await?.map(document).transpose()
}

/// All documents of a kind, by name, with their latest versions.
pub async fn list(db: &impl Db, project: ProjectId, kind: DocumentKind) -> Result<Vec<(Document, VersionInfo)>> {
    use sea_orm::sea_query::{Expr, ExprTrait};
    let to_document = document_versions::Entity::belongs_to(documents::Entity)
        .from(document_versions::Column::DocumentId)
        .to(documents::Column::Id)
        .into();
    let latest = Expr::col((document_versions::Entity, document_versions::Column::Version))
        .eq(Expr::col((documents::Entity, documents::Column::LatestVersion)));
    let versions = info_columns(document_versions::Entity::find())
        .join(sea_orm::JoinType::InnerJoin, to_document)
        .filter(latest)
        .filter(documents::Column::ProjectId.eq(project.0))
        .filter(documents::Column::Kind.eq(kind.as_str()))
        .filter(documents::Column::DeletedAt.is_null())
        .into_tuple::<InfoRow>()
        .all(db.conn())
        .await?;
    let mut versions =
        versions.into_iter().map(|row| info(row).map(|info| (info.document, info))).collect::<Result<HashMap<_, _>>>()?;
    let rows = of_kind(project, kind).order_by_asc(documents::Column::Name).all(db.conn()).await?;
    rows.into_iter()
        .map(|row| {
            let document = document(row)?;
            let latest = versions.remove(&document.id).ok_or_else(|| {
                let (id, version) = (document.id, document.latest_version);
                StoreError::Corrupt(format!("document {id} has no version {version}"))
            })?;
            Ok((document, latest))
        })
        .collect()
}

/// All versions, newest first, without their texts.
pub async fn versions(db: &impl Db, id: DocumentId) -> Result<Vec<VersionInfo>> {
    let rows = info_query(id).order_by_desc(document_versions::Column::Version).into_tuple::<InfoRow>().all(db.conn()).await?;
    rows.into_iter().map(info).collect()
}

pub async fn version(db: &impl Db, id: DocumentId, number: u32) -> Result<Option<Version>> {
    document_versions::Entity::find_by_id((id.0, i64::from(number))).one(db.conn()).await?.map(version_of).transpose()
}

/// The version that calls itself so.
pub async fn labelled(db: &impl Db, id: DocumentId, label: &str) -> Result<Option<Version>> {
    let found = document_versions::Entity::find()
        .filter(document_versions::Column::DocumentId.eq(id.0))
        .filter(document_versions::Column::Label.eq(label))
        .one(db.conn())
        .await?;
    found.map(version_of).transpose()
}

async fn at_version(tx: &Tx, id: DocumentId, expected: u32) -> Result<Document> {
    let row = documents::Entity::find_by_id(id.0)
        .filter(documents::Column::DeletedAt.is_null())
        .one(tx.conn())
        .await?
        .ok_or_else(|| StoreError::not_found("document", id))?;
    let document = document(row)?;
    if document.latest_version != expected {
        return Err(StoreError::VersionConflict {
            what: "the document",
            expected: expected.into(),
            found: document.latest_version.into(),
        });
    }
    Ok(document)
}

async fn insert_version(
    tx: &Tx,
    grant: &Grant,
    id: DocumentId,
    number: u32,
    new: NewVersion,
    now: DateTime<Utc>,
) -> Result<VersionInfo> {
    let row = document_versions::Model {
        document_id: id.0,
        version: i64::from(number),
        label: new.label,
        body: new.text,
        hash: new.hash,
        summary: to_json("a version's summary", &new.summary)?,
        author_id: grant.user().map(|user| user.0),
        created_at: micros(now),
        message: new.message,
    };
    let label = row.label.clone().unwrap_or_else(|| number.to_string());
    document_versions::Entity::insert(document_versions::ActiveModel::from(row.clone()))
        .exec_without_returning(tx.conn())
        .await
        .map_err(|e| StoreError::or_exists(e, "version", label))?;
    Ok(version_of(row)?.info)
}

fn of_kind(project: ProjectId, kind: DocumentKind) -> sea_orm::Select<documents::Entity> {
    documents::Entity::find()
        .filter(documents::Column::ProjectId.eq(project.0))
        .filter(documents::Column::Kind.eq(kind.as_str()))
        .filter(documents::Column::DeletedAt.is_null())
}

/// All columns but the text.
type InfoRow = (uuid::Uuid, i64, Option<String>, String, String, Option<uuid::Uuid>, i64, Option<String>);

fn info_query(id: DocumentId) -> sea_orm::Select<document_versions::Entity> {
    info_columns(document_versions::Entity::find()).filter(document_versions::Column::DocumentId.eq(id.0))
}

fn info_columns(query: sea_orm::Select<document_versions::Entity>) -> sea_orm::Select<document_versions::Entity> {
    use document_versions::Column::{AuthorId, CreatedAt, DocumentId, Hash, Label, Message, Summary, Version};
    query.select_only().columns([DocumentId, Version, Label, Hash, Summary, AuthorId, CreatedAt, Message])
}

fn info((document, version, label, hash, summary, author, created_at, message): InfoRow) -> Result<VersionInfo> {
    Ok(VersionInfo {
        document: DocumentId(document),
        version: unsigned32("a version", version)?,
        label,
        hash,
        summary: from_json("a version's summary", &summary)?,
        author: author.map(UserId),
        created_at: at(created_at),
        message,
    })
}

fn version_of(row: document_versions::Model) -> Result<Version> {
    let text = row.body;
    let info =
        info((row.document_id, row.version, row.label, row.hash, row.summary, row.author_id, row.created_at, row.message))?;
    Ok(Version { info, text })
}

fn document(row: documents::Model) -> Result<Document> {
    Ok(Document {
        id: DocumentId(row.id),
        project: ProjectId(row.project_id),
        kind: named("document kind", &row.kind)?,
        name: row.name,
        owner: row.owner_id.map(UserId),
        latest_version: unsigned32("a document's version", row.latest_version)?,
        created_at: at(row.created_at),
        updated_at: at(row.updated_at),
    })
}
