//! Identifiers as types of their own, so that one cannot be passed for another.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;

/// A text that is not an id or a slug.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {problem}")]
pub struct InvalidId {
    /// Which id was expected: `run id`, `slug`.
    pub what: &'static str,
    pub problem: String,
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new id; ids made later sort later (UUID version 7).
            #[cfg(not(target_arch = "wasm32"))]
            pub fn generate() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text)
                    .map(Self)
                    .map_err(|error| InvalidId { what: $what, problem: error.to_string() })
            }
        }
    };
}

uuid_id!(
    /// A project: the unit that documents, memberships, keys and evidence belong to.
    ProjectId, "project id"
);
uuid_id!(
    /// A person or a service account.
    UserId, "user id"
);
uuid_id!(
    /// A browser session. Not its secret: that is the session token.
    SessionId, "session id"
);
uuid_id!(
    /// An API token: the `jti` of its JWT.
    TokenId, "token id"
);
uuid_id!(
    /// A pipeline, a contract or a policy, through all its versions.
    DocumentId, "document id"
);
uuid_id!(
    /// A version of a pipeline, put to work.
    DeploymentId, "deployment id"
);
uuid_id!(
    /// One execution of a pipeline version, resumes included.
    RunId, "run id"
);
uuid_id!(
    /// A sealed block of quarantined rows, written with one checkpoint.
    SegmentId, "segment id"
);
uuid_id!(
    /// One cause that an alert step noticed, from when it was raised to its end.
    AlertId, "alert id"
);

/// A name fit for a URL: 1 to 63 characters of `a-z`, `0-9` and `-`, beginning and ending with a letter or a digit. Names
/// projects, pipelines and contracts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(transparent)]
pub struct Slug(String);

impl Slug {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Errors when the text is empty, too long or has a character that does not belong.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidId> {
        let text = text.into();
        let bad = |problem: &str| Err(InvalidId { what: "slug", problem: problem.to_owned() });
        if text.is_empty() {
            return bad("is empty; use 1 to 63 characters of a-z, 0-9 and -");
        }
        if text.len() > 63 {
            return bad("is longer than 63 characters");
        }
        if !text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
            return bad("may hold only a-z, 0-9 and -");
        }
        if text.starts_with('-') || text.ends_with('-') {
            return bad("must begin and end with a letter or a digit");
        }
        Ok(Self(text))
    }
}

impl fmt::Display for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Slug {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

impl TryFrom<String> for Slug {
    type Error = InvalidId;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(text)
    }
}

impl AsRef<str> for Slug {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Slug {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_accept_url_names_and_nothing_else() {
        for (text, ok) in [
            ("main", true),
            ("card-fraud-2", true),
            ("7", true),
            ("", false),
            ("-a", false),
            ("a-", false),
            ("Main", false),
            ("a b", false),
            ("a/b", false),
            ("ä", false),
            ("..", false),
        ] {
            assert_eq!(Slug::new(text).is_ok(), ok, "{text:?}");
            assert_eq!(serde_json::from_value::<Slug>(text.into()).is_ok(), ok, "{text:?} from JSON");
        }
        assert!(Slug::new("a".repeat(63)).is_ok());
        assert!(Slug::new("a".repeat(64)).is_err());
    }

    #[test]
    fn ids_travel_as_plain_text_and_sort_by_age() {
        let first = RunId::generate();
        let json = serde_json::to_string(&first).unwrap();
        assert_eq!(json, format!("\"{first}\""));
        assert_eq!(first.to_string().parse::<RunId>().unwrap(), first);
        assert!("not-a-uuid".parse::<RunId>().is_err());
    }
}
