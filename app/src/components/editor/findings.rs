//! The findings of a document as a list; each leads to its line.

use leptos::{html, prelude::*};
use weir_api::{Diagnostic, Severity};

use crate::{components::prose::prose, format};

/// Every finding, errors first, with what to do about it.
#[component]
pub fn Findings(
    findings: Signal<Vec<Diagnostic>>,
    /// The editor to jump to; without one the places are plain text.
    #[prop(optional)]
    area: Option<NodeRef<html::Textarea>>,
) -> impl IntoView {
    move || {
        let mut list = findings.get();
        list.sort_by_key(|finding| (finding.severity, finding.span.map(|span| span.start)));
        view! { <ul class="findings">{list.into_iter().map(|finding| one(finding, area)).collect_view()}</ul> }
    }
}

fn one(finding: Diagnostic, area: Option<NodeRef<html::Textarea>>) -> impl IntoView {
    let (class, kind) = match finding.severity {
        Severity::Error => ("finding", "Error"),
        Severity::Warning => ("finding finding--warning", "Warning"),
    };
    let place = finding.span.map(|span| {
        let (line, column) = (span.start.line, span.start.column);
        let text = format!("line {line}, column {column}");
        match area {
            Some(area) => view! {
                <a class="finding__jump" href=format!("#L{line}") on:click=move |event| {
                    event.prevent_default();
                    super::jump(area, line, column);
                }>{text}</a>
            }
            .into_any(),
            None => view! { <span>{text}</span> }.into_any(),
        }
    });
    let notes = (!finding.notes.is_empty()).then(|| view! { <p class="finding__notes">{finding.notes.join("\n")}</p> });
    let help = finding.help.map(|help| {
        let class = if help.contains('\n') { "finding__help finding__help--lines" } else { "finding__help" };
        view! { <p class=class>{if help.contains('\n') { help.into_any() } else { prose(&help) }}</p> }
    });
    view! {
        <li class=class>
            <p class="finding__head">
                <span class="finding__kind">{kind}</span>
                {place}
                <span class="tag">{finding.code}</span>
            </p>
            <p>{prose(&finding.message)}</p>
            {notes}
            {help}
        </li>
    }
}

/// `2 errors, 1 warning`, or `No errors`.
pub fn summary(findings: &[Diagnostic]) -> String {
    let of = |severity| findings.iter().filter(|finding| finding.severity == severity).count() as u64;
    match (of(Severity::Error), of(Severity::Warning)) {
        (0, 0) => "No errors".to_owned(),
        (0, warnings) => format!("No errors, {}", format::plural(warnings, "warning", "warnings")),
        (errors, 0) => format::plural(errors, "error", "errors"),
        (errors, warnings) => {
            format!("{}, {}", format::plural(errors, "error", "errors"), format::plural(warnings, "warning", "warnings"))
        }
    }
}
