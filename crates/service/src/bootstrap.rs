//! First start: keys, the default project, an administrator; and the demo.

use std::sync::Arc;

use weir_api::{Role, Secret};

use crate::{Result, Services};

/// A sign-in that was just made. The password is shown this once and stored nowhere.
#[derive(Clone, Debug)]
pub struct Credentials {
    pub name: String,
    pub password: Secret,
    pub role: Role,
}

/// A pipeline of the demo, with the contracts that it needs.
#[derive(Clone, Debug)]
pub struct DemoDocuments {
    pub contracts: Vec<String>,
    pub pipelines: Vec<String>,
}

/// Makes the project `main` and an administrator when the database has no user yet; returns the sign-in then. Safe to call at every start.
pub async fn first_start(services: &Arc<Services>) -> Result<Option<Credentials>> {
    let _ = (services,);
    todo!()
}

/// One user per role with a fresh password, and the given pipelines deployed in `main`. Safe to call again: users get new passwords, pipelines are deployed if they do not run.
pub async fn demo(services: &Arc<Services>, documents: DemoDocuments) -> Result<Vec<Credentials>> {
    let _ = (services, documents);
    todo!()
}
