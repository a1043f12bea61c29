//! Sources that need no help.

use weir_plan::{NodeKind, SourceNode};
use weir_spec::{Classification, connector::Format};

use crate::support::{document, planned};

fn source(plan: &weir_plan::Plan) -> &SourceNode {
    match &plan.nodes[0].kind {
        NodeKind::Source(source) => source,
        _ => unreachable!(),
    }
}

#[test]
fn a_contract_brings_columns_rules_and_its_version() {
    let plan = planned(&document("", "  out: { from: payments, stdout: {}, clearance: restricted }"));
    let source = source(&plan);
    assert_eq!(source.contract.as_ref().map(ToString::to_string).as_deref(), Some("payments@1"));
    assert_eq!(source.contract_version.as_deref(), Some("1.4.0"));
    assert_eq!(source.format, Some(Format::Json));
    assert_eq!(source.rules.len(), 1);
    assert_eq!(source.declared.len(), plan.nodes[0].schema.fields().len());
    assert_eq!((plan.nodes[0].subject, plan.nodes[0].event_time), (Some(1), Some(11)));
}

#[test]
fn a_generator_brings_its_own_columns() {
    let text = document("", "  out: { from: payments, stdout: {}, clearance: restricted }")
        .replace("file: { path: payments.ndjson }", "generator: { kind: payments }")
        .replace("    contract: payments@1\n", "");
    let plan = planned(&text);
    assert_eq!(source(&plan).format, None);
    assert_eq!(source(&plan).contract, None);
    assert_eq!(plan.nodes[0].columns[2].classification, Classification::Restricted);
}

#[test]
fn a_generator_may_be_narrowed_by_a_schema() {
    let text = document("", "  out: { from: payments, stdout: {}, clearance: restricted }")
        .replace("file: { path: payments.ndjson }", "generator: { kind: payments }")
        .replace(
            "    contract: payments@1\n",
            "    schema:\n      - { name: paid_at, type: timestamp }\n      - { name: customer_id, type: string, classification: restricted }\n",
        );
    let plan = planned(&text);
    let columns: Vec<_> = plan.nodes[0].columns.iter().map(|facts| (facts.name.as_str(), facts.classification)).collect();
    assert_eq!(columns, [("paid_at", Classification::Internal), ("customer_id", Classification::Restricted)]);
}
