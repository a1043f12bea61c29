//! The entry points: a text in, a typed document and everything there is to say about it out.

use crate::{
    check,
    contract::Contract,
    diagnostic::{Diagnostic, Span},
    grammar::{
        Shape,
        contract::CONTRACT,
        mend::{Mended, mend, strays},
        pipeline::{API_VERSION, PIPELINE},
        validate::validate,
    },
    nearest::did_you_mean,
    odcs,
    parse::{Node, Value, parse, quoted},
    partial::Partial,
    pipeline::Pipeline,
    read,
    spans::SpanMap,
};

/// What became of a text.
#[derive(Clone, Debug)]
pub struct Parsed<T> {
    /// Present only if there is no error; warnings do not matter.
    pub value: Option<T>,
    /// Of a pipeline with errors what can be understood all the same, for the sake of further findings.
    pub partial: Option<Box<Partial>>,
    /// In the order of the text.
    pub diagnostics: Vec<Diagnostic>,
    /// Where each part stands; empty when the syntax is broken.
    pub spans: SpanMap,
}

impl<T> Parsed<T> {
    fn nothing(diagnostics: Vec<Diagnostic>, spans: SpanMap) -> Self {
        finish(Decoded { value: None, pipeline: None, misspelt: Vec::new(), diagnostics, spans }, |nothing: T| nothing)
    }
}

impl Parsed<Document> {
    /// The same of a pipeline; of another document nothing but its findings.
    #[must_use]
    pub fn into_pipeline(self) -> Parsed<Pipeline> {
        let value = match self.value {
            Some(Document::Pipeline(pipeline)) => Some(*pipeline),
            _ => None,
        };
        Parsed { value, partial: self.partial, diagnostics: self.diagnostics, spans: self.spans }
    }
}

impl Parsed<Pipeline> {
    /// The pipeline as far as it can be understood: its sources tell which contracts it wants.
    pub fn understood(&self) -> Option<&Pipeline> {
        self.value.as_ref().or_else(|| self.partial.as_ref().map(|partial| &partial.pipeline))
    }
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
    let (root, mut diagnostics) = parse(text);
    let Some(root) = root else {
        return Parsed::nothing(diagnostics, SpanMap::default());
    };
    match kind(&root) {
        Some("Pipeline") => finish(decode_pipeline(root, diagnostics), |pipeline| Document::Pipeline(Box::new(pipeline))),
        Some("DataContract") => finish(decode_contract(root, diagnostics), |contract| Document::Contract(Box::new(contract))),
        _ => {
            diagnostics.push(unknown_kind(&root));
            Parsed::nothing(diagnostics, SpanMap::of(&root))
        }
    }
}

/// A document as it was read, whether or not it has errors.
struct Decoded<T> {
    value: Option<T>,
    /// The same, of a pipeline.
    pipeline: Option<Pipeline>,
    /// What was wrong and is read as it was meant.
    misspelt: Vec<Diagnostic>,
    diagnostics: Vec<Diagnostic>,
    spans: SpanMap,
}

fn parse_as<T>(text: &str, expected: &str, decode: fn(Node, Vec<Diagnostic>) -> Decoded<T>) -> Parsed<T> {
    let (root, mut diagnostics) = parse(text);
    let Some(root) = root else {
        return Parsed::nothing(diagnostics, SpanMap::default());
    };
    // Of a document of another kind there is one thing to say, not one for every key.
    if let Some(other) = kind(&root).filter(|kind| *kind != expected && KINDS.contains(kind)) {
        let message = format!("this is a {other}, where a {expected} is expected");
        diagnostics.push(Diagnostic::error("wrong-kind", "kind", message));
        return Parsed::nothing(diagnostics, SpanMap::of(&root));
    }
    finish(decode(root, diagnostics), |value| value)
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

fn decode_pipeline(root: Node, earlier: Vec<Diagnostic>) -> Decoded<Pipeline> {
    let Mended { root, misspelt } = mend(root);
    let mut decoded = decode(&root, &PIPELINE, earlier, |root, spans, errors| {
        let pipeline = read::pipeline(root);
        let mut found = check::check_parsed(&pipeline, spans, errors);
        found.extend(strays(root));
        (pipeline, found)
    });
    decoded.pipeline.clone_from(&decoded.value);
    Decoded { misspelt, ..decoded }
}

fn decode_contract(root: Node, earlier: Vec<Diagnostic>) -> Decoded<Contract> {
    decode(&root, &CONTRACT, earlier, |root, _, errors| odcs::read(root, errors))
}

fn decode<T>(
    root: &Node,
    shape: &'static Shape,
    mut diagnostics: Vec<Diagnostic>,
    read: impl FnOnce(&Node, &SpanMap, &[Diagnostic]) -> (T, Vec<Diagnostic>),
) -> Decoded<T> {
    let spans = SpanMap::of(root);
    diagnostics.extend(validate(root, shape));
    // A document that is too large for its checks is not put through them.
    let value = if !matches!(root.value, Value::Map(_)) || diagnostics.iter().any(|d| d.code == "too-many") {
        None
    } else {
        let (value, mut found) = read(root, &spans, &diagnostics);
        diagnostics.append(&mut found);
        Some(value)
    };
    Decoded { value, pipeline: None, misspelt: Vec::new(), diagnostics, spans }
}

fn finish<T, U>(decoded: Decoded<T>, wrap: impl FnOnce(T) -> U) -> Parsed<U> {
    let Decoded { value, pipeline, misspelt, mut diagnostics, spans } = decoded;
    spans.locate(&mut diagnostics);
    // What was refused already when it was read is no further news.
    let refused: Vec<Span> =
        diagnostics.iter().filter(|d| matches!(d.code.as_str(), "alias" | "tag")).filter_map(|d| d.span).collect();
    diagnostics.retain(|d| matches!(d.code.as_str(), "alias" | "tag") || !d.span.is_some_and(|span| refused.contains(&span)));
    // What is read as it was meant leaves nothing in doubt.
    let broken = !misspelt.is_empty() || diagnostics.iter().any(Diagnostic::is_error);
    let partial = pipeline.filter(|_| broken).map(|pipeline| Box::new(Partial::of(pipeline, &diagnostics)));
    diagnostics.extend(misspelt);
    diagnostics.sort_by_key(|d| d.span.map(|span| span.start));
    Parsed { value: value.filter(|_| !broken).map(wrap), partial, diagnostics, spans }
}
