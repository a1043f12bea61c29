//! Users and their roles in a project.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{id::UserId, role::Role, secret::Secret};

/// Who did something.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UserRef {
    pub id: UserId,
    /// The sign-in name.
    pub name: String,
}

/// A person or a service account of this instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct User {
    pub id: UserId,
    /// The sign-in name, unique on this instance.
    pub name: String,
    pub display_name: String,
    /// May manage users and projects of the whole instance.
    pub instance_admin: bool,
    /// Cannot sign in, and the tokens do not work.
    pub disabled: bool,
    /// Sign-in is refused until then, after too many failures.
    pub locked_until: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    pub last_sign_in_at: Option<DateTime<Utc>>,
}

/// A user with the roles held in one project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Member {
    pub user: User,
    pub roles: Vec<Role>,
}

/// Makes a user and gives roles in the project at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CreateUser {
    /// 1 to 64 characters of `a-z`, `0-9`, `.`, `_`, `-` and `@`.
    pub name: String,
    pub display_name: Option<String>,
    /// At least 12 characters. Without it a random one is made and returned once.
    pub password: Option<Secret>,
    #[serde(default)]
    pub roles: Vec<Role>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CreatedUser {
    pub member: Member,
    /// The random password, when one was made. Shown this once.
    pub password: Option<Secret>,
}

/// Changes what is present.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct UpdateUser {
    pub display_name: Option<String>,
    pub disabled: Option<bool>,
}

/// An administrator gives somebody a new password; all sessions of that user end. Their API tokens stay good, unless they are revoked, too.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SetPassword {
    /// Without it a random one is made and returned once.
    pub password: Option<Secret>,
    /// Revoke the user's API tokens as well.
    #[serde(default)]
    pub revoke_tokens: bool,
}

/// The roles of a user in the project from now on; none removes the membership.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SetMember {
    pub roles: Vec<Role>,
}

/// Takes an existing user into the project by sign-in name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AddMember {
    pub name: String,
    /// At least one.
    pub roles: Vec<Role>,
}
