//! A change and the evidence of it, in one transaction.

use weir_api::ProjectId;
use weir_authz::Grant;
use weir_evidence::{
    Body,
    record::{AdminAction, AdminDecision},
};
use weir_store::{Tx, evidence};

use crate::{Cx, Result};

/// A transaction that cannot be committed without its leaf in the audit log: who did what by which rule, before and after.
/// Ask for every permission before one of these is open: a refusal is written to the log too, and there is one writer.
pub(crate) struct Change {
    cx: Cx,
    tx: Tx,
    main: AdminAction,
    project: Option<ProjectId>,
    further: Vec<evidence::NewLeaf>,
}

impl Cx {
    /// Begins to change what the grant permits.
    pub(crate) async fn change(&self, permitted: &Grant) -> Result<Change> {
        let tx = self.services.store.begin().await?;
        Ok(Change { cx: self.clone(), tx, main: self.admin_action(permitted), project: permitted.project(), further: Vec::new() })
    }

    /// Records that something was read, before it is shown.
    pub(crate) async fn record(&self, permitted: &Grant, body: Option<Body>) -> Result<u64> {
        let mut change = self.change(permitted).await?;
        if let Some(body) = body {
            change.with(body);
        }
        change.commit().await
    }

    pub(crate) fn admin_action(&self, permitted: &Grant) -> AdminAction {
        AdminAction {
            address: self.address(),
            action: permitted.action().as_str().to_owned(),
            resource: permitted.resource().to_string(),
            decision: AdminDecision::Allowed,
            rule: Some(permitted.rule().to_owned()),
            before: None,
            after: None,
            request_id: self.request_id(),
        }
    }
}

impl Change {
    pub(crate) fn tx(&self) -> &Tx {
        &self.tx
    }

    /// What it was: a content hash or a small value, never a secret or a data subject's data.
    pub(crate) fn before(&mut self, text: impl Into<String>) {
        self.main.before = Some(text.into());
    }

    /// What it is from now on.
    pub(crate) fn after(&mut self, text: impl Into<String>) {
        self.main.after = Some(text.into());
    }

    /// A second permission that was used.
    pub(crate) fn and(&mut self, permitted: &Grant, before: Option<String>, after: Option<String>) {
        let action = AdminAction { before, after, ..self.cx.admin_action(permitted) };
        self.push(permitted.project(), Body::Admin(action));
    }

    /// A further fact, such as a registered contract, on record beside the administrative leaf.
    pub(crate) fn with(&mut self, body: Body) {
        self.push(self.project, body);
    }

    /// Appends the leaves and commits. Returns the number of the administrative leaf.
    pub(crate) async fn commit(self) -> Result<u64> {
        let main = self.cx.leaf(self.project, Body::Admin(self.main));
        let leaves = std::iter::once(main).chain(self.further).collect();
        let appended = evidence::append(&self.tx, leaves).await?;
        self.tx.commit().await?;
        Ok(appended.first().map_or(0, |leaf| leaf.seq))
    }

    fn push(&mut self, project: Option<ProjectId>, body: Body) {
        self.further.push(self.cx.leaf(project, body));
    }
}
