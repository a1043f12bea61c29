//! How is the project doing, and what needs attention first?

use std::time::Duration;

use leptos::prelude::*;
use weir_api::{AlertSeverity, Head, PipelineState};

use super::pipelines::PipelineTable;
use crate::{
    browser,
    components::{
        alert::severity_word,
        empty::Loading,
        icon::{Glyph, Icon},
        notice::FaultPage,
        page::{ActionLink, PageHead},
        stat::Stat,
        time::{Ago, use_clock},
    },
    connection::Lasting,
    format, links,
    server_fns::overview::{self, OverviewPage as Data},
    shell::{use_project, use_reader},
};

#[component]
pub fn OverviewPage() -> impl IntoView {
    let project = use_project();
    let reader = use_reader();
    let lasting = Lasting::begin();
    let data = Resource::new(move || project.get(), move |project| lasting.ask(project.clone(), overview::overview(project)));
    lasting.remember(move || project.get(), data);
    browser::every(Duration::from_secs(3), move || data.refetch());
    view! {
        <Transition fallback=|| view! { <div class="page"><Loading/></div> }>
            {move || Suspend::new(async move {
                let me = reader.await;
                match data.await {
                    Err(fault) => view! { <FaultPage fault/> }.into_any(),
                    Ok(data) => {
                        let project = project.get_untracked();
                        let title = me.as_ref().ok().and_then(|me| me.projects.iter().find(|one| Some(&one.project) == me.project.as_ref()).map(|one| one.title.clone()));
                        let may_create = me.map_or(Ok(()), |me| me.may("pipeline.create"));
                        let new = links::new_pipeline(&project);
                        let (shown, total) = (data.pipelines.len() as u64, data.overview.pipelines.total);
                        let rest = (total > shown).then(|| format!("{} shown; see all {}", format::count(shown), format::count(total)));
                        let lead = title.map(|title| format!("{title}: everything that flows, and everything that was held back."));
                        view! {
                            <div class="page">
                                <PageHead
                                    title="Overview" lead=lead.unwrap_or_default()
                                    actions=move || view! { <ActionLink href=new.clone() class="btn" label="New pipeline" allowed=may_create.clone()/> }
                                />
                                <Attention project=project.clone() data=data.clone()/>
                                <Numbers project=project.clone() data=data.clone()/>
                                <section class="section" aria-labelledby="pipelines">
                                    <div class="section__head">
                                        <h2 id="pipelines">"Pipelines"</h2>
                                        <p>{states(&data)} {rest.map(|rest| view! { " · " <a href=links::pipelines(&project)>{rest}</a> })}</p>
                                    </div>
                                    <PipelineTable project rows=data.pipelines/>
                                </section>
                            </div>
                        }
                        .into_any()
                    }
                }
            })}
        </Transition>
    }
}

fn states(data: &Data) -> String {
    let counts = data.overview.pipelines;
    format!("{} running · {} failed · {} other", counts.running, counts.failed, counts.other)
}

