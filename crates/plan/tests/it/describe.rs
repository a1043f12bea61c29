//! Plans as data, and as OpenLineage facets.

use std::path::PathBuf;

use expect_test::expect;
use serde_json::Value;
use weir_plan::{column_lineage_facet, describe};

use crate::support::{document, planned};

fn example() -> weir_plan::Plan {
    planned(&document(
        "  allowed:
    consent: { from: payments }
  safe:
    mask: { from: allowed, columns: { email: { hash: {} } } }
  q:
    sql: SELECT email, CASE WHEN flagged THEN items ELSE 0 END AS n FROM safe WHERE amount > 1
",
        "  out: { from: q, stdout: {}, recipient: fraud-desk }",
    ))
}

#[test]
fn a_plan_is_data() {
    let mut view = serde_json::to_value(describe(&example())).unwrap();
    for hash in ["document_hash", "fingerprint"] {
        assert_eq!(view[hash].as_str().unwrap().len(), 64);
        view[hash] = "…".into();
    }
    // The source and what only passes its columns on would be long.
    view["nodes"] = view["nodes"].as_array().unwrap()[3..].to_vec().into();
    expect![[r#"
        {
          "basis": "legitimate_interest",
          "document_hash": "…",
          "fingerprint": "…",
          "nodes": [
            {
              "changes": false,
              "classification": "internal",
              "columns": [
                {
                  "categories": [
                    "user.unique_id.pseudonymous"
                  ],
                  "classification": "internal",
                  "lineage": [
                    {
                      "column": "amount",
                      "kind": "FILTER",
                      "masking": false,
                      "source": "payments"
                    },
                    {
                      "column": "customer_id",
                      "kind": "FILTER",
                      "masking": false,
                      "source": "payments"
                    },
                    {
                      "column": "email",
                      "kind": "TRANSFORMATION",
                      "masking": true,
                      "source": "payments"
                    }
                  ],
                  "name": "email",
                  "type": "string"
                },
                {
                  "categories": [],
                  "classification": "internal",
                  "lineage": [
                    {
                      "column": "amount",
                      "kind": "FILTER",
                      "masking": false,
                      "source": "payments"
                    },
                    {
                      "column": "customer_id",
                      "kind": "FILTER",
                      "masking": false,
                      "source": "payments"
                    },
                    {
                      "column": "flagged",
                      "kind": "CONDITIONAL",
                      "masking": false,
                      "source": "payments"
                    },
                    {
                      "column": "items",
                      "kind": "TRANSFORMATION",
                      "masking": false,
                      "source": "payments"
                    }
                  ],
                  "name": "n",
                  "type": "int64"
                }
              ],
              "definition": {
                "branches": [
                  {
                    "filter": [
                      "(amount > 1.00)"
                    ],
                    "input": "safe",
                    "projection": [
                      {
                        "expr": "email",
                        "name": "email"
                      },
                      {
                        "expr": "CASE WHEN flagged THEN CAST(\"items\" AS BIGINT) ELSE 0 END",
                        "name": "n"
                      }
                    ]
                  }
                ],
                "sql": "SELECT email, CASE WHEN flagged THEN items ELSE 0 END AS n FROM safe WHERE amount > 1"
              },
              "event_time": null,
              "inputs": [
                "safe"
              ],
              "kind": "sql",
              "name": "q",
              "step": "q",
              "subject": null
            },
            {
              "changes": false,
              "classification": "internal",
              "columns": [
                {
                  "categories": [
                    "user.unique_id.pseudonymous"
                  ],
                  "classification": "internal",
                  "lineage": [
                    {
                      "column": "amount",
                      "kind": "FILTER",
                      "masking": false,
                      "source": "payments"
                    },
                    {
                      "column": "customer_id",
                      "kind": "FILTER",
                      "masking": false,
                      "source": "payments"
                    },
                    {
                      "column": "email",
                      "kind": "TRANSFORMATION",
                      "masking": true,
                      "source": "payments"
                    }
                  ],
                  "name": "email",
                  "type": "string"
                },
                {
                  "categories": [],
                  "classification": "internal",
                  "lineage": [
                    {
                      "column": "amount",
                      "kind": "FILTER",
                      "masking": false,
                      "source": "payments"
                    },
                    {
                      "column": "customer_id",
                      "kind": "FILTER",
                      "masking": false,
                      "source": "payments"
                    },
                    {
                      "column": "flagged",
                      "kind": "CONDITIONAL",
                      "masking": false,
                      "source": "payments"
                    },
                    {
                      "column": "items",
                      "kind": "TRANSFORMATION",
                      "masking": false,
                      "source": "payments"
                    }
                  ],
                  "name": "n",
                  "type": "int64"
                }
              ],
              "definition": {
                "clearance": "internal",
                "connector": "stdout",
                "delivery": "at_least_once",
                "format": "json",
                "mode": "append",
                "recipient": "fraud-desk"
              },
              "event_time": null,
              "inputs": [
                "q"
              ],
              "kind": "sink",
              "name": "out",
              "step": "out",
              "subject": null
            }
          ],
          "pipeline": "test",
          "purpose": "essential.fraud_detection"
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&view).unwrap());
}

#[test]
fn lineage_is_a_facet() {
    let plan = example();
    let facet = column_lineage_facet(plan.node("out").unwrap(), "weir://project", "https://example.org/weir");
    expect![[r#"
        {
          "_producer": "https://example.org/weir",
          "_schemaURL": "https://openlineage.io/spec/facets/1-2-0/ColumnLineageDatasetFacet.json#/$defs/ColumnLineageDatasetFacet",
          "dataset": [
            {
              "field": "amount",
              "name": "payments",
              "namespace": "weir://project",
              "transformations": [
                {
                  "description": "",
                  "masking": false,
                  "subtype": "FILTER",
                  "type": "INDIRECT"
                }
              ]
            },
            {
              "field": "customer_id",
              "name": "payments",
              "namespace": "weir://project",
              "transformations": [
                {
                  "description": "",
                  "masking": false,
                  "subtype": "FILTER",
                  "type": "INDIRECT"
                }
              ]
            }
          ],
          "fields": {
            "email": {
              "inputFields": [
                {
                  "field": "email",
                  "name": "payments",
                  "namespace": "weir://project",
                  "transformations": [
                    {
                      "description": "",
                      "masking": true,
                      "subtype": "TRANSFORMATION",
                      "type": "DIRECT"
                    }
                  ]
                }
              ]
            },
            "n": {
              "inputFields": [
                {
                  "field": "flagged",
                  "name": "payments",
                  "namespace": "weir://project",
                  "transformations": [
                    {
                      "description": "",
                      "masking": false,
                      "subtype": "CONDITIONAL",
                      "type": "INDIRECT"
                    }
                  ]
                },
                {
                  "field": "items",
                  "name": "payments",
                  "namespace": "weir://project",
                  "transformations": [
                    {
                      "description": "",
                      "masking": false,
                      "subtype": "TRANSFORMATION",
                      "type": "DIRECT"
                    }
                  ]
                }
              ]
            }
          }
        }"#]].assert_eq(&serde_json::to_string_pretty(&facet).unwrap());
}

fn schemas() -> Option<PathBuf> {
    let data = std::env::var_os("WEIR_TEST_DATA")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"), PathBuf::from);
    let folder = data.join("openlineage");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: the OpenLineage schemas are not there");
    None
}

#[test]
fn facets_are_valid_by_openlineage_schemas() {
    let Some(folder) = schemas() else { return };
    let read = |path: &str| -> Value { serde_json::from_str(&std::fs::read_to_string(folder.join(path)).unwrap()).unwrap() };
    let core = read("OpenLineage.json");
    let schema = read("facets/ColumnLineageDatasetFacet.json");
    let validator = jsonschema::options()
        .with_resource("https://openlineage.io/spec/2-0-2/OpenLineage.json", jsonschema::Resource::from_contents(core).unwrap())
        .build(&schema)
        .unwrap();
    let plan = example();
    for node in &plan.nodes {
        let facet = column_lineage_facet(node, "weir://project", "https://example.org/weir");
        let event = serde_json::json!({ "columnLineage": facet });
        let errors: Vec<_> = validator.iter_errors(&event).map(|error| format!("{}: {error}", error.instance_path)).collect();
        assert!(errors.is_empty(), "{}: {errors:?}", node.name);
    }
    let broken = serde_json::json!({ "columnLineage": { "_producer": "x", "_schemaURL": "y", "fields": { "a": {} } } });
    assert!(!validator.is_valid(&broken));
}
