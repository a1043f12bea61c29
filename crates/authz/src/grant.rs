//! The proof that something was permitted. Only the authorizer can make one.

use weir_api::{ProjectId, UserId};

use crate::{action::Action, actor::Actor, resource::Resource};

/// A permission that was given: who may do which action on which resource, by which rule. Functions that change anything
/// take a `&Grant`; as its fields are private and only [`Authorizer::authorize`](crate::Authorizer::authorize) makes one, skipping
/// the question does not compile.
#[derive(Debug, PartialEq, Eq)]
pub struct Grant {
    actor: String,
    user: Option<UserId>,
    action: Action,
    resource: Resource,
    rule: String,
}

impl Grant {
    pub(crate) fn new(actor: &Actor, action: Action, resource: &Resource, rule: String) -> Self {
        Self { actor: actor.audit_name(), user: actor.user_id(), action, resource: resource.clone(), rule }
    }

    /// Who it was given to, as the audit log names them.
    pub fn actor(&self) -> &str {
        &self.actor
    }

    /// The user behind the actor, unless it is Weir itself.
    pub fn user(&self) -> Option<UserId> {
        self.user
    }

    pub fn action(&self) -> Action {
        self.action
    }

    pub fn resource(&self) -> &Resource {
        &self.resource
    }

    pub fn project(&self) -> Option<ProjectId> {
        self.resource.project
    }

    /// The rule that allowed it, as in `policies/policy.csv`.
    pub fn rule(&self) -> &str {
        &self.rule
    }
}