/// What someone should look at, the worst first; or that there is nothing.
#[component]
fn Attention(project: String, data: Data) -> impl IntoView {
    let mut items = Vec::new();
    for row in data.pipelines.iter().filter(|row| row.summary.state == PipelineState::Failed) {
        let name = row.summary.name.as_str();
        let why = row.run.as_ref().and_then(|run| run.failure.as_ref()).map(|failure| failure.message.clone());
        let href =
            row.run.as_ref().map_or(links::pipeline(&project, name), |run| links::run(&project, &run.summary.id.to_string()));
        let text = why.map_or(format!("{name} failed"), |why| format!("{name} failed: {why}"));
        items.push(("is-bad", Glyph::Alert, text, "See the run", href));
    }
    if let Some(open) = data.overview.open_alerts.filter(|open| open.total > 0) {
        let worst = open.worst.map_or("", severity_word);
        let class = if open.worst > Some(AlertSeverity::Warn) { "is-bad" } else { "is-warn" };
        let text = match open.total {
            1 => format!("1 alert is open ({worst})"),
            n => format!("{} alerts are open, the worst of them {worst}", format::count(n)),
        };
        items.push((class, Glyph::Alert, text, "See them", links::alerts(&project)));
    }
    if data.overview.quarantined_rows > 0 {
        let rows = format::plural(data.overview.quarantined_rows, "row is held", "rows are held");
        items.push(("is-warn", Glyph::Quarantine, format!("{rows} in quarantine"), "Read why", links::quarantine(&project)));
    }
    for row in &data.pipelines {
        let (name, newest) = (row.summary.name.as_str(), row.summary.version);
        if let Some(deployed) = row.summary.deployed_version.filter(|deployed| *deployed < newest) {
            let text = format!("{name} runs version {deployed}; version {newest} is saved but not deployed");
            items.push(("", Glyph::Info, text, "Review it", links::pipeline_tab(&project, name, "document")));
        }
    }
    if items.is_empty() {
        return view! {
            <p class="row small"><span class="is-balanced"><Icon glyph=Glyph::Check/></span>"Nothing needs your attention."</p>
        }
        .into_any();
    }
    let items = items
        .into_iter()
        .map(|(class, glyph, text, go, href)| {
            view! {
                <li class=class>
                    <a href=href>
                        <Icon glyph/>
                        <span class="break">{text}</span>
                        <span class="attention__go">{go}" →"</span>
                    </a>
                </li>
            }
        })
        .collect_view();
    view! {
        <section class="section" aria-labelledby="attention">
            <h2 id="attention">"Needs attention"</h2>
            <ul class="attention">{items}</ul>
        </section>
    }
    .into_any()
}

#[component]
fn Numbers(project: String, data: Data) -> impl IntoView {
    let Data { overview, .. } = data;
    let quarantined = overview.quarantined_rows;
    let evidence = overview.evidence;
    let signed = evidence.head.clone();
    view! {
        <div class="stats">
            <Stat label="Read" value=format::short(overview.rows_in_per_second) unit="rows/s" note="by all sources".to_owned()/>
            <Stat label="Written" value=format::short(overview.rows_out_per_second) unit="rows/s" note="to all sinks".to_owned()/>
            <Stat label="Rejected" value=format::short(overview.rejects_per_second) unit="rows/s" note="quarantined, denied, late or dropped".to_owned()/>
            <Stat label="Filtered by SQL" value=format::short(overview.filtered_per_second) unit="rows/s" note="left out by a WHERE".to_owned()/>
            <Stat
                label="In quarantine" value=format::count(quarantined) unit={if quarantined == 1 { "row" } else { "rows" }}
                note="held now, of all runs, with every reason".to_owned() href=links::quarantine(&project) tone={if quarantined > 0 { "warn" } else { "" }}
            />
            {overview.open_alerts.map(|open| {
                let note = if open.total == 0 { "nothing is wrong that steps look for".to_owned() } else { format!("{} not acknowledged", format::count(open.unacknowledged)) };
                let tone = match open.worst {
                    None => "",
                    Some(AlertSeverity::Warn) => "warn",
                    Some(_) => "bad",
                };
                view! { <Stat label="Open alerts" value=format::count(open.total) note=note href=links::alerts(&project) tone/> }
            })}
            <Stat label="Evidence" value=format::count(evidence.leaves) unit="entries" href=links::audit(&project)>
                <span class="stat__note">{match signed {
                    Some(head) => view! { <SignedHead head/> }.into_any(),
                    None => "no signed head yet".into_any(),
                }}</span>
            </Stat>
        </div>
    }
}

/// How far the newest signature reaches. Older than five minutes is said so: heads are due every minute.
#[component]
fn SignedHead(head: Head) -> impl IntoView {
    let clock = use_clock();
    let at = head.signed_at;
    let overdue = Memo::new(move |_| (clock.now() - at).num_minutes() >= 5);
    view! {
        "signed to " {format::count(head.size)} ", " <Ago at/>
        {move || overdue.get().then_some(" · overdue")}
    }
}
