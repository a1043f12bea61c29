//! Where each part of a document stands in its text, by path.

use std::collections::HashMap;

use crate::{
    diagnostic::{Diagnostic, Span},
    parse::{Node, Value},
};

/// Document paths (`steps.safe.mask.columns.card`, `steps.checked.quality.rules[1].between.min`) and their places.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SpanMap {
    places: HashMap<String, Place>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Place {
    key: Option<Span>,
    value: Span,
    collection: bool,
}

impl SpanMap {
    /// The places of a whole tree.
    pub fn of(root: &Node) -> Self {
        let mut map = Self::default();
        map.add(String::new(), None, root);
        map
    }

    fn add(&mut self, path: String, key: Option<Span>, node: &Node) {
        match &node.value {
            Value::Map(entries) => {
                for entry in entries {
                    self.add(join(&path, &entry.key), Some(entry.key_span), &entry.value);
                }
            }
            Value::List(items) => {
                for (i, item) in items.iter().enumerate() {
                    self.add(format!("{path}[{i}]"), None, item);
                }
            }
            _ => {}
        }
        self.places.insert(path, Place { key, value: node.span, collection: node.is_collection() });
    }

    /// Whether the document has something at exactly this path.
    pub fn contains(&self, path: &str) -> bool {
        self.places.contains_key(path)
    }

    /// The place of the key that ends this path.
    pub fn key(&self, path: &str) -> Option<Span> {
        self.places.get(path)?.key
    }

    /// The place of the value at this path.
    pub fn value(&self, path: &str) -> Option<Span> {
        self.places.get(path).map(|place| place.value)
    }

    /// Where to point for this path: at a plain value itself, at the key of a map or list. A path that the document does not have is
    /// answered by the nearest part that encloses it. None only for a map of no text.
    pub fn resolve(&self, path: &str) -> Option<Span> {
        let mut path = path;
        loop {
            if let Some(place) = self.places.get(path) {
                return Some(match place.key {
                    Some(key) if place.collection => key,
                    _ => place.value,
                });
            }
            if path.is_empty() {
                return None;
            }
            path = parent(path);
        }
    }

    /// Gives every diagnostic that has no place yet the place of its path.
    pub fn locate(&self, diagnostics: &mut [Diagnostic]) {
        for diagnostic in diagnostics.iter_mut().filter(|d| d.span.is_none()) {
            diagnostic.span = self.resolve(&diagnostic.path);
        }
    }
}

/// The path of a key below a path.
pub fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// The path of what encloses a path.
pub fn parent(path: &str) -> &str {
    path.rfind(['.', '[']).map_or("", |at| &path[..at])
}
