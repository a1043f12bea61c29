//! The error of every server function: the service's problem document, or what kept it from arriving.

use leptos::server_fn::{
    codec::JsonEncoding,
    error::{FromServerFnError, ServerFnErrorErr},
};
use serde::{Deserialize, Serialize};
use weir_api::Problem;

/// A problem document on its way to the page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("{0}")]
pub struct Fault(pub Problem);

impl From<Problem> for Fault {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl Fault {
    pub fn new(name: &str, title: &str, status: u16, detail: &str) -> Self {
        let mut problem = Problem::new(name, title, status);
        problem.detail = Some(detail.to_owned());
        Self(problem)
    }

    /// Nothing is there, or nothing that the reader may know of.
    pub fn not_found(what: &str) -> Self {
        Self::new("not-found", "Not found", 404, &format!("There is no such {what}, or it is not yours to see."))
    }

    /// The server, or what stands before it, did not answer.
    pub fn is_unreachable(&self) -> bool {
        matches!(self.0.type_uri.as_str(), "/problems/unreachable" | "/problems/unexpected-answer")
    }

    /// The session is missing or over.
    pub fn is_signed_out(&self) -> bool {
        self.0.status == 401
    }
}

impl FromServerFnError for Fault {
    type Encoder = JsonEncoding;

    fn from_server_fn_error(error: ServerFnErrorErr) -> Self {
        let fault = Self::of(error);
        // What the framework refuses has the status that its body tells.
        #[cfg(feature = "ssr")]
        let fault = crate::request::fail(fault);
        fault
    }
}

impl Fault {
    fn of(error: ServerFnErrorErr) -> Self {
        match error {
            ServerFnErrorErr::Request(_) => Self::new(
                "unreachable",
                "Weir did not answer",
                503,
                "The server could not be reached. Check the connection and try again; nothing was changed.",
            ),
            ServerFnErrorErr::Args(detail) | ServerFnErrorErr::MissingArg(detail) => {
                Self::new("bad-request", "The form could not be read", 400, &detail)
            }
            // On the server it is the request that cannot be read.
            ServerFnErrorErr::Deserialization(detail) if cfg!(feature = "ssr") => match detail.contains("length limit") {
                true => Self::new("too-large", "The form is too large", 413, "Send less at once."),
                false => Self::new("bad-request", "The form could not be read", 400, &detail),
            },
            // An error page of a proxy, or the plain problem document of a middleware.
            ServerFnErrorErr::Deserialization(detail) => Self::new(
                "unexpected-answer",
                "The server's answer could not be read",
                502,
                &format!("Reload the page: the console may be older than the server. ({detail})"),
            ),
            other => Self::new("console", "The console could not do this", 500, &other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_survives_the_way_to_the_browser() {
        let mut fault = Fault::not_found("pipeline");
        fault.0.request_id = Some("req-1".into());
        assert_eq!(Fault::de(fault.ser()), fault);
        assert_eq!(fault.0.status, 404);
    }
}
