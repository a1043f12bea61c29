//! First start: the default project, an administrator; and the demo.

use std::sync::Arc;

use weir_api::{CreatePipeline, DeployPipeline, PipelineState, RegisterContract, Role, Secret, Slug};
use weir_authz::{Action, Resource, ResourceKind};
use weir_spec::parse_pipeline;
use weir_store::{Tx, projects, sessions, users};

use crate::{Cx, Error, Result, Services, contracts, keys, members, operator, password, pipelines, random};

/// The project that every instance has.
pub const DEFAULT_PROJECT: &str = "main";
const ADMINISTRATOR: &str = "admin";

/// A sign-in that was just made. The password is shown this once and stored nowhere.
#[derive(Clone, Debug)]
pub struct Credentials {
    pub name: String,
    pub password: Secret,
    pub role: Role,
}

/// Pipelines of the demo, with the contracts that they need: their texts.
#[derive(Clone, Debug, Default)]
pub struct DemoDocuments {
    pub contracts: Vec<String>,
    pub pipelines: Vec<String>,
}

/// Makes the project `main` and an administrator when the database has no user yet; returns the sign-in then. Safe to call at every
/// start, also by two processes at once.
pub async fn first_start(services: &Arc<Services>) -> Result<Option<Credentials>> {
    if users::count(services.store()).await? > 0 {
        return Ok(None);
    }
    let cx = Cx::system(Arc::clone(services), "bootstrap");
    let may_create_user = cx.authorize(Action::UserCreate, &Resource::of_instance(ResourceKind::User)).await?;
    let may_create_project = cx.authorize(Action::ProjectCreate, &Resource::of_instance(ResourceKind::Project)).await?;
    let password = random::password()?;
    let password_hash = password::hash(password.clone()).await?;
    let now = cx.now();
    let mut change = cx.change(&may_create_user).await?;
    if users::count(change.tx()).await? > 0 {
        return Ok(None);
    }
    let new = users::NewUser {
        name: ADMINISTRATOR.to_owned(),
        display_name: "Administrator".to_owned(),
        password_hash,
        instance_admin: true,
    };
    let user = users::create(change.tx(), &may_create_user, new, now).await?;
    change.after(format!("user:{}", user.id));
    let project = projects::create(change.tx(), &may_create_project, DEFAULT_PROJECT, "Main", now).await?;
    projects::set_roles(change.tx(), &may_create_project, project.id, user.id, &[Role::Admin].into(), now).await?;
    change.and(&may_create_project, None, Some(format!("project:{}", project.slug)));
    keys::create_for_project(services, &mut change, project.id).await?;
    change.commit().await?;
    Ok(Some(Credentials { name: ADMINISTRATOR.to_owned(), password, role: Role::Admin }))
}

/// One user per role, besides the administrator, with a fresh password, and the given pipelines deployed in `main`. Safe to call
/// again: users get new passwords, documents that are there stay as they are, and what does not run is deployed.
pub async fn demo(services: &Arc<Services>, documents: DemoDocuments) -> Result<Vec<Credentials>> {
    let slug: Slug = DEFAULT_PROJECT.parse().map_err(|e| Error::internal("the default project", e))?;
    let admin = operator::context(services).await?.in_project(&slug).await?;
    let mut credentials = Vec::new();
    for role in Role::ALL.into_iter().filter(|role| *role != Role::Admin) {
        credentials.push(demo_user(&admin, role).await?);
    }
    for document in documents.contracts {
        contracts::register(&admin, RegisterContract { document }).await?;
    }
    // Deployed in an engineer's name, so that the engineer of the demo owns what they see.
    let engineer = match users::by_name(services.store(), Role::Engineer.as_str()).await? {
        Some(engineer) => operator::on_behalf_of(services, engineer.user.id).await?.in_project(&slug).await?,
        None => admin,
    };
    for document in documents.pipelines {
        demo_pipeline(&engineer, document).await?;
    }
    Ok(credentials)
}

async fn demo_user(cx: &Cx, role: Role) -> Result<Credentials> {
    let project = cx.project()?.id;
    let name = role.as_str().to_owned();
    let may_create = cx.authorize(Action::UserCreate, &Resource::of_instance(ResourceKind::User)).await?;
    let may_update = cx.authorize(Action::UserUpdate, &Resource::of_instance(ResourceKind::User)).await?;
    let may_join = cx.authorize(Action::MemberWrite, &Resource::in_project(ResourceKind::Member, project)).await?;
    let password = random::password()?;
    let password_hash = password::hash(password.clone()).await?;
    let known = users::by_name(cx.store(), &name).await?;
    let now = cx.now();
    let id = match known {
        Some(known) => {
            let mut change = cx.change(&may_update).await?;
            users::set_password(change.tx(), &may_update, known.user.id, password_hash, now).await?;
            end_sessions(change.tx(), known.user.id).await?;
            change.after(format!("user:{} new password", known.user.id));
            change.commit().await?;
            known.user.id
        }
        None => {
            let mut change = cx.change(&may_create).await?;
            let display_name = format!("Demo {name}");
            let new = users::NewUser { name: name.clone(), display_name, password_hash, instance_admin: false };
            let user = users::create(change.tx(), &may_create, new, now).await?;
            change.after(format!("user:{}", user.id));
            change.commit().await?;
            user.id
        }
    };
    let roles = [role].into();
    let current = projects::members(cx.store(), project).await?;
    if current.get(&id) != Some(&roles) {
        let mut change = cx.change(&may_join).await?;
        projects::set_roles(change.tx(), &may_join, project, id, &roles, now).await?;
        change.after(format!("user:{id} {}", members::names(&roles)));
        change.commit().await?;
    }
    Ok(Credentials { name, password, role })
}

async fn end_sessions(tx: &Tx, user: weir_api::UserId) -> Result<()> {
    sessions::end_all(tx, user, None).await?;
    Ok(())
}

async fn demo_pipeline(cx: &Cx, document: String) -> Result<()> {
    let parsed = parse_pipeline(&document);
    let Some(pipeline) = parsed.value else {
        return Err(Error::Document(parsed.diagnostics));
    };
    let name: Slug = pipeline.name.parse().map_err(|e: weir_api::InvalidId| Error::invalid("name", e.to_string()))?;
    let created = pipelines::create(cx, CreatePipeline { document, note: Some("Part of the demo".to_owned()) }).await;
    let known = match created {
        Ok(detail) => detail,
        Err(Error::Conflict(_)) => pipelines::get(cx, &name).await?,
        Err(other) => return Err(other),
    };
    if matches!(known.summary.state, PipelineState::Draft | PipelineState::Stopped | PipelineState::Failed) {
        pipelines::deploy(cx, &name, DeployPipeline::default()).await?;
    }
    Ok(())
}
