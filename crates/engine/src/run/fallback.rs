//! Going back to an earlier checkpoint when the newest is damaged, so that every row still comes out once.
//!
//! Nothing is changed before all of it is known to work: an earlier checkpoint is found that is whole down to its last page, its
//! sources and definitions fit, and every sink can take back what the later ones have made visible. Then the sinks hide that output
//! under temporary names; the damaged checkpoints are discarded on record; and the run begins, whose recovery removes what is hidden.
//! A death on the way leaves either the damaged checkpoint, from which all of this begins again, or the earlier one alone.

use std::sync::Arc;

use weir_plan::{NodeKind, Plan};

use super::{Options, definitions::check_definitions, parts::state_settings, sinks, sources};
use crate::{
    checkpoint::{Checkpoint, OperatorState},
    error::EngineError,
    host::{Host, Restorable},
    stages::quality::unique,
    state,
};

/// Drops the newest of the `candidates` (they are oldest first), which has this damage, and all before it until one that is whole.
pub fn go_back(
    plan: &Arc<Plan>,
    host: &Arc<dyn Host>,
    options: &Options,
    candidates: &mut Vec<Restorable>,
    damage: EngineError,
) -> Result<(), EngineError> {
    let mut given_up: Vec<(Restorable, EngineError)> = candidates.pop().map(|newest| (newest, damage)).into_iter().collect();
    let before = loop {
        let Some(candidate) = candidates.last() else { return Err(no_way_back(given_up)) };
        match whole(plan, &**host, candidate) {
            Ok(checkpoint) => break checkpoint.clone(),
            Err(damage @ EngineError::Damaged { .. }) => given_up.extend(candidates.pop().map(|one| (one, damage))),
            Err(other) => return Err(other),
        }
    };
    check_definitions(&before, plan)?;
    for node in &plan.nodes {
        if let NodeKind::Source(source) = &node.kind {
            let positions = before.positions.get(&node.name).map_or(&[][..], Vec::as_slice);
            sources::open(node, source, &**host, options, positions)?;
        }
    }
    let mut writers = sinks::open(plan, options)?;
    let commits: Vec<_> = given_up
        .iter()
        .flat_map(|(one, _)| &one.commits)
        .flat_map(|(sink, commit)| {
            writers.keys().copied().find(|&node| plan.nodes[node].name == *sink).map(|node| (node, commit))
        })
        .collect();
    let failed = |node: usize| move |error| EngineError::connector(&plan.nodes[node].name, error);
    for &(node, commit) in &commits {
        writers[&node].can_take_back(commit).map_err(failed(node))?;
    }
    for &(node, commit) in &commits {
        if let Some(writer) = writers.get_mut(&node) {
            writer.take_back(commit).map_err(failed(node))?;
        }
    }
    for (one, damage) in &given_up {
        let (epoch, instead, damage) = (one.epoch, before.epoch, damage.to_string());
        let files: usize = one.commits.values().map(|commit| commit.files.len()).sum();
        tracing::warn!(
            epoch,
            instead,
            damage,
            files,
            "a checkpoint is damaged: the one before it is used, and what it had committed is taken back"
        );
        host.discard(epoch, &damage, instead)?;
    }
    Ok(())
}

/// The damage of a record that cannot be read.
pub fn record_damage(what: &str) -> EngineError {
    EngineError::Damaged { node: "checkpoint".to_owned(), message: what.to_owned() }
}

fn whole<'c>(plan: &Plan, host: &dyn Host, candidate: &'c Restorable) -> Result<&'c Checkpoint, EngineError> {
    let checkpoint = candidate.checkpoint.as_ref().map_err(|what| record_damage(what))?;
    verify(plan, host, checkpoint).map(|()| checkpoint)
}

/// Reads all state that the checkpoint needs.
pub fn verify(plan: &Plan, host: &dyn Host, checkpoint: &Checkpoint) -> Result<(), EngineError> {
    for node in &plan.nodes {
        match (&node.kind, checkpoint.states.get(&node.name)) {
            (NodeKind::Operator(planned), Some(OperatorState::Keyed(states))) => {
                let settings = state_settings(host, planned);
                for lanes in states.values() {
                    state::verify(&settings, lanes).map_err(|e| EngineError::state(&node.name, e))?;
                }
            }
            (_, Some(OperatorState::Files(files))) => {
                files.iter().try_for_each(|file| unique::verify(&node.name, &host.state_dir(), file))?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn no_way_back(given_up: Vec<(Restorable, EngineError)>) -> EngineError {
    let damages: Vec<String> = given_up.iter().map(|(one, damage)| format!("epoch {}: {damage}", one.epoch)).collect();
    EngineError::Resume(format!(
        "no checkpoint is whole ({}). Put the files back from a copy, or start anew: `weir run --fresh`",
        damages.join("; ")
    ))
}
