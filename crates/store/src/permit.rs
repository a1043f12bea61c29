//! The last look at a grant: is it for what is about to be done?

use weir_api::ProjectId;
use weir_authz::{Action, Grant};

use crate::error::{Result, StoreError};

/// The grant must be for one of these actions.
pub(crate) fn needs(grant: &Grant, actions: &[Action]) -> Result<()> {
    if actions.contains(&grant.action()) {
        return Ok(());
    }
    Err(wrong(grant, actions[0]))
}

/// The grant must be for one of these actions, in this project.
pub(crate) fn needs_in(grant: &Grant, actions: &[Action], project: ProjectId) -> Result<()> {
    needs(grant, actions)?;
    if grant.project() == Some(project) {
        return Ok(());
    }
    Err(wrong(grant, actions[0]))
}

fn wrong(grant: &Grant, needed: Action) -> StoreError {
    let place = grant.project().map_or_else(|| "the instance".to_owned(), |project| format!("project {project}"));
    StoreError::WrongGrant { needed, granted: format!("{} on {} in {place}", grant.action(), grant.resource()) }
}
