//! Why was this row held back? And, for those who may, what does it hold?

use leptos::{form::ActionForm, prelude::*};
use weir_api::{QuarantineContent, QuarantineEntry, QuarantineRow};

use super::{param, quarantine::position};
use crate::{
    browser,
    components::{
        badge::StageMark,
        empty::Loading,
        notice::{FaultNotice, FaultPage, Notice, Tone},
        page::PageHead,
        prose::prose,
        time::Moment,
    },
    format, links,
    server_fns::quarantine::{self, Reveal},
    shell::{use_project, use_reader},
};

#[component]
pub fn QuarantineRowPage() -> impl IntoView {
    let (project, segment, row) = (use_project(), param("segment"), param("row"));
    let reader = use_reader();
    let data = Resource::new(
        move || (project.get(), segment.get(), row.get().parse::<u32>().unwrap_or(u32::MAX)),
        |(project, segment, row)| quarantine::entry(project, segment, row),
    );
    let readable =
        Resource::new(move || (project.get(), segment.get()), |(project, segment)| quarantine::readable(project, segment));
    view! {
        <Suspense fallback=|| view! { <div class="page"><Loading/></div> }>
            {move || Suspend::new(async move {
                let may = reader.await.map_or(Ok(()), |me| me.may("quarantine.read"));
                // What the role may do in general may not be so for what these rows hold.
                let may = match (may, readable.await) {
                    (Ok(()), Ok(readable)) => readable,
                    (may, _) => may,
                };
                match data.await {
                    Err(fault) => view! { <FaultPage fault/> }.into_any(),
                    Ok(entry) => view! { <Row project=project.get_untracked() entry may/> }.into_any(),
                }
            })}
        </Suspense>
    }
}

#[component]
fn Row(project: String, entry: QuarantineEntry, may: Result<(), String>) -> impl IntoView {
    let pipeline = entry.pipeline.to_string();
    let crumbs = vec![
        ("Quarantine".to_owned(), links::quarantine(&project)),
        (pipeline.clone(), links::pipeline_tab(&project, &pipeline, "quarantine")),
    ];
    let title = format!("Row {} of {}", format::count(entry.offset + 1), entry.source);
    let story = story(&entry);
    let count = entry.reasons.len() as u64;
    let reasons = entry
        .reasons
        .iter()
        .cloned()
        .map(|reason| {
            let column = reason.column.map(|column| view! { <span>"column " <code>{column}</code></span> });
            view! {
                <li class="finding finding--warning">
                    <p><strong>{prose(&reason.message)}</strong></p>
                    <p class="finding__head"><span>"rule " <code>{reason.rule}</code></span>{column}</p>
                </li>
            }
        })
        .collect_view();
    view! {
        <div class="page page--narrow">
            <PageHead title=title crumbs lead=story/>
            <section class="section" aria-labelledby="reasons">
                <h2 id="reasons">{format!("Why: {}", format::plural(count, "reason", "reasons"))}</h2>
                <ul class="findings">{reasons}</ul>
            </section>
            <section class="section card card--pad" aria-labelledby="where">
                <h2 id="where">"Where it was held"</h2>
                <dl class="facts">
                    <dt>"Stage"</dt><dd><StageMark stage=entry.stage.clone()/></dd>
                    <dt>"Source or step"</dt><dd><code>{entry.node.clone()}</code></dd>
                    <dt>"Position"</dt><dd>{position(&entry)}</dd>
                    <dt>"Contract"</dt><dd>{entry.contract.clone().unwrap_or_else(|| "none: an inline schema".to_owned())}</dd>
                    <dt>"Held"</dt><dd><Moment at=entry.at/></dd>
                    <dt>"Run"</dt><dd><a href=links::run(&project, &entry.run.to_string())><code>{entry.run.to_string()}</code></a></dd>
                </dl>
            </section>
            <Content project entry may/>
        </div>
    }
}

/// One sentence for somebody who has never seen the pipeline.
fn story(entry: &QuarantineEntry) -> String {
    let rule = entry.reasons.first().map_or("", |reason| reason.rule.as_str());
    let what = match (rule, entry.stage.as_str()) {
        ("late", _) => "came too late: the watermark had passed its event time",
        ("runaway", _) => "has an event time too far in the future",
        ("time" | "event_time" | "event_time.missing", _) => "has no event time, which this step goes by",
        ("missing_required", _) => "lacks a field that is required",
        ("wrong_type" | "out_of_range", _) => "has a value that does not fit the type of its field",
        ("duplicate_key", _) => "gives a field twice",
        ("too_many_fields" | "too_few_fields", _) => "has another number of fields than was declared",
        ("syntax" | "not_utf8" | "too_long" | "truncated" | "empty_file", _) => "could not be read as a row",
        ("sql.error", _) => "could not be computed by the step's SQL",
        ("encrypt.no_subject", _) => "names no subject under whose key it could be encrypted",
        ("consent.denied" | "consent.withdrawn" | "consent.expired" | "consent.unknown", _) | (_, "consent") => {
            "has no consent for this purpose"
        }
        (_, "contract") => "does not keep what its contract promises",
        (_, "quality") => "fails a quality rule",
        _ => "did not fit",
    };
    format!("It {what}, so {} held it back; the pipeline went on without it.", entry.node)
}

