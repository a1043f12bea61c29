//! Every address of the console, built in one place.

/// Percent-encodes a query value or a path segment (RFC 3986: unreserved characters stay).
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// A path with the query parameters that have a value.
pub fn with_query<'a>(path: &str, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let query: Vec<String> = pairs
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{name}={}", encode(value)))
        .collect();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{}", query.join("&")) }
}

pub fn overview(project: &str) -> String {
    format!("/p/{project}")
}

pub fn pipelines(project: &str) -> String {
    format!("/p/{project}/pipelines")
}

pub fn new_pipeline(project: &str) -> String {
    format!("/p/{project}/new-pipeline")
}

pub fn pipeline(project: &str, name: &str) -> String {
    format!("/p/{project}/pipelines/{name}")
}

/// `tab`: `document`, `runs`, `quality`, `alerts`, `quarantine` or `edit`.
pub fn pipeline_tab(project: &str, name: &str, tab: &str) -> String {
    format!("/p/{project}/pipelines/{name}/{tab}")
}

pub fn runs(project: &str) -> String {
    format!("/p/{project}/runs")
}

pub fn run(project: &str, id: &str) -> String {
    format!("/p/{project}/runs/{id}")
}

pub fn alerts(project: &str) -> String {
    format!("/p/{project}/alerts")
}

pub fn quarantine(project: &str) -> String {
    format!("/p/{project}/quarantine")
}

pub fn quarantine_row(project: &str, segment: &str, row: u32) -> String {
    format!("/p/{project}/quarantine/{segment}/{row}")
}

pub fn audit(project: &str) -> String {
    format!("/p/{project}/audit")
}

pub fn audit_entry(project: &str, index: u64) -> String {
    format!("/p/{project}/audit/{index}")
}

pub const SIGN_IN: &str = "/sign-in";

/// Sign-in that leads back to where the reader was.
pub fn sign_in(next: &str) -> String {
    with_query(SIGN_IN, [("next", next)])
}

/// A `next` that stays on this site; anything else leads home.
pub fn safe_next(next: &str) -> &str {
    let plain = next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if plain && next.starts_with('/') && !next.starts_with("//") { next } else { "/" }
}

/// Server-sent events of a run's rates: `rates` about once a second, `end` when it is over.
pub fn live(project: &str, run: &str) -> String {
    format!("/api/v1/projects/{project}/runs/{run}/live")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_holds_what_has_a_value_and_nothing_else() {
        assert_eq!(with_query("/a", [("text", "a b&c"), ("actor", "")]), "/a?text=a%20b%26c");
        assert_eq!(with_query("/a", [("text", "")]), "/a");
    }

    #[test]
    fn sign_in_never_leads_to_another_site() {
        for (next, safe) in [
            ("/p/demo", "/p/demo"),
            ("//evil.example", "/"),
            ("https://evil.example", "/"),
            ("/\\evil.example", "/"),
            ("/\t/evil.example", "/"),
            ("/p/caf\u{e9}", "/"),
            ("", "/"),
        ] {
            assert_eq!(safe_next(next), safe, "{next}");
        }
    }
}
