//! What each node that has state was when it made it, and the refusal of state that does not fit any more.

mod connector;
mod debug_text;

use std::collections::BTreeMap;

use weir_plan::{NodeKind, Plan};
use weir_spec::quality::Check;

use crate::{checkpoint::Checkpoint, error::EngineError};

/// What each node that has state is. State is restored only into an equal definition.
pub fn definitions(plan: &Plan) -> BTreeMap<String, String> {
    plan.nodes
        .iter()
        .filter_map(|node| {
            let definition = match &node.kind {
                NodeKind::Source(source) => connector::source(source),
                NodeKind::Quality(quality) => {
                    let unique: Vec<String> = quality
                        .rules
                        .iter()
                        .filter_map(|rule| match &rule.check {
                            Check::Unique { columns, within } => Some(format!("unique({}) within {within}", columns.join(", "))),
                            _ => None,
                        })
                        .collect();
                    if unique.is_empty() {
                        return None;
                    }
                    format!("quality {}", unique.join("; "))
                }
                NodeKind::Operator(planned) => planned.definition.clone(),
                NodeKind::Sink(planned) => connector::sink(&planned.sink),
                _ => return None,
            };
            Some((node.name.clone(), definition))
        })
        .collect()
}

/// Refuses a checkpoint that does not fit the document, and says what changed.
pub fn check_definitions(checkpoint: &Checkpoint, plan: &Plan) -> Result<(), EngineError> {
    if checkpoint.version > Checkpoint::VERSION {
        return Err(EngineError::Resume(format!(
            "the last checkpoint was written by a newer Weir (layout {}, this one reads up to {})",
            checkpoint.version,
            Checkpoint::VERSION
        )));
    }
    check(&checkpoint.definitions, plan)
}

/// Refuses a plan that could not go on where a run of the plan `before` ends, and says what changed.
pub fn check_replacement(before: &Plan, plan: &Plan) -> Result<(), EngineError> {
    check(&definitions(before), plan)
}

fn check(before: &BTreeMap<String, String>, plan: &Plan) -> Result<(), EngineError> {
    let now = definitions(plan);
    let mut changed: Vec<String> = Vec::new();
    for (name, before) in before {
        let before = in_this_layout(name, before, plan);
        let now = now.get(name).map(String::as_str);
        if now == Some(&before) {
            continue;
        }
        let change = change(name, &before, now);
        if !changed.contains(&change) {
            changed.push(change);
        }
    }
    if changed.is_empty() {
        return Ok(());
    }
    Err(EngineError::Resume(format!(
        "the document has changed where stored state depends on it: {}. Undo the change, or start anew: `weir run --fresh`, on a server \
         deploy it with `fresh`, or under a new pipeline name",
        changed.join("; ")
    )))
}

/// What changed in a node, as people know it: by its name in the document, without the plan's own words.
fn change(name: &str, before: &str, now: Option<&str>) -> String {
    let step = name.split('#').next().unwrap_or(name);
    let is = |kind: &&str| before.strip_prefix(*kind).is_some_and(|rest| rest.starts_with([' ', '/']));
    let kind = ["source", "sink"].into_iter().find(is).unwrap_or("step");
    match now {
        None => format!("{kind} `{step}` is gone"),
        Some(now) if kind == "step" => format!("step `{step}`: {}", part_changed(before, now)),
        Some(now) => format!("`{name}` was {}, and is now {}", shown(before), shown(now)),
    }
}

/// Of a step with state.
fn part_changed(before: &str, now: &str) -> String {
    let does = |definition: &str| definition.rsplit_once(" over (").map(|(does, _)| does.to_owned());
    if does(before).is_some() && does(before) == does(now) {
        return "the types of the columns that it reads or gives".to_owned();
    }
    let kinds = [
        ("AggregateNode", "its GROUP BY, its windows or what it counts and sums up"),
        ("JoinNode", "what it joins by"),
        ("RankNode", "its ROW_NUMBER(): by what rows are told apart and ordered, or how many are kept"),
        ("MatchNode", "its MATCH_RECOGNIZE"),
        ("quality", "its `unique` rules"),
        ("measure", "its rules over windows, or the windows"),
        ("alert", "its condition or its key"),
    ];
    let known = kinds.iter().find(|(kind, _)| before.starts_with(kind) && now.starts_with(kind));
    known.map_or_else(|| "it does something else now".to_owned(), |(_, what)| (*what).to_owned())
}

/// What a checkpoint says of a node, as this version would say it.
fn in_this_layout(name: &str, before: &str, plan: &Plan) -> String {
    let source = plan.nodes.iter().find(|node| node.name == name).and_then(|node| match &node.kind {
        NodeKind::Source(source) => Some(source),
        _ => None,
    });
    connector::translated(before, source).unwrap_or_else(|| before.to_owned())
}

