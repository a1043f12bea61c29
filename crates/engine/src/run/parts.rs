//! The nodes of a lane, each with its share of the state that the last checkpoint holds.

use std::{collections::BTreeMap, sync::Arc};

use sha2::{Digest, Sha256};
use weir_connectors::{row_decoder, row_encoder};
use weir_plan::{NodeKind, Plan, PlannedRule, operator::OperatorNode};
use weir_spec::{connector::LatePolicy, quality::Check};
use weir_vault::{Mac, MaskContext};

use super::{
    Options,
    chain::LaneNode,
    flow::sources_of,
    layout::{Layout, SOURCES},
};
use crate::{
    checkpoint::{Checkpoint, OperatorState, StateFile},
    counts::NodeCounts,
    error::EngineError,
    host::Host,
    ordered::Cancel,
    stages::{
        Reason,
        consent::ConsentStage,
        decode::{Counted, DecodeStage},
        event_time::{EventClock, EventTimeCheck, Known, Marks, SourceClock},
        guard::Guarded,
        mask::MaskStage,
        quality::{
            QualityStage, RuleSet, UniqueStates,
            observe::{self, ObserverContext},
            rule,
            unique::{Unique, UniqueConfig, UniqueState},
        },
        sink::{SinkStage, written_schema},
        transform::{
            self, driver::OperatorStage, expand::ExpandStage, join::lookup_table::LookupTable, operator::OperatorContext,
            sql::SqlStage, window::WindowStage,
        },
    },
    state::Settings,
};

/// State that all lanes share, by node index.
pub struct Shared {
    /// None when no source has event time and nothing asks for time.
    pub clock: Option<Arc<EventClock>>,
    unique: BTreeMap<usize, UniqueStates>,
    /// The policy for late rows of each source.
    late: Arc<BTreeMap<usize, LatePolicy>>,
    /// Reference data.
    tables: BTreeMap<usize, Arc<LookupTable>>,
    /// The watermarks of sources at the last checkpoint.
    resumed: BTreeMap<usize, i64>,
}

impl Shared {
    /// `timed` says that operators go by the time of all sources.
    pub fn restore(
        plan: &Plan,
        host: &Arc<dyn Host>,
        options: &Options,
        restored: Option<&Checkpoint>,
        timed: bool,
        cancel: &Cancel,
    ) -> Result<Self, EngineError> {
        let mut sources = Vec::new();
        let mut unique = BTreeMap::new();
        let mut late = BTreeMap::new();
        let mut resumed = BTreeMap::new();
        let mut tables = BTreeMap::new();
        for (index, node) in plan.nodes.iter().enumerate() {
            let state = restored.and_then(|checkpoint| checkpoint.states.get(&node.name));
            match &node.kind {
                NodeKind::Source(source) if source.event_time.is_some() || timed => {
                    let known: Known = match state {
                        Some(OperatorState::Inline(known)) => serde_json::from_value(known.clone()).map_err(|e| {
                            EngineError::Resume(format!("the watermarks of source {} cannot be read: {e}", node.name))
                        })?,
                        _ => Known::default(),
                    };
                    resumed.extend(known.watermark.map(|watermark| (index, watermark)));
                    sources.push((index, source.event_time.as_ref().map(SourceClock::of), known));
                    if let Some(event_time) = &source.event_time {
                        late.insert(index, event_time.late);
                    }
                }
                NodeKind::Table(table) => {
                    tables.insert(index, LookupTable::open(&node.name, table, &options.base_dir)?);
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
                    unique.insert(index, states);
                }
                _ => {}
            }
        }
        let clock = (!sources.is_empty()).then(|| EventClock::restore(sources, cancel.clone()));
        Ok(Self { clock, unique, late: Arc::new(late), tables, resumed })
    }

    /// Where the watermark of a node without inputs stood at the last checkpoint.
    pub fn watermark(&self, plan: &Plan, node: usize) -> i64 {
        match plan.nodes[node].kind {
            // Reference data holds nobody back.
            NodeKind::Table(_) => i64::MAX,
            _ => self.resumed.get(&node).copied().unwrap_or(i64::MIN),
        }
    }
}

/// What lanes are made of.
pub struct Parts<'p> {
    pub plan: &'p Arc<Plan>,
    pub host: &'p Arc<dyn Host>,
    pub options: &'p Options,
    pub restored: Option<&'p Checkpoint>,
    pub shared: &'p Shared,
    pub visits: &'p Arc<Vec<Vec<usize>>>,
    pub layout: &'p Layout,
}

