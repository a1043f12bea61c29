//! The context of a request: who acts, in which project, from where. [`Cx::authorize`] is the one choke point.

use std::{net::IpAddr, sync::Arc};

use chrono::{DateTime, Utc};
use weir_api::{ProjectId, SessionId, Slug, UserId};
use weir_authz::{Action, Actor, Grant, Principal, Resource, ResourceKind};
use weir_evidence::{
    Body,
    record::{AdminAction, AdminDecision},
};
use weir_store::{Store, evidence, projects, sessions::Session};

use crate::{
    Error, Result,
    refusal_log::{Further, Refused},
    services::Services,
};

/// Where a request comes from.
#[derive(Clone, Debug, Default)]
pub struct RequestInfo {
    /// Names the request in logs, in the audit log and in problem documents.
    pub request_id: String,
    pub remote_address: Option<IpAddr>,
}

/// A project that the caller may know of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectRef {
    pub id: ProjectId,
    pub slug: Slug,
    pub title: String,
}

/// Who acts, in which project, and the means to do it. Cheap to clone.
#[derive(Clone)]
pub struct Cx {
    pub(crate) services: Arc<Services>,
    pub(crate) actor: Arc<Actor>,
    pub(crate) session: Option<Session>,
    pub(crate) project: Option<Arc<ProjectRef>>,
    pub(crate) request: Arc<RequestInfo>,
}

impl Cx {
    /// Nobody has signed in.
    pub fn anonymous(services: Arc<Services>, request: RequestInfo) -> Self {
        Self::new(services, Actor::anonymous(), request)
    }

    /// A part of Weir itself, such as `worker`.
    pub fn system(services: Arc<Services>, part: &'static str) -> Self {
        Self::new(services, Actor::system(part), RequestInfo::default())
    }

    pub(crate) fn new(services: Arc<Services>, actor: Actor, request: RequestInfo) -> Self {
        Self { services, actor: Arc::new(actor), session: None, project: None, request: Arc::new(request) }
    }

    /// The same caller inside a project. A project that does not exist and one that the caller may not know of are both 404, and
    /// both are on record.
    pub async fn in_project(&self, slug: &Slug) -> Result<Self> {
        self.require_known()?;
        let missing = || Error::not_found(format!("project {slug}"));
        let Some(project) = projects::by_slug(self.store(), slug.as_str()).await? else {
            // What was typed is not repeated on record: it is nobody's name.
            self.refuse(Action::ProjectRead, &Resource::of_instance(ResourceKind::Project), "unknown").await?;
            return Err(missing());
        };
        if !matches!(self.actor.principal, Principal::System(_)) {
            let resource = Resource::in_project(ResourceKind::Project, project.id).id(project.id);
            // A token of this project may lack the scope `project.read` and yet work in it.
            let token_of_project =
                matches!(&self.actor.principal, Principal::Token { project: Some(only), .. } if *only == project.id);
            let member = self.actor.projects().any(|id| id == project.id);
            if !(token_of_project && member) {
                self.authorize(Action::ProjectRead, &resource).await.map_err(|error| match error {
                    Error::Denied { .. } | Error::NotFound { .. } => missing(),
                    other => other,
                })?;
            }
        }
        let project = ProjectRef { id: project.id, slug: slug.clone(), title: project.title };
        Ok(Self { project: Some(Arc::new(project)), ..self.clone() })
    }

    pub fn services(&self) -> &Arc<Services> {
        &self.services
    }

    pub fn actor(&self) -> &Actor {
        &self.actor
    }

    pub fn request(&self) -> &RequestInfo {
        &self.request
    }

    /// The browser session, where there is one.
    pub fn session_id(&self) -> Option<SessionId> {
        self.session.as_ref().map(|session| session.id)
    }

    pub fn now(&self) -> DateTime<Utc> {
        self.services.now()
    }

    /// The project of this request. Errors with 404 when [`Cx::in_project`] was not called.
    pub fn project(&self) -> Result<&ProjectRef> {
        self.project.as_deref().ok_or_else(|| Error::not_found("project"))
    }

    /// The one choke point: a grant, or 401, 403 or 404. A refusal is written to the audit log here; what a permission was used
    /// for is written by the change itself, in the same transaction.
    pub async fn authorize(&self, action: Action, resource: &Resource) -> Result<Grant> {
        self.require_known()?;
        match self.services.authorizer.authorize(&self.actor, action, resource) {
            Ok(permitted) => Ok(permitted),
            Err(denied) => {
                let refusal = self.refuse(action, resource, &denied.rule).await?;
                Err(if denied.concealed { Error::missing(resource) } else { refusal })
            }
        }
    }

