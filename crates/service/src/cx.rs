//! The context of a request: who acts, in which project, from where. [`Cx::authorize`] is the one choke point.

use std::{net::IpAddr, sync::Arc};

use chrono::{DateTime, Utc};
use weir_api::{ProjectId, SessionId, Slug};
use weir_authz::{Action, Actor, Grant, Resource};

use crate::{Result, services::Services};

/// Where a request comes from.
#[derive(Clone, Debug, Default)]
pub struct RequestInfo {
    /// Names the request in logs, in the audit log and in problem documents.
    pub request_id: String,
    pub remote_address: Option<IpAddr>,
}

/// A project that the caller is known to be a member of.
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
    pub(crate) session: Option<SessionId>,
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
        Self {
            services,
            actor: Arc::new(actor),
            session: None,
            project: None,
            request: Arc::new(request),
        }
    }

    /// The same caller inside a project. A project that does not exist and one that the caller is no member of are both 404.
    pub async fn in_project(&self, slug: &Slug) -> Result<Self> {
        let _ = slug;
        todo!()
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

    pub fn now(&self) -> DateTime<Utc> {
        todo!()
    }

    /// The project of this request. Errors with 404 when [`Cx::in_project`] was not called.
    pub fn project(&self) -> Result<&ProjectRef> {
        self.project
            .as_deref()
            .ok_or_else(|| crate::Error::not_found("project"))
    }

    /// The one choke point: a grant, or 401, 403 or 404. A refusal is written to the audit log, and so is the permission when
    /// the action changes something or opens something sensitive.
    pub async fn authorize(&self, action: Action, resource: &Resource) -> Result<Grant> {
        let _ = (action, resource);
        todo!()
    }
}
