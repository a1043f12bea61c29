//! What an action is done to, with the attributes that policies may ask for.

use std::fmt;

use serde::{Deserialize, Serialize};
use weir_api::{ProjectId, UserId};
use weir_spec::Classification;

use crate::action::Action;

macro_rules! kinds {
    ($($name:ident = $text:literal, $read:ident);* $(;)?) => {
        /// The kinds of resource.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum ResourceKind { $(#[doc = $text] $name),* }

        impl ResourceKind {
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The stable name, such as `pipeline`.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text),* }
            }

            /// The least that one must be allowed, to know that one of these exists.
            pub fn seen_by(self) -> Action {
                match self { $(Self::$name => Action::$read),* }
            }
        }
    };
}

kinds! {
    Instance = "instance", InstanceRead;
    User = "user", UserRead;
    Project = "project", ProjectRead;
    Member = "member", MemberRead;
    Token = "token", TokenRead;
    Pipeline = "pipeline", PipelineRead;
    Contract = "contract", ContractRead;
    Policy = "policy", PolicyRead;
    Run = "run", RunRead;
    Quality = "quality", QualityRead;
    Alert = "alert", AlertRead;
    Ingest = "ingest", PipelineRead;
    Quarantine = "quarantine", QuarantineList;
    Consent = "consent", ConsentRead;
    Audit = "audit", AuditRead;
    Key = "key", KeyRead;
}

impl fmt::Display for ResourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One resource, or (without an id) the collection of its kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Resource {
    pub kind: ResourceKind,
    /// The project it lives in; none for what belongs to the instance.
    pub project: Option<ProjectId>,
    /// Its id or name. Never personal data: it is written to the audit log.
    pub id: Option<String>,
    pub owner: Option<UserId>,
    /// The most sensitive thing it holds.
    pub classification: Classification,
    /// The processing purpose it serves.
    pub purpose: Option<String>,
}

impl Resource {
    /// Something in a project; internal, ownerless, without a purpose, until said otherwise.
    pub fn in_project(kind: ResourceKind, project: ProjectId) -> Self {
        Self { kind, project: Some(project), id: None, owner: None, classification: Classification::Internal, purpose: None }
    }

    /// Something that belongs to no project: users, projects to be made, the instance itself.
    pub fn of_instance(kind: ResourceKind) -> Self {
        Self { kind, project: None, id: None, owner: None, classification: Classification::Internal, purpose: None }
    }

    pub fn id(mut self, id: impl fmt::Display) -> Self {
        self.id = Some(id.to_string());
        self
    }

    pub fn owned_by(mut self, owner: UserId) -> Self {
        self.owner = Some(owner);
        self
    }

    pub fn classified(mut self, classification: Classification) -> Self {
        self.classification = classification;
        self
    }

    pub fn for_purpose(mut self, purpose: impl Into<String>) -> Self {
        self.purpose = Some(purpose.into());
        self
    }
}

/// `pipeline:card-fraud`, or `pipeline` for the collection.
impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.id {
            Some(id) => write!(f, "{}:{id}", self.kind),
            None => f.write_str(self.kind.as_str()),
        }
    }
}
