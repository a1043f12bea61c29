//! Whether what sinks have committed is still where it was put. People take output away on purpose, so that it is gone is told and no error.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use weir_connectors::{BaseDir, file::committed_files};
use weir_plan::{NodeKind, Plan};
use weir_spec::connector::SinkConnector;

use crate::checkpoint::Checkpoint;

/// Files of a sink that are not in its folder any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingOutput {
    pub missing: u64,
    /// How many were committed.
    pub files: u64,
}

/// What is gone of the files that the sinks of a pipeline have committed up to this checkpoint, by sink. Looks at names alone. A
/// folder that cannot be looked at is logged, and says nothing.
pub fn missing_output(plan: &Plan, base_dir: &BaseDir, checkpoint: &Checkpoint) -> BTreeMap<String, MissingOutput> {
    let mut missing = BTreeMap::new();
    for node in &plan.nodes {
        let NodeKind::Sink(planned) = &node.kind else { continue };
        let SinkConnector::File(config) = &planned.sink.connector else { continue };
        let Some(output) = checkpoint.outputs.get(&node.name).filter(|output| output.files > 0) else { continue };
        let last = checkpoint.pre_commits.get(&node.name);
        let there = match committed_files(base_dir, config, output.since..=checkpoint.epoch, last) {
            Ok(there) => there,
            Err(error) => {
                tracing::warn!(sink = node.name, %error, "whether its earlier output is still there cannot be told");
                continue;
            }
        };
        if there < output.files {
            missing.insert(node.name.clone(), MissingOutput { missing: output.files - there, files: output.files });
        }
    }
    missing
}
