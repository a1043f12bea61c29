//! The graph of a pipeline as the console draws it.

use weir_api::{Graph, GraphNode, Role, ValidatePipeline};
use weir_service::pipelines;

use crate::world::{PIPELINE, World};

async fn graph(document: String) -> Graph {
    let world = World::new().await;
    let viewer = world.person(Role::Viewer).await;
    pipelines::validate(&viewer, ValidatePipeline { document }).await.unwrap().graph.unwrap()
}

fn node<'g>(graph: &'g Graph, name: &str) -> &'g GraphNode {
    graph.nodes.iter().find(|node| node.name == name).unwrap_or_else(|| panic!("{name}: {graph:?}"))
}

#[tokio::test]
async fn a_step_that_runs_as_several_operators_is_one_node_that_tells_them() {
    let windowed = PIPELINE
        .replace("    format: json\n    schema:\n", "    format: json\n    event_time: { column: paid_at, max_delay: 10s }\n    schema:\n      - { name: paid_at, type: timestamp }\n")
        .replace(
            "sinks:\n",
            "  per_minute:\n    sql: SELECT window_start, count(*) AS n FROM tumble(safe, INTERVAL '1 minute') GROUP BY window_start\nsinks:\n",
        )
        .replace("    from: safe\n    file", "    from: per_minute\n    file");
    let graph = graph(windowed).await;
    assert_eq!(node(&graph, "per_minute").parts, ["aggregate", "sql"]);
    assert!(node(&graph, "safe").parts.is_empty());
    assert!(graph.nodes.iter().all(|node| !node.name.contains('#')), "{graph:?}");
}

#[tokio::test]
async fn quality_and_alert_steps_tell_what_they_look_at() {
    let watched = PIPELINE.replace(
        "sinks:\n",
        "  measured:\n    quality:\n      from: safe\n      over: 5m\n      metrics: [ { row_count: { min: 100 } } ]\n  volume:\n    alert: { from: measured, rule: row_count }\nsinks:\n",
    );
    let graph = graph(watched).await;
    assert_eq!(node(&graph, "measured").summary, "1 rule over 5m");
    let volume = node(&graph, "volume");
    assert_eq!((volume.operator.as_str(), volume.summary.as_str()), ("alert", "when row_count is broken"));
    assert!(graph.edges.iter().any(|edge| edge.from == "measured" && edge.to == "volume"));
}
