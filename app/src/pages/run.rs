//! What became of every row of this run?

use std::time::Duration;

use leptos::prelude::*;
use weir_api::{CheckpointSummary, NodeCounters, NodeKind, RunDetail};

use super::param;
use crate::{
    browser,
    components::{
        badge::RunBadge,
        balance::{Balance, RunBalance, not_kept, remainder},
        empty::Loading,
        notice::{FaultPage, Notice, Tone},
        page::PageHead,
        stat::Stat,
        time::{Ago, Moment, lasted},
    },
    connection::Lasting,
    format, links,
    server_fns::runs,
    shell::use_project,
};

#[component]
pub fn RunPage() -> impl IntoView {
    let (project, id) = (use_project(), param("id"));
    let lasting = Lasting::begin();
    let data = Resource::new(
        move || (project.get(), id.get()),
        move |(project, id)| lasting.ask((project.clone(), id.clone()), runs::run(project, id)),
    );
    lasting.remember(move || (project.get(), id.get()), data);
    let over = StoredValue::new(false);
    browser::every(Duration::from_secs(3), move || {
        if !over.get_value() {
            data.refetch();
        }
    });
    view! {
        <Transition fallback=|| view! { <div class="page"><Loading/></div> }>
            {move || Suspend::new(async move {
                match data.await {
                    Err(fault) => view! { <FaultPage fault/> }.into_any(),
                    Ok(run) => {
                        over.set_value(run.summary.state.is_over());
                        view! { <Run project=project.get_untracked() run/> }.into_any()
                    }
                }
            })}
        </Transition>
    }
}

#[component]
fn Run(project: String, run: RunDetail) -> impl IntoView {
    let summary = run.summary.clone();
    let pipeline = summary.pipeline.to_string();
    let crumbs = vec![
        ("Pipelines".to_owned(), links::pipelines(&project)),
        (pipeline.clone(), links::pipeline(&project, &pipeline)),
        ("Runs".to_owned(), links::pipeline_tab(&project, &pipeline, "runs")),
    ];
    let state = summary.state;
    let rows = summary.rows;
    let goes_on = run.pipeline_rows != rows;
    let balanced = run.nodes.iter().all(|node| remainder(node) == 0);
    let nodes = run
        .nodes
        .iter()
        .cloned()
        .map(|node| {
            let kind = match node.kind {
                NodeKind::Source => "source",
                NodeKind::Step => "step",
                NodeKind::Sink => "sink",
            };
            let name = node.node.clone();
            let run = run.summary.id.to_string();
            let why = links::with_query(&links::quarantine(&project), [("run", run.as_str()), ("node", name.as_str())]);
            let why = (node.held > 0).then(|| view! { <p class="small"><a href=why>"Read why"</a></p> });
            view! {
                <li>
                    <div><h3 class="break">{name}</h3><p class="small muted">{kind}</p></div>
                    <div class="stack stack--tight"><Balance node/>{why}</div>
                </li>
            }
        })
        .collect_view();
    let failure = run.failure.clone().map(|failure| {
        view! {
            <Notice tone=Tone::Bad title="It failed">
                <p>{failure.node.map(|node| format!("{node}: "))}{failure.message}</p>
                {failure.at.map(|at| view! { <p class="notice__meta"><Moment at/></p> })}
            </Notice>
        }
    });
    let quarantine = links::with_query(&links::quarantine(&project), [("run", summary.id.to_string().as_str())]);
    view! {
        <div class="page">
            <PageHead title=format!("Run of {pipeline}") crumbs beside=move || view! { <RunBadge state/> }/>
            <p class="row small muted">
                <span>"Run " <code class="break">{summary.id.to_string()}</code></span>
                <span>"Version " {summary.version}</span>
                <span>"Document " <span class="hash" title=run.document_hash.clone()>{format::short_hash(&run.document_hash)}</span></span>
                {summary.started_at.map(|at| view! { <span>"Started " <Moment at/></span> })}
                {summary.ended_at.map(|at| view! { <span>"Ended " <Moment at/></span> })}
                {(run.restarts > 0).then(|| view! { <span>{format!("Taken up again {}", format::plural(run.restarts.into(), "time", "times"))}</span> })}
                {run.worker.map(|worker| view! { <span>"Worker " <code>{worker}</code></span> })}
            </p>
            {failure}
            <div class="stats">
                <Stat label="Rows in" value=format::count(rows.rows_in)/>
                {(rows.rows_made > 0).then(|| view! { <Stat label="Made" value=format::count(rows.rows_made) note="put out by windows and joins, or taken on twice".to_owned()/> })}
                <Stat label="Rows out" value=format::count(rows.rows_out)/>
                <Stat
                    label="Quarantined" value=format::count(rows.rows_quarantined) href=quarantine
                    note=format::share(rows.rows_quarantined, rows.rows_in) + " of rows in, held"
                    tone={if rows.rows_quarantined > 0 { "warn" } else { "" }}
                />
                <Stat label="Refused" value=format::count(rows.rows_refused) note=refused(&run.nodes)/>
                <Stat label="Filtered by SQL" value=format::count(rows.rows_filtered) note="left out by a WHERE".to_owned()/>
                {(rows.rows_absorbed > 0).then(|| view! { <Stat label="Absorbed" value=format::count(rows.rows_absorbed) note="into windows, joins and patterns".to_owned()/> })}
                <Stat label="Lasted" value=summary.started_at.map_or(Signal::stored("–".to_owned()), |from| lasted(from, summary.ended_at))/>
            </div>
            <section class="section" aria-labelledby="balance">
                <div class="section__head">
                    <h2 id="balance">"Where every row of this run went"</h2>
                    <p>{if balanced { "Every row is accounted for at every node." } else { "Some rows are unaccounted for." }}</p>
                </div>
                {if run.nodes.is_empty() {
                    view! { <p class="small muted">"No counts yet: the first checkpoint brings them."</p> }.into_any()
                } else {
                    view! {
                        <ul class="ledger">
                            <li>
                                <div><h3>"The whole run"</h3><p class="small muted">"all nodes together"</p></div>
                                <RunBalance rows/>
                            </li>
                            {nodes}
                        </ul>
                        {goes_on.then(|| view! {
                            <details class="small">
                                <summary>"The pipeline since its first start, this run included"</summary>
                                <div class="ledger"><div class="card--pad"><RunBalance rows=run.pipeline_rows/></div></div>
                            </details>
                        })}
                    }
                    .into_any()
                }}
            </section>
            <Checkpoints project checkpoints=run.checkpoints total=summary.checkpoints/>
        </div>
    }
}

