//! JSON Schemas of the documents, for editors that complete them.

use axum::http::header;
use axum::response::IntoResponse;

/// `GET /api/schemas/pipeline.json`
pub async fn pipeline() -> impl IntoResponse {
    schema(&weir_spec::pipeline_schema())
}

/// `GET /api/schemas/contract.json`
pub async fn contract() -> impl IntoResponse {
    schema(&weir_spec::contract_schema())
}

fn schema(value: &serde_json::Value) -> impl IntoResponse + use<> {
    let text = serde_json::to_vec_pretty(value).expect("invariant: a JSON Schema is plain JSON");
    ([(header::CONTENT_TYPE, "application/schema+json"), (header::CACHE_CONTROL, "public, max-age=3600")], text)
}
