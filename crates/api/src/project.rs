//! Projects: what documents, members, keys and evidence belong to.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    id::{ProjectId, Slug},
    role::Role,
};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Project {
    pub id: ProjectId,
    /// The name in URLs; it never changes.
    pub slug: Slug,
    pub title: String,
    pub created_at: DateTime<Utc>,
    /// The caller's roles in it.
    pub roles: Vec<Role>,
}

/// Whoever makes a project becomes its administrator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CreateProject {
    pub slug: Slug,
    /// By default the slug.
    pub title: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct UpdateProject {
    pub title: String,
}
