//! What only the host that runs pipelines can tell or do: it knows the engine and the files, which services do not.

use std::sync::Arc;

use async_trait::async_trait;
use weir_api::DeploymentId;
use weir_plan::Plan;
use weir_store::deployments::Deployment;

use crate::Result;

/// The host, as use cases see it.
#[async_trait]
pub trait RunHost: Send + Sync {
    /// Why a run of this plan could not go on from the deployment's last checkpoint, nor from the one with which a run of the plan
    /// `running` ends. None when it can, or when there is none.
    async fn obstacle(&self, deployment: DeploymentId, running: Option<Arc<Plan>>, plan: Arc<Plan>) -> Result<Option<String>>;

    /// Finishes the output that the deployment's last checkpoint has promised, which a process that died may have left undone. `plan`
    /// is that of the version that ran last. Nobody may run the pipeline meanwhile.
    async fn finish(&self, deployment: &Deployment, plan: Arc<Plan>) -> Result<()>;

    /// Removes the rows that were posted to a deployment and the state of its operators. Its pipeline is deleted.
    async fn remove_files(&self, deployment: DeploymentId) -> Result<()>;
}