/// What the refused rows of a run were, as far as there are any.
fn refused(nodes: &[NodeCounters]) -> String {
    let sum = |of: fn(&NodeCounters) -> u64| nodes.iter().map(of).sum::<u64>();
    let parts = [
        (sum(|node| node.denied), "denied"),
        (sum(|node| node.dropped), "dropped by a rule"),
        (sum(not_kept), "malformed or late, not kept"),
    ];
    let told: Vec<String> =
        parts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{} {what}", format::count(*n))).collect();
    if told.is_empty() { "none denied or dropped".to_owned() } else { told.join(", ") }
}

/// Each checkpoint with the entry of the audit log that holds its decisions.
#[component]
fn Checkpoints(project: String, checkpoints: Vec<CheckpointSummary>, total: u64) -> impl IntoView {
    if checkpoints.is_empty() {
        return view! {
            <section class="section">
                <h2>"Checkpoints"</h2>
                <p class="small muted">"None yet. A checkpoint commits rows, positions and evidence together."</p>
            </section>
        }
        .into_any();
    }
    let shown = checkpoints.len() as u64;
    let rows = checkpoints
        .into_iter()
        .map(|checkpoint| {
            let evidence = match checkpoint.leaf_index {
                Some(leaf) => view! { <a href=links::audit_entry(&project, leaf)>{format!("entry {}", format::count(leaf))}</a> }.into_any(),
                None => "–".into_any(),
            };
            let positions = checkpoint
                .positions
                .iter()
                .map(|at| format!("{} {} row {}{}", at.source, at.partition, format::count(at.row), if at.done { " (end)" } else { "" }))
                .collect::<Vec<_>>()
                .join(" · ");
            view! {
                <tr>
                    <td class="num">{format::count(checkpoint.epoch)}</td>
                    <td class="num" data-label="When"><Ago at=checkpoint.at/></td>
                    <td class="num" data-label="Took">{checkpoint.duration_ms.map_or("–".to_owned(), |ms| format::span(ms as i64))}</td>
                    <td class="num" data-label="Rows in, in all">{format::count(checkpoint.rows_in)}</td>
                    <td class="num" data-label="Rows out, in all">{format::count(checkpoint.rows_out)}</td>
                    <td data-label="Evidence">{evidence}</td>
                    <td data-label="Positions"><span class="cell-sub">{positions}</span></td>
                </tr>
            }
        })
        .collect_view();
    view! {
        <section class="section" aria-labelledby="checkpoints">
            <div class="section__head">
                <h2 id="checkpoints">"Checkpoints"</h2>
                <p>{format!("The newest {} of {}. Rows, positions and evidence are committed together.", format::count(shown), format::count(total.max(shown)))}</p>
            </div>
            <div class="table-wrap">
                <table class="table table--cards">
                    <caption class="visually-hidden">"Checkpoints, newest first"</caption>
                    <thead>
                        <tr>
                            <th scope="col" class="num">"Epoch"</th>
                            <th scope="col" class="num">"When"</th>
                            <th scope="col" class="num">"Took"</th>
                            <th scope="col" class="num" title="Since the pipeline's first start">"Rows in, in all"</th>
                            <th scope="col" class="num" title="Since the pipeline's first start">"Rows out, in all"</th>
                            <th scope="col">"Evidence"</th>
                            <th scope="col">"Positions"</th>
                        </tr>
                    </thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
        </section>
    }
    .into_any()
}
