//! Whole documents: what they become, how they are written back, and what they are compared by.

#![allow(clippy::unwrap_used)]

use expect_test::{expect, expect_file};
use weir_spec::{
    Document, SpanMap, check, graph, odcs::to_odcs_json, parse::MAX_BYTES, parse_any, parse_contract, parse_pipeline, to_json,
    to_odcs, to_yaml,
};

const EVERYTHING: &str = include_str!("documents/everything.yaml");
const CONTRACT: &str = include_str!("documents/contract.yaml");

#[test]
fn a_pipeline_that_uses_every_key_is_written_back_without_defaults() {
    let parsed = parse_pipeline(EVERYTHING);
    let pipeline = parsed.value.unwrap();
    let text = to_yaml(&pipeline);
    expect_file!["documents/everything.written.yaml"].assert_eq(&text);
    assert_eq!(parse_pipeline(&text).value.unwrap(), pipeline);
}

#[test]
fn the_canonical_form_names_every_default() {
    let text = "
apiVersion: weir/v1
kind: Pipeline
name: small
purpose: essential
basis: contract
sources: { rows: { http: {}, contract: a@1 } }
steps: { checked: { quality: { from: rows, rules: [{ not_null: id }] } } }
sinks: { out: { from: checked, stdout: {}, delivery: at_least_once } }
";
    let json = serde_json::to_string_pretty(&sorted(to_json(&parse_pipeline(text).value.unwrap()))).unwrap();
    expect_file!["documents/small.canonical.json"].assert_eq(&json);
}

fn sorted(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::Object(object) => {
            let mut entries: Vec<_> = object.into_iter().map(|(key, value)| (key, sorted(value))).collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(entries.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        other => other,
    }
}

#[test]
fn texts_that_mean_the_same_have_the_same_canonical_form() {
    let one = "
apiVersion: weir/v1
kind: Pipeline
name: same
purpose: essential
basis: contract
sources: { rows: { http: {}, schema: [{ name: id, type: string }, { name: at, type: timestamp }], event_time: { column: at, max_delay: 60s } } }
steps: { checked: { quality: { from: rows, rules: [{ not_null: id }] } } }
sinks: { out: { from: checked, file: { path: out } } }
";
    let other = r#"{ "kind": "Pipeline", "basis": "contract", "name": "same", "apiVersion": "weir/v1", "purpose": "essential", "parallelism": 1,
        "checkpoint": { "every": "2000ms" }, "batch": {},
        "sinks": { "out": { "delivery": "exactly_once", "file": { "path": "out", "partition_by": [] }, "from": "checked", "format": "json" } },
        "steps": { "checked": { "quality": { "rules": [ { "not_null": ["id"], "name": "not_null(id)" } ], "on_fail": "quarantine", "from": "rows" } } },
        "sources": { "rows": { "format": "json", "http": { "max_backlog_mib": 256 }, "event_time": { "max_delay": "1 m", "column": "at", "late": "quarantine" },
            "schema": [ { "type": "string", "name": "id", "classification": "internal" }, { "name": "at", "type": " timestamp " } ] } } }"#;
    let [one, other] = [one, other].map(|text| {
        let parsed = parse_pipeline(text);
        to_json(&parsed.value.unwrap_or_else(|| panic!("{:?}", parsed.diagnostics)))
    });
    assert_eq!(one, other);
}

