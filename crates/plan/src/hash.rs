//! The two hashes of a plan: of the document it was made from, and of what its state depends on.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use weir_spec::Pipeline;

use crate::{
    describe,
    lookup::Lookup,
    plan::{Node, NodeKind},
    sql::Branch,
};

/// SHA-256 over the canonical JSON (RFC 8785) of the pipeline and of the contracts it resolves to.
pub(crate) fn document(pipeline: &Pipeline, lookup: &dyn Lookup) -> [u8; 32] {
    let contracts: serde_json::Map<String, Value> = pipeline
        .contracts()
        .filter_map(|reference| Some((reference.to_string(), weir_spec::odcs::to_odcs_json(&lookup.contract(reference)?))))
        .collect();
    digest(&json!({ "pipeline": weir_spec::to_json(pipeline), "contracts": contracts }))
}

/// SHA-256 over the canonical JSON of every node: its name, its inputs, its columns and types, and what it does.
pub(crate) fn fingerprint(nodes: &[Node]) -> [u8; 32] {
    let nodes: Vec<Value> = nodes
        .iter()
        .map(|node| {
            json!({
                "name": node.name,
                "kind": node.kind.as_str(),
                "inputs": node.inputs,
                "schema": node.schema.fields().iter().map(|field| json!([field.name(), field.data_type().to_string()])).collect::<Vec<_>>(),
                "definition": definition(&node.kind, nodes),
            })
        })
        .collect();
    digest(&Value::Array(nodes))
}

/// What a node does, without what may change between runs on the same state (a path, a rate, a clearance).
fn definition(kind: &NodeKind, nodes: &[Node]) -> Value {
    match kind {
        NodeKind::Source(source) => {
            json!({ "connector": source.connector.key(), "format": source.format, "rules": describe::rules(&source.rules) })
        }
        NodeKind::Table(table) => {
            json!({ "format": table.format, "key": table.key, "rules": describe::rules(&table.rules) })
        }
        NodeKind::Quality(quality) => {
            json!({ "on_fail": quality.on_fail, "rules": describe::rules(&quality.rules) })
        }
        NodeKind::Consent(consent) => {
            json!({ "purpose": consent.purpose, "on_deny": consent.on_deny, "on_unknown": consent.on_unknown, "subject": consent.subject })
        }
        NodeKind::Mask(mask) => mask.masks.iter().map(|masked| json!([masked.column, describe::mask_json(masked)])).collect(),
        NodeKind::Sql(sql) => sql.branches.iter().map(|branch| branch_json(branch, &nodes[branch.input].name)).collect(),
        NodeKind::Window(window) => json!({ "window": window.window, "time": window.time }),
        NodeKind::Operator(operator) => json!(operator.definition),
        NodeKind::Sink(sink) => {
            json!({ "connector": sink.sink.connector.key(), "format": sink.sink.format, "delivery": sink.sink.delivery })
        }
    }
}

/// A branch with every type in it, which its SQL text would leave out.
fn branch_json(branch: &Branch, input: &str) -> Value {
    let filter: Vec<_> = branch.filter.iter().map(ToString::to_string).collect();
    let projection: Vec<_> = branch.projection.iter().map(|(expr, name)| json!([name, expr.to_string()])).collect();
    json!({ "input": input, "filter": filter, "projection": projection })
}

fn digest(value: &Value) -> [u8; 32] {
    let bytes = serde_json_canonicalizer::to_vec(value).expect("invariant: JSON values have a canonical form");
    Sha256::digest(bytes).into()
}
