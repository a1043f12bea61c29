//! Kinds that are misspelt: the connector of a source or a sink, the operator of a step, the check of a rule, and other words that
//! say what a part of a document is. Each is reported, and put in its place as it was probably meant, so that one wrong letter does
//! not hide what else is wrong in that part and in what reads it. Nothing with an error runs, so a wrong guess costs a finding at most.

use super::{
    Choice, Group, Object, Shape,
    pipeline::{PIPELINE, STEP},
    validate::{bad_choice, unknown_key},
};
use crate::{
    diagnostic::Diagnostic,
    nearest::{did_you_mean, nearest},
    parse::{Entry, Node, Value, quoted},
    spans::join,
};

/// A tree with its kinds as they were meant, and what is to be said of it.
pub struct Mended {
    pub root: Node,
    /// One for each kind that was put in its place.
    pub misspelt: Vec<Diagnostic>,
}

/// Mends the tree of a pipeline.
pub fn mend(root: Node) -> Mended {
    let mut mender = Mender { misspelt: Vec::new() };
    let mut root = root;
    mender.shape(&mut root, &PIPELINE, "");
    Mended { root, misspelt: mender.misspelt }
}

struct Mender {
    misspelt: Vec<Diagnostic>,
}

impl Mender {
    fn shape(&mut self, node: &mut Node, shape: &Shape, path: &str) {
        match (shape, &mut node.value) {
            (Shape::Object(object), Value::Map(entries)) => self.object(entries, object, path),
            (Shape::List(list), Value::List(items)) => {
                for (i, item) in items.iter_mut().enumerate() {
                    self.shape(item, &list.of, &format!("{path}[{i}]"));
                }
            }
            // Far too many are refused as a whole.
            (Shape::Map(map), Value::Map(entries)) if entries.len() <= map.max => {
                for entry in entries {
                    self.shape(&mut entry.value, &map.of, &join(path, &entry.key));
                }
            }
            (Shape::TextOr(_, other) | Shape::ListOr(_, other), Value::Map(_)) => self.shape(node, other, path),
            (Shape::ListOr(list, _), Value::List(_)) => self.shape(node, list, path),
            _ => {}
        }
    }

    fn object(&mut self, entries: &mut [Entry], object: &Object, path: &str) {
        if let Some(group) = &object.one_of {
            self.kind(entries, object, group, path);
        }
        for entry in entries {
            let Some(field) = object.field(&entry.key) else { continue };
            let path = join(path, &entry.key);
            match &field.shape {
                Shape::Choice(choices) if field.required => self.choice(&mut entry.value, &choices(), &path),
                shape => self.shape(&mut entry.value, shape, &path),
            }
        }
    }

    /// Where no kind is given, and one key is nearest to one.
    fn kind(&mut self, entries: &mut [Entry], object: &Object, group: &Group, path: &str) {
        let is_kind = |key: &str| group.fields.iter().any(|field| field.key == key);
        if entries.iter().any(|entry| is_kind(&entry.key)) {
            return;
        }
        let meant = |entry: &Entry| {
            let unknown = object.field(&entry.key).is_none();
            nearest(&entry.key, object.all_fields().map(|field| field.key)).filter(|key| unknown && is_kind(key))
        };
        let mut found = entries.iter_mut().filter_map(|entry| meant(entry).map(|key| (entry, key)));
        if let (Some((entry, key)), None) = (found.next(), found.next()) {
            self.misspelt.push(unknown_key(&entry.key, object, join(path, &entry.key)).at(entry.key_span));
            entry.key = key.to_owned();
        }
    }

    fn choice(&mut self, node: &mut Node, choices: &[Choice], path: &str) {
        let names = || choices.iter().map(|choice| choice.name.as_str());
        let Some(text) = node.as_str().filter(|text| names().all(|name| name != *text)) else { return };
        if let Some(meant) = nearest(text, names()) {
            self.misspelt.push(bad_choice(text, choices, path).at(node.span));
            node.value = Value::String(meant.to_owned());
        }
    }
}

/// What can be said of steps whose operator is nothing that is known: keys that no operator has, and names that nothing has.
pub fn strays(root: &Node) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let Some(group) = &STEP.one_of else { return found };
    let keys_of = |shape: &Shape| match shape {
        Shape::Object(object) | Shape::TextOr(_, Shape::Object(object)) => object.all_fields().map(|field| field.key).collect(),
        _ => Vec::new(),
    };
    let known: Vec<&str> = group.fields.iter().flat_map(|field| keys_of(&field.shape)).collect();
    let names = names(root);
    for step in root.get("steps").map(Node::entries).unwrap_or_default() {
        let entries = step.value.entries();
        if entries.iter().any(|entry| STEP.field(&entry.key).is_some()) {
            continue;
        }
        for operator in entries {
            let at = join(&join("steps", &step.key), &operator.key);
            for entry in operator.value.entries().iter().filter(|entry| !known.contains(&entry.key.as_str())) {
                let message = format!("unknown key {}, which no step has", quoted(&entry.key));
                let mut error = Diagnostic::error("unknown-key", join(&at, &entry.key), message).at(entry.key_span);
                error.help = did_you_mean(&entry.key, known.iter().copied());
                found.push(error);
            }
            let from = operator.value.get("from").and_then(|node| Some((node.as_str()?, node.span)));
            if let (Some((from, span)), Some(names)) = (from, &names)
                && !from.is_empty()
                && !names.contains(&from)
            {
                let message = format!("`{}` reads {}, but no source or step has this name", step.key, quoted(from));
                let mut error = Diagnostic::error("unknown-reference", join(&at, "from"), message).at(span);
                error.help = did_you_mean(from, names.iter().copied().filter(|name| *name != step.key));
                found.push(error);
            }
        }
    }
    found
}

/// What can be read; None where a section is missing, misspelt or no map, for then nobody knows.
fn names(root: &Node) -> Option<Vec<&str>> {
    let Shape::Object(pipeline) = &PIPELINE else { return None };
    let sections = ["sources", "steps", "tables"].map(|section| root.get(section));
    let unread = sections.iter().flatten().any(|section| !matches!(section.value, Value::Map(_)));
    if unread || sections[0].is_none() || root.entries().iter().any(|entry| pipeline.field(&entry.key).is_none()) {
        return None;
    }
    Some(sections.into_iter().flatten().flat_map(Node::entries).map(|entry| entry.key.as_str()).collect())
}
