//! Sources: which columns they bring, with what facts.

use std::collections::HashSet;

use arrow::datatypes::SchemaRef;
use weir_spec::{
    Column, DataType, Diagnostic, Source, Table,
    connector::{Format, SourceConnector, TableConnector},
    contract::ContractRef,
    quality::Rule,
};

use crate::{
    flow::{ColumnFlow, Flow},
    lookup::Lookup,
    plan::{ColumnFacts, FieldFacts, LineageEdge, LineageKind, Node, NodeKind, SourceNode, TableNode},
    rules, schema,
    sql::RESERVED_PREFIX,
    suggest,
};

/// Plans a source; `None` when its columns cannot be told.
pub(crate) fn plan(name: &str, source: &Source, lookup: &dyn Lookup, diagnostics: &mut Vec<Diagnostic>) -> Option<(Node, Flow)> {
    let path = format!("sources.{name}");
    let brought = brought(&source.connector, lookup);
    let own = brought.clone().map(|columns| (format!("{path}.{}", source.connector.key()), columns));
    let declared = declared(&path, source.contract.as_ref(), source.schema.as_deref(), own, lookup, diagnostics)?;
    let before = diagnostics.len();
    let from_text = matches!(source.connector, SourceConnector::File(_) | SourceConnector::Http(_));
    let is_csv = from_text && source.format == Some(Format::Csv);
    check_columns(&declared, brought.as_deref(), is_csv, diagnostics);
    let schema = schema::arrow_schema(&declared.columns);
    let rules = rules::bind(&declared.rules, &schema, &|_| declared.path.clone(), diagnostics);
    let subject = source.subject.as_deref().and_then(|column| {
        let fits = |data_type: &DataType| matches!(data_type, DataType::String | DataType::Int32 | DataType::Int64);
        role(&format!("{path}.subject"), "subject", column, &declared.columns, fits, "a string or an integer", diagnostics)
    });
    let event_time = source.event_time.as_ref().and_then(|event_time| {
        let path = format!("{path}.event_time.column");
        let fits = |data_type: &DataType| *data_type == DataType::Timestamp;
        role(&path, "event time", &event_time.column, &declared.columns, fits, "a timestamp", diagnostics)
    });
    if diagnostics[before..].iter().any(Diagnostic::is_error) {
        return None;
    }
    let format = match source.connector {
        SourceConnector::Generator(_) | SourceConnector::Nexmark(_) => None,
        SourceConnector::File(_) | SourceConnector::Http(_) => Some(source.format.unwrap_or(Format::Json)),
    };
    let columns = declared.columns.clone();
    let (contract, contract_version) = declared.contract.unzip();
    let kind = NodeKind::Source(SourceNode {
        connector: source.connector.clone(),
        format,
        contract,
        contract_version,
        declared: declared.columns,
        rules,
        event_time: source.event_time.clone(),
        on_malformed: source.on_malformed,
    });
    Some(node(name, kind, &columns, schema, subject, event_time))
}

/// Plans reference data, which brings its columns as a source would.
pub(crate) fn table(name: &str, table: &Table, lookup: &dyn Lookup, diagnostics: &mut Vec<Diagnostic>) -> Option<(Node, Flow)> {
    let path = format!("tables.{name}");
    let declared = declared(&path, table.contract.as_ref(), table.schema.as_deref(), None, lookup, diagnostics)?;
    let before = diagnostics.len();
    let is_csv = matches!(table.connector, TableConnector::File(_)) && table.format == Format::Csv;
    check_columns(&declared, None, is_csv, diagnostics);
    let schema = schema::arrow_schema(&declared.columns);
    let rules = rules::bind(&declared.rules, &schema, &|_| declared.path.clone(), diagnostics);
    let key = table.key.iter().filter_map(|column| {
        role(
            &format!("{path}.key"),
            "key",
            column,
            &declared.columns,
            |data_type| !is_nested(data_type),
            "a plain value",
            diagnostics,
        )
    });
    let key: Vec<usize> = key.collect();
    if diagnostics[before..].iter().any(Diagnostic::is_error) {
        return None;
    }
    let columns = declared.columns.clone();
    let kind = NodeKind::Table(TableNode {
        connector: table.connector.clone(),
        format: table.format,
        declared: declared.columns,
        rules,
        key,
        reload: table.reload,
    });
    Some(node(name, kind, &columns, schema, None, None))
}

