//! What can be done with a pipeline: deploy, stop, delete. Each asks first and names what it does; each says why it is not open.

use leptos::{form::ActionForm, prelude::*};
use weir_api::{Me, PipelineState, Severity};

use super::pipeline::can_stop;
use crate::{
    components::{
        dialog::Dialog,
        notice::{FaultNotice, Notice, Tone},
        page::ActionLink,
        toast::use_toasts,
    },
    fault::Fault,
    format, links,
    server_fns::pipelines::{Delete, Deploy, PipelinePage as Data, Stop},
};

/// The buttons in the page's head. Their questions are addresses: `?confirm=deploy`.
#[component]
pub fn Actions(project: String, page: Data, me: Option<Me>) -> impl IntoView {
    let may = |action: &str| me.as_ref().map_or(Ok(()), |me| me.may(action));
    let summary = &page.pipeline.summary;
    let base = links::pipeline(&project, summary.name.as_str());
    let ask = |what: &str| links::with_query(&base, [("confirm", what)]);
    let errors = page.pipeline.diagnostics.iter().filter(|finding| finding.severity == Severity::Error).count() as u64;
    let deployable = match errors {
        0 => Ok(()),
        n => Err(format!("The document has {}; mend it first.", format::plural(n, "error", "errors"))),
    };
    let newest_runs = can_stop(summary.state) && summary.deployed_version == Some(summary.version);
    let stop = can_stop(summary.state).then(|| {
        view! { <ActionLink href=ask("stop") class="btn" label="Stop" allowed=may("pipeline.stop")/> }
    });
    let deploy = (!newest_runs).then(|| {
        let allowed = may("pipeline.deploy").and(deployable);
        view! { <ActionLink href=ask("deploy") class="btn btn--primary" label=format!("Deploy version {}", summary.version) allowed/> }
    });
    let delete =
        matches!(summary.state, PipelineState::Draft | PipelineState::Stopped | PipelineState::Finished | PipelineState::Failed)
            .then(|| {
                may("pipeline.delete").is_ok().then(|| view! { <a class="btn btn--danger" href=ask("delete")>"Delete"</a> })
            });
    view! { {delete} {stop} {deploy} }
}

/// The question that the address asks.
#[component]
pub fn Confirm(
    project: Memo<String>,
    name: Memo<String>,
    question: Memo<String>,
    data: Resource<Result<Data, Fault>>,
    reader: Resource<Result<Me, Fault>>,
) -> impl IntoView {
    let (deploy, stop, delete) = (ServerAction::<Deploy>::new(), ServerAction::<Stop>::new(), ServerAction::<Delete>::new());
    tell(deploy.value(), move || format!("{} is being deployed.", name.get_untracked()), Some(data));
    tell(stop.value(), move || format!("{} takes its last checkpoint and stops.", name.get_untracked()), Some(data));
    tell(delete.value(), move || format!("{} is deleted.", name.get_untracked()), None);
    let failed =
        move || [deploy.value().get(), stop.value().get(), delete.value().get()].into_iter().flatten().find_map(Result::err);
    view! {
        <Suspense>
            {move || Suspend::new(async move {
                let known = data.await.ok().zip(reader.await.ok());
                move || {
                    let (page, me) = known.clone()?;
                    let about = About { project: project.get(), name: name.get(), page };
                    // Who comes by the address may ask all the same; the server refuses, and records it.
                    let not_yours = |action| me.may(action).err().map(|reason| view! {
                        <Notice tone=Tone::Warn title="This is not yours to do"><p>{reason} " An attempt is refused and recorded."</p></Notice>
                    });
                    let failed = failed().map(|fault| view! { <FaultNotice fault/> });
                    match question.get().as_str() {
                        "deploy" => Some(about.deploy(deploy, (not_yours("pipeline.deploy"), failed))),
                        "stop" => Some(about.stop(stop, (not_yours("pipeline.stop"), failed))),
                        "delete" => Some(about.delete(delete, (not_yours("pipeline.delete"), failed))),
                        _ => None,
                    }
                }
            })}
        </Suspense>
    }
}

/// What a question is about.
struct About {
    project: String,
    name: String,
    page: Data,
}

