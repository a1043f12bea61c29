//! Text that was written and not saved, kept in the browser's tab until it is saved or discarded: links, Back, a reload and a session
//! that is over do not lose it. Only to be called in effects and handlers.

use leptos::prelude::*;
use serde::{Deserialize, Serialize};

const PREFIX: &str = "weir.draft:";

/// Where a text is kept: whose it is, and of which pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place(String);

impl Place {
    /// `name` is none for a pipeline that is new. Another reader of the same tab finds nothing.
    pub fn new(reader: &str, project: &str, name: Option<&str>) -> Self {
        Self(format!("{PREFIX}{reader}:{project}:{}", name.unwrap_or_default()))
    }
}

/// A text and the version that it was made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draft {
    pub from: Option<u32>,
    pub text: String,
}

fn storage() -> Option<web_sys::Storage> {
    window().session_storage().ok().flatten()
}

pub fn read(place: &Place) -> Option<Draft> {
    serde_json::from_str(&storage()?.get_item(&place.0).ok()??).ok()
}

/// A full storage keeps what it had: the page asks before it is left.
pub fn keep(place: &Place, draft: &Draft) {
    if let (Some(storage), Ok(text)) = (storage(), serde_json::to_string(draft)) {
        let _ = storage.set_item(&place.0, &text);
    }
}

pub fn discard(place: &Place) {
    if let Some(storage) = storage() {
        let _ = storage.remove_item(&place.0);
    }
}

/// What was saved as this text is no draft any longer, be it of a new pipeline or of a change.
pub fn settle(reader: &str, project: &str, name: &str, saved: &str) {
    for place in [Place::new(reader, project, None), Place::new(reader, project, Some(name))] {
        if read(&place).is_some_and(|draft| draft.text == saved) {
            discard(&place);
        }
    }
}

/// The reader signs out: nothing of theirs stays in the tab.
pub fn forget_all() {
    let Some(storage) = storage() else { return };
    let keys = (0..storage.length().unwrap_or(0)).filter_map(|index| storage.key(index).ok().flatten());
    let drafts: Vec<String> = keys.filter(|key| key.starts_with(PREFIX)).collect();
    for key in drafts {
        let _ = storage.remove_item(&key);
    }
}
