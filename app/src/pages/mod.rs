//! One page a file; each answers one question.

mod alert_rows;
pub mod alerts;
pub mod audit;
pub mod audit_entry;
pub mod editor;
pub mod home;
pub mod not_found;
pub mod overview;
pub mod pipeline;
pub mod pipeline_actions;
pub mod pipeline_graph;
pub mod pipeline_quality;
pub mod pipelines;
pub mod quarantine;
pub mod quarantine_row;
pub mod run;
pub mod runs;
pub mod sign_in;

use leptos::prelude::*;
use leptos_router::hooks::{use_params_map, use_query_map};

/// A parameter of the path.
fn param(name: &'static str) -> Memo<String> {
    let params = use_params_map();
    Memo::new(move |_| params.read().get(name).unwrap_or_default())
}

/// A parameter of the query; empty when absent.
fn query(name: &'static str) -> Memo<String> {
    let queries = use_query_map();
    Memo::new(move |_| queries.read().get(name).unwrap_or_default())
}

/// `None` for a field that was left empty.
fn given(text: String) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}
