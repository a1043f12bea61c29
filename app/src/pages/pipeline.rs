//! One pipeline: what it is, what flows through it, and its document, runs, quality, alerts and quarantine as tabs.

use std::time::Duration;

use leptos::prelude::*;
use weir_api::{AlertSeverity, Diagnostic, FailureDomain, Me, PipelineState, RunState, Severity};

use super::{
    alerts::AlertList,
    param,
    pipeline_actions::{Actions, Confirm},
    pipeline_graph::{GraphTab, Live},
    pipeline_quality::QualityTab,
    quarantine::QuarantineList,
    query,
    runs::RunTable,
};
use crate::{
    browser,
    components::{
        alert::severity_word,
        badge::PipelineBadge,
        diff::Diff,
        editor::{CodeView, Findings},
        empty::{Empty, Loading},
        icon::Glyph,
        notice::{FaultNotice, FaultPage, Notice, Tone},
        page::{ActionLink, PageHead, Tabs},
        time::Ago,
    },
    connection::Lasting,
    drafts, format, links,
    server_fns::pipelines::{self, PipelinePage as Data},
    shell::{use_project, use_reader},
};

#[component]
pub fn PipelinePage() -> impl IntoView {
    let (project, name, tab, confirm) = (use_project(), param("name"), param("tab"), query("confirm"));
    let reader = use_reader();
    let chosen = query("node");
    let live = Live::new(project);
    let lasting = Lasting::begin();
    let data = Resource::new(
        move || (project.get(), name.get()),
        move |(project, name)| lasting.ask((project.clone(), name.clone()), pipelines::pipeline(project, name)),
    );
    lasting.remember(move || (project.get(), name.get()), data);
    browser::every(Duration::from_secs(4), move || {
        if confirm.with_untracked(String::is_empty) {
            data.refetch();
        }
    });
    view! {
        <Transition fallback=|| view! { <div class="page"><Loading/></div> }>
            {move || Suspend::new(async move {
                let me = reader.await;
                match data.await {
                    Err(fault) => view! { <FaultPage fault/> }.into_any(),
                    Ok(page) => {
                        live.follow(&page);
                        let project = project.get_untracked();
                        settle_drafts(me.as_ref().ok(), &project, &page);
                        let summary = page.pipeline.summary.clone();
                        let name = summary.name.to_string();
                        let crumbs = vec![("Pipelines".to_owned(), links::pipelines(&project))];
                        let state = page.pipeline.deployment.as_ref().map_or(summary.state, |deployment| deployment.state);
                        let actions = {
                            let (project, page, me) = (project.clone(), page.clone(), me.clone());
                            move || view! { <Actions project=project.clone() page=page.clone() me=me.clone().ok()/> }
                        };
                        let lead = summary.description.clone().unwrap_or_default();
                        view! {
                            <div class="page page--wide">
                                <PageHead title=name.clone() lead=lead crumbs beside=move || view! { <PipelineBadge state/> } actions/>
                                <Facts page=page.clone()/>
                                <Failure project=project.clone() page=page.clone()/>
                                {
                                    let (project, page) = (project.clone(), page.clone());
                                    // Where they are listed, that need not be said.
                                    move || (tab.get() != "alerts").then(|| view! { <OpenAlerts project=project.clone() page=page.clone()/> })
                                }
                                {
                                    let (project, name, held) = (project.clone(), name.clone(), page.held.iter().map(|held| held.rows).sum::<u64>());
                                    let open = page.open_alerts.map(|open| open.total);
                                    move || {
                                        let at = |tab: &str| links::pipeline_tab(&project, &name, tab);
                                        let here = tab.get();
                                        let one = |title: &str, slug: &str, count| (title.to_owned(), at(slug), count, here == slug);
                                        let tabs = vec![
                                            ("Graph".to_owned(), links::pipeline(&project, &name), None, here.is_empty()),
                                            one("Document", "document", None),
                                            one("Runs", "runs", None),
                                            one("Quality", "quality", None),
                                            one("Alerts", "alerts", open.filter(|n| *n > 0)),
                                            one("Quarantine", "quarantine", Some(held).filter(|n| *n > 0)),
                                        ];
                                        view! { <Tabs label="Pipeline" tabs/> }
                                    }
                                }
                                {move || {
                                    let (project, page, name) = (project.clone(), page.clone(), name.clone());
                                    let may_edit = me.as_ref().map_or(Ok(()), |me| me.may("pipeline.update"));
                                    match tab.get().as_str() {
                                        "" => view! { <GraphTab project page live chosen/> }.into_any(),
                                        "document" => view! { <DocumentTab project page may_edit/> }.into_any(),
                                        "runs" => view! { <RunTable project pipeline=Some(name)/> }.into_any(),
                                        "quality" => view! { <QualityTab project pipeline=name/> }.into_any(),
                                        "alerts" => view! { <AlertList project pipeline=Some(name)/> }.into_any(),
                                        "quarantine" => view! { <QuarantineList project pipeline=Some(name)/> }.into_any(),
                                        _ => view! { <super::not_found::NotFound/> }.into_any(),
                                    }
                                }}
                            </div>
                        }
                        .into_any()
                    }
                }
            })}
        </Transition>
        <Confirm project name question=confirm data reader/>
    }
}

