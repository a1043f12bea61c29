//! What each node that has state was when it made it, and the refusal of state that does not fit any more.

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
                NodeKind::Source(source) => {
                    let format = source.format.map_or(String::new(), |format| format!(" as {}", format.as_str()));
                    format!("source {:?}{format}", source.connector)
                }
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
                NodeKind::Sink(planned) => format!("sink {:?} as {}", planned.sink.connector, planned.sink.format.as_str()),
                _ => return None,
            };
            Some((node.name.clone(), definition))
        })
        .collect()
}

/// Refuses a checkpoint that does not fit the document, and says what changed.
pub fn check_definitions(checkpoint: &Checkpoint, now: &BTreeMap<String, String>) -> Result<(), EngineError> {
    if checkpoint.version > Checkpoint::VERSION {
        return Err(EngineError::Resume(format!(
            "the last checkpoint was written by a newer Weir (layout {}, this one reads up to {})",
            checkpoint.version,
            Checkpoint::VERSION
        )));
    }
    let mut changed: Vec<String> = Vec::new();
    for (name, before) in &checkpoint.definitions {
        let now = now.get(name).map(String::as_str);
        if now != Some(before) {
            let change = change(name, before, now);
            if !changed.contains(&change) {
                changed.push(change);
            }
        }
    }
    if changed.is_empty() {
        return Ok(());
    }
    Err(EngineError::Resume(format!(
        "the document has changed where stored state depends on it: {}. Undo the change, or start anew: `weir run --fresh`, on a server deploy it \
         under a new pipeline name",
        changed.join("; ")
    )))
}

/// What changed in a node, as people know it: by its name in the document, without the plan's own words.
fn change(name: &str, before: &str, now: Option<&str>) -> String {
    let step = name.split('#').next().unwrap_or(name);
    let kind = ["source", "sink"].into_iter().find(|kind| before.split(' ').next() == Some(kind)).unwrap_or("step");
    let Some(now) = now else { return format!("{kind} `{step}` is gone") };
    let what = if kind == "step" { part_changed(before, now) } else { settings_changed(before, now) };
    format!("{kind} `{step}`: {what}")
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

/// Of a source or a sink: the keys of the document whose values are others.
fn settings_changed(before: &str, now: &str) -> String {
    let (before, now) = (settings(before), settings(now));
    let keys: Vec<String> = before
        .iter()
        .filter(|(key, value)| now.iter().all(|(other, changed)| other != key || changed != value))
        .chain(now.iter().filter(|(key, _)| before.iter().all(|(other, _)| other != key)))
        .map(|(key, value)| {
            let was = before.iter().any(|(other, old)| other == key && old == value) && value.starts_with('"');
            if was { format!("`{key}`, which was {value}") } else { format!("`{key}`") }
        })
        .collect();
    if keys.is_empty() { "it is connected with something else".to_owned() } else { format!("its {}", keys.join(", ")) }
}

/// The settings in a definition such as `source File(FileSource { path: "in", header: true }) as csv`.
fn settings(definition: &str) -> Vec<(&str, &str)> {
    let mut settings = Vec::new();
    let (connector, format) = definition.rsplit_once(") as ").unwrap_or((definition, ""));
    if !format.is_empty() {
        settings.push(("format", format));
    }
    let Some((_, fields)) = connector.split_once(" { ") else { return settings };
    let (mut depth, mut quoted, mut escaped, mut from) = (0_i32, false, false, 0);
    for (at, c) in fields.char_indices().chain([(fields.len(), ',')]) {
        match c {
            _ if std::mem::take(&mut escaped) => {}
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '{' | '(' | '[' if !quoted => depth += 1,
            '}' | ')' | ']' if !quoted => depth -= 1,
            ',' if !quoted && depth <= 0 => {
                settings.extend(fields[from..at].trim().split_once(": "));
                from = at + 1;
            }
            _ => {}
        }
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(before: &[(&str, &str)], now: &[(&str, &str)]) -> String {
        let all = |of: &[(&str, &str)]| of.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        let checkpoint = Checkpoint { definitions: all(before), ..Checkpoint::default() };
        check_definitions(&checkpoint, &all(now)).unwrap_err().to_string()
    }

    #[test]
    fn what_changed_is_told_in_the_words_of_the_document() {
        let source = |path: &str, format: &str| {
            format!("source File(FileSource {{ path: {path:?}, delimiter: ',', header: true, null: \"\" }}) as {format}")
        };
        let aggregate = |size: u32, of: &str| format!("AggregateNode {{ keys: [1], size: {size} }} over ({of}) gives (int64)");
        for (name, before, now, expected) in [
            ("in", source("a, b: {", "json"), source("c", "json"), "source `in`: its `path`, which was \"a, b: {\". Undo"),
            ("in", source("a", "json"), source("c", "csv"), "source `in`: its `format`, `path`, which was \"a\". Undo"),
            ("w#1", aggregate(1, "int64"), aggregate(2, "int64"), "step `w`: its GROUP BY, its windows or what it counts"),
            ("w#1", aggregate(1, "int64"), aggregate(1, "int32"), "step `w`: the types of the columns"),
            ("w", aggregate(1, "int64"), "JoinNode { kind: Inner }".to_owned(), "step `w`: it does something else now"),
        ] {
            let refusal = refusal(&[(name, &before)], &[(name, &now)]);
            assert!(refusal.contains(expected), "{refusal}");
            assert!(!refusal.contains("Node") && refusal.contains("weir run --fresh"), "{refusal}");
        }
        assert!(refusal(&[("w#2", "RankNode { limit: 1 }")], &[]).contains("step `w` is gone"));
    }
}
