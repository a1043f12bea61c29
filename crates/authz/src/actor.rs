//! Who acts: a person, a token that speaks for one, or Weir itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    str::FromStr,
};

use serde::{Deserialize, Serialize};
use weir_api::{ProjectId, Role, TokenId, UserId};

use crate::action::Action;

/// A text that is no scope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a scope; write an action such as `pipeline.read`, or a kind such as `pipeline.*`")]
pub struct InvalidScope(pub String);

/// What a token may be used for: an action (`pipeline.read`) or all of a kind (`pipeline.*`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Scope(String);

impl Scope {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn covers(&self, action: Action) -> bool {
        match self.0.strip_suffix('*') {
            Some(prefix) => action.as_str().starts_with(prefix),
            None => action.as_str() == self.0,
        }
    }
}

impl FromStr for Scope {
    type Err = InvalidScope;
    fn from_str(text: &str) -> Result<Self, InvalidScope> {
        let known = match text.strip_suffix(".*") {
            Some(kind) => Action::ALL.iter().any(|a| a.on().as_str() == kind),
            None => text.parse::<Action>().is_ok(),
        };
        if known { Ok(Self(text.to_owned())) } else { Err(InvalidScope(text.to_owned())) }
    }
}

impl TryFrom<String> for Scope {
    type Error = InvalidScope;
    fn try_from(text: String) -> Result<Self, InvalidScope> {
        text.parse()
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> Self {
        scope.0
    }
}

/// In whose name a request comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// Nobody has signed in.
    Anonymous,
    User(UserId),
    /// A token: it may do what its owner may, within its scopes and, if it names one, its project.
    Token {
        token: TokenId,
        owner: UserId,
        project: Option<ProjectId>,
        scopes: BTreeSet<Scope>,
    },
    /// A part of Weir itself, such as `worker` or `bootstrap`.
    System(&'static str),
}

/// Who acts, with everything that a decision needs to know about them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    pub principal: Principal,
    /// For people to read. Personal data: show it, do not log it.
    pub display_name: String,
    pub instance_admin: bool,
    /// Roles by project; for a token, its owner's.
    pub roles: BTreeMap<ProjectId, BTreeSet<Role>>,
}

impl Actor {
    /// Somebody who has not signed in: may do nothing.
    pub fn anonymous() -> Self {
        Self {
            principal: Principal::Anonymous,
            display_name: "anonymous".to_owned(),
            instance_admin: false,
            roles: BTreeMap::new(),
        }
    }

    /// A part of Weir itself.
    pub fn system(part: &'static str) -> Self {
        Self {
            principal: Principal::System(part),
            display_name: format!("weir {part}"),
            instance_admin: false,
            roles: BTreeMap::new(),
        }
    }

    /// A person without roles; see [`Actor::with_role`].
    pub fn user(id: UserId, display_name: impl Into<String>) -> Self {
        Self { principal: Principal::User(id), display_name: display_name.into(), instance_admin: false, roles: BTreeMap::new() }
    }

    pub fn with_role(mut self, project: ProjectId, role: Role) -> Self {
        self.roles.entry(project).or_default().insert(role);
        self
    }

    /// The user behind the request, be it directly or by a token.
    pub fn user_id(&self) -> Option<UserId> {
        match &self.principal {
            Principal::User(id) | Principal::Token { owner: id, .. } => Some(*id),
            Principal::Anonymous | Principal::System(_) => None,
        }
    }

    /// How the audit log names the actor: `user:ID`, `token:ID`, `system:worker`, `anonymous`. Never a person's name.
    pub fn audit_name(&self) -> String {
        match &self.principal {
            Principal::Anonymous => "anonymous".to_owned(),
            Principal::User(id) => format!("user:{id}"),
            Principal::Token { token, .. } => format!("token:{token}"),
            Principal::System(part) => format!("system:{part}"),
        }
    }

    /// The projects in which the actor has any role.
    pub fn projects(&self) -> impl Iterator<Item = ProjectId> + '_ {
        self.roles.iter().filter(|(_, roles)| !roles.is_empty()).map(|(project, _)| *project).filter(|p| match &self.principal {
            Principal::Token { project: Some(only), .. } => only == p,
            _ => true,
        })
    }
}
