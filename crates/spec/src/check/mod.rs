//! What can be said of a pipeline from its document alone: references, cycles, keys that do not go together, columns of inline
//! schemas. What needs contracts or SQL is the plan's business.

mod columns;
mod metrics;
mod references;
mod rules;
mod sinks;
mod sources;
mod tables;

pub(crate) use rules::bounds;

use crate::{diagnostic::Diagnostic, graph::graph, pipeline::Pipeline, spans::SpanMap};

/// Checks a pipeline that comes from no text.
pub fn check(pipeline: &Pipeline) -> Vec<Diagnostic> {
    check_parsed(pipeline, &SpanMap::default(), &[])
}

/// Checks a pipeline that was read from a text. `earlier` is what the grammar found wrong; of parts that are broken anyway nothing
/// further is said.
pub fn check_parsed(pipeline: &Pipeline, spans: &SpanMap, earlier: &[Diagnostic]) -> Vec<Diagnostic> {
    let graph = graph(pipeline);
    let scope = Scope { pipeline, spans, earlier };
    let mut found = Vec::new();
    references::check(&scope, &graph, &mut found);
    sources::check(&scope, &mut found);
    rules::check(&scope, &mut found);
    metrics::check(&scope, &mut found);
    columns::check(&scope, &graph, &mut found);
    tables::check(&scope, &mut found);
    sinks::check(&scope, &mut found);
    found
}

struct Scope<'p> {
    pipeline: &'p Pipeline,
    spans: &'p SpanMap,
    earlier: &'p [Diagnostic],
}

impl Scope<'_> {
    /// Whether the grammar found nothing wrong in this part of the document.
    fn is_clean(&self, path: &str) -> bool {
        !self
            .earlier
            .iter()
            .any(|error| error.path.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '['])))
    }

    /// Whether it is known which names there are in this section (`sources`, `steps`): not when it is misspelt, given twice or no map.
    fn is_read(&self, section: &str) -> bool {
        let unread = |error: &Diagnostic| {
            let whole = error.path == section && matches!(error.code.as_str(), "wrong-type" | "duplicate-key");
            whole || error.is_misspelling("", section)
        };
        let missing = section == "sources" && !self.spans.contains(section) && *self.spans != SpanMap::default();
        !missing && !self.earlier.iter().any(unread)
    }

    /// Whether the document gives this key. Of a pipeline that comes from no text, whether its value is not the default.
    fn is_given(&self, path: &str, differs_from_default: bool) -> bool {
        differs_from_default || self.spans.contains(path)
    }
}
