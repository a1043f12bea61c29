//! A plan as others see it: a serde view for API, console and evidence, and OpenLineage's column lineage.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Value, json};
use weir_spec::{Classification, connector::TableConnector, pipeline::Basis, quality::Rule};

use crate::{
    plan::{ColumnFacts, LineageEdge, LineageKind, Node, NodeKind, Plan, PlannedMask, PlannedRule},
    schema,
    sql::{Branch, text},
};

/// A plan without its executable parts.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PlanView {
    pub pipeline: String,
    pub purpose: String,
    pub basis: Basis,
    /// Hexadecimal.
    pub document_hash: String,
    /// Hexadecimal.
    pub fingerprint: String,
    /// In topological order.
    pub nodes: Vec<NodeView>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NodeView {
    pub name: String,
    /// What the document calls it.
    pub step: String,
    /// `source`, `table`, `quality`, `consent`, `mask`, `sql`, `window`, `aggregate`, `join`, `rank`, `match`, `measure`,
    /// `alert` or `sink`.
    pub kind: &'static str,
    /// Names of nodes.
    pub inputs: Vec<String>,
    pub columns: Vec<ColumnView>,
    pub subject: Option<String>,
    pub event_time: Option<String>,
    /// Its rows are a changelog.
    pub changes: bool,
    /// The most sensitive class among the columns.
    pub classification: Classification,
    /// What the node does: rules, masks, branches of a query, clearance of a sink.
    pub definition: Value,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ColumnView {
    /// As documents write it.
    #[serde(rename = "type")]
    pub data_type: String,
    #[serde(flatten)]
    pub facts: ColumnFacts,
}

/// Everything about a plan that is data.
pub fn describe(plan: &Plan) -> PlanView {
    let name = |node: &Node, index: Option<usize>| index.map(|index| node.columns[index].name.clone());
    let node = |node: &Node| NodeView {
        name: node.name.clone(),
        step: node.step.clone(),
        kind: node.kind.as_str(),
        inputs: node.inputs.iter().map(|&input| plan.nodes[input].name.clone()).collect(),
        columns: node
            .columns
            .iter()
            .zip(node.schema.fields())
            .map(|(facts, field)| ColumnView { data_type: schema::arrow_type_name(field.data_type()), facts: facts.clone() })
            .collect(),
        subject: name(node, node.subject),
        event_time: name(node, node.event_time),
        changes: node.changes,
        classification: node.columns.iter().map(|facts| facts.classification).max().unwrap_or(Classification::Public),
        definition: definition(node, plan),
    };
    PlanView {
        pipeline: plan.pipeline.clone(),
        purpose: plan.purpose.clone(),
        basis: plan.basis,
        document_hash: hex(&plan.document_hash),
        fingerprint: hex(&plan.fingerprint),
        nodes: plan.nodes.iter().map(node).collect(),
    }
}

fn definition(node: &Node, plan: &Plan) -> Value {
    match &node.kind {
        NodeKind::Source(source) => json!({
            "connector": source.connector.key(),
            "format": source.format,
            "contract": source.contract.as_ref().map(ToString::to_string),
            "contract_version": source.contract_version,
            "rules": rules(&source.rules),
            "on_malformed": source.on_malformed,
        }),
        NodeKind::Table(table) => json!({
            "connector": table.connector.key(),
            "path": table.connector.path(),
            "format": matches!(table.connector, TableConnector::File(_)).then_some(table.format),
            "key": table.key.iter().map(|&column| node.columns[column].name.as_str()).collect::<Vec<_>>(),
            "rules": rules(&table.rules),
            "reload": table.reload.to_string(),
        }),
        NodeKind::Quality(quality) => {
            json!({ "on_fail": quality.on_fail, "rules": rules(&quality.rules) })
        }
        NodeKind::Consent(consent) => json!({
            "purpose": consent.purpose,
            "on_deny": consent.on_deny,
            "on_unknown": consent.on_unknown,
        }),
        NodeKind::Mask(mask) => {
            let columns = mask.masks.iter().map(|masked| (node.columns[masked.column].name.clone(), mask_json(masked)));
            json!({ "columns": columns.collect::<serde_json::Map<_, _>>() })
        }
        NodeKind::Sql(sql) => json!({
            "sql": sql.text,
            "branches": sql.branches.iter().map(|one| branch(one, &plan.nodes[one.input].name)).collect::<Vec<_>>(),
        }),
        NodeKind::Window(window) => json!({ "window": window.window, "time": window.time }),
        NodeKind::Operator(operator) => json!({ "operator": operator.definition }),
        NodeKind::Sink(sink) => json!({
            "connector": sink.sink.connector.key(),
            "format": sink.sink.format,
            "clearance": sink.sink.clearance,
            "recipient": sink.sink.recipient,
            "delivery": sink.sink.delivery,
            "mode": sink.sink.mode,
        }),
    }
}

pub(crate) fn rules(rules: &[PlannedRule]) -> Value {
    let json = |rule: &PlannedRule| weir_spec::write::rule_to_json(&Rule { name: rule.name.clone(), check: rule.check.clone() });
    rules.iter().map(json).collect()
}

pub(crate) fn mask_json(masked: &PlannedMask) -> Value {
    weir_spec::write::mask_to_json(&masked.mask)
}

/// A branch in words.
fn branch(branch: &Branch, input: &str) -> Value {
    json!({
        "input": input,
        "filter": branch.filter.iter().map(text).collect::<Vec<_>>(),
        "projection": branch.projection.iter().map(|(expr, name)| json!({ "name": name, "expr": text(expr) })).collect::<Vec<_>>(),
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The `columnLineage` facet (OpenLineage ColumnLineageDatasetFacet 1.2.0) of the rows of one node. What decides over whole rows
/// stands in `dataset`, what a column is made from in `fields`. `namespace` is that of the source datasets, `producer` a URI.
pub fn column_lineage_facet(node: &Node, namespace: &str, producer: &str) -> Value {
    let about_rows = |edge: &LineageEdge| edge.kind == LineageKind::Filter;
    let mut fields = serde_json::Map::new();
    let mut rows = BTreeSet::new();
    for facts in &node.columns {
        rows.extend(facts.lineage.iter().filter(|edge| about_rows(edge)).cloned());
        let edges = facts.lineage.iter().filter(|edge| !about_rows(edge)).cloned();
        fields.insert(facts.name.clone(), json!({ "inputFields": input_fields(edges, namespace) }));
    }
    json!({
        "_producer": producer,
        "_schemaURL": "https://openlineage.io/spec/facets/1-2-0/ColumnLineageDatasetFacet.json#/$defs/ColumnLineageDatasetFacet",
        "fields": fields,
        "dataset": input_fields(rows, namespace),
    })
}

fn input_fields(edges: impl IntoIterator<Item = LineageEdge>, namespace: &str) -> Vec<Value> {
    let mut by_column: BTreeMap<(String, String), Vec<Value>> = BTreeMap::new();
    for edge in edges {
        let kind = if edge.kind.is_direct() { "DIRECT" } else { "INDIRECT" };
        let transformation = json!({ "type": kind, "subtype": edge.kind, "description": "", "masking": edge.masking });
        by_column.entry((edge.source, edge.column)).or_default().push(transformation);
    }
    let field = |((name, column), transformations)| json!({ "namespace": namespace, "name": name, "field": column, "transformations": transformations });
    by_column.into_iter().map(field).collect()
}
