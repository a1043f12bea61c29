//! The JSON Schemas and the decoder agree: what one accepts, the other accepts.

#![allow(clippy::unwrap_used)]

use serde_json::{Value as Json, json};
use weir_spec::{contract_schema, parse::parse, parse_any, pipeline_schema};

const PIPELINE: &str = include_str!("documents/everything.yaml");
const CONTRACT: &str = include_str!("documents/contract.yaml");

fn json_of(text: &str) -> Json {
    let (root, errors) = parse(text);
    assert!(errors.is_empty(), "{errors:?}");
    root.unwrap().to_json()
}

/// What the decoder says when only the grammar is asked: references between parts are not a schema's business.
fn grammar_accepts(text: &str) -> bool {
    let beyond_grammar = [
        "unknown-reference",
        "unknown-column",
        "no-schema",
        "no-source",
        "no-input",
        "contract-and-schema",
        "key-not-allowed",
        "format-not-allowed",
        "unused",
        "duplicate-rule",
        "duplicate-column",
        "delivery",
        "wrong-column-type",
        "several-objects",
        "no-metric",
        "no-valid-values",
        "bad-bounds",
    ];
    let errors: Vec<_> =
        parse_any(text).diagnostics.into_iter().filter(|d| d.is_error() && !beyond_grammar.contains(&d.code.as_str())).collect();
    errors.is_empty()
}

#[test]
fn the_schemas_are_valid_json_schemas() {
    for schema in [pipeline_schema(), contract_schema()] {
        jsonschema::draft202012::meta::validate(&schema).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(schema["additionalProperties"], json!(false));
        every_key_is_described(&schema, "");
    }
}

fn every_key_is_described(schema: &Json, path: &str) {
    if let Some(properties) =
        schema.get("properties").and_then(Json::as_object).filter(|_| schema.get("additionalProperties").is_some())
    {
        for (key, property) in properties {
            assert!(property["description"].as_str().is_some_and(|d| !d.is_empty()), "{path}.{key} has no description");
        }
    }
    for (name, definition) in schema.get("$defs").and_then(Json::as_object).into_iter().flatten() {
        every_key_is_described(definition, name);
    }
}

#[test]
fn documents_that_use_every_key_are_valid() {
    for (text, schema) in [(PIPELINE, pipeline_schema()), (CONTRACT, contract_schema())] {
        let parsed = parse_any(text);
        assert!(parsed.value.is_some(), "{:#?}", parsed.diagnostics);
        let validator = jsonschema::draft202012::new(&schema).unwrap();
        let errors: Vec<String> = validator.iter_errors(&json_of(text)).map(|e| format!("{}: {e}", e.instance_path)).collect();
        assert!(errors.is_empty(), "{errors:#?}");
    }
}

/// Every single change of a valid document to one part of it: removed, renamed, replaced by a value of each type.
fn changes(document: &Json) -> Vec<(String, Json)> {
    let replacements = [
        json!(null),
        json!(true),
        json!(-1),
        json!(3),
        json!(1.5),
        json!(""),
        json!("x"),
        json!([]),
        json!(["x"]),
        json!({}),
        json!({ "x": 1 }),
    ];
    let mut changed = Vec::new();
    for pointer in pointers(document, String::new()) {
        for replacement in &replacements {
            let mut copy = document.clone();
            *copy.pointer_mut(&pointer).unwrap() = replacement.clone();
            changed.push((format!("{pointer} = {replacement}"), copy));
        }
        let (parent, key) = pointer.rsplit_once('/').unwrap_or_default();
        if let Some(object) = document.pointer(parent).and_then(Json::as_object).filter(|_| !pointer.is_empty()) {
            let key = key.replace("~1", "/").replace("~0", "~");
            let mut without = document.clone();
            without.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(&key);
            changed.push((format!("{pointer} removed"), without));
            let mut renamed = document.clone();
            let inside = renamed.pointer_mut(parent).unwrap().as_object_mut().unwrap();
            inside.remove(&key);
            inside.insert(format!("{key}X"), object[&key].clone());
            changed.push((format!("{pointer} renamed"), renamed));
        }
    }
    changed
}

fn pointers(value: &Json, path: String) -> Vec<String> {
    let mut found = Vec::new();
    let escaped = |key: &str| key.replace('~', "~0").replace('/', "~1");
    match value {
        Json::Object(object) => {
            object.iter().for_each(|(key, value)| found.extend(pointers(value, format!("{path}/{}", escaped(key)))))
        }
        Json::Array(items) => {
            items.iter().enumerate().for_each(|(i, value)| found.extend(pointers(value, format!("{path}/{i}"))))
        }
        _ => {}
    }
    if !path.is_empty() {
        found.push(path);
    }
    found
}

/// What only the decoder knows: see the schema module.
fn beyond_schema(change: &str) -> bool {
    let duration = ["every", "wait", "max_delay", "idle_after", "within"].iter().any(|key| change.contains(&format!("/{key} =")));
    // Whether a pipeline needs sinks depends on what its steps do.
    let no_sinks = change.starts_with("/sinks = {}") || change.starts_with("/sinks removed");
    // Another kind is another document.
    duration || no_sinks || change.starts_with("/kind")
}

#[test]
fn schema_and_decoder_agree_on_every_change_of_a_valid_document() {
    for (text, schema) in [(PIPELINE, pipeline_schema()), (CONTRACT, contract_schema())] {
        let validator = jsonschema::draft202012::new(&schema).unwrap();
        let document = json_of(text);
        let mut compared = (0, 0);
        let mut disagreements = Vec::new();
        for (change, document) in changes(&document).into_iter().filter(|(change, _)| !beyond_schema(change)) {
            let by_schema = validator.is_valid(&document);
            let by_decoder = grammar_accepts(&serde_json::to_string(&document).unwrap());
            if by_schema {
                compared.0 += 1
            } else {
                compared.1 += 1
            }
            if by_schema != by_decoder {
                disagreements.push(format!("{change}: schema {by_schema}, decoder {by_decoder}"));
            }
        }
        assert!(disagreements.is_empty(), "{} disagree:\n{}", disagreements.len(), disagreements.join("\n"));
        assert!(compared.0 > 50 && compared.1 > 200, "{compared:?} documents were valid and invalid");
    }
}
