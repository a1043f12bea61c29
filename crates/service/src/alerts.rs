//! Alerts: listed, shown, and acknowledged by who looks after them.

use std::collections::HashMap;

use weir_api::{
    AcknowledgeAlert, Acknowledgement, Alert, AlertId, AlertQuery, Cursor, OpenAlerts, Page, PageQuery, ProjectId, UserId,
    UserRef,
};
use weir_authz::{Action, Resource, ResourceKind};
use weir_evidence::Hash;
use weir_store::alerts;

use crate::{Cx, Error, Result, runs::slug, users};

/// The longest note, in characters.
const MAX_NOTE: usize = 500;

/// Open alerts first, then those that have ended; the newest of each first.
pub async fn list(cx: &Cx, query: AlertQuery) -> Result<Page<Alert>> {
    let project = cx.project()?.id;
    cx.authorize(Action::AlertRead, &Resource::in_project(ResourceKind::Alert, project)).await?;
    let filter = alerts::AlertFilter {
        states: query.state.unwrap_or_default(),
        pipeline: query.pipeline,
        severity: query.severity,
        after: query.after.map(Cursor),
        limit: PageQuery { after: None, limit: query.limit }.limit(),
    };
    let page = alerts::list(cx.store(), project, filter).await?;
    let names = users::refs(cx.store()).await?;
    let items = page.items.into_iter().map(|alert| dto(alert, &names)).collect::<Result<_>>()?;
    Ok(Page { items, next: page.next })
}

/// One alert.
pub async fn get(cx: &Cx, id: AlertId) -> Result<Alert> {
    let project = cx.project()?.id;
    let resource = resource(project, id);
    cx.authorize(Action::AlertRead, &resource).await?;
    let found = alerts::by_id(cx.store(), id).await?.filter(|alert| alert.project == project);
    dto(found.ok_or_else(|| Error::missing(&resource))?, &users::refs(cx.store()).await?)
}

/// How many are open, where the caller may know: of one pipeline, if it is named. For pages that
/// show it beside other things: that somebody may not know is no refusal to put on record.
pub async fn open_if_permitted(cx: &Cx, pipeline: Option<&str>) -> Result<Option<OpenAlerts>> {
    let project = cx.project()?.id;
    let resource = Resource::in_project(ResourceKind::Alert, project);
    if !cx.services.authorizer.decide(cx.actor(), Action::AlertRead, &resource).allowed {
        return Ok(None);
    }
    Ok(Some(alerts::open(cx.store(), project, pipeline).await?))
}

/// Takes note of an alert, which stays open for as long as its cause lasts. That somebody did is on record; of the note the log keeps a
/// hash, for it may name somebody. Errors with `Conflict` when somebody had taken note before.
pub async fn acknowledge(cx: &Cx, id: AlertId, request: AcknowledgeAlert) -> Result<Alert> {
    let project = cx.project()?.id;
    let resource = resource(project, id);
    let permitted = cx.authorize(Action::AlertAcknowledge, &resource).await?;
    let note = request.note.map(|note| note.trim().to_owned()).filter(|note| !note.is_empty());
    if note.as_ref().is_some_and(|note| note.chars().count() > MAX_NOTE) {
        return Err(Error::invalid("note", format!("use at most {MAX_NOTE} characters")));
    }
    let mut change = cx.change(&permitted).await?;
    let current = alerts::by_id(change.tx(), id).await?.filter(|alert| alert.project == project);
    let current = current.ok_or_else(|| Error::missing(&resource))?;
    let names = users::refs(change.tx()).await?;
    if let Some(before) = &current.acknowledged {
        let by = before.by.and_then(|by| names.get(&by)).map_or("somebody", |user| user.name.as_str());
        return Err(Error::Conflict(format!("the alert has been acknowledged by {by} already")));
    }
    change.after(match &note {
        Some(note) => format!("{} of {} acknowledged, note sha256:{}", current.step, current.pipeline, Hash::of(note.as_bytes())),
        None => format!("{} of {} acknowledged", current.step, current.pipeline),
    });
    let acknowledged = alerts::acknowledge(change.tx(), &permitted, id, note, cx.now()).await?;
    change.commit().await?;
    dto(acknowledged, &names)
}

fn resource(project: ProjectId, id: AlertId) -> Resource {
    Resource::in_project(ResourceKind::Alert, project).id(id)
}

fn dto(alert: alerts::Alert, names: &HashMap<UserId, UserRef>) -> Result<Alert> {
    Ok(Alert {
        id: alert.id,
        state: alert.state,
        severity: alert.severity,
        pipeline: slug(&alert.pipeline)?,
        run: alert.run,
        step: alert.step,
        cause: alert.cause,
        message: alert.message,
        detail: alert.detail,
        raised_at: alert.raised_at,
        seen_at: alert.seen_at,
        seen: alert.seen,
        ended_at: alert.ended_at,
        raised_leaf: alert.raised_leaf,
        ended_leaf: alert.ended_leaf,
        acknowledged: alert.acknowledged.map(|acknowledged| Acknowledgement {
            at: acknowledged.at,
            by: acknowledged.by.and_then(|by| names.get(&by).cloned()),
            note: acknowledged.note,
        }),
    })
}
