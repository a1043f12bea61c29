//! Rows over HTTP: only into `http` sources of pipelines that shall run, and only with permission.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use weir_api::{CreatePipeline, DeployPipeline, IngestReceipt, Role};
use weir_service::{
    Cx, Result,
    ingest::{self, IngestFormat, IngestLog, IngestRequest},
    pipelines,
};

use crate::world::{PIPELINE, World, slug, status};

#[derive(Default)]
struct Memory(Mutex<Vec<Vec<u8>>>);

#[async_trait]
impl IngestLog for Memory {
    async fn append(&self, request: IngestRequest) -> Result<IngestReceipt> {
        assert_eq!(request.max_backlog_bytes, 256 << 20);
        self.0.lock().unwrap().push(request.body);
        Ok(IngestReceipt { rows: 1, first_row: 0, duplicate: false })
    }
}

async fn post(cx: &Cx, pipeline: &str, source: &str) -> Result<IngestReceipt> {
    ingest::append(cx, &slug(pipeline), source, IngestFormat::NdJson, None, b"{}".to_vec()).await
}

#[tokio::test]
async fn rows_go_to_the_log_of_a_deployed_http_source() {
    let world = World::new().await;
    let cx = world.person(Role::Engineer).await;
    let viewer = world.person(Role::Viewer).await;
    pipelines::create(&cx, CreatePipeline { document: PIPELINE.to_owned(), note: None }).await.unwrap();
    assert_eq!(status(&post(&cx, "card-fraud", "payments").await), 404, "not deployed yet");
    pipelines::deploy(&cx, &slug("card-fraud"), DeployPipeline::default()).await.unwrap();
    assert_eq!(status(&post(&cx, "card-fraud", "payments").await), 503, "no worker");

    let log = Arc::new(Memory::default());
    world.services.set_ingest_log(log.clone());
    assert_eq!(post(&cx, "card-fraud", "payments").await.unwrap().rows, 1);
    assert_eq!(status(&post(&cx, "card-fraud", "refunds").await), 404);
    assert_eq!(status(&post(&cx, "no-such", "payments").await), 404);
    assert_eq!(status(&post(&viewer, "card-fraud", "payments").await), 403);
    pipelines::stop(&cx, &slug("card-fraud")).await.unwrap();
    assert_eq!(status(&post(&cx, "card-fraud", "payments").await), 409);
    assert_eq!(log.0.lock().unwrap().len(), 1);
}
