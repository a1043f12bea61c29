//! The OpenAPI document: what all operations share, and the pages that show it.

use axum::Router;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{OpenApi, RefOr};
use utoipa::{IntoResponses, Modify, OpenApi as _};
use weir_api::Problem;

/// Names, on every operation, the action of the permission matrix that it asks for; or one of [`OPEN`].
pub const ACTION: &str = "x-weir-action";
/// Operations that need no permission: signing in, and what concerns only the caller themselves.
pub const OPEN: &[&str] = &["anonymous", "self"];

/// The document without its paths.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Weir",
        description = "Streaming data pipelines, governed where they run. Errors are problem documents (RFC 9457). Lists come in \
                       pages: hand `next` back as `after`. Every operation names the permission it asks for in `x-weir-action`."
    ),
    components(schemas(Problem)),
    modifiers(&Security),
    security(("bearer" = []), ("session" = []))
)]
pub struct Base;

struct Security;

impl Modify for Security {
    fn modify(&self, document: &mut OpenApi) {
        let components = document.components.get_or_insert_default();
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
        let cookie =
            ApiKeyValue::with_description("weir_session", "Set by signing in. Over HTTPS its name is `__Host-weir_session`.");
        components.add_security_scheme("session", SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
    }
}

/// The refusals that any operation may answer with.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "read by the derive only")]
pub enum Refusals {
    /// The request cannot be read.
    #[response(status = 400, content_type = "application/problem+json")]
    Unreadable(Problem),
    /// Nobody has signed in, or the token is not valid.
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthenticated(Problem),
    /// No permission for this; the refusal is in the audit log.
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(Problem),
    /// It does not exist, or the caller may not know of it.
    #[response(status = 404, content_type = "application/problem+json")]
    NotFound(Problem),
    /// The request can be read, but not accepted as it is; `errors` says why, item by item.
    #[response(status = 422, content_type = "application/problem+json")]
    Invalid(Problem),
}

/// The refusal of what does not fit the state of things.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "read by the derive only")]
pub enum Conflicting {
    /// It does not fit what is there now, or somebody else was faster; `detail` says what to do.
    #[response(status = 409, content_type = "application/problem+json")]
    Conflict(Problem),
}

/// Says of every response what it is, where its operation does not: the rules of OpenAPI want a description of each.
pub fn describe_responses(document: &mut OpenApi) {
    for item in document.paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch];
        for operation in operations.into_iter().flatten() {
            for (status, response) in &mut operation.responses.responses {
                if let RefOr::T(response) = response
                    && response.description.is_empty()
                {
                    response.description = usual_description(status).to_owned();
                }
            }
        }
    }
}

fn usual_description(status: &str) -> &'static str {
    match status {
        "200" => "What was asked for",
        "201" => "It is made",
        "202" => "It is accepted; what follows from it goes on in the background",
        "204" => "It is done; there is nothing to say",
        _ => "See `title` and `detail`",
    }
}

/// The document with no paths yet.
#[must_use]
pub fn base() -> OpenApi {
    Base::openapi()
}

/// `/api/openapi.json` and, under `/api/docs`, pages to browse it that come out of this binary.
pub fn routes(document: OpenApi) -> Router {
    let config = utoipa_swagger_ui::Config::from("/api/openapi.json").validator_url("none").deep_linking(true);
    utoipa_swagger_ui::SwaggerUi::new("/api/docs").url("/api/openapi.json", document).config(config).into()
}
