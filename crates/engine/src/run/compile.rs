//! From plan to running parts: one set of stages a lane, shared state, readers and writers, restored from a checkpoint.

use std::{collections::BTreeMap, sync::Arc};

use weir_connectors::{SinkContext, SinkWriter, SourceContext, open_source, row_decoder, row_encoder, sink_writer};
use weir_plan::{Node, NodeKind, Plan, PlannedRule};
use weir_spec::quality::Check;
use weir_vault::MaskContext;

use super::{
    Options,
    dispatch::Positions,
    lane::{Lane, LaneNode},
    reader::{Mailbox, OpenSource},
};
use crate::{
    checkpoint::{Checkpoint, OperatorState, StateFile},
    counts::NodeCounts,
    error::EngineError,
    host::Host,
    live::Live,
    ordered::Cancel,
    stages::{
        Reason,
        consent::ConsentStage,
        decode::DecodeStage,
        event_time::{EventTimeCheck, Watermarks},
        guard::Guarded,
        mask::MaskStage,
        quality::{
            QualityStage, RuleSet, UniqueStates, rule,
            unique::{Unique, UniqueConfig, UniqueState},
        },
        sink::SinkStage,
        transform::sql::SqlStage,
    },
};

/// Everything a run needs, ready to be put on threads.
pub struct Compiled {
    pub lanes: Vec<Lane>,
    pub readers: Vec<OpenSource>,
    pub mailboxes: BTreeMap<usize, Mailbox>,
    pub sinks: BTreeMap<usize, Box<dyn SinkWriter>>,
    pub positions: BTreeMap<usize, Positions>,
    pub definitions: BTreeMap<String, String>,
    /// For each node, its inputs with how often a row of each is counted.
    pub flow: Arc<Vec<BTreeMap<usize, u64>>>,
    pub live: Arc<Live>,
}

pub fn compile(
    plan: &Arc<Plan>,
    host: &Arc<dyn Host>,
    options: &Options,
    restored: Option<&Checkpoint>,
    cancel: &Cancel,
) -> Result<Compiled, EngineError> {
    let definitions = definitions(plan);
    if let Some(checkpoint) = restored {
        check_definitions(checkpoint, &definitions)?;
    }
    let flow = Arc::new(flow(plan));
    let visits = Arc::new(visits(plan, &flow));
    let shared = Shared::restore(plan, host, restored, cancel)?;
    let consumers: Arc<Vec<Vec<usize>>> = Arc::new((0..plan.nodes.len()).map(|node| plan.consumers(node).collect()).collect());
    let live = Arc::new(Live::new(
        plan.nodes
            .iter()
            .map(|node| restored.and_then(|checkpoint| checkpoint.counts.get(&node.name)).copied().unwrap_or_default()),
    ));

    let mut readers = Vec::new();
    let mut mailboxes = BTreeMap::new();
    let mut sinks = BTreeMap::new();
    let mut positions = BTreeMap::new();
    for (index, node) in plan.nodes.iter().enumerate() {
        let failed = |e| EngineError::connector(&node.name, e);
        match &node.kind {
            NodeKind::Source(source) => {
                let resume = restored.and_then(|checkpoint| checkpoint.positions.get(&node.name)).cloned().unwrap_or_default();
                let ingest = host.ingest();
                let context = SourceContext {
                    base_dir: options.base_dir.clone(),
                    ingest_dir: ingest.as_ref().map(|(dir, _)| dir.join(&node.name)),
                    seal_key: ingest.map(|(_, key)| key),
                };
                let reader =
                    open_source(&source.connector, source.format, Arc::clone(&node.schema), &source.declared, &context, &resume)
                        .map_err(failed)?;
                let mailbox = Mailbox::default();
                mailboxes.insert(index, Arc::clone(&mailbox));
                positions.insert(index, resume.into_iter().map(|position| (position.partition.clone(), position)).collect());
                readers.push(OpenSource { node: index, name: node.name.clone(), reader, mailbox });
            }
            NodeKind::Sink(planned) => {
                let context =
                    SinkContext { base_dir: options.base_dir.clone(), run_tag: format!("{}-{}", options.tag, node.name) };
                let mut writer = sink_writer(&planned.sink, Arc::clone(&node.schema), &context).map_err(failed)?;
                let last = restored.and_then(|checkpoint| checkpoint.pre_commits.get(&node.name));
                writer.recover(last).map_err(failed)?;
                sinks.insert(index, writer);
            }
            _ => {}
        }
    }

    let lanes = (0..plan.parallelism.max(1))
        .map(|index| {
            let nodes = plan
                .nodes
                .iter()
                .enumerate()
                .map(|(node, planned)| lane_node(plan, host, options, &shared, &visits, node, planned))
                .collect::<Result<_, _>>()?;
            Ok(Lane {
                index,
                nodes,
                consumers: Arc::clone(&consumers),
                visits: Arc::clone(&visits),
                fan: Arc::clone(&flow),
                live: Arc::clone(&live),
                cancel: cancel.clone(),
                batch_micros: super::lane::batch_histogram(),
            })
        })
        .collect::<Result<_, EngineError>>()?;
    Ok(Compiled { lanes, readers, mailboxes, sinks, positions, definitions, flow, live })
}

