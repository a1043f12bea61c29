//! Compares a node tree with the grammar and reports every difference.

use std::str::FromStr;

use super::{
    Choice, Field, Group, List, Map, Object, Shape,
    text::{Refusal, Text, check_duration},
};
use crate::{
    diagnostic::{Diagnostic, Span},
    nearest::{did_you_mean, nearest, one_of},
    parse::{Entry, Node, Value, quoted},
    spans::join,
    types::DataType,
};

/// Every difference between a tree and a shape.
pub fn validate(root: &Node, shape: &Shape) -> Vec<Diagnostic> {
    validate_at(root, shape, "")
}

/// The same for a part of a document, at this path.
pub fn validate_at(node: &Node, shape: &Shape, path: &str) -> Vec<Diagnostic> {
    let mut validator = Validator { diagnostics: Vec::new(), more: 0 };
    let at = At { path: path.to_owned(), anchor: node.span, lenient_null: false };
    validator.shape(node, shape, &at);
    let Validator { mut diagnostics, more } = validator;
    if more > 0 {
        let message = format!("and {more} more errors like these");
        diagnostics.push(Diagnostic::error("too-many", path, message).with_help("mend the first ones, then check again"));
    }
    diagnostics
}

/// A type such as `decimal(9,2)` that was written without quotes between braces, where YAML takes what comes behind the comma for a
/// key of its own: the whole of it, and how many keys it was cut into.
fn cut_type(entry: &Entry, behind: &[Entry], object: &Object) -> Option<(String, usize)> {
    object.field(&entry.key).filter(|field| matches!(field.shape, Shape::Text(Text::DataType)))?;
    let mut whole = entry.value.as_str().filter(|text| DataType::from_str(text).is_err())?.to_owned();
    for (i, piece) in behind.iter().enumerate().take_while(|(_, piece)| piece.value.value == Value::Null) {
        whole = format!("{whole},{}", piece.key);
        if DataType::from_str(&whole).is_ok() {
            return Some((whole, i + 1));
        }
    }
    None
}

/// A text such as a query that was written without quotes between braces, in the same way: the whole of it, and how many keys it was
/// cut into.
fn cut_text(entry: &Entry, behind: &[Entry], object: &Object) -> Option<(String, usize)> {
    object.field(&entry.key).filter(|field| matches!(field.shape, Shape::Text(_) | Shape::TextOr(..)))?;
    let text = entry.value.as_str()?;
    let is_piece = |piece: &&Entry| {
        let same_line = piece.key_span.start.line == entry.value.span.end.line;
        same_line && piece.value.value == Value::Null && object.field(&piece.key).is_none()
    };
    let pieces: Vec<&str> = behind.iter().take_while(is_piece).map(|piece| piece.key.as_str()).collect();
    (!pieces.is_empty()).then(|| (format!("{text}, {}", pieces.join(", ")), pieces.len()))
}

/// Errors that are told one by one: nobody reads on, and a text of nothing but errors must not take the server's time.
const TOLD: usize = 500;

struct Validator {
    diagnostics: Vec<Diagnostic>,
    /// Errors that were found after [`TOLD`].
    more: usize,
}

/// Where the validator is.
struct At {
    path: String,
    /// Where to point for what is missing inside: the key, or the beginning of a list item.
    anchor: Span,
    lenient_null: bool,
}

impl At {
    fn name(&self) -> String {
        name(&self.path)
    }
}

fn name(path: &str) -> String {
    let last = path.rsplit('.').next().unwrap_or_default();
    if last.is_empty() { "the document".to_owned() } else { format!("`{last}`") }
}

/// That a text is none of the choices, at this path.
pub(super) fn bad_choice(text: &str, choices: &[Choice], path: &str) -> Diagnostic {
    let names = || choices.iter().map(|choice| choice.name.as_str());
    let message = format!("{}: expected {}, found {}", name(path), one_of(names(), "or"), quoted(text));
    let mut error = Diagnostic::error("bad-value", path, message);
    error.help = did_you_mean(text, names());
    error
}

/// That an object has no such key; `path` ends with it.
pub(super) fn unknown_key(key: &str, object: &Object, path: String) -> Diagnostic {
    let keys = || object.all_fields().map(|field| field.key);
    let help = did_you_mean(key, keys()).unwrap_or_else(|| {
        let known: Vec<&str> = keys().collect();
        if known.is_empty() { format!("{} has no keys", object.what) } else { format!("known keys: {}", known.join(", ")) }
    });
    Diagnostic::error("unknown-key", path, format!("unknown key {} in {}", quoted(key), object.what)).with_help(help)
}

