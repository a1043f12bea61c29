//! Who did what, and what did the pipelines decide? With a proof that nothing was changed.

use leptos::{form::ActionForm, prelude::*};
use weir_api::{AuditEntry, AuditQuery, DateTime, Head, Outcome, Utc, VerifyResult};

use super::{given, query};
use crate::{
    browser,
    components::{
        badge::OutcomeBadge,
        empty::{Empty, Loading},
        icon::Glyph,
        notice::{FaultNotice, FaultPage, Notice, Tone},
        page::{PageHead, Pager},
        search_form::SearchForm,
        time::{Ago, Moment},
    },
    fault::Fault,
    format, links,
    server_fns::audit::{self, Verify},
    shell::{use_project, use_reader},
};

/// The filters of the address.
const FIELDS: &[&str] = &["text", "actor", "action", "kind", "outcome", "from", "until"];

/// The filters, as they stand in the address.
#[derive(Clone, Copy)]
struct Filters {
    text: Memo<String>,
    actor: Memo<String>,
    action: Memo<String>,
    kind: Memo<String>,
    outcome: Memo<String>,
    from: Memo<String>,
    until: Memo<String>,
    after: Memo<String>,
}

impl Filters {
    fn of_address() -> Self {
        Self {
            text: query("text"),
            actor: query("actor"),
            action: query("action"),
            kind: query("kind"),
            outcome: query("outcome"),
            from: query("from"),
            until: query("until"),
            after: query("after"),
        }
    }