/// A definition without what only machines ask for.
fn shown(definition: &str) -> &str {
    let connector = definition.strip_prefix(connector::SOURCE).or_else(|| definition.strip_prefix(connector::SINK));
    connector.unwrap_or(definition)
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn what_changed_in_a_step_is_told_in_the_words_of_the_document() {
        let aggregate = |size: u32, of: &str| format!("AggregateNode {{ keys: [1], size: {size} }} over ({of}) gives (int64)");
        for (name, before, now, expected) in [
            (
                "w#1",
                aggregate(1, "int64"),
                Some(aggregate(2, "int64")),
                "step `w`: its GROUP BY, its windows or what it counts and sums up",
            ),
            (
                "w#1",
                aggregate(1, "int64"),
                Some(aggregate(1, "int32")),
                "step `w`: the types of the columns that it reads or gives",
            ),
            ("w", aggregate(1, "int64"), Some("JoinNode { kind: Inner }".to_owned()), "step `w`: it does something else now"),
            ("w#2", "RankNode { limit: 1 }".to_owned(), None, "step `w` is gone"),
        ] {
            assert_eq!(change(name, &before, now.as_deref()), expected);
        }
    }

    use weir_plan::Lookup;
    use weir_spec::{Column, Contract, connector::GeneratorKind, contract::ContractRef};

    struct Generators;

    impl Lookup for Generators {
        fn contract(&self, _: &ContractRef) -> Option<Contract> {
            None
        }
        fn contract_names(&self) -> Vec<String> {
            Vec::new()
        }
        fn generator_columns(&self, kind: GeneratorKind) -> Vec<Column> {
            weir_connectors::generator::columns(kind)
        }
    }

    fn plan(source: &str, sink: &str) -> Plan {
        let document = format!(
            "apiVersion: weir/v1\nkind: Pipeline\nname: kept\npurpose: essential.service\nbasis: contract\n\
             sources:\n  rows: {{ {source} }}\nsinks:\n  out: {{ from: rows, clearance: restricted, {sink} }}\n"
        );
        let planned = weir_plan::plan(&weir_spec::parse_pipeline(&document).value.unwrap(), &Generators);
        planned.plan.unwrap_or_else(|| panic!("{:?}", planned.diagnostics))
    }

    const SCHEMA: &str = "schema: [ { name: id, type: int64 }, { name: kind, type: string } ]";
    const SINK: &str = "file: { path: out }";

    fn goes_on(before: &Plan, after: &Plan) -> bool {
        check_replacement(before, after).is_ok()
    }

    #[test]
    fn what_changes_speed_only_changes_no_definition() {
        let same = [
            ("http: { max_backlog_mib: 64 }", "http: { max_backlog_mib: 1 }", SCHEMA),
            ("file: { path: a.ndjson, max_line: 100 }", "file: { path: a.ndjson, max_line: 2000 }", SCHEMA),
            ("generator: { kind: payments, rate: 10 }", "generator: { kind: payments, rate: 500, rows: 9 }", ""),
        ];
        for (before, after, schema) in same {
            let of = |source: &str| {
                plan(&[source, schema].iter().filter(|s| !s.is_empty()).copied().collect::<Vec<_>>().join(", "), SINK)
            };
            assert!(goes_on(&of(before), &of(after)), "{before} to {after}");
        }
        let source = format!("http: {{}}, {SCHEMA}");
        let larger = "file: { path: out, max_file_mib: 9, compression: gzip }";
        assert!(goes_on(&plan(&source, SINK), &plan(&source, larger)));
    }

    #[test]
    fn what_positions_and_pre_commits_depend_on_changes_it() {
        let other = [
            ("file: { path: a.ndjson }", "file: { path: b.ndjson }", SCHEMA),
            ("file: { path: a.ndjson }", "file: { path: a.ndjson, compression: gzip }", SCHEMA),
            ("http: {}", "file: { path: a.ndjson }", SCHEMA),
            ("generator: { kind: payments }", "generator: { kind: payments, seed: 2 }", ""),
            ("generator: { kind: payments }", "generator: { kind: payments, faults: 0.5 }", ""),
        ];
        for (before, after, schema) in other {
            let of = |source: &str| {
                plan(&[source, schema].iter().filter(|s| !s.is_empty()).copied().collect::<Vec<_>>().join(", "), SINK)
            };
            assert!(!goes_on(&of(before), &of(after)), "{before} to {after}");
        }
        let source = format!("http: {{}}, {SCHEMA}");
        for sink in ["file: { path: other }", "file: { path: out }, format: csv", "file: { path: out, partition_by: [kind] }"] {
            assert!(!goes_on(&plan(&source, SINK), &plan(&source, sink)), "{sink}");
        }
    }

    fn stored(source: &str) -> Checkpoint {
        let definitions = BTreeMap::from([
            ("rows".to_owned(), source.to_owned()),
            (
                "out".to_owned(),
                "sink File(FileSink { path: \"out\", compression: None, partition_by: [], partition_time: None, max_file_mib: 256 }) as json".to_owned(),
            ),
        ]);
        Checkpoint { version: 2, definitions, ..Checkpoint::default() }
    }

    #[test]
    fn a_checkpoint_of_the_layout_before_is_taken_where_it_means_the_same() {
        let http = stored("source Http(HttpSource { max_backlog_mib: 256 }) as json");
        let now = |source: &str| plan(&format!("{source}, {SCHEMA}"), SINK);
        check_definitions(&http, &now("http: { max_backlog_mib: 1 }")).unwrap();
        let error = check_definitions(&http, &now("file: { path: a.ndjson }")).unwrap_err().to_string();
        assert!(error.contains("`rows` was http {} as json, and is now file {\"path\":\"a.ndjson\"} as json"), "{error}");

        let generated = |rate: u64| {
            stored(&format!(
                "source Generator(GeneratorSource {{ kind: Payments, seed: 1, rate: Some({rate}), rows: None, subjects: 10000, faults: 0.0, late: 0.0, anomalies: 0.001, start: None }})"
            ))
        };
        let paced = plan("generator: { kind: payments, rate: 50 }", SINK);
        check_definitions(&generated(50), &paced).unwrap();
        let error = check_definitions(&generated(60), &paced).unwrap_err().to_string();
        assert!(error.contains("at 60 rows a second"), "its positions do not tell the event time: {error}");
    }
}
