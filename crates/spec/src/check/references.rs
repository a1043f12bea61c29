//! Names: what `from` and SQL refer to, who reads whom, and circles.

use std::collections::HashMap;

use super::Scope;
use crate::{
    diagnostic::Diagnostic,
    graph::{Graph, Input, NodeKind, step_inputs},
    nearest::did_you_mean,
    parse::quoted,
    pipeline::Step,
};

pub fn check(scope: &Scope<'_>, graph: &Graph, found: &mut Vec<Diagnostic>) {
    duplicate_names(scope, found);
    for (name, step) in &scope.pipeline.steps {
        let inputs = step_inputs(name, step);
        if inputs.is_empty() && matches!(step, Step::Sql(_)) && scope.is_clean(&format!("steps.{name}")) {
            let error = Diagnostic::error(
                "no-input",
                format!("steps.{name}.sql"),
                format!("the SQL of `{name}` reads no source or step"),
            );
            found.push(error.with_help("name one behind FROM"));
        }
        for input in inputs {
            unknown_name(scope, &input, name, found);
        }
    }
    for (name, sink) in scope.pipeline.sinks.iter().filter(|(_, sink)| !sink.from.is_empty()) {
        unknown_name(scope, &Input { name: sink.from.clone(), path: format!("sinks.{name}.from") }, name, found);
    }
    cycles(graph, found);
    outcome(scope, found);
    sourceless_sinks(scope, graph, found);
    unread(scope, graph, found);
}

/// A name means one thing in a document: `from` and SQL go by it, and so do the counts of a run.
fn duplicate_names(scope: &Scope<'_>, found: &mut Vec<Diagnostic>) {
    let pipeline = scope.pipeline;
    let sections: [(&str, &str, Vec<&String>); 4] = [
        ("source", "sources", pipeline.sources.keys().collect()),
        ("step", "steps", pipeline.steps.keys().collect()),
        ("table", "tables", pipeline.tables.keys().collect()),
        ("sink", "sinks", pipeline.sinks.keys().collect()),
    ];
    let mut first: HashMap<&str, (&str, String)> = HashMap::new();
    for (what, section, names) in &sections {
        for name in names {
            let path = format!("{section}.{name}");
            let Some((other, at)) = first.get(name.as_str()) else {
                first.insert(name, (what, path));
                continue;
            };
            let help = match *what {
                "sink" => "the counts of a run and its quarantine go by name; rename one",
                "table" => "SQL could not tell them apart; rename one",
                _ => "`from` and SQL could not tell them apart; rename one",
            };
            let mut error = Diagnostic::error("duplicate-name", path, format!("`{name}` names a {other} and a {what}"));
            if let Some(span) = scope.spans.resolve(at) {
                error = error.with_note(format!("the {other} stands in line {}, column {}", span.start.line, span.start.column));
            }
            found.push(error.with_help(help));
        }
    }
}

fn known<'p>(scope: &Scope<'p>) -> impl Iterator<Item = &'p str> {
    let pipeline = scope.pipeline;
    pipeline.sources.keys().chain(pipeline.steps.keys()).chain(pipeline.tables.keys()).map(String::as_str)
}

fn unknown_name(scope: &Scope<'_>, input: &Input, reader: &str, found: &mut Vec<Diagnostic>) {
    // Where the section that may have it could not be read, nobody knows.
    if known(scope).any(|name| name == input.name) || ["sources", "steps", "tables"].iter().any(|section| !scope.is_read(section))
    {
        return;
    }
    let message = format!("`{reader}` reads {}, but no source or step has this name", quoted(&input.name));
    let help = if scope.pipeline.sinks.contains_key(&input.name) {
        format!("`{}` is a sink; nothing can be read from it", input.name)
    } else {
        did_you_mean(&input.name, known(scope).filter(|name| *name != reader)).unwrap_or_else(|| {
            let names: Vec<&str> = known(scope).filter(|name| *name != reader).collect();
            if names.is_empty() { "there is nothing else to read".to_owned() } else { format!("there are: {}", names.join(", ")) }
        })
    };
    found.push(Diagnostic::error("unknown-reference", input.path.clone(), message).with_help(help));
}

