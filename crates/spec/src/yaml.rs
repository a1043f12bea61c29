//! Node tree to YAML text that people like to read and that reads back as the same tree.

use std::fmt::Write;

use crate::parse::{Entry, Node, Value, scalar};

const WIDTH: usize = 100;

/// A document: block style outside, one-line style (`{ path: x }`, `[a, b]`) for small things inside.
pub fn write(root: &Node) -> String {
    let mut out = String::new();
    match &root.value {
        Value::Map(entries) if !entries.is_empty() => block_map(&mut out, entries, 0),
        _ => {
            out.push_str(&flow(root));
            out.push('\n');
        }
    }
    out
}

fn block_map(out: &mut String, entries: &[Entry], indent: usize) {
    for (i, entry) in entries.iter().enumerate() {
        let is_block = entry.value.is_collection() && !fits_on_line(&entry.value, indent);
        if indent == 0 && i > 0 && is_block {
            out.push('\n');
        }
        pad(out, indent);
        out.push_str(&key_text(&entry.key));
        out.push(':');
        value(out, &entry.value, indent);
    }
}

/// What follows a key, with its line break.
fn value(out: &mut String, node: &Node, indent: usize) {
    match &node.value {
        Value::Map(entries) if !fits_on_line(node, indent) => {
            out.push('\n');
            block_map(out, entries, indent + 2);
        }
        Value::List(items) if !fits_on_line(node, indent) => {
            out.push('\n');
            for item in items {
                list_item(out, item, indent + 2);
            }
        }
        Value::String(text) if is_literal(text) => literal(out, text, indent + 2),
        _ => {
            out.push(' ');
            out.push_str(&flow(node));
            out.push('\n');
        }
    }
}

fn list_item(out: &mut String, node: &Node, indent: usize) {
    pad(out, indent);
    out.push('-');
    match &node.value {
        Value::Map(entries) if !entries.is_empty() && (entries.len() == 1 || !is_short(node, WIDTH.saturating_sub(indent))) => {
            for (i, entry) in entries.iter().enumerate() {
                if i == 0 {
                    out.push(' ')
                } else {
                    pad(out, indent + 2)
                }
                out.push_str(&key_text(&entry.key));
                out.push(':');
                value(out, &entry.value, indent + 2);
            }
        }
        Value::Map(_) => {
            out.push(' ');
            out.push_str(&flow(node));
            out.push('\n');
        }
        _ => value(out, node, indent),
    }
}

fn pad(out: &mut String, indent: usize) {
    out.extend(std::iter::repeat_n(' ', indent));
}

/// Names of the author's choice and lists of maps read better one a line.
fn fits_on_line(node: &Node, indent: usize) -> bool {
    let wide = match &node.value {
        Value::Map(entries) => indent < 4 && entries.iter().any(|e| matches!(e.value.value, Value::Map(_))),
        Value::List(items) => items.iter().any(Node::is_collection),
        _ => false,
    };
    !wide && is_short(node, WIDTH.saturating_sub(indent + 20))
}

/// Fits, and holds at most one map that holds something itself.
fn is_short(node: &Node, width: usize) -> bool {
    let crowded = match &node.value {
        Value::Map(entries) => entries.len() > 1 && entries.iter().any(|e| is_nested(&e.value)),
        _ => false,
    };
    !crowded && fits(node, width)
}

fn is_nested(node: &Node) -> bool {
    match &node.value {
        Value::Map(entries) => entries.len() > 1,
        Value::List(items) => items.iter().any(Node::is_collection),
        _ => false,
    }
}

fn fits(node: &Node, width: usize) -> bool {
    fn has_long_text(node: &Node) -> bool {
        match &node.value {
            Value::String(text) => text.contains('\n'),
            Value::List(items) => items.iter().any(has_long_text),
            Value::Map(entries) => entries.iter().any(|e| has_long_text(&e.value)),
            _ => false,
        }
    }
    let empty = matches!(&node.value, Value::Map(e) if e.is_empty()) || matches!(&node.value, Value::List(i) if i.is_empty());
    empty || (!has_long_text(node) && flow(node).chars().count() <= width)
}

fn flow(node: &Node) -> String {
    match &node.value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Float(value) => float(*value),
        Value::String(text) => plain_or_quoted(text),
        Value::List(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::Map(entries) if entries.is_empty() => "{}".to_owned(),
        Value::Map(entries) => {
            let each: Vec<String> = entries.iter().map(|e| format!("{}: {}", key_text(&e.key), flow(&e.value))).collect();
            format!("{{ {} }}", each.join(", "))
        }
    }
}

/// A number that reads back as a float with the same bits.
fn float(value: f64) -> String {
    match value {
        v if v.is_nan() => ".nan".to_owned(),
        f64::INFINITY => ".inf".to_owned(),
        f64::NEG_INFINITY => "-.inf".to_owned(),
        v if v != 0.0 && !(1e-5..1e16).contains(&v.abs()) => format!("{v:e}").replace('e', "e+").replace("e+-", "e-"),
        v => format!("{v:?}"),
    }
}

/// Keys mean their text whatever they look like, but are quoted where the syntax asks for it.
fn key_text(key: &str) -> String {
    if key == "null" || is_plain_safe(key) && key.chars().count() <= 128 { key.to_owned() } else { quote(key) }
}

fn plain_or_quoted(text: &str) -> String {
    let means_itself = matches!(scalar::plain(text), Value::String(_));
    if means_itself && is_plain_safe(text) { text.to_owned() } else { quote(text) }
}

/// Safe without quotes in block and in one-line style.
fn is_plain_safe(text: &str) -> bool {
    let first_fits = text.starts_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '/' | '^' | '(' | '$'))
        || text.starts_with("./")
        || text.starts_with("../");
    let each_fits = text.chars().all(|c| c.is_alphanumeric() || " _-./@$^()=<>+*;|~".contains(c));
    first_fits && each_fits && !text.ends_with(' ') && !text.starts_with("---") && text.len() <= 200
}

fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if needs_escape(c) => {
                let code = c as u32;
                let _ = if code <= 0xffff { write!(out, "\\u{code:04x}") } else { write!(out, "\\U{code:08x}") };
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn needs_escape(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{a0}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}')
}

/// Texts of several lines are written as they are, where nothing in them could be lost.
fn is_literal(text: &str) -> bool {
    let body = text.strip_suffix('\n').unwrap_or(text);
    body.contains('\n')
        && !body.ends_with('\n')
        && !body.starts_with([' ', '\n'])
        && body.lines().all(|line| !line.ends_with([' ', '\t']) && !line.starts_with('\t'))
        && !text.chars().any(|c| c != '\n' && needs_escape(c))
}

fn literal(out: &mut String, text: &str, indent: usize) {
    out.push_str(if text.ends_with('\n') { " |\n" } else { " |-\n" });
    for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
        if !line.is_empty() {
            pad(out, indent);
            out.push_str(line);
        }
        out.push('\n');
    }
}
