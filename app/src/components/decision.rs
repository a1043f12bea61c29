//! The decision record of a checkpoint, as a table for those who would read what was decided, not how it is written.

use leptos::prelude::*;
use serde_json::Value;

use crate::format;

/// What can become of rows, as the record names it, and in words.
const COUNTS: [(&str, &str); 9] = [
    ("in", "In"),
    ("emitted", "Made"),
    ("out", "Out"),
    ("quarantined", "Quarantined"),
    ("malformed", "Malformed"),
    ("denied", "Denied"),
    ("late", "Late"),
    ("dropped", "Dropped or filtered"),
    ("absorbed", "Absorbed"),
];

/// The record of an entry of kind `checkpoint`; nothing for others.
#[component]
pub fn Decision(body: Value) -> impl IntoView {
    let nodes = body["nodes"].as_object().cloned()?;
    let number = |node: &Value, key: &str| node[key].as_u64().unwrap_or(0);
    // What happened nowhere has no column, but for what every node has.
    let columns: Vec<_> = COUNTS
        .into_iter()
        .filter(|(key, _)| matches!(*key, "in" | "out") || nodes.values().any(|node| number(node, key) > 0))
        .collect();
    let head = columns.iter().map(|(_, words)| view! { <th scope="col" class="num">{*words}</th> }).collect_view();
    let rows = nodes
        .iter()
        .map(|(name, node)| {
            let cells = columns
                .iter()
                .map(|(key, words)| {
                    let n = number(node, key);
                    view! { <td class="num" class:zero=n == 0 data-label=*words>{format::count(n)}</td> }
                })
                .collect_view();
            view! { <tr><td><code>{name.clone()}</code></td>{cells}</tr> }
        })
        .collect_view();
    let pipeline = body["pipeline"].as_str().unwrap_or_default().to_owned();
    let epoch = format::count(number(&body, "epoch"));
    Some(view! {
        <section class="section" aria-labelledby="decision">
            <div class="section__head"><h2 id="decision">"What was decided"</h2><p>{format!("Checkpoint {epoch} of {pipeline}, since the one before")}</p></div>
            <div class="table-wrap" role="region" tabindex="0" aria-label="Rows by node, as a table">
                <table class="table table--cards">
                    <caption class="visually-hidden">"Rows by node"</caption>
                    <thead><tr><th scope="col">"Source, step or sink"</th>{head}</tr></thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
            {facts(&body)}
        </section>
    })
}

/// Rules, consent, masking and sinks: what there is of each.
fn facts(body: &Value) -> impl IntoView + use<> {
    let mut facts: Vec<(&'static str, Vec<String>)> = Vec::new();
    let count = |value: &Value, key: &str| format::count(value[key].as_u64().unwrap_or(0));
    let entries = |key: &str| body[key].as_object().cloned().unwrap_or_default();
    let rules = entries("rules").into_iter().flat_map(|(step, rules)| {
        let rules = rules.as_object().cloned().unwrap_or_default();
        rules.into_iter().map(move |(rule, result)| {
            format!("{step}: {rule} failed {} of {}", count(&result, "failed"), count(&result, "evaluated"))
        })
    });
    facts.push(("Rules", rules.collect()));
    let consent = entries("consent").into_iter().map(|(step, asked)| {
        let decisions = asked["decisions"].as_object().cloned().unwrap_or_default();
        let told =
            decisions.into_iter().map(|(decision, rows)| format!("{} {decision}", format::count(rows.as_u64().unwrap_or(0))));
        format!("{step}, for {}: {}", asked["purpose"].as_str().unwrap_or_default(), told.collect::<Vec<_>>().join(", "))
    });
    facts.push(("Consent", consent.collect()));
    let masking = body["masking"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let masking = masking.iter().map(|one| {
        format!("{}: {} by {} in {} rows", text(one, "step"), text(one, "column"), text(one, "operator"), count(one, "rows"))
    });
    facts.push(("Masking", masking.collect()));
    let sinks = entries("sinks").into_iter().map(|(sink, commit)| {
        let files = commit["files"].as_array().map_or(0, Vec::len) as u64;
        let files = if files > 0 { format!(" in {}", format::plural(files, "file", "files")) } else { String::new() };
        format!("{sink}: {} rows, {} bytes{files}", count(&commit, "rows"), count(&commit, "bytes"))
    });
    facts.push(("Sinks", sinks.collect()));
    facts.retain(|(_, lines)| !lines.is_empty());
    let facts = facts
        .into_iter()
        .map(|(name, lines)| {
            let lines = lines.into_iter().map(|line| view! { <li class="break">{line}</li> }).collect_view();
            view! { <dt>{name}</dt><dd><ul>{lines}</ul></dd> }
        })
        .collect_view();
    view! { <dl class="facts small">{facts}</dl> }
}