#[test]
fn a_contract_becomes_columns_and_rules() {
    let parsed = parse_contract(CONTRACT);
    assert!(parsed.diagnostics.is_empty(), "{:#?}", parsed.diagnostics);
    let contract = parsed.value.unwrap();
    assert_eq!(contract.reference().unwrap().to_string(), "payments@2");
    let mut shown = String::new();
    for column in &contract.columns {
        let flags = [(column.required, " required"), (column.unique, " unique")];
        let flags: String = flags.iter().filter(|(on, _)| *on).map(|(_, name)| *name).collect();
        shown.push_str(&format!(
            "{}: {} {}{flags} {:?}\n",
            column.name, column.data_type, column.classification, column.categories
        ));
    }
    for rule in &contract.rules {
        shown.push_str(&format!("{}: {:?}\n", rule.name, rule.check));
    }
    expect![[r#"
        tx_id: string internal required unique []
        email: string confidential ["user.contact.email"]
        card: string restricted ["user.financial.credit_card"]
        amount: decimal(12,2) internal []
        kind: string internal []
        count: int32 internal []
        home: struct<street: string, zip: string> internal []
        tags: list<string> internal []
        paid_at: timestamp internal []
        day: date internal []
        ok: boolean internal []
        not_null(tx_id): NotNull { columns: ["tx_id"] }
        length(email): Length { column: "email", min: None, max: Some(254) }
        format(email): Format { column: "email", is: Email }
        luhn: Format { column: "card", is: Card }
        between(amount): Between { column: "amount", min: Some(Int(0)), max: None }
        expression("amount" < 100000): Expression { sql: "\"amount\" < 100000" }
        in_set(kind): InSet { column: "kind", values: [String("sale"), String("refund")] }
        matches(kind): Matches { column: "kind", pattern: "^[a-z]+$" }
        unique(tx_id, kind): Unique { columns: ["tx_id", "kind"], within: Timespan(3600s) }
        expression(amount > 0 OR kind = 'refund'): Expression { sql: "amount > 0 OR kind = 'refund'" }
    "#]]
    .assert_eq(&shown);
    assert_eq!(contract.description.as_deref(), Some("Card payments as the terminals send them.\nFraud detection."));
}

#[test]
fn a_contract_is_exported_as_the_standard_writes_it() {
    let contract = parse_contract(CONTRACT).value.unwrap();
    let text = to_odcs(&contract);
    expect_file!["documents/contract.exported.yaml"].assert_eq(&text);
    assert_eq!(parse_contract(&text).value.unwrap(), contract);
    assert_eq!(parse_contract(&to_odcs_json(&contract).to_string()).value.unwrap(), contract);
}

#[test]
fn the_graph_of_a_pipeline_has_its_nodes_in_the_order_of_the_rows() {
    let graph = graph(&parse_pipeline(EVERYTHING).value.unwrap());
    let name = |index: usize| graph.nodes[index].name.as_str();
    let edges: Vec<String> = graph.edges.iter().map(|edge| format!("{} -> {}", name(edge.from), name(edge.to))).collect();
    let order: Vec<&str> = graph.order.iter().map(|index| name(*index)).collect();
    expect![[r#"
        payments -> checked
        checked -> allowed
        allowed -> safe
        made -> more
        safe -> chosen
        more -> chosen
        chosen -> files
        posted -> shown
        chosen -> totals
        chosen -> log
        payments made posted checked allowed safe more chosen files shown totals log
    "#]]
    .assert_eq(&format!("{}\n{}\n", edges.join("\n"), order.join(" ")));
    assert!(graph.cycles.is_empty());
}

#[test]
fn a_pipeline_made_in_code_is_checked_like_one_from_a_text() {
    let mut pipeline = parse_pipeline(EVERYTHING).value.unwrap();
    assert_eq!(check::check(&pipeline), []);
    pipeline.sinks[0].from = "nowhere".to_owned();
    let codes: Vec<String> = check::check(&pipeline).into_iter().map(|d| d.code).collect();
    assert_eq!(codes, ["unknown-reference"]);
}

#[test]
fn findings_of_others_are_placed_by_their_path() {
    let parsed = parse_pipeline(EVERYTHING);
    let at = |path: &str| parsed.spans.resolve(path).map(|span| span.start.to_string()).unwrap();
    let line = |needle: &str| EVERYTHING.lines().position(|line| line.contains(needle)).unwrap() + 1;
    // A map or list is shown at its key, a plain value at itself, what does not exist at what encloses it.
    assert_eq!(at("steps.safe.mask.columns.amount"), format!("{}:9", line("amount: { generalize")));
    assert_eq!(at("steps.safe.mask.columns.amount.generalize.to.width"), format!("{}:46", line("amount: { generalize")));
    assert_eq!(at("steps.safe.mask.columns.card"), format!("{}:7", line("      columns:")));
    assert_eq!(at("steps.checked.quality.rules[2].between.max"), format!("{}:51", line("max: 100000.5")));
    assert_eq!(at("steps.checked.quality.rules[99].between"), format!("{}:7", line("      rules:")));
    assert_eq!(at("sinks.shown.from"), format!("{}:11", line("from: posted")));
    assert_eq!(at(""), format!("{}:1", line("apiVersion")));
    assert_eq!(at("elsewhere"), at(""));
    assert_eq!(SpanMap::default().resolve("x"), None);
}

#[test]
fn a_document_is_read_as_the_kind_that_it_says_it_is() {
    assert!(matches!(parse_any(EVERYTHING).value, Some(Document::Pipeline(p)) if p.name == "everything-1"));
    assert!(matches!(parse_any(CONTRACT).value, Some(Document::Contract(c)) if c.name == "payments"));
    let shown = |diagnostics: Vec<weir_spec::Diagnostic>| diagnostics.iter().map(|d| d.render("f")).collect::<Vec<_>>();
    assert_eq!(
        shown(parse_pipeline(CONTRACT).diagnostics),
        ["f:2:7: error: this is a DataContract, where a Pipeline is expected"]
    );
    assert_eq!(
        shown(parse_contract(EVERYTHING).diagnostics),
        ["f:3:7: error: this is a Pipeline, where a DataContract is expected"]
    );
}

#[test]
fn a_document_has_a_largest_size() {
    let long = format!("{EVERYTHING}# {}", "x".repeat(MAX_BYTES));
    let parsed = parse_any(&long);
    assert_eq!(parsed.diagnostics.len(), 1);
    assert_eq!(parsed.diagnostics[0].code, "too-large");
}

#[test]
fn many_parts_are_refused_before_they_cost_time() {
    let steps: String = (0..20_000).map(|i| format!("  s{i}: {{ sql: SELECT * FROM s{i} }}\n")).collect();
    let text = format!("apiVersion: weir/v1\nkind: Pipeline\nname: p\npurpose: p\nbasis: contract\nsteps:\n{steps}");
    let codes: Vec<String> = parse_any(&text).diagnostics.into_iter().map(|d| d.code).collect();
    assert_eq!(codes, ["missing-key", "too-many"]);
}

#[test]
fn a_text_of_nothing_but_errors_is_told_some_hundred_of_them() {
    let junk: String = (0..5_000).map(|n| format!("k{n}: 1\n")).collect();
    let parsed = weir_spec::parse_pipeline(&junk);
    assert!((100..1_000).contains(&parsed.diagnostics.len()), "{}", parsed.diagnostics.len());
    let rest = parsed.diagnostics.iter().find(|finding| finding.code == "too-many").expect("how many more there are");
    let told = parsed.diagnostics.iter().filter(|finding| finding.code == "unknown-key").count();
    assert!(rest.message.starts_with("and ") && told < 5_000, "{}", rest.message);
    assert!(parsed.value.is_none());
}
