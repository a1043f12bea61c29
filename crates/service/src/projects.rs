//! Projects.

use weir_api::{CreateProject, Project, UpdateProject};

use crate::{Cx, Result};

/// The projects that the caller may see.
pub async fn list(cx: &Cx) -> Result<Vec<Project>> {
    let _ = (cx,);
    todo!()
}

/// The project of the context.
pub async fn get(cx: &Cx) -> Result<Project> {
    let _ = (cx,);
    todo!()
}

/// Makes a project with its own keys; the caller becomes its administrator.
pub async fn create(cx: &Cx, request: CreateProject) -> Result<Project> {
    let _ = (cx, request);
    todo!()
}

/// Changes the title.
pub async fn update(cx: &Cx, request: UpdateProject) -> Result<Project> {
    let _ = (cx, request);
    todo!()
}
