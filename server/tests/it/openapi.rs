//! The OpenAPI document: as it was last agreed, and complete against the permission matrix.

use expect_test::expect_file;
use serde_json::Value;
use std::collections::BTreeMap;
use weir_authz::Action;
use weir_server::http::document;
use weir_server::http::openapi::{ACTION, OPEN};

const MATRIX: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../policies/matrix.txt");

/// Method and path of every operation, with the operation.
fn operations() -> Vec<(String, Value)> {
    let document = serde_json::to_value(document()).unwrap();
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            found.push((format!("{} {path}", method.to_uppercase()), operation.clone()));
        }
    }
    assert!(found.len() > 40, "only {} operations: is the router complete?", found.len());
    found
}

#[test]
fn the_document_is_as_agreed() {
    let text = document().to_pretty_json().unwrap();
    expect_file!["golden/openapi.json"].assert_eq(&format!("{text}\n"));
}

#[test]
fn every_operation_names_an_action_of_the_permission_matrix() {
    let matrix = std::fs::read_to_string(MATRIX).expect("the permission matrix is there");
    // A row of the matrix begins with its action.
    let has_row = |action: &str| matrix.lines().any(|line| line.split_whitespace().next() == Some(action));
    let mut without = Vec::new();
    for (name, operation) in operations() {
        let action = operation[ACTION].as_str().unwrap_or_default();
        let known = OPEN.contains(&action) || (action.parse::<Action>().is_ok() && has_row(action));
        if !known {
            without.push(format!("{name}: `{action}`"));
        }
    }
    assert!(without.is_empty(), "operations without a row in policies/matrix.txt:\n{}", without.join("\n"));
}

#[test]
fn only_what_must_be_is_open_to_everybody() {
    let open: Vec<String> = operations().into_iter().filter(|(_, op)| op[ACTION] == "anonymous").map(|(name, _)| name).collect();
    assert_eq!(open, ["GET /.well-known/jwks.json", "POST /api/v1/session"]);
}

#[test]
fn operation_ids_are_unique_and_every_operation_is_described() {
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    for (name, operation) in operations() {
        let id = operation["operationId"].as_str().unwrap_or_default().to_owned();
        assert!(id.contains('.'), "{name} has the id `{id}`");
        assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{name} has no summary");
        if let Some(other) = seen.insert(id.clone(), name.clone()) {
            panic!("{name} and {other} share the id {id}");
        }
    }
}

#[test]
fn every_path_parameter_is_declared_and_every_reference_resolves() {
    let document = serde_json::to_value(document()).unwrap();
    for (name, operation) in operations() {
        let declared: Vec<&str> = operation["parameters"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|p| p["in"] == "path")
            .filter_map(|p| p["name"].as_str())
            .collect();
        let expected: Vec<&str> = name.split('{').skip(1).filter_map(|part| part.split('}').next()).collect();
        assert_eq!(declared, expected, "{name}");
    }
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"#").skip(1) {
        let pointer = reference.split('"').next().unwrap();
        assert!(document.pointer(pointer).is_some(), "{pointer} leads nowhere");
    }
}

#[test]
fn every_response_is_described_and_every_refusal_is_a_problem() {
    let mut wrong = Vec::new();
    for (name, operation) in operations() {
        let responses = operation["responses"].as_object().expect("an operation has responses");
        if !responses.keys().any(|status| status.starts_with('2')) {
            wrong.push(format!("{name} never succeeds"));
        }
        for (status, response) in responses {
            if response["description"].as_str().is_none_or(str::is_empty) {
                wrong.push(format!("{name} {status} has no description"));
            }
            let content = response["content"].as_object();
            let kinds: Vec<&String> = content.into_iter().flat_map(|content| content.keys()).collect();
            if !status.starts_with('2') && kinds != ["application/problem+json"] {
                wrong.push(format!("{name} {status} comes as {kinds:?}"));
            }
            for (kind, content) in content.into_iter().flatten() {
                if !content["schema"].is_object() {
                    wrong.push(format!("{name} {status} {kind} has no schema"));
                }
            }
        }
        let body = operation.get("requestBody").map(|body| body["content"].as_object().is_some_and(|kinds| !kinds.is_empty()));
        if body == Some(false) {
            wrong.push(format!("{name} takes a body of no kind"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