/// State that all lanes share, by node index.
struct Shared {
    watermarks: BTreeMap<usize, Arc<Watermarks>>,
    unique: BTreeMap<usize, UniqueStates>,
}

impl Shared {
    fn restore(plan: &Plan, host: &Arc<dyn Host>, restored: Option<&Checkpoint>, cancel: &Cancel) -> Result<Self, EngineError> {
        let mut shared = Self { watermarks: BTreeMap::new(), unique: BTreeMap::new() };
        for (index, node) in plan.nodes.iter().enumerate() {
            let state = restored.and_then(|checkpoint| checkpoint.states.get(&node.name));
            match &node.kind {
                NodeKind::Source(source) if source.event_time.is_some() => {
                    let newest = match state {
                        Some(OperatorState::Inline(newest)) => serde_json::from_value(newest.clone()).map_err(|e| {
                            EngineError::Resume(format!("the watermarks of source {} cannot be read: {e}", node.name))
                        })?,
                        _ => BTreeMap::new(),
                    };
                    shared.watermarks.insert(index, Watermarks::restore(newest, cancel.clone()));
                }
                NodeKind::Quality(quality) => {
                    let files: &[StateFile] = match state {
                        Some(OperatorState::Files(files)) => files,
                        _ => &[],
                    };
                    let mut states = UniqueStates::new();
                    for config in unique_configs(plan, host, index, &quality.rules)? {
                        let stem = format!("{}-", config.file_stem);
                        let own: Vec<StateFile> = files.iter().filter(|file| file.name.starts_with(&stem)).cloned().collect();
                        states.push(UniqueState::restore(&config, &own, cancel.clone())?);
                    }
                    shared.unique.insert(index, states);
                }
                _ => {}
            }
        }
        Ok(shared)
    }
}

fn lane_node(
    plan: &Arc<Plan>,
    host: &Arc<dyn Host>,
    options: &Options,
    shared: &Shared,
    visits: &Arc<Vec<Vec<usize>>>,
    index: usize,
    node: &Node,
) -> Result<LaneNode, EngineError> {
    let failed = |e| EngineError::connector(&node.name, e);
    let input = node.inputs.first().map(|&input| &plan.nodes[input]);
    let step = |stage: Box<dyn crate::stages::Stage>| LaneNode::Step(Guarded::new(&node.name, Arc::clone(&node.schema), stage));
    Ok(match &node.kind {
        NodeKind::Source(source) => {
            let decoder =
                row_decoder(&source.connector, source.format, Arc::clone(&node.schema), &source.declared).map_err(failed)?;
            let mut rules = source.rules.clone();
            // Lateness cannot be judged without a time.
            if let Some(column) = node.event_time.filter(|_| source.event_time.is_some()) {
                let column = node.schema.field(column).name().clone();
                rules.push(PlannedRule {
                    name: format!("event_time({column})"),
                    check: Check::NotNull { columns: vec![column] },
                    expr: None,
                });
            }
            let event_time = match (&source.event_time, node.event_time, shared.watermarks.get(&index)) {
                (Some(event_time), Some(column), Some(watermarks)) => {
                    Some(EventTimeCheck::new(column, event_time, Arc::clone(watermarks)))
                }
                _ => None,
            };
            LaneNode::Source(Box::new(DecodeStage {
                node: node.name.clone(),
                index,
                decoder,
                contract: RuleSet::compile(&node.name, &rules, &node.schema, &options.base_dir)?,
                event_time,
                on_malformed: source.on_malformed,
                counts: NodeCounts::default(),
            }))
        }
        NodeKind::Quality(quality) => {
            let rules = RuleSet::compile(&node.name, &quality.rules, &node.schema, &options.base_dir)?;
            let node_visits: Arc<[usize]> = visits.iter().map(|of_source| of_source.get(index).copied().unwrap_or(0)).collect();
            let unique = unique_configs(plan, host, index, &quality.rules)?
                .into_iter()
                .zip(&shared.unique[&index])
                .zip(quality.rules.iter().filter(|rule| matches!(rule.check, Check::Unique { .. })))
                .map(|((config, state), planned)| {
                    let reason = Reason::new(planned.name.as_str(), rule::describe(&planned.check));
                    Unique::new(config, reason, &node.schema, Arc::clone(state), Arc::clone(&node_visits))
                })
                .collect::<Result<_, _>>()?;
            step(Box::new(QualityStage::new(&node.name, quality.on_fail, rules, unique)))
        }
        NodeKind::Consent(consent) => {
            step(Box::new(ConsentStage::new(&node.name, consent, host.consent(&consent.purpose)?, host.subject_hasher())))
        }
        NodeKind::Mask(mask) => {
            let input = input.ok_or_else(|| EngineError::internal(&node.name, "a mask step has no input"))?;
            let keys = host.project_keys();
            let context = MaskContext { keys: &keys, purpose: &plan.purpose };
            step(Box::new(MaskStage::compile(
                &node.name,
                mask,
                input,
                &node.schema,
                context,
                &host.subject_hasher(),
                &host.keyring(),
            )?))
        }
        NodeKind::Sql(sql) => {
            step(Box::new(SqlStage::compile(&node.name, sql, &node.schema, |input| Arc::clone(&plan.nodes[input].schema))?))
        }
        NodeKind::Sink(planned) => LaneNode::Sink(SinkStage {
            node: node.name.clone(),
            encoder: row_encoder(&planned.sink, Arc::clone(&node.schema)).map_err(failed)?,
            counts: NodeCounts::default(),
        }),
    })
}