fn cycles(graph: &Graph, found: &mut Vec<Diagnostic>) {
    for cycle in &graph.cycles {
        let names: Vec<&str> = cycle.iter().chain(cycle.first()).map(|node| graph.nodes[*node].name.as_str()).collect();
        let path = format!("steps.{}", names.first().copied().unwrap_or_default());
        let error = Diagnostic::error("cycle", path, format!("steps read each other in a circle: {}", names.join(" -> ")));
        found.push(error.with_help("let one of them read a source"));
    }
}

/// Rows that go nowhere and that nobody watches.
fn outcome(scope: &Scope<'_>, found: &mut Vec<Diagnostic>) {
    let read = ["steps", "sinks"].iter().all(|section| scope.is_read(section));
    if !read || !scope.pipeline.sinks.is_empty() || scope.pipeline.steps.keys().any(|step| reports(scope, step)) {
        return;
    }
    let error = match scope.spans.contains("sinks") {
        true => Diagnostic::error("too-few", "sinks", "`sinks`: the map is empty").with_help("give at least one sink"),
        false => {
            Diagnostic::error("missing-key", "", "a pipeline has no `sinks`").with_help("add `sinks`: Where rows go, by name.")
        }
    };
    found.push(error.with_note("only a pipeline that raises alerts or watches quality over time can do without"));
}

/// A sink whose rows come from nowhere. Where a name upstream is unknown, that has been said already.
fn sourceless_sinks(scope: &Scope<'_>, graph: &Graph, found: &mut Vec<Diagnostic>) {
    for (index, node) in graph.nodes.iter().enumerate().filter(|(_, node)| node.kind == NodeKind::Sink) {
        let upstream = graph.upstream(index);
        let any = |kind: NodeKind| upstream.iter().any(|node| graph.nodes[*node].kind == kind);
        let broken = upstream.iter().any(|node| {
            let node = &graph.nodes[*node];
            let step = scope.pipeline.steps.get(&node.name).filter(|_| node.kind == NodeKind::Step);
            let unknown = |input: &Input| !known(scope).any(|name| name == input.name);
            step.is_some_and(|step| {
                let inputs = step_inputs(&node.name, step);
                inputs.is_empty() || inputs.iter().any(unknown)
            })
        });
        if !any(NodeKind::Source) && any(NodeKind::Step) && !broken {
            let message = format!("no source feeds the sink `{}`", node.name);
            let error = Diagnostic::error("no-source", format!("sinks.{}.from", node.name), message);
            found.push(error.with_help("let one of the steps before it read a source"));
        }
    }
}

/// Whether a step tells people something, so that nothing need read its rows.
fn reports(scope: &Scope<'_>, step: &str) -> bool {
    match scope.pipeline.steps.get(step) {
        Some(Step::Alert(_)) => true,
        Some(Step::Quality(quality)) => quality.windows.is_some(),
        _ => false,
    }
}

/// Work that nobody looks at. Left unsaid while any step or sink is broken: it may be the reader.
fn unread(scope: &Scope<'_>, graph: &Graph, found: &mut Vec<Diagnostic>) {
    let unread = ["sources", "steps", "sinks"].iter().any(|section| !scope.is_read(section));
    let broken = unread || !scope.is_clean("steps") || !scope.is_clean("sinks") || found.iter().any(Diagnostic::is_error);
    if broken {
        return;
    }
    for (index, node) in graph.nodes.iter().enumerate() {
        let (what, section) = match node.kind {
            NodeKind::Source => ("source", "sources"),
            NodeKind::Step => ("step", "steps"),
            NodeKind::Sink => continue,
        };
        if graph.readers(index).next().is_none() && !(what == "step" && reports(scope, &node.name)) {
            let message = format!("nothing reads the {what} `{}`", node.name);
            let warning = Diagnostic::warning("unused", format!("{section}.{}", node.name), message);
            found.push(warning.with_help("read it in a step or a sink, or remove it"));
        }
    }
}