impl About {
    /// The address without the question.
    fn base(&self) -> String {
        links::pipeline(&self.project, &self.name)
    }

    fn hidden(&self) -> impl Fn() -> AnyView + Clone + Send + Sync + 'static {
        let (project, name) = (self.project.clone(), self.name.clone());
        move || {
            view! {
                <input type="hidden" name="project" value=project.clone()/>
                <input type="hidden" name="name" value=name.clone()/>
            }
            .into_any()
        }
    }

    fn deploy(self, action: ServerAction<Deploy>, failed: impl IntoView + 'static) -> AnyView {
        let summary = &self.page.pipeline.summary;
        let version = summary.version;
        let now = match summary.deployed_version.filter(|_| can_stop(summary.state)) {
            Some(running) => {
                format!("Version {running} runs now; it takes its last checkpoint, and this version goes on from there.")
            }
            None => "It starts as soon as a worker takes it up.".to_owned(),
        };
        let hash = format::short_hash(&self.page.pipeline.hash);
        // What never ran has nothing to forget; what runs must be stopped first.
        let may_begin_anew = summary.last_run.is_some() && !can_stop(summary.state);
        let (cancel, hidden) = (self.base(), self.hidden());
        let confirm = move || {
            let hidden = hidden();
            view! {
                <ActionForm action>
                    {hidden}
                    <input type="hidden" name="version" value=version/>
                    {may_begin_anew.then(|| view! {
                        <label class="check">
                            <input type="checkbox" name="fresh" value="true"/>
                            "Begin anew: forget how far it has read and what it counts. What it has written stays."
                        </label>
                    })}
                    <button class="btn btn--primary" type="submit">"Deploy"</button>
                </ActionForm>
            }
        };
        view! {
            <Dialog title=format!("Deploy version {version} of {}?", self.name) cancel confirm>
                <p>"Exactly the document with the hash " <span class="hash">{hash}</span> " is deployed. " {now}</p>
                {failed}
            </Dialog>
        }
        .into_any()
    }

    fn stop(self, action: ServerAction<Stop>, failed: impl IntoView + 'static) -> AnyView {
        let (cancel, hidden) = (self.base(), self.hidden());
        let confirm = move || {
            let hidden = hidden();
            view! { <ActionForm action>{hidden}<button class="btn btn--primary" type="submit">"Stop after a checkpoint"</button></ActionForm> }
        };
        view! {
            <Dialog title=format!("Stop {}?", self.name) cancel confirm>
                <p>"It takes a last checkpoint and ends. Nothing is lost: deployed again, it goes on from there."</p>
                {failed}
            </Dialog>
        }
        .into_any()
    }

    fn delete(self, action: ServerAction<Delete>, failed: impl IntoView + 'static) -> AnyView {
        let version = self.page.pipeline.summary.version;
        let (cancel, hidden, name) = (self.base(), self.hidden(), self.name.clone());
        let confirm = move || {
            let (hidden, label) = (hidden(), format!("Delete {name}"));
            view! {
                <ActionForm action>
                    {hidden}
                    <input type="hidden" name="expected_version" value=version/>
                    <button class="btn btn--danger-solid" type="submit">{label}</button>
                </ActionForm>
            }
        };
        let what = format!(
            "The pipeline {} and its {} are destroyed. This cannot be undone.",
            self.name,
            format::plural(version.into(), "version", "versions")
        );
        view! {
            <Dialog title=format!("Delete {}?", self.name) cancel confirm>
                <p>{what}</p>
                <p>"What it has written stays where it is, and so does its evidence in the audit log."</p>
                {failed}
            </Dialog>
        }
        .into_any()
    }
}

/// Says that it is done and shows the new state. The server's answer has already led the way back.
fn tell(
    value: impl Get<Value = Option<Result<(), Fault>>> + 'static,
    text: impl Fn() -> String + 'static,
    data: Option<Resource<Result<Data, Fault>>>,
) {
    let toasts = use_toasts();
    Effect::new(move |_| {
        if let Some(Ok(_)) = value.get() {
            toasts.done(text());
            if let Some(data) = data {
                // Only once the address that the answer led to has been taken in: what is drawn now still reads it.
                set_timeout(move || data.refetch(), std::time::Duration::ZERO);
            }
        }
    });
}
