//! The pipeline as a graph: stages in lanes, nodes with what flows through them now, edges with what they carry.

pub mod layout;

use layout::{Lane, NODE_FRAME, NODE_HEIGHT, NodeBox, fitting};
use leptos::prelude::*;
use leptos_router::{NavigateOptions, hooks::use_navigate};
use weir_api::{Graph, NodeKind, NodeRates, RunRates, Trail};

use crate::format;

/// The title of a stage in words, from its name in evidence.
pub fn lane_title(stage: &str) -> String {
    match Lane::ALL.iter().find(|lane| lane.as_str() == stage) {
        Some(lane) => lane.title().to_owned(),
        None => stage.to_owned(),
    }
}

/// The reading of one node, when its run reports.
pub fn rates_of(rates: &Option<RunRates>, node: &str) -> Option<NodeRates> {
    rates.as_ref()?.nodes.iter().find(|one| one.node == node).cloned()
}

/// The drawing. Nodes are links to `?node=NAME` under `base`, so that a choice has an address.
#[component]
pub fn PipelineGraph(
    graph: Graph,
    /// The ways of what would reach a sink that must not; they are drawn over the others.
    #[prop(optional)]
    leaks: Vec<Trail>,
    /// The newest reading, for as long as the run reports.
    rates: Signal<Option<RunRates>>,
    /// The chosen node.
    chosen: Signal<Option<String>>,
    #[prop(into)] base: String,
) -> impl IntoView {
    let drawn = layout::layout(&graph);
    let lanes = drawn
        .lanes
        .iter()
        .map(|lane| {
            let name = if lane.empty { "g-lane-name g-lane-name--empty" } else { "g-lane-name" };
            view! {
                <g class=format!("c-{}", lane.lane.as_str())>
                    <rect
                        class=if lane.empty { "g-lane-empty" } else { "g-lane" }
                        x=lane.x + 1.0 y="8" width=lane.width - 2.0 height=drawn.height - 16.0 rx="6"
                    ></rect>
                    <text class=name x=lane.x + lane.width / 2.0 y="27" text-anchor="middle">{lane.lane.title()}</text>
                </g>
            }
        })
        .collect_view();
    let edges = drawn
        .edges
        .iter()
        .map(|line| {
            let edge = &graph.edges[line.index];
            let leaking = leaking(&leaks, &edge.from, &edge.to);
            let leaks = leaking.is_some();
            let class = edge.classification.map_or("c-source".to_owned(), |class| format!("c-{class}"));
            let class = if leaks { "g-leak".to_owned() } else { class };
            let from = edge.from.clone();
            let observes = line.observes;
            let flows = move || !observes && rates.try_with(|rates| rates_of(rates, &from)).flatten().is_some_and(|node| node.rows_out_per_second > 0.0);
            // An observer takes nothing on: what it is shown has its label at the node's other edges.
            let carries = leaking.or(edge.classification.filter(|_| !line.observes).map(|class| class.to_string())).map(|carried| {
                view! { <text class="g-edge-label" x=line.label.0 y=line.label.1 text-anchor="middle">{fitting(&carried, 11.0, 90.0)}</text> }
            });
            view! {
                <g class=class>
                    <path class=move || match () { () if leaks => "g-edge g-edge--leaks", () if observes => "g-edge g-edge--observes", () if flows() => "g-edge g-edge--flow", () => "g-edge" } d=line.path.clone() marker-end="url(#arrow)"></path>
                    {carries}
                </g>
            }
        })
        .collect_view();
    let nodes = drawn.nodes.iter().map(|at| node(&graph, at, rates, chosen, &base)).collect_view();
    let label = format!(
        "Pipeline graph: {}, {}",
        format::plural(graph.nodes.len() as u64, "node", "nodes"),
        format::plural(graph.edges.len() as u64, "edge", "edges")
    );
    view! {
        <div class="graph" role="region" aria-label=label tabindex="0">
            <svg width=drawn.width height=drawn.height viewBox=format!("0 0 {} {}", drawn.width, drawn.height)>
                <defs>
                    <marker id="arrow" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="7" markerHeight="7" markerUnits="userSpaceOnUse" orient="auto">
                        <path d="M0 0 8 4 0 8z" fill="context-stroke"></path>
                    </marker>
                </defs>
                {lanes}
                {edges}
                {nodes}
            </svg>
        </div>
    }
}