    /// Puts a refusal on record and returns it as an error. What repeats itself within a minute is counted: [`crate::refusal_log`].
    pub(crate) async fn refuse(&self, action: Action, resource: &Resource, rule: &str) -> Result<Error> {
        self.refuse_what(action, resource, rule, None).await
    }

    /// The same, with what it would have become.
    pub(crate) async fn refuse_what(
        &self,
        action: Action,
        resource: &Resource,
        rule: &str,
        after: Option<String>,
    ) -> Result<Error> {
        let now = self.now();
        let refused = Refused {
            actor: self.actor.audit_name(),
            project: resource.project,
            action: action.as_str().to_owned(),
            resource: resource.to_string(),
            rule: rule.to_owned(),
        };
        let has_leaf = self.services.refusals.note(refused, &self.address(), now);
        let further = self.services.refusals.take(now, false);
        if !further.is_empty() {
            settle(&self.services, further).await?;
        }
        tracing::info!(actor = %self.actor.audit_name(), %action, %resource, rule, request_id = %self.request.request_id, "denied");
        if !has_leaf {
            return Ok(Error::Denied { action, rule: rule.to_owned() });
        }
        let act = AdminAction {
            address: self.address(),
            action: action.as_str().to_owned(),
            resource: resource.to_string(),
            decision: AdminDecision::Denied,
            rule: Some(rule.to_owned()),
            before: None,
            after,
            request_id: self.request_id(),
        };
        let tx = self.services.store.begin().await?;
        evidence::append(&tx, vec![self.leaf(resource.project, Body::Admin(act))]).await?;
        tx.commit().await?;
        Ok(Error::Denied { action, rule: rule.to_owned() })
    }

    /// Nobody who has not signed in gets as far as a decision; the log does not grow at strangers' will.
    fn require_known(&self) -> Result<()> {
        if self.actor.principal == Principal::Anonymous { Err(Error::Unauthenticated) } else { Ok(()) }
    }

    /// The user behind the request, be it directly or by a token.
    pub(crate) fn require_signed_in(&self) -> Result<UserId> {
        self.actor.user_id().ok_or(Error::Unauthenticated)
    }

    pub(crate) fn store(&self) -> &Store {
        &self.services.store
    }

    pub(crate) fn leaf(&self, project: Option<ProjectId>, body: Body) -> evidence::NewLeaf {
        evidence::NewLeaf { project, at: self.now(), actor: self.actor.audit_name(), run: None, body }
    }

    pub(crate) fn address(&self) -> String {
        self.request.remote_address.map_or_else(|| "local".to_owned(), |address| address.to_string())
    }

    pub(crate) fn request_id(&self) -> Option<String> {
        Some(self.request.request_id.clone()).filter(|id| !id.is_empty())
    }
}

/// Puts on record how many refusals have no leaf of their own, for each minute that is over; when the process ends, for the open one as
/// well (`all`). To be called now and then: otherwise the next refusal does it.
pub(crate) async fn settle_refusals(services: &Services, all: bool) -> Result<()> {
    let further = services.refusals.take(services.now(), all);
    if further.is_empty() { Ok(()) } else { settle(services, further).await }
}

async fn settle(services: &Services, further: Vec<Further>) -> Result<()> {
    let recorded = async {
        let leaves = further.iter().map(|one| {
            let at = |time: DateTime<Utc>| time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
            let act = AdminAction {
                address: one.address.clone(),
                action: one.refused.action.clone(),
                resource: one.refused.resource.clone(),
                decision: AdminDecision::Denied,
                rule: Some(one.refused.rule.clone()),
                before: None,
                after: Some(format!("{} more refusals from {} to {}", one.count, at(one.from), at(one.until))),
                request_id: None,
            };
            evidence::NewLeaf {
                project: one.refused.project,
                at: services.now(),
                actor: one.refused.actor.clone(),
                run: None,
                body: Body::Admin(act),
            }
        });
        let tx = services.store.begin().await?;
        evidence::append(&tx, leaves.collect()).await?;
        tx.commit().await
    };
    let recorded: Result<(), weir_store::StoreError> = recorded.await;
    if recorded.is_err() {
        services.refusals.give_back(further);
    }
    Ok(recorded?)
}

/// The resource that an action would be done to at best: of the caller's own, where ownership matters.
pub(crate) fn example_resource(action: Action, project: Option<ProjectId>, me: UserId) -> Resource {
    let kind = action.on();
    match (kind, project) {
        (ResourceKind::Instance | ResourceKind::User, _) | (_, None) => Resource::of_instance(kind),
        (ResourceKind::Project, _) if action == Action::ProjectCreate => Resource::of_instance(kind),
        (ResourceKind::Pipeline | ResourceKind::Token, Some(project)) => Resource::in_project(kind, project).owned_by(me),
        (_, Some(project)) => Resource::in_project(kind, project),
    }
}
