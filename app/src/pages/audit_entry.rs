//! What does this entry say, and how is it tied to the signed head?

use leptos::prelude::*;
use weir_api::InclusionProof;

use super::{audit::kind, param};
use crate::{
    components::{
        badge::OutcomeBadge,
        decision::Decision,
        empty::Loading,
        notice::{FaultNotice, FaultPage},
        page::PageHead,
        time::Moment,
    },
    fault::Fault,
    format, links,
    server_fns::audit::{self, AuditEntryPage as Data},
    shell::use_project,
};

#[component]
pub fn AuditEntryPage() -> impl IntoView {
    let (project, index) = (use_project(), param("index"));
    let data = Resource::new(
        move || (project.get(), index.get().parse::<u64>()),
        |(project, index)| async move {
            match index {
                Ok(index) => audit::entry(project, index).await,
                Err(_) => Err(Fault::not_found("entry")),
            }
        },
    );
    view! {
        <Suspense fallback=|| view! { <div class="page"><Loading/></div> }>
            {move || Suspend::new(async move {
                match data.await {
                    Err(fault) => view! { <FaultPage fault/> }.into_any(),
                    Ok(page) => view! { <Entry project=project.get_untracked() page/> }.into_any(),
                }
            })}
        </Suspense>
    }
}

#[component]
fn Entry(project: String, page: Data) -> impl IntoView {
    let Data { entry, before, after, proof } = page;
    let crumbs = vec![("Audit log".to_owned(), links::audit(&project))];
    let outcome = entry.outcome;
    let who = entry.actor_name.clone().unwrap_or_else(|| entry.actor.clone());
    let lead = format!("{}: {} on {}, by {}.", capital(&kind(&entry.kind)), entry.action, entry.resource, who);
    let body = entry.leaf["body"].clone();
    let decided = entry.kind == "checkpoint";
    let pipeline =
        entry.resource.strip_prefix("pipeline:").map(|name| links::pipeline(&project, name.split('@').next().unwrap_or(name)));
    let leaf = serde_json::to_string_pretty(&entry.leaf).unwrap_or_default();
    let beside = move |rel: &'static str, name: &'static str, index: Option<u64>| {
        index.map(|index| view! { <a class="btn btn--small" rel=rel href=links::audit_entry(&project, index)>{name}</a> })
    };
    let fact =
        |name: &'static str, value: Option<String>| value.map(|value| view! { <dt>{name}</dt><dd><code>{value}</code></dd> });
    view! {
        <div class="page">
            <PageHead
                title=format!("Entry {}", format::count(entry.index)) lead=lead crumbs beside=move || view! { <OutcomeBadge outcome/> }
                actions=move || view! { {beside("prev", "Entry before", before)} {beside("next", "Entry after", after)} }
            />
            {decided.then(|| view! { <Decision body/> })}
            <div class="split split--even">
                <div class="stack">
                    <section class="card card--pad section" aria-labelledby="facts">
                        <h2 id="facts">"What happened"</h2>
                        <dl class="facts">
                            <dt>"When"</dt><dd><Moment at=entry.at/></dd>
                            {fact("Who", entry.actor_name.clone())}
                            {fact("In the entry", Some(entry.actor.clone()))}
                            {fact("Action", Some(entry.action.clone()))}
                            <dt>"On"</dt>
                            <dd>{match pipeline {
                                Some(href) => view! { <a href=href><code>{entry.resource.clone()}</code></a> }.into_any(),
                                None => view! { <code>{entry.resource.clone()}</code> }.into_any(),
                            }}</dd>
                            {fact("Rule", entry.rule.clone())}
                            {fact("Request", entry.request_id.clone())}
                            {fact("From", entry.remote_address.clone())}
                        </dl>
                    </section>
                    <section class="section" aria-labelledby="leaf">
                        <div class="section__head"><h2 id="leaf">"Exactly what was hashed"</h2><p>"formatted for reading"</p></div>
                        <pre class="document" tabindex="0" aria-label="The entry as JSON">{leaf}</pre>
                    </section>
                </div>
                <section class="card card--pad section" aria-labelledby="proof">
                    <h2 id="proof">"Proof that it is in the log"</h2>
                    {match proof {
                        Ok(proof) => view! { <Proof proof/> }.into_any(),
                        Err(fault) => view! { <FaultNotice fault/> }.into_any(),
                    }}
                </section>
            </div>
        </div>
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// On which side each hash of an inclusion path stands (RFC 9162, section 2.1.3.2).
fn sides(index: u64, size: u64, steps: usize) -> Vec<&'static str> {
    let (mut node, mut last) = (index, size.saturating_sub(1));
    let mut sides = Vec::with_capacity(steps);
    for _ in 0..steps {
        let from_left = node % 2 == 1 || node == last;
        sides.push(if from_left { "left" } else { "right" });
        if from_left {
            while node.is_multiple_of(2) && node != 0 {
                (node, last) = (node / 2, last / 2);
            }
        }
        (node, last) = (node / 2, last / 2);
    }
    sides
}

/// The hashes from the entry up to the signed root.
#[component]
fn Proof(proof: InclusionProof) -> impl IntoView {
    let head = proof.head.clone();
    let sides = sides(proof.index, head.size, proof.path.len());
    let steps = proof
        .path
        .into_iter()
        .zip(sides)
        .map(|(hash, side)| view! { <li><span class="proof__text"><span>"with the hash on its " {side}</span><span class="hash">{hash}</span></span></li> })
        .collect_view();
    view! {
        <p class="small muted">"Hashing the entry, then with each hash in turn, gives the root that was signed. A changed entry would give another."</p>
        <ol class="proof">
            <li class="is-leaf"><span class="proof__text"><strong>"This entry's hash"</strong><span class="hash">{proof.leaf_hash}</span></span></li>
            {steps}
            <li class="is-head">
                <span class="proof__text">
                    <strong>{format!("Root of {}", format::plural(head.size, "entry", "entries"))}</strong>
                    <span class="hash">{head.root}</span>
                    <span class="muted">"signed " <Moment at=head.signed_at/> " with key " <span class="hash">{format::short_hash(&head.key_id)}</span></span>
                    <span class="muted">"signature " <span class="hash">{head.signature}</span></span>
                </span>
            </li>
        </ol>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_is_read_as_the_standard_reads_it() {
        assert_eq!(sides(0, 8, 3), ["right", "right", "right"]);
        assert_eq!(sides(5, 8, 3), ["left", "right", "left"]);
        // The last of seven leaves has no sibling on the lowest level.
        assert_eq!(sides(6, 7, 2), ["left", "left"]);
        assert_eq!(sides(0, 1, 0), Vec::<&str>::new());
    }
}