/// What is saved now need not be kept as a draft.
fn settle_drafts(me: Option<&Me>, project: &str, page: &Data) {
    let Some(me) = me else { return };
    let (reader, project, name) = (me.name.to_string(), project.to_owned(), page.pipeline.summary.name.to_string());
    let saved = page.pipeline.document.clone();
    Effect::new(move |_| drafts::settle(&reader, &project, &name, &saved));
}

/// Purpose, owner, versions: what a steward asks first.
#[component]
fn Facts(page: Data) -> impl IntoView {
    let summary = page.pipeline.summary;
    let deployed = match summary.deployed_version {
        Some(deployed) if deployed == summary.version => format!("version {deployed}, the newest"),
        Some(deployed) => format!("version {deployed} of {}", summary.version),
        None => "never".to_owned(),
    };
    let by = summary.updated_by.map(|user| format!(" by {}", user.name)).unwrap_or_default();
    view! {
        <p class="row small muted">
            <span>"Purpose " <code>{summary.purpose}</code></span>
            {summary.owner.map(|owner| view! { <span>"Owner " <code>{owner}</code></span> })}
            <span>"Deployed: " {deployed}</span>
            <span>"Changed " <Ago at=summary.updated_at/> {by}</span>
            <span>"SHA-256 " <span class="hash" title=page.pipeline.hash.clone()>{format::short_hash(&page.pipeline.hash)}</span></span>
        </p>
    }
}

/// Why the newest run failed and whose turn it is; or why the document no longer plans.
#[component]
fn Failure(project: String, page: Data) -> impl IntoView {
    let failure = page.run.as_ref().filter(|run| run.summary.state == RunState::Failed).and_then(|run| {
        let failure = run.failure.clone()?;
        Some((failure, links::run(&project, &run.summary.id.to_string())))
    });
    let failure = failure.map(|(failure, href)| {
        let whose = match failure.domain {
            FailureDomain::User => "The document or the data must change before it is deployed again.",
            FailureDomain::External => "Another system failed: a disk, a network, a service. Deploy again when it is back; the run goes on where it stopped.",
            FailureDomain::Internal => "This is a fault of Weir itself. Please report it with the run's id.",
        };
        view! {
            <Notice tone=Tone::Bad title="The newest run failed">
                <p>{failure.node.map(|node| format!("{node}: "))}{failure.message}</p>
                <p>{whose} " " <a href=href>"See the run"</a></p>
            </Notice>
        }
    });
    let summary = &page.pipeline.summary;
    let errors: Vec<_> = page.pipeline.diagnostics.iter().filter(|finding| finding.severity == Severity::Error).collect();
    let broken = errors.first().map(|first| {
        let version = summary.version;
        // What was deployed had planned.
        let then = match summary.deployed_version {
            Some(deployed) if deployed == version => {
                format!("Version {version} planned when it was deployed: something that it refers to has changed since.")
            }
            _ => format!("Version {version} cannot be deployed until this is mended."),
        };
        let more = match errors.len() as u64 - 1 {
            0 => String::new(),
            more => format!(
                " There {} {}.",
                if more == 1 { "is" } else { "are" },
                format::plural(more, "further error", "further errors")
            ),
        };
        view! { <Notice tone=Tone::Bad title=headline(first)><p>{then} {more}</p></Notice> }
    });
    view! { {failure} {broken} }
}

/// A finding in a few words.
fn headline(finding: &Diagnostic) -> String {
    match (&finding.trail, finding.code.as_str()) {
        (Some(trail), "leak") => format!("`{}` would leak to `{}`", trail.column, trail.sink),
        (Some(trail), "purpose") => format!("The purpose does not allow `{}` in `{}`", trail.column, trail.sink),
        _ => finding.message.clone(),
    }
}

