//! First start: the default project, an administrator; and the demo.

use std::sync::Arc;

use weir_api::{CreatePipeline, DeployPipeline, PipelineState, RegisterContract, Role, Secret, Slug};
use weir_authz::{Action, Resource, ResourceKind};
use weir_spec::parse_pipeline;
use weir_store::{projects, users};

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

/// A user of the demo and how to sign in.
#[derive(Clone, Debug)]
pub struct DemoUser {
    pub name: String,
    pub role: Role,
    /// None when somebody gave this user another password or disabled them: what people change stays.
    pub password: Option<Secret>,
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

/// One user per role, besides the administrator, and the given pipelines deployed in `main`. Safe to call at every start: it adds
/// what is missing and leaves what is there, so that no password, role or stop that a person decided on is undone.
pub async fn demo(services: &Arc<Services>, documents: DemoDocuments) -> Result<Vec<DemoUser>> {
    let slug: Slug = DEFAULT_PROJECT.parse().map_err(|e| Error::internal("the default project", e))?;
    let admin = operator::context(services).await?.in_project(&slug).await?;
    let mut people = Vec::new();
    for role in Role::ALL.into_iter().filter(|role| *role != Role::Admin) {
        people.push(demo_user(&admin, role).await?);
    }
    for document in documents.contracts {
        contracts::register(&admin, RegisterContract { document }).await?;
    }
    let deployer = deployer(services, admin).await?;
    for document in documents.pipelines {
        demo_pipeline(&deployer, document).await?;
    }
    Ok(people)
}

/// The engineer of the demo, so that they own what they see; the administrator where there is no such engineer any more.
async fn deployer(services: &Arc<Services>, admin: Cx) -> Result<Cx> {
    let project = admin.project()?;
    let (id, slug) = (project.id, project.slug.clone());
    let Some(known) = users::by_name(services.store(), Role::Engineer.as_str()).await? else { return Ok(admin) };
    let members = projects::members(services.store(), id).await?;
    let is_engineer = members.get(&known.user.id).is_some_and(|roles| roles.contains(&Role::Engineer));
    if known.user.disabled_at.is_some() || !is_engineer {
        return Ok(admin);
    }
    operator::on_behalf_of(services, known.user.id).await?.in_project(&slug).await
}

async fn demo_user(cx: &Cx, role: Role) -> Result<DemoUser> {
    let name = role.as_str().to_owned();
    let password = demo_password(cx.services(), &name);
    let Some(known) = users::by_name(cx.store(), &name).await? else {
        create_demo_user(cx, &name, role, password.clone()).await?;
        return Ok(DemoUser { name, role, password: Some(password) });
    };
    let turn = password::turn().await?;
    let unchanged =
        known.user.disabled_at.is_none() && password::verify(&turn, Some(known.password_hash), password.clone()).await?;
    Ok(DemoUser { name, role, password: unchanged.then_some(password) })
}

async fn create_demo_user(cx: &Cx, name: &str, role: Role, password: Secret) -> Result<()> {
    let project = cx.project()?.id;
    let may_create = cx.authorize(Action::UserCreate, &Resource::of_instance(ResourceKind::User)).await?;
    let may_join = cx.authorize(Action::MemberWrite, &Resource::in_project(ResourceKind::Member, project)).await?;
    let password_hash = password::hash(password).await?;
    let now = cx.now();
    let mut change = cx.change(&may_create).await?;
    let display_name = format!("Demo {name}");
    let new = users::NewUser { name: name.to_owned(), display_name, password_hash, instance_admin: false };
    let user = users::create(change.tx(), &may_create, new, now).await?;
    change.after(format!("user:{}", user.id));
    let roles = [role].into();
    projects::set_roles(change.tx(), &may_join, project, user.id, &roles, now).await?;
    change.and(&may_join, None, Some(format!("user:{} {}", user.id, members::names(&roles))));
    change.commit().await?;
    Ok(())
}

/// The same at every start, so that it can be shown again without being kept anywhere; nobody without the master key can compute it.
fn demo_password(services: &Services, name: &str) -> Secret {
    random::spell(services.master_key.key().derive(&format!("demo-password/{}/{name}", services.log_id())).expose())
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
    if known.summary.state == PipelineState::Draft {
        pipelines::deploy(cx, &name, DeployPipeline::default()).await?;
    }
    Ok(())
}