/// Sealed until it is asked for. Asking is recorded.
#[component]
fn Content(project: String, entry: QuarantineEntry, may: Result<(), String>) -> impl IntoView {
    let reveal = ServerAction::<Reveal>::new();
    // A reading is recorded: it must not be asked for where its answer could not be shown.
    let alive = browser::is_alive();
    let (segment, row) = (entry.segment.to_string(), entry.row);
    let audit = project.clone();
    let form = move || match may.clone() {
        Ok(()) => {
            let (project, segment) = (project.clone(), segment.clone());
            view! {
                <ActionForm action=reveal>
                    <input type="hidden" name="project" value=project/>
                    <input type="hidden" name="segment" value=segment/>
                    <input type="hidden" name="row" value=row/>
                    <button class="btn btn--primary" type="submit" disabled=move || !alive.get() || reveal.pending().get()>"Reveal what it holds"</button>
                    <noscript inner_html="<p class=\"small muted\">Without scripts nothing could be shown, so nothing is opened. The API and <code>weir quarantine show</code> read it as well.</p>"></noscript>
                </ActionForm>
            }
            .into_any()
        }
        Err(reason) => view! {
            <span class="btn-why">
                <button class="btn" type="button" aria-disabled="true">"Reveal what it holds"</button>
                <span class="btn-why__reason">{reason}</span>
            </span>
        }
        .into_any(),
    };
    view! {
        <section class="section" aria-labelledby="content">
            <h2 id="content">"What it holds"</h2>
            {move || match reveal.value().get() {
                Some(Ok(row)) => view! { <Revealed project=audit.clone() row/> }.into_any(),
                Some(Err(fault)) => {
                    let form = form();
                    view! { <FaultNotice fault/> {form} }.into_any()
                }
                None => {
                    let form = form();
                    view! {
                        <Notice tone=Tone::Quiet title="Sealed">
                            <p>"It may hold personal data that was never masked. Opening it writes your name, this row and the time to the audit log."</p>
                        </Notice>
                        {form}
                    }
                    .into_any()
                }
            }}
        </section>
    }
}

#[component]
fn Revealed(project: String, row: QuarantineRow) -> impl IntoView {
    let content = match row.content {
        QuarantineContent::Row { columns: serde_json::Value::Object(columns) } => {
            let why = |column: &str| {
                let reasons = row.entry.reasons.iter().filter(|reason| reason.column.as_deref() == Some(column));
                reasons.map(|reason| reason.rule.clone()).collect::<Vec<_>>().join(", ")
            };
            // Those that the row was held for come first: of a wide row, they are what one looks for.
            let mut columns: Vec<_> = columns.into_iter().map(|(name, value)| (why(&name), name, value)).collect();
            columns.sort_by_key(|(why, ..)| why.is_empty());
            let rows = columns
                .into_iter()
                .map(|(why, name, value)| {
                    let text = match value {
                        serde_json::Value::String(text) => text,
                        other => other.to_string(),
                    };
                    let failing = !why.is_empty();
                    let mark = failing.then(|| view! { <span class="cell-sub failing__why">"▲ " {why}</span> });
                    view! { <tr class:failing=failing><th scope="row"><code>{name}</code></th><td class="break mono">{text}{mark}</td></tr> }
                })
                .collect_view();
            view! { <div class="table-wrap"><table class="table"><caption class="visually-hidden">"Columns of the row"</caption><tbody>{rows}</tbody></table></div> }.into_any()
        }
        QuarantineContent::Row { columns } => view! { <pre class="document" tabindex="0">{columns.to_string()}</pre> }.into_any(),
        QuarantineContent::Text { text, length } => view! {
            {((text.len() as u64) < length).then(|| view! { <p class="small muted">{format!("Cut; the whole row has {} bytes.", format::count(length))}</p> })}
            <pre class="document" tabindex="0">{text}</pre>
        }
        .into_any(),
        QuarantineContent::Bytes { hex, length } => view! {
            <p class="small muted">{format!("Not text; the first of its {} bytes, in hexadecimal:", format::count(length))}</p>
            <pre class="document" tabindex="0">{hex}</pre>
        }
        .into_any(),
    };
    let recorded = match row.leaf_index {
        Some(leaf) => view! { <p>"This reading is " <a href=links::audit_entry(&project, leaf)>{format!("entry {} of the audit log", format::count(leaf))}</a> "."</p> }.into_any(),
        None => view! { <p>"This reading is recorded in the " <a href=links::audit(&project)>"audit log"</a> "."</p> }.into_any(),
    };
    view! {
        <Notice tone=Tone::Info title="Revealed to you">{recorded}</Notice>
        {content}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(stage: &str, rule: &str) -> QuarantineEntry {
        serde_json::from_value(serde_json::json!({
            "segment": "01900000-0000-7000-8000-000000000000", "row": 0, "pipeline": "payments",
            "run": "01900000-0000-7000-8000-000000000001", "stage": stage, "node": "swipes",
            "reasons": [{ "rule": rule, "column": null, "message": "m" }],
            "source": "swipes", "partition": "0", "offset": 7, "byte": null, "contract": null, "at": "2026-01-31T13:05:09Z",
        }))
        .unwrap()
    }

    #[test]
    fn the_story_goes_by_the_rule_not_by_the_stage() {
        for (stage, rule, told) in [
            ("source", "late", "came too late"),
            ("transform", "late", "came too late"),
            ("source", "runaway", "too far in the future"),
            ("decode", "missing_required", "lacks a field"),
            ("decode", "wrong_type", "does not fit the type"),
            ("decode", "syntax", "could not be read as a row"),
            ("contract", "between(amount)", "its contract promises"),
            ("quality", "not_null(card)", "fails a quality rule"),
            ("consent", "consent.unknown", "no consent"),
        ] {
            let story = story(&entry(stage, rule));
            assert!(story.contains(told), "{stage} {rule}: {story}");
        }
    }
}