/// The columns that would leak along an edge.
fn leaking(leaks: &[Trail], from: &str, to: &str) -> Option<String> {
    let along = |way: &Vec<String>| way.windows(2).any(|pair| pair[0] == from && pair[1] == to);
    let mut columns: Vec<&str> =
        leaks.iter().filter(|trail| trail.ways.iter().any(along)).map(|trail| trail.column.as_str()).collect();
    columns.dedup();
    match columns.as_slice() {
        [] => None,
        [one] => Some((*one).to_owned()),
        many => Some(format!("{} columns", many.len())),
    }
}

fn node(
    graph: &Graph,
    at: &NodeBox,
    rates: Signal<Option<RunRates>>,
    chosen: Signal<Option<String>>,
    base: &str,
) -> impl IntoView + use<> {
    let node = graph.nodes[at.index].clone();
    let room = at.width - NODE_FRAME;
    let name = node.name.clone();
    let reading = Memo::new({
        let name = name.clone();
        move |_| rates.try_with(|rates| rates_of(rates, &name)).flatten()
    });
    let is_chosen = {
        let name = name.clone();
        move || chosen.try_with(|chosen| chosen.as_deref() == Some(&name)).unwrap_or(false).then_some("true")
    };
    let observer = layout::is_observer(&node);
    // Neither passes rows on: what comes in is what there is to tell.
    let sink = observer || node.kind == NodeKind::Sink;
    // What is drawn may outlive its page by a moment: nothing here takes a signal for granted.
    let now = move || reading.try_get().flatten();
    let rate = move || match now() {
        Some(now) => format!("{} rows/s", format::short(if sink { now.rows_in_per_second } else { now.rows_out_per_second })),
        None => "–".to_owned(),
    };
    let rejects = move || match now() {
        Some(now) if now.rejects > 0 => format!("▲ {} rejected", format::short(now.rejects as f64)),
        _ => String::new(),
    };
    let lag = move || now().and_then(|now| now.lag).map_or(String::new(), |lag| format!("lag {}", format::short(lag as f64)));
    let what = layout::what(&node);
    let href = crate::links::with_query(base, [("node", node.name.as_str())]);
    // The name stays while the numbers change, so they describe the node.
    let title = format!("{}: {what}", node.name);
    let now_id = format!("node-{}-now", node.name);
    let described = {
        let now_id = now_id.clone();
        move || now().is_some().then(|| now_id.clone())
    };
    let (x, y, width) = (at.x, at.y, at.width);
    // The router knows HTML links only.
    let navigate = use_navigate();
    let to = href.clone();
    let on_click = move |event: leptos::ev::MouseEvent| {
        if !(event.ctrl_key() || event.meta_key() || event.shift_key()) {
            event.prevent_default();
            navigate(&to, NavigateOptions { scroll: false, ..Default::default() });
        }
    };
    view! {
        <g>
        <a
            class=format!("g-node {} c-{}", if observer { "g-node--observer" } else { "" }, at.lane.as_str()) href=href aria-current=is_chosen on:click=on_click
            aria-label=title aria-describedby=described
        >
            <rect class="g-node__box" x=x y=y width=width height=NODE_HEIGHT rx="8"></rect>
            <rect class="g-node__bar" x=x + 10.0 y=y + 13.0 width="4" height="28" rx="2"></rect>
            <text class="g-node__name" x=x + 22.0 y=y + 24.0>{fitting(&node.name, 13.0, room)}</text>
            <text class="g-node__what" x=x + 22.0 y=y + 40.0>{layout::what_fits(&node, room)}</text>
            <g id=now_id>
                <text class="g-node__rate" x=x + 22.0 y=y + 62.0>{rate}</text>
                <text class="g-node__reject" x=x + 22.0 y=y + 79.0>{rejects}</text>
                <text class="g-node__lag" x=x + width - 12.0 y=y + 62.0 text-anchor="end">{lag}</text>
            </g>
        </a>
        </g>
    }
}
