//! Everything that can be permitted or refused, by a stable name.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::resource::ResourceKind;

/// A text that names no action.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an action; actions look like `pipeline.deploy`")]
pub struct UnknownAction(pub String);

macro_rules! actions {
    ($($name:ident = $text:literal on $kind:ident),* $(,)?) => {
        /// What an actor wants to do. The names are stable: policies, token scopes and audit records hold them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub enum Action { $(#[doc = $text] $name),* }

        impl Action {
            /// All actions, in the order of the permission matrix.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The stable name, such as `pipeline.deploy`.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text),* }
            }

            /// The kind of resource it is done to.
            pub fn on(self) -> ResourceKind {
                match self { $(Self::$name => ResourceKind::$kind),* }
            }
        }
    };
}

actions! {
    InstanceRead = "instance.read" on Instance,
    InstanceUpdate = "instance.update" on Instance,
    UserRead = "user.read" on User,
    UserCreate = "user.create" on User,
    UserUpdate = "user.update" on User,
    UserDisable = "user.disable" on User,
    ProjectRead = "project.read" on Project,
    ProjectCreate = "project.create" on Project,
    ProjectUpdate = "project.update" on Project,
    ProjectDelete = "project.delete" on Project,
    MemberRead = "member.read" on Member,
    MemberWrite = "member.write" on Member,
    TokenRead = "token.read" on Token,
    TokenCreate = "token.create" on Token,
    TokenRevoke = "token.revoke" on Token,
    PipelineRead = "pipeline.read" on Pipeline,
    PipelineValidate = "pipeline.validate" on Pipeline,
    PipelineCreate = "pipeline.create" on Pipeline,
    PipelineUpdate = "pipeline.update" on Pipeline,
    PipelineDeploy = "pipeline.deploy" on Pipeline,
    PipelineStop = "pipeline.stop" on Pipeline,
    PipelineDelete = "pipeline.delete" on Pipeline,
    ContractRead = "contract.read" on Contract,
    ContractWrite = "contract.write" on Contract,
    ContractDelete = "contract.delete" on Contract,
    PolicyRead = "policy.read" on Policy,
    PolicyWrite = "policy.write" on Policy,
    PolicyDelete = "policy.delete" on Policy,
    RunRead = "run.read" on Run,
    RunExecute = "run.execute" on Run,
    QualityRead = "quality.read" on Quality,
    AlertRead = "alert.read" on Alert,
    AlertAcknowledge = "alert.acknowledge" on Alert,
    IngestWrite = "ingest.write" on Ingest,
    QuarantineList = "quarantine.list" on Quarantine,
    QuarantineRead = "quarantine.read" on Quarantine,
    QuarantineExport = "quarantine.export" on Quarantine,
    ConsentRead = "consent.read" on Consent,
    ConsentWrite = "consent.write" on Consent,
    AuditRead = "audit.read" on Audit,
    AuditVerify = "audit.verify" on Audit,
    AuditExport = "audit.export" on Audit,
    KeyRead = "key.read" on Key,
    KeyRotate = "key.rotate" on Key,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Action {
    type Err = UnknownAction;
    fn from_str(text: &str) -> Result<Self, UnknownAction> {
        Self::ALL.iter().copied().find(|a| a.as_str() == text).ok_or_else(|| UnknownAction(text.to_owned()))
    }
}

impl TryFrom<String> for Action {
    type Error = UnknownAction;
    fn try_from(text: String) -> Result<Self, UnknownAction> {
        text.parse()
    }
}

impl From<Action> for String {
    fn from(action: Action) -> Self {
        action.as_str().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_parse_back_and_begin_with_their_resource() {
        for action in Action::ALL {
            assert_eq!(action.as_str().parse(), Ok(*action));
            assert!(action.as_str().starts_with(&format!("{}.", action.on().as_str())), "{action}");
        }
        assert_eq!("pipeline.fly".parse::<Action>(), Err(UnknownAction("pipeline.fly".to_owned())));
    }
}