/// That alerts of the pipeline are open, and how bad the worst is.
#[component]
fn OpenAlerts(project: String, page: Data) -> impl IntoView {
    page.open_alerts.filter(|open| open.total > 0).map(|open| {
        let worst = open.worst.map_or("", severity_word);
        let title = match open.total {
            1 => format!("1 alert is open ({worst})"),
            n => format!("{} alerts are open, the worst of them {worst}", format::count(n)),
        };
        let tone = if open.worst > Some(AlertSeverity::Warn) { Tone::Bad } else { Tone::Warn };
        let href = links::pipeline_tab(&project, page.pipeline.summary.name.as_str(), "alerts");
        let note = match open.unacknowledged {
            0 => "Somebody has taken note of each.".to_owned(),
            n => format!("{} not acknowledged.", format::count(n)),
        };
        view! { <Notice tone title><p>{note} " " <a href=href>"See them"</a></p></Notice> }
    })
}

/// The document, its findings, its versions and what changed between them.
#[component]
fn DocumentTab(project: String, page: Data, may_edit: Result<(), String>) -> impl IntoView {
    let compare = query("compare");
    let (name, newest) = (page.pipeline.summary.name.to_string(), page.pipeline.summary.version);
    let edit = links::pipeline_tab(&project, &name, "edit");
    let base = links::pipeline_tab(&project, &name, "document");
    let versions = Resource::new(
        {
            let (project, name) = (project.clone(), name.clone());
            move || (project.clone(), name.clone())
        },
        |(project, name)| pipelines::versions(project, name),
    );
    let older = Resource::new(
        {
            let (project, name) = (project.clone(), name.clone());
            move || (project.clone(), name.clone(), compare.get().parse::<u32>().ok())
        },
        |(project, name, version)| async move {
            match version {
                Some(version) => pipelines::version(project, name, version).await.map(Some),
                None => Ok(None),
            }
        },
    );
    let document = page.pipeline.document.clone();
    let findings = page.pipeline.diagnostics.clone();
    let found = (!findings.is_empty()).then(|| view! { <Findings findings=Signal::stored(findings)/> });
    view! {
        <div class="split">
            <section class="section" aria-labelledby="document">
                <div class="section__head">
                    <h2 id="document">{format!("Version {newest}")}</h2>
                    <ActionLink href=edit class="btn btn--small" label="Edit" allowed=may_edit/>
                </div>
                <Suspense fallback=|| view! { <Loading/> }>
                    {move || {
                        let document = document.clone();
                        Suspend::new(async move {
                            match older.await {
                                Ok(Some(older)) => {
                                    let label = format!("Changes from version {} to version {newest}", older.version.version);
                                    view! {
                                        <p class="small muted">{label.clone()}</p>
                                        <Diff old=older.document new=document label/>
                                    }
                                    .into_any()
                                }
                                Ok(None) => view! { <CodeView text=document label="Document"/> }.into_any(),
                                Err(fault) => view! { <FaultNotice fault/> }.into_any(),
                            }
                        })
                    }}
                </Suspense>
            </section>
            <aside class="stack">
                {found}
                <section class="section" aria-labelledby="versions">
                    <h2 id="versions">"Versions"</h2>
                    <Suspense fallback=|| view! { <Loading/> }>
                        {move || {
                            let base = base.clone();
                            Suspend::new(async move {
                                match versions.await {
                                    Ok(versions) => versions
                                        .into_iter()
                                        .map(|version| {
                                            let compare = links::with_query(&base, [("compare", version.version.to_string().as_str())]);
                                            let by = version.created_by.map(|user| format!(" by {}", user.name)).unwrap_or_default();
                                            let link = match version.version == newest {
                                                true => view! { <a href=base.clone()>"shown"</a> }.into_any(),
                                                false => view! { <a href=compare>"what changed since"</a> }.into_any(),
                                            };
                                            view! {
                                                <div class="stack stack--tight card card--pad small">
                                                    <p class="row"><strong>{format!("Version {}", version.version)}</strong>{link}</p>
                                                    {version.note.map(|note| view! { <p>{note}</p> })}
                                                    <p class="muted"><Ago at=version.created_at/> {by} " · " <span class="hash">{format::short_hash(&version.hash)}</span></p>
                                                </div>
                                            }
                                        })
                                        .collect_view()
                                        .into_any(),
                                    Err(fault) => view! { <FaultNotice fault/> }.into_any(),
                                }
                            })
                        }}
                    </Suspense>
                </section>
            </aside>
        </div>
    }
}

/// What a pipeline without a graph says instead.
#[component]
pub fn NoGraph(project: String, name: String) -> impl IntoView {
    view! {
        <Empty glyph=Glyph::Pipelines title="No graph to draw" text="The document does not plan as it stands; its findings say why. Mend it, and the graph appears.">
            <a class="btn btn--primary" href=links::pipeline_tab(&project, &name, "edit")>"Edit the document"</a>
        </Empty>
    }
}

/// Whether a pipeline in this state can be deployed, stopped or deleted, apart from permission.
pub fn can_stop(state: PipelineState) -> bool {
    matches!(state, PipelineState::Running | PipelineState::Starting)
}
