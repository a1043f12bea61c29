//! Background jobs, one file each, in an apalis queue in the control database: what must be done once, survives a restart and is
//! tried again when it fails.

mod housekeeping;

use std::{sync::Arc, time::Duration};

use apalis::prelude::{BackendExt as _, Data, TaskSink as _, WorkerBuilder};
use apalis_sqlite::{Config, SqliteStorage};
use tokio_util::sync::CancellationToken;
use weir_service::Services;

pub use housekeeping::Housekeeping;

use crate::error::WorkerError;

/// How often the database is tidied.
const HOUSEKEEPING: Duration = Duration::from_secs(600);
/// How often the queue is looked at.
const POLL: Duration = Duration::from_secs(2);

/// The queue's worker of this process.
pub struct Jobs {
    stopping: CancellationToken,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Jobs {
    /// Brings the queue's tables up to date and starts to work.
    pub async fn start(services: &Arc<Services>) -> Result<Self, WorkerError> {
        // Its own pool with the store's pragmas: apalis' set-up would turn `synchronous` off.
        let pool = services.store().separate_pool(2);
        SqliteStorage::migrations()
            .run(&pool)
            .await
            .map_err(|e| WorkerError::Internal(format!("the job queue's tables: {e}")))?;
        let stopping = CancellationToken::new();
        let queue = SqliteStorage::<Housekeeping>::new(&pool).with_config(Config::default().queue("housekeeping"));
        let tasks = vec![
            tokio::spawn(enqueue_regularly(queue.clone(), stopping.clone())),
            tokio::spawn(work(queue, Arc::clone(services), stopping.clone())),
        ];
        Ok(Self { stopping, tasks })
    }

    /// Lets jobs under way end.
    pub async fn stop(self) {
        self.stopping.cancel();
        for task in self.tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a job's task failed");
            }
        }
    }
}

async fn enqueue_regularly(mut queue: SqliteStorage<Housekeeping>, stopping: CancellationToken) {
    let mut due = tokio::time::interval(HOUSEKEEPING);
    while stopping.run_until_cancelled(due.tick()).await.is_some() {
        if let Err(error) = queue.push(Housekeeping {}).await {
            tracing::error!(%error, "housekeeping could not be enqueued");
        }
    }
}

async fn work(queue: SqliteStorage<Housekeeping>, services: Arc<Services>, stopping: CancellationToken) {
    let worker = WorkerBuilder::new(format!("weir-{}", std::process::id()))
        .backend(queue.poll_with_interval(POLL))
        .data(services)
        .build(housekeep);
    let stopped = async move {
        stopping.cancelled().await;
        Ok::<(), std::io::Error>(())
    };
    if let Err(error) = worker.run_until(stopped).await {
        tracing::error!(%error, "the job worker ended");
    }
}

async fn housekeep(job: Housekeeping, services: Data<Arc<Services>>) -> Result<(), WorkerError> {
    job.run(&services).await
}
