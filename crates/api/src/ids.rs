//! Ids: one type a kind, so that a run can never be taken for a user. UUID version 7, so that they sort by birth.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A text that is not an id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {kind} id; expected a UUID such as 0198c5a0-7d3e-7b6a-9f00-3a5d6c1e2b4f")]
pub struct InvalidId {
    pub kind: &'static str,
    pub text: String,
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident, $kind:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new id, later than all those before it.
            pub fn generate() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Uuid::parse_str(text).map(Self).map_err(|_| InvalidId { kind: $kind, text: text.chars().take(64).collect() })
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }
    )*};
}

ids! {
    /// A project: the boundary of roles, keys and documents.
    ProjectId, "project";
    UserId, "user";
    /// An API token; the `jti` of its JWT.
    TokenId, "token";
    /// A pipeline, a contract or a policy, through all its versions.
    DocumentId, "document";
    /// A version of a pipeline, put to work.
    DeploymentId, "deployment";
    RunId, "run";
    /// A sealed batch of rejected rows.
    SegmentId, "quarantine segment";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_text_and_a_wrong_text_says_what_was_expected() {
        let id = RunId::generate();
        assert_eq!(id.to_string().parse(), Ok(id));
        let wrong = "run-1".parse::<RunId>().map_err(|e| e.to_string());
        assert_eq!(wrong, Err("`run-1` is not a run id; expected a UUID such as 0198c5a0-7d3e-7b6a-9f00-3a5d6c1e2b4f".to_owned()));
    }
}
