//! The roles that a user can have in a project.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// What somebody is in a project. What each role may do is written in `policies/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Users, tokens, projects; everything else too, except what needs a second person.
    Admin,
    /// Pipelines and runs.
    Engineer,
    /// Contracts, classifications, consent, quarantine.
    Steward,
    /// The audit log and the evidence.
    Compliance,
    /// Approves what others ask for.
    Approver,
    /// Looks, and changes nothing.
    Viewer,
}

/// A text that names no role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a role; use admin, engineer, steward, compliance, approver or viewer")]
pub struct UnknownRole(pub String);

impl Role {
    pub const ALL: [Self; 6] = [Self::Admin, Self::Engineer, Self::Steward, Self::Compliance, Self::Approver, Self::Viewer];

    /// The name used in policies, in the database and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Engineer => "engineer",
            Self::Steward => "steward",
            Self::Compliance => "compliance",
            Self::Approver => "approver",
            Self::Viewer => "viewer",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = UnknownRole;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or_else(|| UnknownRole(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_has_one_name_everywhere() {
        for role in Role::ALL {
            assert_eq!(role.as_str().parse::<Role>().unwrap(), role);
            assert_eq!(serde_json::to_value(role).unwrap(), role.as_str());
        }
        assert!("root".parse::<Role>().is_err());
    }
}
