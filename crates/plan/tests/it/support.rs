//! A contract, a lookup, and findings as text.

use std::fmt::Write;

use weir_plan::{Lookup, Plan, Planned, PurposePolicy};
use weir_spec::{
    Classification, Column, Contract, DataType, Diagnostic,
    connector::GeneratorKind,
    contract::ContractRef,
    quality::{Check, Rule},
};

/// What a test registers.
pub struct Registry {
    pub contracts: Vec<Contract>,
    pub policy: PurposePolicy,
}

impl Default for Registry {
    fn default() -> Self {
        Self { contracts: vec![payments()], policy: PurposePolicy::default() }
    }
}

impl Lookup for Registry {
    fn contract(&self, reference: &ContractRef) -> Option<Contract> {
        let major = |contract: &Contract| contract.version.split('.').next().and_then(|major| major.parse().ok());
        self.contracts.iter().find(|c| c.name == reference.name && major(c) == Some(reference.version)).cloned()
    }

    fn contract_names(&self) -> Vec<String> {
        self.contracts.iter().map(|c| format!("{}@{}", c.name, c.version.split('.').next().unwrap_or_default())).collect()
    }

    fn generator_columns(&self, kind: GeneratorKind) -> Vec<Column> {
        match kind {
            GeneratorKind::Payments => payments().columns.into_iter().filter(|column| column.name != "diagnosis").collect(),
            GeneratorKind::Sensors => vec![column("machine", DataType::String), column("temperature", DataType::Float64)],
            GeneratorKind::Clicks => vec![column("visitor", DataType::String)],
        }
    }

    fn purpose_policy(&self) -> PurposePolicy {
        self.policy.clone()
    }
}

pub fn column(name: &str, data_type: DataType) -> Column {
    Column::new(name, data_type)
}

fn personal(name: &str, data_type: DataType, classification: Classification, category: &str) -> Column {
    Column { classification, categories: vec![category.to_owned()], ..Column::new(name, data_type) }
}

pub fn payments() -> Contract {
    use Classification::{Confidential, Public, Restricted};
    let mut address = DataType::Struct(vec![column("street", DataType::String), column("zip", DataType::String)]);
    address.classify(Confidential);
    Contract {
        id: "urn:payments".into(),
        name: "payments".into(),
        version: "1.4.0".into(),
        status: "active".into(),
        description: None,
        columns: vec![
            column("tx_id", DataType::String),
            personal("customer_id", DataType::String, Confidential, "user.unique_id"),
            personal("card", DataType::String, Restricted, "user.financial.credit_card"),
            personal("email", DataType::String, Confidential, "user.contact.email"),
            personal("birth_date", DataType::Date, Confidential, "user.demographic.date_of_birth"),
            column("amount", DataType::Decimal { precision: 12, scale: 2 }),
            Column { classification: Public, ..column("kind", DataType::String) },
            column("country", DataType::String),
            column("items", DataType::Int32),
            column("score", DataType::Float64),
            column("flagged", DataType::Boolean),
            column("paid_at", DataType::Timestamp),
            personal("diagnosis", DataType::String, Restricted, "user.health_and_medical"),
            column("tags", DataType::List(Box::new(DataType::String))),
            personal("address", address, Confidential, "user.contact.address"),
        ],
        rules: vec![Rule { name: "tx present".into(), check: Check::NotNull { columns: vec!["tx_id".into()] } }],
    }
}

/// A document with one source under the payments contract. `steps` and `sinks` are indented by two.
pub fn document(steps: &str, sinks: &str) -> String {
    let steps = if steps.is_empty() { String::new() } else { format!("steps:\n{steps}") };
    format!(
        "apiVersion: weir/v1
kind: Pipeline
name: test
purpose: essential.fraud_detection
basis: legitimate_interest
sources:
  payments:
    file: {{ path: payments.ndjson }}
    contract: payments@1
    subject: customer_id
    event_time: {{ column: paid_at }}
{steps}
sinks:
{sinks}
"
    )
}

/// A document that runs one query and lets everything through.
pub fn query(sql: &str) -> String {
    document(
        &format!("  q:\n    sql: |\n      {}\n", sql.replace('\n', "\n      ")),
        "  out: { from: q, stdout: {}, clearance: restricted }",
    )
}

/// Parses and plans; the document must be without structural errors.
pub fn plan_with(text: &str, registry: &Registry) -> Planned {
    let parsed = weir_spec::parse_pipeline(text);
    let pipeline = parsed.value.unwrap_or_else(|| panic!("{text}\n{}", report(&parsed.diagnostics)));
    let mut planned = weir_plan::plan(&pipeline, registry);
    parsed.spans.locate(&mut planned.diagnostics);
    planned
}

pub fn plan(text: &str) -> Planned {
    plan_with(text, &Registry::default())
}

/// The plan of a document that must be without errors.
pub fn planned(text: &str) -> Plan {
    let planned = plan(text);
    planned.plan.unwrap_or_else(|| panic!("{text}\n{}", report(&planned.diagnostics)))
}

/// Findings as people see them.
pub fn report(diagnostics: &[Diagnostic]) -> String {
    let mut text = String::new();
    for diagnostic in diagnostics {
        let place = diagnostic.span.map_or_else(|| "?".to_owned(), |span| span.start.to_string());
        let severity = if diagnostic.is_error() { "error" } else { "warning" };
        writeln!(text, "{place} {severity}[{}] {}: {}", diagnostic.code, diagnostic.path, diagnostic.message).unwrap();
        for note in &diagnostic.notes {
            writeln!(text, "  | {note}").unwrap();
        }
        for line in diagnostic.help.iter().flat_map(|help| help.lines()) {
            writeln!(text, "  = {line}").unwrap();
        }
    }
    text
}

/// What planning says of a query, whatever the document's own check would say of it.
pub fn query_findings(sql: &str) -> String {
    let mut pipeline = weir_spec::parse_pipeline(&query("SELECT kind FROM payments")).value.unwrap();
    pipeline.steps["q"] = weir_spec::Step::Sql(sql.into());
    report(&weir_plan::plan(&pipeline, &Registry::default()).diagnostics)
}

/// What planning says of a document.
pub fn findings(text: &str) -> String {
    report(&plan(text).diagnostics)
}
