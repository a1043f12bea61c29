//! The sinks of a plan, opened outside or at the beginning of a run.

use std::collections::BTreeMap;

use weir_connectors::{ConnectorError, SinkContext, SinkWriter, sink_writer};
use weir_plan::{NodeKind, Plan};

use super::Options;
use crate::{checkpoint::Checkpoint, error::EngineError, stages::sink::written_schema};

/// The writers of all sinks, by node.
pub fn open(plan: &Plan, options: &Options) -> Result<BTreeMap<usize, Box<dyn SinkWriter>>, EngineError> {
    let mut writers = BTreeMap::new();
    for (index, node) in plan.nodes.iter().enumerate() {
        if let NodeKind::Sink(planned) = &node.kind {
            let context = SinkContext {
                base_dir: options.base_dir.clone(),
                run_tag: format!("{}-{}", options.tag, node.name),
                changes_in_order: planned.upsert.as_ref().is_some_and(|upsert| upsert.in_order),
            };
            let writer = sink_writer(&planned.sink, written_schema(planned, &node.schema), &context);
            writers.insert(index, writer.map_err(|e| EngineError::connector(&node.name, e))?);
        }
    }
    Ok(writers)
}

/// Lets each sink finish what the checkpoint has promised and remove what no checkpoint promises.
pub fn recover(
    plan: &Plan,
    writers: &mut BTreeMap<usize, Box<dyn SinkWriter>>,
    checkpoint: Option<&Checkpoint>,
) -> Result<(), EngineError> {
    for (&index, writer) in writers {
        let node = &plan.nodes[index].name;
        let last = checkpoint.and_then(|checkpoint| checkpoint.pre_commits.get(node));
        writer.recover(last).map_err(|e| EngineError::connector(node, e))?;
    }
    Ok(())
}

/// Finishes the output that a checkpoint has promised, without a run: before the checkpoint is forgotten. Nobody else may run the
/// pipeline meanwhile. A sink whose output was taken away or replaced has nothing to finish; that is logged.
pub fn finish_commit(plan: &Plan, options: &Options, checkpoint: &Checkpoint) -> Result<(), EngineError> {
    for (index, mut writer) in open(plan, options)? {
        let node = &plan.nodes[index].name;
        match writer.recover(checkpoint.pre_commits.get(node)) {
            Err(error @ ConnectorError::Resume(_)) => {
                tracing::warn!(sink = node, %error, "what the last checkpoint had promised cannot be finished any more");
            }
            finished => finished.map_err(|e| EngineError::connector(node, e))?,
        }
    }
    Ok(())
}
