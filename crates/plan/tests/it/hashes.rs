//! What the hashes of a plan depend on.

use crate::support::{Registry, document, payments, plan_with, planned};

const SINK: &str = "  out: { from: q, stdout: {}, clearance: restricted }";

fn base() -> String {
    document("  q:\n    sql: SELECT kind, amount FROM payments WHERE amount > 1\n", SINK)
}

#[test]
fn the_document_hash_is_of_the_meaning_not_the_text() {
    let plan = planned(&base());
    let spelled_out = base().replace("basis:", "parallelism: 1 # one lane\nbasis:");
    assert_eq!(planned(&spelled_out).document_hash, plan.document_hash);
    assert_ne!(planned(&base().replace("restricted", "confidential")).document_hash, plan.document_hash);
    assert_ne!(planned(&base().replace("> 1", "> 2")).document_hash, plan.document_hash);
}

#[test]
fn the_document_hash_covers_the_contracts() {
    let plan = planned(&base());
    let mut contract = payments();
    contract.columns[1].classification = weir_spec::Classification::Restricted;
    let registry = Registry { contracts: vec![contract], ..Registry::default() };
    let other = plan_with(&base(), &registry).plan.unwrap();
    assert_ne!(other.document_hash, plan.document_hash);
    assert_eq!(other.fingerprint, plan.fingerprint, "a class is no part of the state");
}

#[test]
fn the_document_hash_covers_the_contracts_of_reference_data() {
    let text = base().replace("sources:\n", "tables:\n  t: { file: { path: t.ndjson }, contract: rates@1 }\nsources:\n");
    let hash = |change: fn(&mut weir_spec::Contract)| {
        let mut rates = weir_spec::Contract { name: "rates".into(), ..payments() };
        change(&mut rates);
        let planned = plan_with(&text, &Registry { contracts: vec![payments(), rates], ..Registry::default() });
        planned.plan.unwrap_or_else(|| panic!("{:?}", planned.diagnostics)).document_hash
    };
    let before = hash(|_| {});
    assert_eq!(hash(|_| {}), before);
    assert_ne!(hash(|rates| rates.columns[1].classification = weir_spec::Classification::Restricted), before);
    assert_ne!(hash(|rates| rates.rules.clear()), before);
}

#[test]
fn the_fingerprint_is_of_what_state_depends_on() {
    let plan = planned(&base());
    for same in [
        base().replace("payments.ndjson", "other.ndjson"),
        base().replace("SELECT kind, amount", "SELECT  kind,\n      amount").replace("sql: SELECT", "sql: |\n      SELECT"),
        base().replace("name: test", "name: renamed"),
    ] {
        assert_eq!(planned(&same).fingerprint, plan.fingerprint, "{same}");
    }
    for other in [
        base().replace("> 1", "> 2"),
        base().replace("amount FROM", "amount AS a FROM"),
        base().replace("  q:", "  r:").replace("from: q", "from: r"),
        base().replace("stdout: {}", "file: { path: x }"),
    ] {
        assert_ne!(planned(&other).fingerprint, plan.fingerprint, "{other}");
    }
}
