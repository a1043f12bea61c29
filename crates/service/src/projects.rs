//! Projects.

use weir_api::{CreateProject, Project, Role, UpdateProject};
use weir_authz::{Action, Resource, ResourceKind};
use weir_store::{StoreError, projects};

use crate::{Cx, Error, Result, keys};

/// The projects that the caller may see.
pub async fn list(cx: &Cx) -> Result<Vec<Project>> {
    cx.require_signed_in()?;
    let all = projects::list(cx.store()).await?;
    let authorizer = &cx.services.authorizer;
    Ok(all
        .into_iter()
        .filter(|project| authorizer.decide(cx.actor(), Action::ProjectRead, &resource(project.id)).allowed)
        .filter_map(|project| dto(cx, project).ok())
        .collect())
}

/// The project of the context.
pub async fn get(cx: &Cx) -> Result<Project> {
    let id = cx.project()?.id;
    cx.authorize(Action::ProjectRead, &resource(id)).await?;
    let project = projects::by_id(cx.store(), id).await?.ok_or_else(|| Error::missing(&resource(id)))?;
    dto(cx, project)
}

/// Makes a project with its own keys; the caller becomes its administrator.
pub async fn create(cx: &Cx, request: CreateProject) -> Result<Project> {
    let permitted = cx.authorize(Action::ProjectCreate, &Resource::of_instance(ResourceKind::Project)).await?;
    let title = check_title(request.title.as_deref().unwrap_or(request.slug.as_str()))?;
    let mut change = cx.change(&permitted).await?;
    let project =
        projects::create(change.tx(), &permitted, request.slug.as_str(), &title, cx.now()).await.map_err(
            |error| match error {
                StoreError::Exists { .. } => {
                    Error::Conflict(format!("the project name {} is taken; choose another one", request.slug))
                }
                other => other.into(),
            },
        )?;
    if let Some(user) = cx.actor().user_id() {
        projects::set_roles(change.tx(), &permitted, project.id, user, &[Role::Admin].into(), cx.now()).await?;
    }
    keys::create_for_project(&cx.services, &mut change, project.id).await?;
    change.after(format!("project:{}", project.slug));
    change.commit().await?;
    Ok(Project {
        id: project.id,
        slug: request.slug,
        title: project.title,
        created_at: project.created_at,
        roles: vec![Role::Admin],
    })
}

/// Changes the title.
pub async fn update(cx: &Cx, request: UpdateProject) -> Result<Project> {
    let id = cx.project()?.id;
    let permitted = cx.authorize(Action::ProjectUpdate, &resource(id)).await?;
    let title = check_title(&request.title)?;
    let mut change = cx.change(&permitted).await?;
    let before = projects::by_id(change.tx(), id).await?.ok_or_else(|| Error::missing(&resource(id)))?;
    projects::set_title(change.tx(), &permitted, id, &title).await?;
    change.before(before.title.clone());
    change.after(title.clone());
    change.commit().await?;
    dto(cx, projects::Project { title, ..before })
}

fn resource(id: weir_api::ProjectId) -> Resource {
    Resource::in_project(ResourceKind::Project, id).id(id)
}

fn check_title(title: &str) -> Result<String> {
    let title = title.trim();
    let fits = (1..=100).contains(&title.chars().count()) && !title.chars().any(char::is_control);
    if fits { Ok(title.to_owned()) } else { Err(Error::invalid("title", "use 1 to 100 printable characters")) }
}

fn dto(cx: &Cx, project: projects::Project) -> Result<Project> {
    let slug = project.slug.parse().map_err(|e| Error::Internal(format!("project {}: {e}", project.id)))?;
    let roles = cx.actor().roles.get(&project.id).map(|roles| roles.iter().copied().collect()).unwrap_or_default();
    Ok(Project { id: project.id, slug, title: project.title, created_at: project.created_at, roles })
}
