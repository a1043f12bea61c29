//! One id per request: the caller's if it is sane, else ours; it goes into log lines, problems and the response.

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;

/// Where callers send an id of theirs, and where every response carries the one used.
pub const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// The id of the request at hand, in its extensions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(pub String);

/// Puts a [`RequestId`] on the request and on its response.
pub async fn assign(mut request: Request, next: Next) -> Response {
    let sent = request.headers().get(HEADER).and_then(|v| v.to_str().ok()).filter(|v| is_sane(v));
    let id = sent.map_or_else(|| uuid::Uuid::now_v7().to_string(), str::to_owned);
    request.extensions_mut().insert(RequestId(id.clone()));
    let mut response = next.run(request).await;
    let value = HeaderValue::from_str(&id).expect("invariant: a sane id is a header value");
    response.headers_mut().insert(HEADER, value);
    response
}

/// Short, and of characters that cannot break a log line or a header.
fn is_sane(id: &str) -> bool {
    (8..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::is_sane;

    #[test]
    fn only_short_plain_ids_are_accepted_from_outside() {
        let long = "x".repeat(65);
        let cases = [
            ("0191d3a8-7c1e-7b2f", true),
            ("deploy_42.retry-1", true),
            ("short", false),
            ("", false),
            ("with space", false),
            ("inject\u{1b}[31m", false),
            (&long, false),
        ];
        for (id, sane) in cases {
            assert_eq!(is_sane(id), sane, "{id:?}");
        }
    }
}
