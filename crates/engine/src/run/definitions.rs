//! What each node that has state was when it made it, and the refusal of state that does not fit any more.

use std::collections::BTreeMap;

use weir_plan::{NodeKind, Plan};
use weir_spec::quality::Check;

use crate::{checkpoint::Checkpoint, error::EngineError};

/// What each node that has state is. State is restored only into an equal definition.
pub fn definitions(plan: &Plan) -> BTreeMap<String, String> {
    plan.nodes
        .iter()
        .filter_map(|node| {
            let definition = match &node.kind {
                NodeKind::Source(source) => {
                    let format = source.format.map_or(String::new(), |format| format!(" as {}", format.as_str()));
                    format!("source {:?}{format}", source.connector)
                }
                NodeKind::Quality(quality) => {
                    let unique: Vec<String> = quality
                        .rules
                        .iter()
                        .filter_map(|rule| match &rule.check {
                            Check::Unique { columns, within } => Some(format!("unique({}) within {within}", columns.join(", "))),
                            _ => None,
                        })
                        .collect();
                    if unique.is_empty() {
                        return None;
                    }
                    format!("quality {}", unique.join("; "))
                }
                NodeKind::Operator(planned) => planned.definition.clone(),
                NodeKind::Sink(planned) => format!("sink {:?} as {}", planned.sink.connector, planned.sink.format.as_str()),
                _ => return None,
            };
            Some((node.name.clone(), definition))
        })
        .collect()
}

/// Refuses a checkpoint that does not fit the document, and says what changed.
pub fn check_definitions(checkpoint: &Checkpoint, now: &BTreeMap<String, String>) -> Result<(), EngineError> {
    if checkpoint.version > Checkpoint::VERSION {
        return Err(EngineError::Resume(format!(
            "the last checkpoint was written by a newer Weir (layout {}, this one reads up to {})",
            checkpoint.version,
            Checkpoint::VERSION
        )));
    }
    let changed: Vec<String> = checkpoint
        .definitions
        .iter()
        .filter_map(|(name, before)| match now.get(name) {
            Some(now) if now == before => None,
            Some(now) => Some(format!("`{name}` was {before}, and is now {now}")),
            None => Some(format!("`{name}` ({before}) is gone")),
        })
        .collect();
    if changed.is_empty() {
        return Ok(());
    }
    Err(EngineError::Resume(format!(
        "the document has changed where stored state depends on it: {}. Undo the change, give the node a new name, or start anew: `weir run --fresh`, on a server deploy it under a new pipeline name",
        changed.join("; ")
    )))
}
