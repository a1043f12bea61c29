//! Projects and who is what in them.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};
use weir_api::{ProjectId, Role, UserId};
use weir_authz::{Action, Grant};

use crate::{
    db::{Db, Tx},
    entity::{memberships, projects},
    error::{Result, StoreError},
    permit::{needs, needs_in},
    stored::named,
    time::{at, micros},
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    pub id: ProjectId,
    /// The name in URLs; it never changes.
    pub slug: String,
    pub title: String,
    pub created_at: DateTime<Utc>,
}

/// Errors with [`StoreError::Exists`] when the slug is taken, also by a deleted project.
pub async fn create(tx: &Tx, grant: &Grant, slug: &str, title: &str, now: DateTime<Utc>) -> Result<Project> {
    needs(grant, &[Action::ProjectCreate])?;
    let row = projects::Model {
        id: ProjectId::generate().0,
        slug: slug.to_owned(),
        title: title.to_owned(),
        created_at: micros(now),
        created_by: grant.user().map(|user| user.0),
        deleted_at: None,
    };
    projects::Entity::insert(projects::ActiveModel::from(row.clone()))
        .exec_without_returning(tx.conn())
        .await
        .map_err(|e| StoreError::or_exists(e, "project", slug))?;
    Ok(project(row))
}

pub async fn by_slug(db: &impl Db, slug: &str) -> Result<Option<Project>> {
    let found = alive().filter(projects::Column::Slug.eq(slug)).one(db.conn()).await?;
    Ok(found.map(project))
}

pub async fn by_id(db: &impl Db, id: ProjectId) -> Result<Option<Project>> {
    let found = alive().filter(projects::Column::Id.eq(id.0)).one(db.conn()).await?;
    Ok(found.map(project))
}

/// All projects, by slug.
pub async fn list(db: &impl Db) -> Result<Vec<Project>> {
    let rows = alive().order_by_asc(projects::Column::Slug).all(db.conn()).await?;
    Ok(rows.into_iter().map(project).collect())
}

pub async fn set_title(tx: &Tx, grant: &Grant, id: ProjectId, title: &str) -> Result<()> {
    needs_in(grant, &[Action::ProjectUpdate], id)?;
    let changed = projects::Entity::update_many()
        .col_expr(projects::Column::Title, title.into())
        .filter(projects::Column::Id.eq(id.0))
        .filter(projects::Column::DeletedAt.is_null())
        .exec(tx.conn())
        .await?;
    if changed.rows_affected == 0 { Err(StoreError::not_found("project", id)) } else { Ok(()) }
}

/// Everybody with a role in the project.
pub async fn members(db: &impl Db, project: ProjectId) -> Result<BTreeMap<UserId, BTreeSet<Role>>> {
    let rows = memberships::Entity::find().filter(memberships::Column::ProjectId.eq(project.0)).all(db.conn()).await?;
    let mut members = BTreeMap::<_, BTreeSet<_>>::new();
    for row in rows {
        members.entry(UserId(row.user_id)).or_default().insert(named("role", &row.role)?);
    }
    Ok(members)
}

/// A user's roles, by project.
pub async fn roles_of(db: &impl Db, user: UserId) -> Result<BTreeMap<ProjectId, BTreeSet<Role>>> {
    let rows = memberships::Entity::find().filter(memberships::Column::UserId.eq(user.0)).all(db.conn()).await?;
    let mut roles = BTreeMap::<_, BTreeSet<_>>::new();
    for row in rows {
        roles.entry(ProjectId(row.project_id)).or_default().insert(named("role", &row.role)?);
    }
    Ok(roles)
}

/// The user's roles in the project from now on; none ends the membership. Who makes a project may name its first members by that
/// grant.
pub async fn set_roles(
    tx: &Tx,
    grant: &Grant,
    project: ProjectId,
    user: UserId,
    roles: &BTreeSet<Role>,
    now: DateTime<Utc>,
) -> Result<()> {
    if grant.action() != Action::ProjectCreate {
        needs_in(grant, &[Action::MemberWrite, Action::UserCreate], project)?;
    }
    memberships::Entity::delete_many()
        .filter(memberships::Column::ProjectId.eq(project.0))
        .filter(memberships::Column::UserId.eq(user.0))
        .exec(tx.conn())
        .await?;
    if roles.is_empty() {
        return Ok(());
    }
    let rows = roles.iter().map(|role| {
        memberships::ActiveModel::from(memberships::Model {
            user_id: user.0,
            project_id: project.0,
            role: role.as_str().to_owned(),
            created_at: micros(now),
            created_by: grant.user().map(|user| user.0),
        })
    });
    memberships::Entity::insert_many(rows).exec_without_returning(tx.conn()).await?;
    Ok(())
}

fn alive() -> sea_orm::Select<projects::Entity> {
    projects::Entity::find().filter(projects::Column::DeletedAt.is_null())
}

fn project(row: projects::Model) -> Project {
    Project { id: ProjectId(row.id), slug: row.slug, title: row.title, created_at: at(row.created_at) }
}
