//! The operator: whoever can open the data folder and its master key administers it from the command line. What they do is on
//! record as `system:operator`, with a request id of its own.

use std::sync::Arc;

use weir_api::{Role, UserId};
use weir_authz::Actor;
use weir_store::{actors, projects};

use crate::{Cx, Error, RequestInfo, Result, Services};

/// The operator, with an administrator's rights on the instance and in every project.
pub async fn context(services: &Arc<Services>) -> Result<Cx> {
    let mut actor = Actor::system("operator");
    actor.instance_admin = true;
    for project in projects::list(services.store()).await? {
        actor = actor.with_role(project.id, Role::Admin);
    }
    Ok(Cx::new(Arc::clone(services), actor, request()))
}

/// A user's own context, for what the operator does on their behalf, such as making a token that is theirs. Errors with 404 when
/// there is no such user or they are disabled.
pub async fn on_behalf_of(services: &Arc<Services>, user: UserId) -> Result<Cx> {
    let actor = actors::of_user(services.store(), user).await?.ok_or_else(|| Error::not_found("user"))?;
    Ok(Cx::new(Arc::clone(services), actor, request()))
}

fn request() -> RequestInfo {
    RequestInfo { request_id: format!("operator-{}", uuid::Uuid::now_v7()), remote_address: None }
}