impl Validator {
    fn push(&mut self, error: impl FnOnce() -> Diagnostic) {
        match self.diagnostics.len() < TOLD {
            true => self.diagnostics.push(error()),
            false => self.more += 1,
        }
    }

    fn error(&mut self, code: &str, at: &At, span: Span, message: String, help: Option<String>) {
        let mut diagnostic = Diagnostic::error(code, at.path.clone(), message).at(span);
        diagnostic.help = help;
        self.push(|| diagnostic);
    }

    fn wrong_type(&mut self, node: &Node, at: &At, expected: &str) {
        self.mistyped(node, at, expected, false);
    }

    fn mistyped(&mut self, node: &Node, at: &At, expected: &str, wants_text: bool) {
        let is_plain = matches!(node.value, Value::Int(_) | Value::Float(_) | Value::Bool(_));
        let help = (wants_text && is_plain).then(|| "put quotes around it to make it a text".to_owned());
        let message = format!("{}: expected {expected}, found {}", at.name(), node.describe());
        self.error("wrong-type", at, node.span, message, help);
    }

    fn refused(&mut self, node: &Node, at: &At, refusal: Refusal) {
        let message = format!("{}: {}", at.name(), refusal.message);
        self.error(refusal.code, at, node.span, message, refusal.help);
    }

    fn shape(&mut self, node: &Node, shape: &Shape, at: &At) {
        match shape {
            Shape::Any => {}
            Shape::Const(text) => match node.as_str() {
                Some(found) if found == *text => {}
                _ => {
                    let message = format!("{}: expected `{text}`, found {}", at.name(), node.describe());
                    self.error("bad-value", at, node.span, message, Some(format!("write `{text}`")));
                }
            },
            Shape::Text(kind) => match node.as_str() {
                Some(text) => {
                    if let Err(refusal) = kind.check(text) {
                        self.refused(node, at, refusal);
                    }
                }
                None => self.mistyped(node, at, kind.expected(), true),
            },
            Shape::Boolean => {
                if node.as_bool().is_none() {
                    let help = node
                        .as_str()
                        .filter(|t| matches!(t.to_lowercase().as_str(), "yes" | "no" | "on" | "off" | "true" | "false"))
                        .map(|_| "write `true` or `false`, without quotes".to_owned());
                    let message = format!("{}: expected `true` or `false`, found {}", at.name(), node.describe());
                    self.error("wrong-type", at, node.span, message, help);
                }
            }
            Shape::Integer(min, max) => self.integer(node, at, *min, *max),
            Shape::Number(min, max) => match node.as_f64() {
                None => self.wrong_type(node, at, "a number"),
                Some(value) if (*min..=*max).contains(&value) => {}
                Some(value) => {
                    let message = if *max == f64::MAX {
                        format!("{}: {value:?} is not a positive number", at.name())
                    } else {
                        format!("{}: {value} is not between {min} and {max}", at.name())
                    };
                    self.error("out-of-range", at, node.span, message, None);
                }
            },
            Shape::Duration(min, max) => self.duration(node, at, *min, *max),
            Shape::Choice(choices) => self.choice(node, at, &choices()),
            Shape::Scalar => match node.value {
                Value::Null | Value::List(_) | Value::Map(_) => self.wrong_type(node, at, "a number, a text or a boolean"),
                Value::Float(value) if !value.is_finite() => self.wrong_type(node, at, "a finite number"),
                _ => {}
            },
            Shape::List(list) => self.list(node, list, at),
            Shape::Map(map) => self.map(node, map, at),
            Shape::Object(object) => self.object(node, object, at),
            Shape::TextOr(text, other) => match node.value {
                Value::String(_) => self.shape(node, text, at),
                Value::Map(_) => self.shape(node, other, at),
                _ => self.wrong_type(node, at, "a text or a map"),
            },
            Shape::ListOr(list, other) => match node.value {
                Value::List(_) => self.shape(node, list, at),
                Value::Map(_) => self.shape(node, other, at),
                _ => self.wrong_type(node, at, "a list or a map"),
            },
        }
    }

