//! The entry points: a text in, a typed document and everything there is to say about it out.

use crate::{
    check,
    contract::Contract,
    diagnostic::{Diagnostic, Span},
    grammar::{
        Shape,
        contract::CONTRACT,
        pipeline::{API_VERSION, PIPELINE},
        validate::validate,
    },
    nearest::did_you_mean,
    odcs,
    parse::{Node, Value, parse, quoted},
    pipeline::Pipeline,
    read,
    spans::SpanMap,
};

/// What became of a text.
#[derive(Clone, Debug)]
pub struct Parsed<T> {
    /// Present only if there is no error; warnings do not matter.
    pub value: Option<T>,
    /// In the order of the text.
    pub diagnostics: Vec<Diagnostic>,
    /// Where each part stands; empty when the syntax is broken.
    pub spans: SpanMap,
}

/// Any document.
#[derive(Clone, Debug, PartialEq)]
pub enum Document {
    Pipeline(Box<Pipeline>),
    Contract(Box<Contract>),
}

const KINDS: [&str; 2] = ["Pipeline", "DataContract"];

/// Reads a pipeline (YAML or JSON).
pub fn parse_pipeline(text: &str) -> Parsed<Pipeline> {
    parse_as(text, "Pipeline", decode_pipeline)
}

/// Reads a contract: Open Data Contract Standard v3.0 or v3.1 (YAML or JSON).
pub fn parse_contract(text: &str) -> Parsed<Contract> {
    parse_as(text, "DataContract", decode_contract)
}

/// Reads a document of the kind that it says it is.
pub fn parse_any(text: &str) -> Parsed<Document> {
    let (root, diagnostics) = parse(text);
    let Some(root) = root else {
        return finish(None, diagnostics, SpanMap::default());
    };
    let spans = SpanMap::of(&root);
    match kind(&root) {
        Some("Pipeline") => {
            let (value, found) = decode_pipeline(&root, &spans);
            finish(value.map(|p| Document::Pipeline(Box::new(p))), [diagnostics, found].concat(), spans)
        }
        Some("DataContract") => {
            let (value, found) = decode_contract(&root, &spans);
            finish(value.map(|c| Document::Contract(Box::new(c))), [diagnostics, found].concat(), spans)
        }
        _ => {
            let unknown = unknown_kind(&root);
            finish(None, [diagnostics, vec![unknown]].concat(), spans)
        }
    }
}

type Decoded<T> = (Option<T>, Vec<Diagnostic>);

fn parse_as<T>(text: &str, expected: &str, decode: fn(&Node, &SpanMap) -> Decoded<T>) -> Parsed<T> {
    let (root, diagnostics) = parse(text);
    let Some(root) = root else {
        return finish(None, diagnostics, SpanMap::default());
    };
    let spans = SpanMap::of(&root);
    // Of a document of another kind there is one thing to say, not one for every key.
    if let Some(other) = kind(&root).filter(|kind| *kind != expected && KINDS.contains(kind)) {
        let message = format!("this is a {other}, where a {expected} is expected");
        return finish(None, [diagnostics, vec![Diagnostic::error("wrong-kind", "kind", message)]].concat(), spans);
    }
    let (value, found) = decode(&root, &spans);
    finish(value, [diagnostics, found].concat(), spans)
}

fn kind(root: &Node) -> Option<&str> {
    root.get("kind").and_then(Node::as_str)
}

fn unknown_kind(root: &Node) -> Diagnostic {
    let help = "write `kind: Pipeline`, or `kind: DataContract` for a contract";
    if !matches!(root.value, Value::Map(_)) {
        let message = format!("expected a document (a map with `apiVersion` and `kind`), found {}", root.describe());
        return Diagnostic::error("wrong-type", "", message).with_help(format!("begin with `apiVersion: {API_VERSION}`"));
    }
    match root.get("kind") {
        Some(node) => {
            let found = node.as_str().map_or_else(|| node.describe(), quoted);
            let near = node.as_str().and_then(|text| did_you_mean(text, KINDS));
            Diagnostic::error("bad-value", "kind", format!("{found} is not a kind of document"))
                .with_help(near.unwrap_or_else(|| help.to_owned()))
        }
        None => Diagnostic::error("missing-key", "", "the document has no `kind`").with_help(help),
    }
}

fn decode_pipeline(root: &Node, spans: &SpanMap) -> Decoded<Pipeline> {
    decode(root, spans, &PIPELINE, |root, spans, errors| {
        let pipeline = read::pipeline(root);
        let found = check::check_parsed(&pipeline, spans, errors);
        (pipeline, found)
    })
}

fn decode_contract(root: &Node, spans: &SpanMap) -> Decoded<Contract> {
    decode(root, spans, &CONTRACT, |root, _, errors| odcs::read(root, errors))
}

fn decode<T>(
    root: &Node,
    spans: &SpanMap,
    shape: &'static Shape,
    read: impl FnOnce(&Node, &SpanMap, &[Diagnostic]) -> (T, Vec<Diagnostic>),
) -> Decoded<T> {
    let mut diagnostics = validate(root, shape);
    if !matches!(root.value, Value::Map(_)) {
        return (None, diagnostics);
    }
    // A document that is too large for its checks is not put through them.
    if diagnostics.iter().any(|d| d.code == "too-many") {
        return (None, diagnostics);
    }
    let (value, mut found) = read(root, spans, &diagnostics);
    spans.locate(&mut found);
    diagnostics.append(&mut found);
    (Some(value), diagnostics)
}

fn finish<T>(value: Option<T>, mut diagnostics: Vec<Diagnostic>, spans: SpanMap) -> Parsed<T> {
    spans.locate(&mut diagnostics);
    // What was refused already when it was read is no further news.
    let refused: Vec<Span> =
        diagnostics.iter().filter(|d| matches!(d.code.as_str(), "alias" | "tag")).filter_map(|d| d.span).collect();
    diagnostics.retain(|d| matches!(d.code.as_str(), "alias" | "tag") || !d.span.is_some_and(|span| refused.contains(&span)));
    diagnostics.sort_by_key(|d| d.span.map(|span| span.start));
    let broken = diagnostics.iter().any(Diagnostic::is_error);
    Parsed { value: value.filter(|_| !broken), diagnostics, spans }
}