/// What a source is declared to bring, and where in the document that is said.
struct Declared {
    path: String,
    columns: Vec<Column>,
    rules: Vec<Rule>,
    contract: Option<(ContractRef, String)>,
}

/// `own`: the columns that it has by itself, and where the document says so.
fn declared(
    path: &str,
    contract: Option<&ContractRef>,
    schema: Option<&[Column]>,
    own: Option<(String, Vec<Column>)>,
    lookup: &dyn Lookup,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Declared> {
    if let Some(reference) = contract {
        let path = format!("{path}.contract");
        let Some(contract) = lookup.contract(reference) else {
            let names = lookup.contract_names();
            let help = if names.is_empty() {
                "no contract is registered; register it first, or declare the columns with `schema:`".to_owned()
            } else {
                suggest::among("contract", &reference.to_string(), names.iter().map(String::as_str))
            };
            diagnostics
                .push(Diagnostic::error("unknown-contract", path, format!("unknown contract `{reference}`")).with_help(help));
            return None;
        };
        let contract_ref = Some((reference.clone(), contract.version));
        return Some(Declared { path, columns: contract.columns, rules: contract.rules, contract: contract_ref });
    }
    if let Some(columns) = schema {
        return Some(Declared { path: format!("{path}.schema"), columns: columns.to_vec(), rules: Vec::new(), contract: None });
    }
    if let Some((path, columns)) = own {
        return Some(Declared { path, columns, rules: Vec::new(), contract: None });
    }
    let error = Diagnostic::error("missing-schema", path, "the source does not say which columns it brings");
    diagnostics.push(error.with_help("add `contract: name@1` or an inline `schema:`"));
    None
}

/// The columns of a source that makes its rows.
fn brought(connector: &SourceConnector, lookup: &dyn Lookup) -> Option<Vec<Column>> {
    match connector {
        SourceConnector::Generator(generator) => Some(lookup.generator_columns(generator.kind)),
        SourceConnector::Nexmark(nexmark) => Some(nexmark.stream.columns()),
        SourceConnector::File(_) | SourceConnector::Http(_) => None,
    }
}

fn check_columns(declared: &Declared, brought: Option<&[Column]>, is_csv: bool, diagnostics: &mut Vec<Diagnostic>) {
    let Declared { path, columns, contract, .. } = declared;
    let promised = contract.as_ref().map_or_else(|| "the schema".to_owned(), |(reference, _)| format!("contract `{reference}`"));
    if columns.is_empty() {
        diagnostics.push(
            Diagnostic::error("empty-schema", path, format!("{promised} has no columns")).with_help("declare at least one"),
        );
    }
    let mut names = HashSet::new();
    for column in columns {
        if !names.insert(column.name.as_str()) {
            diagnostics.push(Diagnostic::error("duplicate-column", path, format!("{promised} declares `{}` twice", column.name)));
        }
        if column.name.to_lowercase().starts_with(RESERVED_PREFIX) {
            let message =
                format!("the name `{}` is reserved: names that begin with `{RESERVED_PREFIX}` belong to Weir", column.name);
            diagnostics.push(Diagnostic::error("reserved-name", path, message).with_help("rename the column"));
        }
    }
    if let Some(brought) = brought {
        for column in columns {
            diagnostics.extend(undelivered(path, &promised, column, brought));
        }
    }
    for column in columns.iter().filter(|column| is_csv && is_nested(&column.data_type)) {
        let message =
            format!("{promised} wants `{}` as {}, which csv cannot deliver", column.name, schema::type_name(&column.data_type));
        diagnostics
            .push(Diagnostic::error("undeliverable-column", path, message).with_help("use json or parquet, or a flat type"));
    }
}

fn undelivered(path: &str, promised: &str, wanted: &Column, brought: &[Column]) -> Option<Diagnostic> {
    match brought.iter().find(|column| column.name == wanted.name) {
        None => {
            let message = format!("{promised} wants the column `{}`, which the generator does not deliver", wanted.name);
            let help = suggest::among("column", &wanted.name, brought.iter().map(|column| column.name.as_str()));
            Some(Diagnostic::error("undeliverable-column", path, message).with_help(help))
        }
        Some(column) if schema::arrow_type(&column.data_type) != schema::arrow_type(&wanted.data_type) => {
            let (want, have) = (schema::type_name(&wanted.data_type), schema::type_name(&column.data_type));
            let message = format!("{promised} wants `{}` as {want}, but the generator delivers {have}", wanted.name);
            Some(Diagnostic::error("undeliverable-column", path, message).with_help(format!("declare it as {have}")))
        }
        Some(_) => None,
    }
}

pub(crate) fn is_nested(data_type: &DataType) -> bool {
    matches!(data_type, DataType::List(_) | DataType::Struct(_))
}

fn role(
    path: &str,
    what: &str,
    name: &str,
    columns: &[Column],
    fits: impl Fn(&DataType) -> bool,
    expected: &str,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<usize> {
    let Some(index) = columns.iter().position(|column| column.name == name) else {
        let help = suggest::among("column", name, columns.iter().map(|column| column.name.as_str()));
        diagnostics.push(Diagnostic::error("unknown-column", path, format!("unknown column `{name}`")).with_help(help));
        return None;
    };
    let data_type = &columns[index].data_type;
    if !fits(data_type) {
        let message = format!("the {what} column must be {expected}, but `{name}` is {}", schema::type_name(data_type));
        let fitting: Vec<_> = columns.iter().filter(|c| fits(&c.data_type)).map(|c| format!("`{}`", c.name)).collect();
        let help = if fitting.is_empty() {
            format!("no column is {expected}")
        } else {
            format!("fitting columns: {}", fitting.join(", "))
        };
        diagnostics.push(Diagnostic::error("column-type", path, message).with_help(help));
        return None;
    }
    Some(index)
}

/// What is known of the fields of a struct.
fn fields(data_type: &DataType) -> Vec<FieldFacts> {
    let DataType::Struct(fields) = data_type else { return Vec::new() };
    let facts = |field: &Column| FieldFacts {
        name: field.name.clone(),
        classification: field.sensitivity(),
        categories: field.all_categories().into_iter().map(str::to_owned).collect(),
        fields: self::fields(&field.data_type),
    };
    fields.iter().map(facts).collect()
}

fn node(
    name: &str,
    kind: NodeKind,
    declared: &[Column],
    schema: SchemaRef,
    subject: Option<usize>,
    event_time: Option<usize>,
) -> (Node, Flow) {
    let edge = |column: &Column| LineageEdge {
        source: name.to_owned(),
        column: column.name.clone(),
        kind: LineageKind::Identity,
        masking: false,
    };
    let facts = |column: &Column| ColumnFacts {
        name: column.name.clone(),
        classification: column.sensitivity(),
        categories: column.all_categories().into_iter().map(str::to_owned).collect(),
        lineage: vec![edge(column)],
        fields: fields(&column.data_type),
    };
    let columns: Vec<_> = declared.iter().map(facts).collect();
    let flow = Flow { columns: vec![ColumnFlow::default(); columns.len()], ..Flow::default() };
    (
        Node {
            name: name.to_owned(),
            step: name.to_owned(),
            inputs: Vec::new(),
            kind,
            schema,
            columns,
            subject,
            event_time,
            changes: false,
        },
        flow,
    )
}