    fn integer(&mut self, node: &Node, at: &At, min: i128, max: i128) {
        match node.value {
            Value::Int(value) if (min..=max).contains(&value) => {}
            Value::Int(value) => {
                let message = format!("{}: {value} is not between {min} and {max}", at.name());
                self.error("out-of-range", at, node.span, message, None);
            }
            _ => self.wrong_type(node, at, "a whole number"),
        }
    }

    fn duration(&mut self, node: &Node, at: &At, min: u64, max: u64) {
        match &node.value {
            Value::String(text) => {
                if let Err(refusal) = check_duration(text, min, max) {
                    self.refused(node, at, refusal);
                }
            }
            Value::Int(n) => {
                let message = format!("{}: {n} is not a duration: its unit is missing", at.name());
                self.error(
                    "bad-duration",
                    at,
                    node.span,
                    message,
                    Some(format!("write `{n}s`, or another of the units ms, s, m, h, d")),
                );
            }
            _ => self.wrong_type(node, at, "a duration such as `2s`"),
        }
    }

    fn choice(&mut self, node: &Node, at: &At, choices: &[Choice]) {
        let names = || choices.iter().map(|choice| choice.name.as_str());
        match node.as_str() {
            Some(text) if names().any(|name| name == text) => {}
            Some(text) => self.push(|| bad_choice(text, choices, &at.path).at(node.span)),
            None => {
                let message = format!("{}: expected {}, found {}", at.name(), one_of(names(), "or"), node.describe());
                self.error("wrong-type", at, node.span, message, None);
            }
        }
    }

    fn list(&mut self, node: &Node, list: &List, at: &At) {
        if list.or_one && matches!(node.value, Value::String(_)) {
            return self.shape(node, &list.of, at);
        }
        let Value::List(items) = &node.value else {
            return self.wrong_type(node, at, if list.or_one { "a list or a text" } else { "a list" });
        };
        if items.len() < list.min {
            let message = format!("{}: the list is empty", at.name());
            self.error("too-few", at, node.span, message, Some("give at least one item".to_owned()));
        }
        for (i, item) in items.iter().enumerate() {
            let at = At { path: format!("{}[{i}]", at.path), anchor: item.span, lenient_null: false };
            self.shape(item, &list.of, &at);
        }
    }

    fn map(&mut self, node: &Node, map: &Map, at: &At) {
        let Value::Map(entries) = &node.value else {
            return self.wrong_type(node, at, "a map");
        };
        if entries.len() < map.min {
            let message = format!("{}: the map is empty", at.name());
            self.error("too-few", at, node.span, message, Some(format!("give at least {}", map.what.replacen("a ", "one ", 1))));
        }
        if entries.len() > map.max {
            let message = format!("{}: {} entries, where at most {} are allowed", at.name(), entries.len(), map.max);
            return self.error("too-many", at, node.span, message, None);
        }
        for entry in entries {
            let at = At { path: join(&at.path, &entry.key), anchor: entry.key_span, lenient_null: false };
            if let Err(refusal) = map.key.check(&entry.key) {
                let message =
                    if map.key == Text::TableName { format!("{}: {}", map.what, refusal.message) } else { refusal.message };
                self.error(refusal.code, &at, entry.key_span, message, refusal.help);
            }
            self.shape(&entry.value, &map.of, &at);
        }
    }