fn unique_configs(
    plan: &Plan,
    host: &Arc<dyn Host>,
    index: usize,
    rules: &[PlannedRule],
) -> Result<Vec<UniqueConfig>, EngineError> {
    let node = &plan.nodes[index];
    let micros = |span: weir_spec::types::Timespan| i64::try_from(span.as_duration().as_micros()).unwrap_or(i64::MAX);
    let unique = rules.iter().filter_map(|rule| match &rule.check {
        Check::Unique { columns, within } => Some((rule, columns, within)),
        _ => None,
    });
    unique
        .enumerate()
        .map(|(number, (rule, columns, within))| {
            let columns = columns
                .iter()
                .map(|column| node.schema.index_of(column).map_err(|e| EngineError::internal(&node.name, e)))
                .collect::<Result<_, _>>()?;
            Ok(UniqueConfig {
                name: rule.name.clone(),
                file_stem: format!("{}-{number}", node.name),
                columns,
                within: micros(*within),
                max_delay: sources_of(plan, index)
                    .filter_map(|source| source.event_time.as_ref())
                    .map(|time| micros(time.max_delay))
                    .max()
                    .unwrap_or(0),
                time: node.event_time,
                dir: host.state_dir(),
                key: host.state_key(),
            })
        })
        .collect()
}

/// The sources whose rows reach a node.
fn sources_of(plan: &Plan, index: usize) -> impl Iterator<Item = &weir_plan::SourceNode> {
    let mut reached = vec![false; plan.nodes.len()];
    let mut stack = vec![index];
    while let Some(node) = stack.pop() {
        if !std::mem::replace(&mut reached[node], true) {
            stack.extend(&plan.nodes[node].inputs);
        }
    }
    plan.nodes.iter().zip(reached).filter(|(_, reached)| *reached).filter_map(|(node, _)| match &node.kind {
        NodeKind::Source(source) => Some(source),
        _ => None,
    })
}

/// For each node, its inputs with how often it counts a row of each: once, or once for every arm of a UNION ALL.
fn flow(plan: &Plan) -> Vec<BTreeMap<usize, u64>> {
    plan.nodes
        .iter()
        .map(|node| {
            let mut flow: BTreeMap<usize, u64> = node.inputs.iter().map(|&input| (input, 1)).collect();
            if let NodeKind::Sql(sql) = &node.kind {
                flow.values_mut().for_each(|fan| *fan = 0);
                for branch in &sql.branches {
                    *flow.entry(branch.input).or_default() += 1;
                }
            }
            flow
        })
        .collect()
}

/// `visits[source][node]`: how many batches one ticket of a source brings to a node.
fn visits(plan: &Plan, flow: &[BTreeMap<usize, u64>]) -> Vec<Vec<usize>> {
    (0..plan.nodes.len())
        .map(|source| {
            let mut arriving = vec![0usize; plan.nodes.len()];
            let mut leaving = vec![0usize; plan.nodes.len()];
            for (index, node) in plan.nodes.iter().enumerate() {
                if index == source && matches!(node.kind, NodeKind::Source(_)) {
                    (arriving[index], leaving[index]) = (1, 1);
                    continue;
                }
                for &input in flow[index].keys() {
                    arriving[index] += leaving[input];
                    leaving[index] += leaving[input];
                }
            }
            arriving
        })
        .collect()
}

/// What each node that has state is. State is restored only into an equal definition.
fn definitions(plan: &Plan) -> BTreeMap<String, String> {
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
                NodeKind::Sink(planned) => format!("sink {:?} as {}", planned.sink.connector, planned.sink.format.as_str()),
                _ => return None,
            };
            Some((node.name.clone(), definition))
        })
        .collect()
}

/// Refuses a checkpoint that does not fit the document, and says what changed.
fn check_definitions(checkpoint: &Checkpoint, now: &BTreeMap<String, String>) -> Result<(), EngineError> {
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
        "the document has changed where stored state depends on it: {}. Undo the change, give the node a new name, or start anew with another data folder",
        changed.join("; ")
    )))
}
