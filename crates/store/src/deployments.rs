//! Deployments: which version of a pipeline shall run. One a pipeline; its id names the line of checkpoints through all runs.

use chrono::{DateTime, Utc};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};
use weir_api::{DeploymentId, DocumentId, ProjectId, UserId};
use weir_authz::{Action, Grant};

use crate::{
    db::{Db, Tx},
    documents::Document,
    entity::{deployments, documents},
    error::{Result, StoreError},
    permit::needs_in,
    stored::{named, signed, unsigned, unsigned32},
    time::{at, micros},
};

/// What somebody wants of a pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Desired {
    Running,
    Stopped,
}

impl Desired {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Stopped => "stopped",
        }
    }
}

impl std::str::FromStr for Desired {
    type Err = ();
    fn from_str(text: &str) -> std::result::Result<Self, ()> {
        [Self::Running, Self::Stopped].into_iter().find(|desired| desired.as_str() == text).ok_or(())
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployment {
    pub id: DeploymentId,
    pub project: ProjectId,
    pub document: DocumentId,
    /// The version that runs or last ran.
    pub version: u32,
    pub desired: Desired,
    /// Grows with every change.
    pub generation: u64,
    pub changed_by: Option<UserId>,
    pub changed_at: DateTime<Utc>,
}

/// Deploys a version of a pipeline: it shall run from now on.
pub async fn deploy(tx: &Tx, grant: &Grant, pipeline: &Document, version: u32, now: DateTime<Utc>) -> Result<Deployment> {
    needs_in(grant, &[Action::PipelineDeploy], pipeline.project)?;
    let by = grant.user().map(|user| user.0);
    let Some(current) = by_document(tx, pipeline.id).await? else {
        let row = deployments::Model {
            id: DeploymentId::generate().0,
            project_id: pipeline.project.0,
            document_id: pipeline.id.0,
            version: i64::from(version),
            desired: Desired::Running.as_str().to_owned(),
            generation: 1,
            changed_by: by,
            changed_at: micros(now),
        };
        deployments::Entity::insert(deployments::ActiveModel::from(row.clone()))
            .exec_without_returning(tx.conn())
            .await
            .map_err(|e| StoreError::or_exists(e, "the deployment of pipeline", &pipeline.name))?;
        return deployment(row);
    };
    let next = Deployment {
        version,
        desired: Desired::Running,
        generation: current.generation + 1,
        changed_by: grant.user(),
        changed_at: now,
        ..current
    };
    save(tx, next).await
}

/// The pipeline shall not run from now on. Its run is asked to stop by [`crate::runs::request_stop`].
pub async fn stop(tx: &Tx, grant: &Grant, id: DeploymentId, now: DateTime<Utc>) -> Result<Deployment> {
    let current = by_id(tx, id).await?.ok_or_else(|| StoreError::not_found("deployment", id))?;
    needs_in(grant, &[Action::PipelineStop], current.project)?;
    let next = Deployment {
        desired: Desired::Stopped,
        generation: current.generation + 1,
        changed_by: grant.user(),
        changed_at: now,
        ..current
    };
    save(tx, next).await
}

/// The run has ended by itself (a bounded source ended, or it failed for good): the supervisor shall not start it again. Does nothing
/// when somebody has changed the deployment since `generation`.
pub async fn settle(tx: &Tx, id: DeploymentId, generation: u64, now: DateTime<Utc>) -> Result<()> {
    deployments::Entity::update_many()
        .col_expr(deployments::Column::Desired, Desired::Stopped.as_str().into())
        .col_expr(deployments::Column::ChangedAt, micros(now).into())
        .filter(deployments::Column::Id.eq(id.0))
        .filter(deployments::Column::Generation.eq(signed(generation)))
        .exec(tx.conn())
        .await?;
    Ok(())
}

pub async fn by_id(db: &impl Db, id: DeploymentId) -> Result<Option<Deployment>> {
    deployments::Entity::find_by_id(id.0).one(db.conn()).await?.map(deployment).transpose()
}

/// All deployments of a project.
pub async fn of_project(db: &impl Db, project: ProjectId) -> Result<Vec<Deployment>> {
    let query = deployments::Entity::find().filter(deployments::Column::ProjectId.eq(project.0));
    query.all(db.conn()).await?.into_iter().map(deployment).collect()
}

pub async fn by_document(db: &impl Db, document: DocumentId) -> Result<Option<Deployment>> {
    let found = deployments::Entity::find().filter(deployments::Column::DocumentId.eq(document.0)).one(db.conn()).await?;
    found.map(deployment).transpose()
}

/// Whether this was the deployment of a pipeline that is deleted.
pub async fn is_deleted(db: &impl Db, id: DeploymentId) -> Result<bool> {
    let Some(deployment) = by_id(db, id).await? else { return Ok(false) };
    let found = documents::Entity::find_by_id(deployment.document.0).filter(documents::Column::DeletedAt.is_not_null());
    Ok(found.one(db.conn()).await?.is_some())
}

/// All deployments of a project.
pub async fn list(db: &impl Db, project: ProjectId) -> Result<Vec<Deployment>> {
    let query = deployments::Entity::find().filter(deployments::Column::ProjectId.eq(project.0));
    query.order_by_asc(deployments::Column::Id).all(db.conn()).await?.into_iter().map(deployment).collect()
}

/// Everything that shall run, in all projects: what the supervisor keeps alive.
pub async fn shall_run(db: &impl Db) -> Result<Vec<Deployment>> {
    let query = deployments::Entity::find().filter(deployments::Column::Desired.eq(Desired::Running.as_str()));
    query.order_by_asc(deployments::Column::Id).all(db.conn()).await?.into_iter().map(deployment).collect()
}

async fn save(tx: &Tx, next: Deployment) -> Result<Deployment> {
    deployments::Entity::update_many()
        .col_expr(deployments::Column::Version, i64::from(next.version).into())
        .col_expr(deployments::Column::Desired, next.desired.as_str().into())
        .col_expr(deployments::Column::Generation, signed(next.generation).into())
        .col_expr(deployments::Column::ChangedBy, next.changed_by.map(|user| user.0).into())
        .col_expr(deployments::Column::ChangedAt, micros(next.changed_at).into())
        .filter(deployments::Column::Id.eq(next.id.0))
        .exec(tx.conn())
        .await?;
    Ok(next)
}

fn deployment(row: deployments::Model) -> Result<Deployment> {
    Ok(Deployment {
        id: DeploymentId(row.id),
        project: ProjectId(row.project_id),
        document: DocumentId(row.document_id),
        version: unsigned32("a deployment's version", row.version)?,
        desired: named("desired state", &row.desired)?,
        generation: unsigned("a deployment's generation", row.generation)?,
        changed_by: row.changed_by.map(UserId),
        changed_at: at(row.changed_at),
    })
}