    fn object(&mut self, node: &Node, object: &Object, at: &At) {
        let Value::Map(entries) = &node.value else {
            let keys = object.all_fields().map(|field| field.key).take(4);
            let expected = format!("{} (a map with keys such as {})", object.what, one_of(keys, "and"));
            return self.wrong_type(node, at, &expected);
        };
        let mut misspelt = Vec::new();
        let mut rest = entries.iter();
        while let Some(entry) = rest.next() {
            if let Some((cut, pieces)) = cut_type(entry, rest.as_slice(), object) {
                let at = At { path: join(&at.path, &entry.key), anchor: entry.key_span, lenient_null: false };
                let message =
                    format!("{}: a comma ends a value between braces, so this is read as {}", at.name(), entry.value.describe());
                self.error("bad-type", &at, entry.value.span, message, Some(format!("quote it: \"{cut}\"")));
                rest = rest.as_slice()[pieces..].iter();
                continue;
            }
            let inside = At { path: join(&at.path, &entry.key), anchor: entry.key_span, lenient_null: object.lenient_null };
            if let Some((cut, pieces)) = cut_text(entry, rest.as_slice(), object) {
                let found = entry.value.describe();
                let message = format!("{}: a comma ends a text between braces, so this is read as {found}", inside.name());
                let quote = if cut.contains('"') { '\'' } else { '"' };
                self.error("bad-value", &inside, entry.value.span, message, Some(format!("quote it: {quote}{cut}{quote}")));
                rest = rest.as_slice()[pieces..].iter();
                continue;
            }
            match object.field(&entry.key) {
                Some(_) if inside.lenient_null && entry.value.value == Value::Null => {}
                Some(field) => self.shape(&entry.value, &field.shape, &inside),
                None => {
                    if self.diagnostics.len() < TOLD {
                        misspelt.extend(nearest(&entry.key, object.all_fields().map(|field| field.key)));
                    }
                    self.push(|| unknown_key(&entry.key, object, inside.path).at(entry.key_span));
                }
            }
        }
        let given = |key: &str| {
            entries.iter().any(|e| e.key == key && !(object.lenient_null && e.value.value == Value::Null))
                || misspelt.contains(&key)
        };
        let place = Span { start: at.anchor.start, end: at.anchor.start };
        let place = if at.path.is_empty() { place } else { at.anchor };
        for Field { key, about, .. } in object.fields.iter().filter(|field| field.required && !given(field.key)) {
            let help = format!("add `{key}`: {about}");
            self.error("missing-key", at, place, format!("{} has no `{key}`", self.subject(object, at)), Some(help));
        }
        self.any_of(object, at, place, given);
        self.when(node, object, at, place);
        if let Some(group) = &object.one_of {
            self.group(node, object, group, at, place, &misspelt);
        }
    }

    fn any_of(&mut self, object: &Object, at: &At, place: Span, given: impl Fn(&str) -> bool) {
        if object.any_of.is_empty() || object.any_of.iter().any(|key| given(key)) {
            return;
        }
        let (how, last) = if object.any_of.len() == 2 { ("neither", "nor") } else { ("none of", "and") };
        let missing = one_of(object.any_of.iter().copied(), last);
        let message = format!("{} has {how} {missing}", self.subject(object, at));
        self.error("missing-key", at, place, message, Some("give at least one of them".to_owned()));
    }

    fn when(&mut self, node: &Node, object: &Object, at: &At, place: Span) {
        for when in object.when.iter().filter(|when| node.get(when.key).and_then(Node::as_str) == Some(when.equals)) {
            match node.entries().iter().find(|entry| entry.key == when.then && entry.value.value != Value::Null) {
                Some(entry) => {
                    let inside = At { path: join(&at.path, when.then), anchor: entry.key_span, lenient_null: false };
                    self.shape(&entry.value, &when.shape, &inside);
                }
                None => {
                    let message = format!("{} with `{}: {}` has no `{}`", object.what, when.key, when.equals, when.then);
                    self.error("missing-key", at, place, message, Some(format!("add `{}`", when.then)));
                }
            }
        }
    }

    fn group(&mut self, node: &Node, object: &Object, group: &Group, at: &At, place: Span, misspelt: &[&str]) {
        let keys = || group.fields.iter().map(|field| field.key);
        let given: Vec<_> = node.entries().iter().filter(|e| keys().any(|key| key == e.key)).collect();
        match given.as_slice() {
            [_] => {}
            [] if keys().any(|key| misspelt.contains(&key)) => {}
            [] => {
                let message = format!("{} has no {}", self.subject(object, at), group.what);
                self.error("missing-key", at, place, message, Some(format!("give exactly one of {}", one_of(keys(), "or"))));
            }
            [first, others @ ..] => {
                for other in others {
                    let message =
                        format!("{} has two {}s, `{}` and `{}`", self.subject(object, at), group.what, first.key, other.key);
                    self.error("one-of", at, other.key_span, message, Some("keep exactly one".to_owned()));
                }
            }
        }
    }

    /// What something is missing from: ``a source (`payments`)``.
    fn subject(&self, object: &Object, at: &At) -> String {
        if at.path.is_empty() || at.path.ends_with(']') || object.what.starts_with('`') {
            object.what.to_owned()
        } else {
            format!("{} ({})", object.what, at.name())
        }
    }
}