/// A node in one of the lanes of its segment.
pub fn lane_node(parts: &Parts<'_>, index: usize, lane: usize) -> Result<LaneNode, EngineError> {
    let &Parts { plan, host, options, shared, visits, layout, .. } = parts;
    let node = &plan.nodes[index];
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
            let (judged_later, told_behind) = fed_operators(plan, index);
            let event_time = match (&source.event_time, node.event_time, &shared.clock) {
                (Some(event_time), Some(column), Some(clock)) => Some(EventTimeCheck {
                    column,
                    policy: event_time.late,
                    max_delay: SourceClock::of(event_time).max_delay,
                    clock: Arc::clone(clock),
                    judged_later,
                    told_behind,
                    counts: crate::counts::RuleCounts::default(),
                }),
                _ => None,
            };
            LaneNode::Source(Box::new(DecodeStage {
                node: node.name.clone(),
                index,
                decoder,
                contract: RuleSet::compile(&node.name, &rules, &node.schema, &options.base_dir)?,
                event_time,
                on_malformed: source.on_malformed,
                counted: Counted::of(source),
                counts: NodeCounts::default(),
                marks: Marks::default(),
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
                    Unique::new(
                        config,
                        reason,
                        &node.schema,
                        Arc::clone(state),
                        Arc::clone(&node_visits),
                        layout.segment_of[index] != SOURCES,
                    )
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
        NodeKind::Table(_) => LaneNode::Elsewhere,
        NodeKind::Window(planned) => step(Box::new(ExpandStage {
            node: node.name.clone(),
            windows: WindowStage::new(planned.clone(), Arc::clone(&node.schema)),
        })),
        NodeKind::Operator(planned) => {
            let context = operator_context(parts, index, lane, planned)?;
            let observer = ObserverContext {
                operator: &context,
                step: &node.step,
                base_dir: &options.base_dir,
                causes: Mac::new(host.project_keys().derive("alert-causes").expose()),
            };
            let table = node.inputs.iter().find_map(|input| shared.tables.get(input));
            let counts = parts.restored.and_then(|checkpoint| checkpoint.counts.get(&node.name)).copied().unwrap_or_default();
            LaneNode::Operator(Box::new(OperatorStage {
                node: node.name.clone(),
                index,
                schema: Arc::clone(&node.schema),
                operator: match observe::build(&planned.operator, &observer) {
                    Some(observer) => observer?,
                    None => transform::build(&planned.operator, &context, table)?,
                },
                late: Arc::clone(&shared.late),
                partition: format!("{}/{lane}", node.step).into(),
                emitted: counts.emitted,
                counts: NodeCounts::default(),
                watermark: i64::MIN,
            }))
        }
        NodeKind::Sink(planned) => LaneNode::Sink(SinkStage {
            node: node.name.clone(),
            encoder: row_encoder(&planned.sink, written_schema(planned, &node.schema)).map_err(failed)?,
            counts: NodeCounts::default(),
            with_changes: Some(written_schema(planned, &node.schema)).filter(|written| *written != node.schema),
        }),
    })
}

fn operator_context(
    parts: &Parts<'_>,
    index: usize,
    lane: usize,
    planned: &OperatorNode,
) -> Result<OperatorContext, EngineError> {
    let node = &parts.plan.nodes[index];
    let inputs = || node.inputs.iter().map(|&input| &parts.plan.nodes[input]);
    let restored = match parts.restored.and_then(|checkpoint| checkpoint.states.get(&node.name)) {
        Some(OperatorState::Keyed(states)) => states.clone(),
        Some(_) => return Err(EngineError::Resume(format!("the state of {} is of another kind", node.name))),
        None => BTreeMap::new(),
    };
    let lanes = parts.layout.segments[parts.layout.segment_of[index]].lanes;
    Ok(OperatorContext {
        node: node.name.clone(),
        inputs: inputs().map(|input| Arc::clone(&input.schema)).collect(),
        input_changes: inputs().map(|input| input.changes).collect(),
        output: Arc::clone(&node.schema),
        lane,
        lanes,
        settings: Settings {
            memory_limit: parts.host.state_memory().map(|bytes| bytes / (lanes * operators(parts.plan)).max(1)),
            ..state_settings(&**parts.host, planned)
        },
        restored,
    })
}

/// Where and how an operator's state is kept, without a limit.
pub fn state_settings(host: &dyn Host, planned: &OperatorNode) -> Settings {
    Settings {
        key: host.keyed_state_key(),
        operator: Sha256::digest(planned.definition.as_bytes()).into(),
        folder: host.state_dir(),
        memory_limit: None,
    }
}

/// How many nodes share the memory for state. What watches rows keeps little.
fn operators(plan: &Plan) -> usize {
    let is_operator = |&id: &usize| matches!(plan.nodes[id].kind, NodeKind::Operator(_)) && !plan.is_observer(id);
    (0..plan.nodes.len()).filter(is_operator).count()
}

/// Whether operators with state read what this source gives, at however many removes: those that say what is late, and any at all.
fn fed_operators(plan: &Plan, source: usize) -> (bool, bool) {
    let mut reached = vec![false; plan.nodes.len()];
    reached[source] = true;
    let (mut judging, mut any) = (false, false);
    for (index, node) in plan.nodes.iter().enumerate() {
        if node.inputs.iter().any(|&input| reached[input]) {
            reached[index] = true;
            if matches!(node.kind, NodeKind::Operator(_)) {
                any = true;
                judging |= !plan.is_observer(index);
            }
        }
    }
    (judging, any)
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
                    .filter_map(|(_, source)| source.event_time.as_ref())
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
