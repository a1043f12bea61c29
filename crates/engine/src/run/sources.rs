//! Opening a source of a plan where a checkpoint left it.

use std::sync::Arc;

use weir_connectors::{PartitionPosition, SourceContext, SourceReader, open_source};
use weir_plan::{Node, SourceNode};

use super::Options;
use crate::{error::EngineError, host::Host};

pub fn open(
    node: &Node,
    source: &SourceNode,
    host: &dyn Host,
    options: &Options,
    resume: &[PartitionPosition],
) -> Result<Box<dyn SourceReader>, EngineError> {
    let ingest = host.ingest();
    let context = SourceContext {
        base_dir: options.base_dir.clone(),
        ingest_dir: ingest.as_ref().map(|(dir, _)| dir.join(&node.name)),
        seal_key: ingest.map(|(_, key)| key),
    };
    open_source(&source.connector, source.format, Arc::clone(&node.schema), &source.declared, &context, resume)
        .map_err(|e| EngineError::connector(&node.name, e))
}
