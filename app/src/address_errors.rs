//! A form that was sent without scripts is answered by leading back to its page, with the fault in the address. Anyone can write an
//! address, so that of such a fault only its kind is believed: the words are the console's own.

use leptos::{prelude::*, server::ServerActionError, server_fn::error::ServerFnUrlError};
use weir_api::{Diagnostic, Problem, ProblemError, Severity};

use crate::fault::Fault;

/// Kinds of problems that a form can meet: name, title, status, and what to do.
const KNOWN: [(&str, &str, u16, &str); 14] = [
    ("unauthenticated", "Sign in first", 401, "The session is over. Sign in again."),
    ("sign-in-failed", "Name or password is wrong", 401, ""),
    ("locked", "Too many failed sign-ins", 429, "Wait a little, then try again."),
    ("denied", "Not permitted", 403, "Your roles do not allow this. The attempt is on record."),
    ("not-found", "Not found", 404, "There is no such thing, or it is not yours to see."),
    ("conflict", "Conflict", 409, "What there is now does not allow this: the name may be taken, or the pipeline may run."),
    ("stale", "Changed by somebody else", 409, "Load it again and repeat the change; Back keeps what you wrote."),
    ("invalid-request", "The request cannot be accepted", 422, "A field of the form cannot be accepted."),
    (
        "invalid-document",
        "The document has errors",
        422,
        "Each is marked below by its place. Back keeps what you wrote; with scripts, or by `weir check`, each error tells what is wrong.",
    ),
    ("too-large", "Too large", 413, "What was sent is larger than is accepted."),
    ("busy", "Try again later", 429, "Weir is behind; nothing was taken over."),
    ("unavailable", "Not available now", 503, "A part of Weir does not answer. Try again."),
    ("internal", "Internal error", 500, "Weir failed. Its log tells why."),
    ("bad-request", "The form could not be read", 400, "A field is missing or has another form than expected."),
];

/// Puts the console's own words in the place of those in the address, for all that is made below the caller, and takes them out of the
/// address. The router provides those of the address to every route anew, so that each outermost page calls this first.
pub fn trust_kinds_only() {
    let Some(error) = use_context::<ServerActionError>() else { return };
    let told = told_again(&ServerFnUrlError::<Fault>::decode_err(error.err()).0);
    let own = told.and_then(|fault| encoded(error.path(), fault));
    // Of a path that is no function's, nobody takes it up.
    provide_context(own.map_or_else(|| ServerActionError::new("", ""), |text| ServerActionError::new(error.path(), &text)));
    Effect::new(|_| clean_address());
}

/// The fault of its kind in our own words, with the places of its findings. None where the kind is not known.
fn told_again(problem: &Problem) -> Option<Fault> {
    let name = problem.type_uri.strip_prefix("/problems/")?;
    let (name, title, status, detail) = KNOWN.iter().find(|(known, ..)| *known == name)?;
    let mut fault = Fault::new(name, title, *status, detail);
    if detail.is_empty() {
        fault.0.detail = None;
    }
    fault.0.retry_after_seconds = problem.retry_after_seconds.filter(|seconds| *seconds <= 86_400);
    fault.0.errors = problem.diagnostics().take(50).map(|finding| ProblemError::Document(place_of(finding))).collect();
    Some(fault)
}

fn place_of(finding: &Diagnostic) -> Diagnostic {
    let place = match finding.severity {
        Severity::Error => Diagnostic::error("error", "", "This place does not stand."),
        Severity::Warning => Diagnostic::warning("warning", "", "This place is doubtful."),
    };
    match finding.span {
        Some(span) => place.at(span),
        None => place,
    }
}

/// As the address would hold it.
fn encoded(path: &str, fault: Fault) -> Option<String> {
    let url = ServerFnUrlError::new(path, fault).to_url("http://localhost/").ok()?;
    url.query_pairs().find(|(name, _)| name == "__err").map(|(_, value)| value.into_owned())
}

fn clean_address() {
    let location = window().location();
    let (Ok(path), Ok(search)) = (location.pathname(), location.search()) else { return };
    let kept: Vec<&str> = search
        .trim_start_matches('?')
        .split('&')
        .filter(|pair| !pair.starts_with("__path=") && !pair.starts_with("__err="))
        .collect();
    let kept = kept.join("&");
    let clean = if kept.is_empty() { path } else { format!("{path}?{kept}") };
    if let Ok(history) = window().history() {
        let state = history.state().unwrap_or_default();
        let _ = history.replace_state_with_url(&state, "", Some(&clean));
    }
}

#[cfg(test)]
mod tests {
    use weir_api::{Position, Span};

    use super::*;

    #[test]
    fn the_words_of_an_address_are_never_shown() {
        let mut crafted = Problem::new("locked", "Call 555-0100 to unlock", 200);
        crafted.detail = Some("Call now".to_owned());
        crafted.request_id = Some("call-now".to_owned());
        let at = Position { line: 8, column: 5 };
        let finding = Diagnostic::error("call-now", "call.now", "call now").with_help("call now").with_note("call now");
        crafted.errors = vec![ProblemError::Document(finding.at(Span { start: at, end: at }))];
        let fault = told_again(&crafted).unwrap();
        let shown = serde_json::to_string(&fault).unwrap();
        assert!(!shown.to_lowercase().contains("call"), "{shown}");
        assert_eq!((fault.0.title.as_str(), fault.0.status), ("Too many failed sign-ins", 429));
        assert_eq!(fault.0.diagnostics().next().unwrap().span.unwrap().start.line, 8);
    }

    #[test]
    fn what_is_no_known_kind_is_not_shown_at_all() {
        assert_eq!(told_again(&Problem::new("call-555-0100", "Call", 401)), None);
        assert_eq!(
            told_again(&Problem {
                type_uri: "https://elsewhere.example/problems/locked".into(),
                ..Problem::new("locked", "", 429)
            }),
            None
        );
    }

    #[test]
    fn what_is_told_again_is_read_as_it_was_meant() {
        let fault = told_again(&Problem::new("sign-in-failed", "x", 401)).unwrap();
        let text = encoded("/fn/session/sign-in", fault.clone()).unwrap();
        assert_eq!(ServerFnUrlError::<Fault>::decode_err(&text), fault);
    }
}