    fn pairs(self) -> [(&'static str, String); 7] {
        [
            ("text", self.text.get()),
            ("actor", self.actor.get()),
            ("action", self.action.get()),
            ("kind", self.kind.get()),
            ("outcome", self.outcome.get()),
            ("from", self.from.get()),
            ("until", self.until.get()),
        ]
    }

    fn any(self) -> bool {
        self.pairs().iter().any(|(_, value)| !value.is_empty())
    }

    fn query(self) -> AuditQuery {
        AuditQuery {
            text: given(self.text.get()),
            actor: given(self.actor.get()),
            action: given(self.action.get()),
            resource: None,
            kind: given(self.kind.get()),
            outcome: match self.outcome.get().as_str() {
                "allowed" => Some(Outcome::Allowed),
                "denied" => Some(Outcome::Denied),
                _ => None,
            },
            from: utc(&self.from.get()),
            until: utc(&self.until.get()),
            after: given(self.after.get()),
            limit: None,
        }
    }
}

/// What a `datetime-local` field sends, as UTC.
fn utc(text: &str) -> Option<DateTime<Utc>> {
    let full = if text.len() == 16 { format!("{text}:00Z") } else { format!("{text}Z") };
    full.parse().ok()
}

#[component]
pub fn AuditPage() -> impl IntoView {
    let project = use_project();
    let reader = use_reader();
    let filters = Filters::of_address();
    let list = Resource::new(move || (project.get(), filters.query()), |(project, query)| audit::audit(project, query));
    view! {
        <div class="page">
            <PageHead title="Audit log" lead="Who did what, and what each pipeline decided at each checkpoint. Append-only, and provable without trusting Weir."/>
            // Who may not read the log is told so, and is not asked what to search for.
            <Suspense>
                {move || Suspend::new(async move {
                    let me = reader.await.ok().filter(|me| me.may("audit.read").is_ok())?;
                    let actions = me.permissions.into_iter().map(|permission| permission.action).collect::<Vec<_>>();
                    Some(view! { <VerifyPanel project reader list/> <Search project filters actions/> })
                })}
            </Suspense>
            <Transition fallback=|| view! { <Loading/> }>
                {move || Suspend::new(async move {
                    let project = project.get_untracked();
                    let base = links::audit(&project);
                    match list.await {
                        Err(fault) if fault.is_signed_out() => view! { <FaultPage fault/> }.into_any(),
                        Err(fault) => {
                            let reason = reader.await.ok().and_then(|me| me.may("audit.read").err());
                            let advice = reason.map(|reason| format!("{reason} An administrator of the project gives roles."));
                            view! { <FaultNotice fault advice/> }.into_any()
                        }
                        Ok(page) if page.entries.items.is_empty() => {
                            let (title, text) = match untrack(|| filters.any()) {
                                true => ("No entry matches", "Nothing in the log fits the search. Take a word or a date away."),
                                false => ("The log is empty", "The first sign-in, change or checkpoint writes the first entry."),
                            };
                            view! { <Empty glyph=Glyph::Audit title=title text=text><a class="btn" href=base>"Show all entries"</a></Empty> }.into_any()
                        }
                        Ok(page) => {
                            let shown = page.entries.items.len();
                            let pairs = untrack(|| filters.pairs());
                            let next = page.entries.next.map(|cursor| {
                                links::with_query(&base, pairs.iter().map(|(name, value)| (*name, value.as_str())).chain([("after", cursor.0.as_str())]))
                            });
                            let first = (!filters.after.get_untracked().is_empty()).then(|| base.clone());
                            let rows = page.entries.items.into_iter().map(|entry| row(&project, entry)).collect_view();
                            view! {
                                <div class="stack">
                                    <div class="table-wrap">
                                        <table class="table table--cards">
                                            <caption class="visually-hidden">"Entries of the audit log, newest first"</caption>
                                            <thead>
                                                <tr>
                                                    <th scope="col">"What"</th>
                                                    <th scope="col">"On"</th>
                                                    <th scope="col">"Who"</th>
                                                    <th scope="col">"Outcome"</th>
                                                    <th scope="col" class="num">"When"</th>
                                                    <th scope="col" class="num">"Entry"</th>
                                                </tr>
                                            </thead>
                                            <tbody>{rows}</tbody>
                                        </table>
                                    </div>
                                    <Pager shown noun="entries" next first/>
                                </div>
                            }
                            .into_any()
                        }
                    }
                })}
            </Transition>
        </div>
    }
}

fn row(project: &str, entry: AuditEntry) -> impl IntoView + use<> {
    view! {
        <tr>
            <td>
                <a class="row-link" href=links::audit_entry(project, entry.index)>{entry.action}</a>
                <span class="cell-sub">{kind(&entry.kind)}</span>
            </td>
            <td data-label="On">{on(project, entry.resource)}</td>
            <td data-label="Who">{entry.actor_name.unwrap_or(entry.actor)}</td>
            <td data-label="Outcome"><OutcomeBadge outcome=entry.outcome/></td>
            <td class="num" data-label="When"><Ago at=entry.at/></td>
            <td class="num muted" data-label="Entry">{format::count(entry.index)}</td>
        </tr>
    }
}

/// What an entry is about; a pipeline leads to its page.
fn on(project: &str, resource: String) -> AnyView {
    match resource.strip_prefix("pipeline:") {
        Some(name) => {
            let href = links::pipeline(project, name.split('@').next().unwrap_or(name));
            view! { <a href=href><code class="break">{resource}</code></a> }.into_any()
        }
        None => view! { <code class="break">{resource}</code> }.into_any(),
    }
}

/// All kinds but what pipelines do by themselves.
const PEOPLE: &str = "admin,quarantine_read,consent_change,consent_imported,contract_registered,key_event";

/// The kinds of entries, with what each speaks of.
const KINDS: [(&str, &str); 12] = [
    ("admin", "a person's act"),
    ("checkpoint", "a checkpoint's decisions"),
    ("run_started", "a run began"),
    ("run_ended", "a run ended"),
    ("checkpoint_discarded", "a damaged checkpoint was discarded"),
    ("alert", "an alert was raised, resolved or forgotten"),
    ("quarantine_read", "a quarantined row was read"),
    ("consent_change", "a consent changed"),
    ("consent_imported", "consents were imported"),
    ("contract_registered", "a contract was registered"),
    ("key_event", "a key was made or changed"),
    ("log_started", "the log began"),
];

/// What an entry speaks of, in words.
pub fn kind(kind: &str) -> String {
    KINDS.iter().find(|(name, _)| *name == kind).map_or_else(|| kind.to_owned(), |(_, words)| (*words).to_owned())
}

#[component]
fn Search(project: Memo<String>, filters: Filters, actions: Vec<String>) -> impl IntoView {
    let text = |id: &'static str, label: &'static str, hint: &'static str, kind: &'static str, value: Memo<String>| {
        view! {
            <div class={if id == "text" { "field field--grow" } else { "field" }}>
                <label class="field__label" for=format!("a-{id}")>{label}</label>
                <input
                    class="input" id=format!("a-{id}") name=id type=kind placeholder=hint
                    value=value.get_untracked() prop:value=value data-search=(id == "text").then_some("")
                    list=(id == "action").then_some("a-actions")
                />
            </div>
        }
    };
    let option = |chosen: Memo<String>, value: &'static str, label: &'static str| {
        view! { <option value=value selected=move || chosen.get() == value>{label}</option> }
    };
    let (outcome, of_kind) = (filters.outcome, filters.kind);
    view! {
        <datalist id="a-actions">{actions.into_iter().map(|action| view! { <option value=action></option> }).collect_view()}</datalist>
        <SearchForm action=links::audit(&project.get_untracked()) fields=FIELDS>
            <div class="filters" role="search">
                {text("text", "Search", "any words or ids", "search", filters.text)}
                {text("actor", "Who", "anyone", "text", filters.actor)}
                {text("action", "Action", "any", "text", filters.action)}
                <div class="field">
                    <label class="field__label" for="a-kind">"Kind"</label>
                    <select class="input" id="a-kind" name="kind">
                        {option(of_kind, "", "Any")}
                        {option(of_kind, PEOPLE, "people's acts, without checkpoints")}
                        {KINDS.map(|(value, words)| option(of_kind, value, words)).collect_view()}
                    </select>
                </div>
                <div class="field">
                    <label class="field__label" for="a-outcome">"Outcome"</label>
                    <select class="input" id="a-outcome" name="outcome">
                        {option(outcome, "", "Any")}
                        {option(outcome, "allowed", "Allowed")}
                        {option(outcome, "denied", "Denied")}
                    </select>
                </div>
                {text("from", "From (UTC)", "", "datetime-local", filters.from)}
                {text("until", "Until (UTC)", "", "datetime-local", filters.until)}
                <button class="btn" type="submit">"Search"</button>
                {move || filters.any().then(|| view! { <a class="btn btn--quiet" href=links::audit(&project.get())>"Clear"</a> })}
            </div>
        </SearchForm>
    }
}

/// The newest signed head, the button that verifies, and what came of it.
#[component]
fn VerifyPanel(
    project: Memo<String>,
    reader: Resource<Result<weir_api::Me, Fault>>,
    list: Resource<Result<audit::AuditPage, Fault>>,
) -> impl IntoView {
    let verify = ServerAction::<Verify>::new();
    let pending = verify.pending();
    let alive = browser::is_alive();
    view! {
        <section class="card card--pad stack" aria-label="Verification">
            <div class="section__head">
                <Transition fallback=|| view! { <p>"…"</p> }>
                    {move || Suspend::new(async move {
                        list.await.ok().map(|page| match page.head {
                            Some(head) => view! { <HeadLine head/> }.into_any(),
                            None => view! { <p>"No head is signed yet; one is due every minute."</p> }.into_any(),
                        })
                    })}
                </Transition>
                <Transition fallback=|| ()>
                    {move || Suspend::new(async move {
                        match reader.await.map_or(Ok(()), |me| me.may("audit.verify")) {
                            Ok(()) => view! {
                                <ActionForm action=verify>
                                    <input type="hidden" name="project" value=move || project.get()/>
                                    <button class="btn btn--primary" type="submit" disabled=move || !alive.get()>{move || if pending.get() { "Verifying…" } else { "Verify the log" }}</button>
                                    <noscript inner_html="<p class=\"small muted\">Without scripts: <code>weir audit verify</code>, or the API.</p>"></noscript>
                                </ActionForm>
                            }
                            .into_any(),
                            Err(reason) => view! {
                                <span class="btn-why">
                                    <button class="btn" type="button" aria-disabled="true">"Verify the log"</button>
                                    <span class="btn-why__reason">{reason}</span>
                                </span>
                            }
                            .into_any(),
                        }
                    })}
                </Transition>
            </div>
            <div role="status" aria-live="polite">
                {move || match verify.value().get() {
                    Some(Ok(result)) => view! { <Verdict project=project.get_untracked() result/> }.into_any(),
                    Some(Err(fault)) => view! { <FaultNotice fault/> }.into_any(),
                    None => ().into_any(),
                }}
            </div>
        </section>
    }
}

#[component]
fn HeadLine(head: Head) -> impl IntoView {
    view! {
        <p class="row small">
            <strong>{format::plural(head.size, "entry", "entries")}" under the newest signed head"</strong>
            <span class="muted">"signed " <Ago at=head.signed_at/></span>
            <span class="muted">"root " <span class="hash" title=head.root.clone()>{format::short_hash(&head.root)}</span></span>
            <span class="muted">"key " <span class="hash">{format::short_hash(&head.key_id)}</span></span>
        </p>
    }
}

/// What was proved; or the first broken entry by name.
#[component]
fn Verdict(project: String, result: VerifyResult) -> impl IntoView {
    match result.failure {
        Some(failure) => {
            let entry = failure.index.map(|index| view! { <p>"First broken entry: " <a href=links::audit_entry(&project, index)>{format::count(index)}</a></p> });
            view! {
                <Notice tone=Tone::Bad title="The log does not verify">
                    <p>{failure.message}</p>
                    {entry}
                    <p>"Keep a copy of the data folder as it is, and compare it with a head kept elsewhere: "<code>"weir audit verify --head FILE"</code>"."</p>
                </Notice>
            }
            .into_any()
        }
        None => {
            let signed = result.head.as_ref().map_or(0, |head| head.size);
            let unsigned = result.leaves.saturating_sub(signed);
            let newer = (unsigned > 0).then(|| {
                view! {
                    <p>{format!(
                        "{} newer than the newest signed head and not yet under a signature; the next is due within a minute.",
                        format::plural(unsigned, "entry is", "entries are"),
                    )}</p>
                }
            });
            view! {
            <Notice tone=Tone::Ok title="The log verifies">
                <p>
                    {format!(
                        "All {} were read again and hashed. Their tree has the root below, and {} with a valid signature stand on it: nothing was changed, removed, inserted or reordered.",
                        format::plural(result.leaves, "entry", "entries"),
                        format::plural(result.heads, "signed head", "signed heads"),
                    )}
                </p>
                {newer}
                <p>"Root " <code class="break">{result.root}</code></p>
                <p class="notice__meta">"Verified " <Moment at=result.verified_at/> ". To prove it without this server: " <code>"weir audit verify"</code></p>
            </Notice>
            }
            .into_any()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_of_date_and_time_is_read_as_utc() {
        assert_eq!(utc("2026-01-31T13:05").unwrap().to_rfc3339(), "2026-01-31T13:05:00+00:00");
        assert_eq!(utc("2026-01-31T13:05:09").unwrap().to_rfc3339(), "2026-01-31T13:05:09+00:00");
        assert_eq!(utc(""), None);
        assert_eq!(utc("yesterday"), None);
    }
}
