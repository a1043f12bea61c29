//! What the engine has noticed, as the control database keeps it and as people hear of it.

use weir_api::{ProjectId, WindowVerdict};
use weir_engine::observation::{self, MeasuredWindow};
use weir_service::alert_feed::AlertNews;
use weir_store::{
    alerts::{AlertChange, AlertEvent},
    quality::{NewObservation, NewWindow},
};

pub fn windows(measured: Vec<MeasuredWindow>) -> Vec<NewWindow> {
    let window = |window: MeasuredWindow| NewWindow {
        step: window.step,
        start: window.start,
        end: window.end,
        rows: window.rows,
        late_rows: window.late_rows,
        rules: window.rules.into_iter().map(rule).collect(),
    };
    measured.into_iter().map(window).collect()
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
