//! Sign-in, and what the signed-in user is and may do.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    id::{Slug, UserId},
    role::Role,
    secret::Secret,
};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    pub name: String,
    pub password: Secret,
}

/// The signed-in user, as the console needs to know them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Me {
    pub id: UserId,
    pub name: String,
    pub display_name: String,
    /// May manage users and projects of the whole instance.
    pub instance_admin: bool,
    /// The project that `roles` and `permissions` speak of; none when this user has no project yet.
    pub project: Option<Slug>,
    /// The projects this user is a member of.
    pub projects: Vec<ProjectRoles>,
    pub roles: Vec<Role>,
    /// One entry for every action there is.
    pub permissions: Vec<Permission>,
    /// When the session ends, whatever happens; absent for API tokens seen through `/me`.
    pub session_expires_at: Option<DateTime<Utc>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ProjectRoles {
    pub project: Slug,
    pub title: String,
    pub roles: Vec<Role>,
}

/// Whether an action is open to the user in this project, so that a disabled button can say why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Permission {
    /// As policies write it, such as `pipeline.deploy`.
    pub action: String,
    pub allowed: bool,
    /// Why not, as a sentence: which roles may.
    pub reason: Option<String>,
}

impl Me {
    /// `Ok` when the user may, otherwise why not, as a sentence for a tooltip. The server decides again on the request.
    pub fn may(&self, action: &str) -> Result<(), String> {
        match self.permissions.iter().find(|permission| permission.action == action) {
            Some(Permission { allowed: true, .. }) => Ok(()),
            Some(Permission { reason: Some(reason), .. }) => Err(reason.clone()),
            _ => Err(format!("You have no permission for {action} in this project.")),
        }
    }
}

/// A user changes their own password; all other sessions end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ChangePassword {
    pub current: Secret,
    /// At least 12 characters.
    pub new: Secret,
}
