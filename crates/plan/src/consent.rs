//! Lawful basis consent: every path from a source to a sink passes a consent step for the pipeline's purpose.
//!
//! Every path, also one that seems to carry nothing personal: whether data is personal is only as well known as the contracts
//! say, and a processing that rests on consent has no other basis to fall back on.

use std::collections::BTreeMap;

use weir_spec::{Diagnostic, Pipeline, pipeline::Basis};

use crate::plan::{Node, NodeId, NodeKind};

/// One error a sink and source that are joined by a path without consent.
pub(crate) fn check(pipeline: &Pipeline, nodes: &[Node]) -> Vec<Diagnostic> {
    // A purpose that could not be read has been spoken of; which consent is asked for cannot be told.
    if pipeline.basis != Basis::Consent || pipeline.purpose.is_empty() {
        return Vec::new();
    }
    // For every node the sources that reach it without consent, each with one such path.
    let mut open: Vec<BTreeMap<NodeId, Vec<NodeId>>> = Vec::with_capacity(nodes.len());
    let mut found = Vec::new();
    for (id, node) in nodes.iter().enumerate() {
        let mut paths = BTreeMap::new();
        let asks = matches!(&node.kind, NodeKind::Consent(consent) if consent.purpose == pipeline.purpose);
        // Reference data is no stream of rows about people: what is looked up belongs to the row that asks.
        let is_table = matches!(node.kind, NodeKind::Table(_));
        if node.inputs.is_empty() && !is_table {
            paths.insert(id, vec![id]);
        } else if !asks {
            for &input in &node.inputs {
                for (&source, path) in &open[input] {
                    paths.entry(source).or_insert_with(|| path.iter().copied().chain([id]).collect());
                }
            }
        }
        if let NodeKind::Sink(_) = node.kind {
            found.extend(paths.values().map(|path| refuse(pipeline, nodes, path)));
        }
        open.push(paths);
    }
    found
}

fn refuse(pipeline: &Pipeline, nodes: &[Node], path: &[NodeId]) -> Diagnostic {
    let ends = (path.first().map(|&id| &nodes[id]), path.last().map(|&id| &nodes[id]));
    let (Some(source), Some(sink)) = ends else { unreachable!("invariant: a path has ends") };
    let message =
        format!("rows of `{}` reach sink `{}` without a consent step for `{}`", source.name, sink.name, pipeline.purpose);
    let mut diagnostic = Diagnostic::error("no-consent", format!("sinks.{}", sink.name), message);
    for &id in path {
        let node = &nodes[id];
        let kind = node.kind.as_str();
        let line = match &node.kind {
            NodeKind::Source(_) => format!("source `{}`", node.name),
            NodeKind::Sink(_) => format!("sink `{}`", node.name),
            NodeKind::Consent(consent) => {
                format!("step `{}` (consent) asks for another purpose, `{}`", node.name, consent.purpose)
            }
            _ => format!("step `{}` ({kind})", node.name),
        };
        diagnostic = diagnostic.with_note(line);
    }
    let help = match source.subject {
        Some(_) => format!(
            "the basis is consent; ask before anything else, for example\nsteps:\n  {0}_allowed:\n    consent: {{ from: {0} }}\nand read from {0}_allowed in the place of {0}",
            source.name
        ),
        None => format!(
            "the basis is consent: name the person that a row is about with `subject:` in `sources.{}`, then add a consent step",
            source.name
        ),
    };
    diagnostic.with_help(help)
}
