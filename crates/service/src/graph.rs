//! A pipeline as the console draws it, from its plan, or from its document alone when it does not plan.

use std::collections::HashMap;

use weir_api::{Graph, GraphColumn, GraphEdge, GraphNode, NodeKind};
use weir_spec::{Column, Pipeline, Step, connector::SourceConnector, graph as spec_graph, metric::AlertCondition};

use crate::planning::Checked;

/// The graph, unless the text could not be read.
pub(crate) fn draw(checked: &Checked) -> Option<Graph> {
    let pipeline = checked.pipeline.as_ref()?;
    let shape = weir_spec::graph(pipeline);
    let known: HashMap<String, Vec<GraphColumn>> = match &checked.plan {
        Some(plan) => columns_of_plan(plan),
        None => pipeline
            .sources
            .iter()
            .filter_map(|(name, source)| Some((name.clone(), declared(source.schema.as_deref()?))))
            .collect(),
    };
    let depths = depths(&shape);
    let nodes = shape
        .nodes
        .iter()
        .zip(&depths)
        .map(|(node, depth)| GraphNode {
            name: node.name.clone(),
            kind: match node.kind {
                spec_graph::NodeKind::Source => NodeKind::Source,
                spec_graph::NodeKind::Step => NodeKind::Step,
                spec_graph::NodeKind::Sink => NodeKind::Sink,
            },
            operator: node.operator.clone(),
            parts: checked.plan.as_ref().map(|plan| parts(plan, &node.name)).unwrap_or_default(),
            summary: summary(pipeline, node),
            columns: known.get(&node.name).cloned().unwrap_or_default(),
            clearance: pipeline
                .sinks
                .get(&node.name)
                .map(|sink| sink.clearance)
                .filter(|_| node.kind == spec_graph::NodeKind::Sink),
            depth: *depth,
        })
        .collect();
    let edges = shape
        .edges
        .iter()
        .map(|edge| GraphEdge {
            from: shape.nodes[edge.from].name.clone(),
            to: shape.nodes[edge.to].name.clone(),
            classification: known
                .get(&shape.nodes[edge.from].name)
                .and_then(|columns| columns.iter().map(|c| c.classification).max()),
        })
        .collect();
    Some(Graph { nodes, edges })
}

/// What a step is made of, where the plan needs several operators for it. They are not drawn: people know the step by its name, and its
/// counts are told by step.
fn parts(plan: &weir_plan::Plan, step: &str) -> Vec<String> {
    let of_step = plan.nodes.iter().filter(|node| node.step == step);
    let parts: Vec<String> = of_step.map(|node| node.kind.as_str().to_owned()).collect();
    if parts.len() > 1 { parts } else { Vec::new() }
}

/// One more than the deepest input; nodes on a cycle stay at 0.
fn depths(shape: &spec_graph::Graph) -> Vec<u32> {
    let mut depths = vec![0; shape.nodes.len()];
    for node in &shape.order {
        let inputs = shape.edges.iter().filter(|edge| edge.to == *node).map(|edge| depths[edge.from]);
        depths[*node] = inputs.max().map_or(0, |deepest| deepest + 1);
    }
    depths
}

fn columns_of_plan(plan: &weir_plan::Plan) -> HashMap<String, Vec<GraphColumn>> {
    let view = weir_plan::describe(plan);
    let mut masked: HashMap<&str, HashMap<String, String>> = HashMap::new();
    let mut columns = HashMap::new();
    // In topological order: what a mask did to a column is remembered for all nodes behind it that pass the column on.
    for (node, planned) in view.nodes.iter().zip(&plan.nodes) {
        let mut here: HashMap<String, String> = HashMap::new();
        for input in &node.inputs {
            let passed = masked.get(input.as_str()).into_iter().flatten();
            here.extend(passed.map(|(column, operator)| (column.clone(), operator.clone())));
        }
        if let weir_plan::NodeKind::Mask(mask) = &planned.kind {
            here.extend(mask.masks.iter().map(|one| (planned.columns[one.column].name.clone(), one.mask.key().to_owned())));
        }
        here.retain(|column, _| {
            node.columns.iter().any(|known| known.facts.name == *column && known.facts.lineage.iter().any(|edge| edge.masking))
        });
        let drawn = node.columns.iter().map(|column| GraphColumn {
            name: column.facts.name.clone(),
            data_type: column.data_type.clone(),
            required: match &planned.kind {
                weir_plan::NodeKind::Source(source) => {
                    source.declared.iter().any(|one| one.name == column.facts.name && one.required)
                }
                _ => false,
            },
            classification: column.facts.classification,
            categories: column.facts.categories.clone(),
            masked_by: here.get(&column.facts.name).cloned(),
        });
        columns.insert(node.name.clone(), drawn.collect());
        masked.insert(node.name.as_str(), here);
    }
    columns
}

/// Columns as a document or a contract declares them.
pub(crate) fn declared(columns: &[Column]) -> Vec<GraphColumn> {
    columns
        .iter()
        .map(|column| GraphColumn {
            name: column.name.clone(),
            data_type: column.data_type.to_string(),
            required: column.required,
            classification: column.classification,
            categories: column.categories.clone(),
            masked_by: None,
        })
        .collect()
}

fn summary(pipeline: &Pipeline, node: &spec_graph::GraphNode) -> String {
    let name = &node.name;
    match node.kind {
        spec_graph::NodeKind::Source => pipeline.sources.get(name).map(|source| {
            let from = match &source.connector {
                SourceConnector::File(file) => file.path.clone(),
                SourceConnector::Generator(generator) => format!("{:?}", generator.kind).to_lowercase(),
                SourceConnector::Http(_) => "rows posted over HTTP".to_owned(),
                SourceConnector::Nexmark(nexmark) => format!("nexmark {}", nexmark.stream.as_str()),
            };
            match &source.contract {
                Some(contract) => format!("{from} · {contract}"),
                None => from,
            }
        }),
        spec_graph::NodeKind::Step => pipeline.steps.get(name).map(|step| match step {
            Step::Quality(quality) => {
                let of_rows = counted(quality.rules.len(), "rule", "rules");
                match &quality.windows {
                    Some(windows) if quality.rules.is_empty() => {
                        format!("{} over {}", counted(windows.rules.len(), "rule", "rules"), windows.over)
                    }
                    Some(windows) => format!("{of_rows}, {} over {}", windows.rules.len(), windows.over),
                    None => of_rows,
                }
            }
            Step::Consent(consent) => consent.purpose.clone().unwrap_or_else(|| pipeline.purpose.clone()),
            Step::Mask(mask) => {
                mask.columns.iter().map(|(column, mask)| format!("{column}: {}", mask.key())).collect::<Vec<_>>().join(", ")
            }
            Step::Alert(alert) => {
                let when = match &alert.when {
                    AlertCondition::Rows(sql) => sql.split_whitespace().collect::<Vec<_>>().join(" "),
                    AlertCondition::Rule(rule) => format!("{rule} is broken"),
                };
                format!("when {when}")
            }
            Step::Sql(sql) => sql.query.split_whitespace().collect::<Vec<_>>().join(" "),
        }),
        spec_graph::NodeKind::Sink => pipeline.sinks.get(name).map(|sink| {
            let recipient = sink.recipient.as_deref().map(|recipient| format!(" · {recipient}")).unwrap_or_default();
            format!("{}{recipient}", sink.format.as_str())
        }),
    }
    .unwrap_or_default()
}

fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
