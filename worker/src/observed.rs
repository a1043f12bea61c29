//! What the engine has noticed, as the control database keeps it and as people hear of it; and how what it keeps adds up.

use weir_api::{DeploymentId, ProjectId, WindowVerdict};
use weir_engine::{
    EngineError,
    observation::{self, MeasuredWindow},
    stages::quality::metrics::measures::{self, Sum},
};
use weir_service::{
    alert_feed::AlertNews,
    quality::{CannotAdd, WindowSum},
};
use weir_store::{
    alerts::{AlertChange, AlertEvent},
    quality::{NewObservation, NewWindow},
};
use weir_vault::{
    ProjectKeys,
    measures::{aad, encode},
    seal::Sealer,
};

/// Windows with what they added up to, sealed under the project's key.
pub fn windows(
    measured: Vec<MeasuredWindow>,
    keys: &ProjectKeys,
    deployment: DeploymentId,
) -> Result<Vec<NewWindow>, EngineError> {
    if measured.is_empty() {
        return Ok(Vec::new());
    }
    let sealer = keys.measures_sealer();
    let deployment = deployment.to_string();
    let window = |window: MeasuredWindow| -> Result<NewWindow, EngineError> {
        Ok(NewWindow {
            measures: sealed(&window, &sealer, keys.project(), &deployment)?,
            step: window.step,
            start: window.start,
            end: window.end,
            rows: window.rows,
            late_rows: window.late_rows,
            rules: window.rules.into_iter().map(rule).collect(),
        })
    };
    measured.into_iter().map(window).collect()
}

fn sealed(window: &MeasuredWindow, sealer: &Sealer, project: &str, deployment: &str) -> Result<Option<Vec<u8>>, EngineError> {
    if window.measures.is_empty() {
        return Ok(None);
    }
    let packed = match encode(&window.measures) {
        Ok(packed) => packed,
        Err(error) => {
            tracing::warn!(step = window.step, %error, "what a window added up to is not kept");
            return Ok(None);
        }
    };
    let bound = aad(project, deployment, &window.step, window.start, window.end);
    let sealed = sealer.seal(&bound, &packed).map_err(|e| EngineError::internal(&window.step, e))?;
    Ok(Some(sealed.into_bytes()))
}

/// Adds up what windows of a rule are kept of; for [`weir_service::ServicesConfig`].
pub fn window_sum(rule: &str) -> Box<dyn WindowSum> {
    Box::new(Added(Sum::of(rule)))
}

struct Added(Sum);

impl WindowSum for Added {
    fn add(&mut self, measures: &[u8]) -> Result<(), CannotAdd> {
        self.0.add(measures).map_err(|error| match error {
            measures::CannotAdd::Unalike => CannotAdd::Unalike,
            measures::CannotAdd::Missing => CannotAdd::NotKept,
            measures::CannotAdd::Damaged(error) => CannotAdd::Unreadable(error.to_string()),
        })
    }

    fn value(&self, end: i64) -> Option<f64> {
        self.0.value(end)
    }
}

fn rule(rule: observation::RuleObservation) -> NewObservation {
    NewObservation {
        rule: rule.rule,
        metric: rule.metric,
        severity: rule.severity.into(),
        observed: rule.observed,
        verdict: match rule.verdict {
            observation::WindowVerdict::Kept => WindowVerdict::Kept,
            observation::WindowVerdict::Broken => WindowVerdict::Broken,
            observation::WindowVerdict::Open => WindowVerdict::Open,
        },
        detail: rule.detail,
    }
}

pub fn alerts(events: Vec<observation::AlertEvent>) -> Vec<AlertEvent> {
    let event = |event: observation::AlertEvent| AlertEvent {
        step: event.step,
        cause: event.cause,
        severity: event.severity.into(),
        message: event.message,
        detail: event.detail,
        at: event.at,
        change: match event.change {
            observation::AlertChange::Raised => AlertChange::Raised,
            observation::AlertChange::Resolved { raised_at, seen_at, count } => {
                AlertChange::Resolved { raised_at, seen_at, count }
            }
        },
    };
    events.into_iter().map(event).collect()
}

pub fn news(project: ProjectId, pipeline: &str, event: AlertEvent) -> AlertNews {
    AlertNews {
        project,
        pipeline: pipeline.to_owned(),
        step: event.step,
        severity: event.severity,
        message: event.message,
        detail: event.detail,
        resolved_after: match event.change {
            AlertChange::Raised => None,
            AlertChange::Resolved { count, .. } => Some(count),
        },
    }
}
