//! From a document's text to its plan: the one place that asks `weir-spec` and `weir-plan`.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use weir_api::{Classification, Diagnostic, ProjectId};
use weir_plan::{Lookup, Plan};
use weir_spec::{
    Column, Contract, Pipeline, SpanMap, connector::GeneratorKind, contract::ContractRef, parse_contract, parse_pipeline,
};
use weir_store::{
    Db,
    documents::{self, DocumentKind},
};

use crate::{Result, services::GeneratorColumns};

/// What there is to say about a pipeline's text.
pub struct Checked {
    /// Present when the text could be read.
    pub pipeline: Option<Pipeline>,
    /// Present when nothing stands against running it.
    pub plan: Option<Plan>,
    /// All findings, in the order of the text.
    pub diagnostics: Vec<Diagnostic>,
}

impl Checked {
    pub(crate) fn errors(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }

    /// The most sensitive class that leaves the pipeline: who may deploy it depends on it.
    pub(crate) fn classification(&self) -> Classification {
        let Some(plan) = &self.plan else {
            return Classification::Restricted;
        };
        let sinks = plan.nodes.iter().filter(|node| matches!(node.kind, weir_plan::NodeKind::Sink(_)));
        sinks.flat_map(|sink| &sink.columns).map(|column| column.classification).max().unwrap_or_default()
    }
}

/// Reads and plans a pipeline's text against the contracts registered in the project.
pub async fn check(db: &impl Db, generators: GeneratorColumns, project: ProjectId, text: &str) -> Result<Checked> {
    let parsed = parse_pipeline(text);
    let mut diagnostics = parsed.diagnostics;
    let Some(pipeline) = parsed.value else {
        return Ok(Checked { pipeline: None, plan: None, diagnostics });
    };
    let contracts = Contracts::load(db, generators, project, &pipeline).await?;
    let plan = plan(&pipeline, &contracts, &parsed.spans, &mut diagnostics);
    Ok(Checked { pipeline: Some(pipeline), plan, diagnostics })
}

fn plan(pipeline: &Pipeline, contracts: &Contracts, spans: &SpanMap, diagnostics: &mut Vec<Diagnostic>) -> Option<Plan> {
    let mut planned = weir_plan::plan(pipeline, contracts);
    spans.locate(&mut planned.diagnostics);
    diagnostics.append(&mut planned.diagnostics);
    diagnostics.sort_by_key(|diagnostic| diagnostic.span.map(|span| span.start));
    planned.plan
}

/// The contracts that a pipeline refers to, read beforehand: planning does no I/O.
struct Contracts {
    referenced: BTreeMap<(String, u32), Contract>,
    names: BTreeSet<String>,
    generators: GeneratorColumns,
}

impl Contracts {
    async fn load(db: &impl Db, generators: GeneratorColumns, project: ProjectId, pipeline: &Pipeline) -> Result<Self> {
        let wanted: HashSet<&ContractRef> = pipeline.sources.values().filter_map(|source| source.contract.as_ref()).collect();
        let mut loaded = Self { referenced: BTreeMap::new(), names: BTreeSet::new(), generators };
        if wanted.is_empty() {
            return Ok(loaded);
        }
        for (document, _) in documents::list(db, project, DocumentKind::Contract).await? {
            for version in documents::versions(db, document.id).await? {
                let Some(label) = version.label else { continue };
                let Some(major) = major(&label) else { continue };
                loaded.names.insert(format!("{}@{major}", document.name));
                let key = (document.name.clone(), major);
                let is_wanted = wanted.iter().any(|one| one.name == key.0 && one.version == key.1);
                let newer = loaded.referenced.get(&key).is_none_or(|known| newer(&label, &known.version));
                if is_wanted
                    && newer
                    && let Some(stored) = documents::version(db, document.id, version.version).await?
                    && let Some(contract) = parse_contract(&stored.text).value
                {
                    loaded.referenced.insert(key, contract);
                }
            }
        }
        Ok(loaded)
    }
}

impl Lookup for Contracts {
    fn contract(&self, reference: &ContractRef) -> Option<Contract> {
        self.referenced.get(&(reference.name.clone(), reference.version)).cloned()
    }

    fn contract_names(&self) -> Vec<String> {
        self.names.iter().cloned().collect()
    }

    fn generator_columns(&self, kind: GeneratorKind) -> Vec<Column> {
        (self.generators)(kind)
    }
}

/// The first number of a version.
pub(crate) fn major(version: &str) -> Option<u32> {
    version.split(['.', '-', '+']).next()?.parse().ok()
}

/// Whether a version comes after another: by its numbers, then a release after its own pre-releases (Semantic Versioning 2.0.0,
/// section 11, in short), then by text.
pub(crate) fn newer(version: &str, than: &str) -> bool {
    order(version) > order(than)
}

fn order(version: &str) -> (Vec<u64>, bool, String) {
    let version = version.split('+').next().unwrap_or_default();
    let (numbers, pre_release) = version.split_once('-').map_or((version, None), |(numbers, pre)| (numbers, Some(pre)));
    let numbers = numbers.split('.').map(|part| part.parse().unwrap_or(0)).collect();
    (numbers, pre_release.is_none(), pre_release.unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_by_their_numbers() {
        for (later, earlier) in [("1.10.0", "1.9.0"), ("2.0.0", "1.99.9"), ("1.0.0", "1.0.0-rc.1"), ("1.0.1", "1.0.0")] {
            assert!(newer(later, earlier), "{later} after {earlier}");
            assert!(!newer(earlier, later), "{earlier} before {later}");
        }
        assert!(!newer("1.0.0", "1.0.0"));
        assert_eq!((major("1.4.0"), major("12"), major("v1")), (Some(1), Some(12), None));
    }
}
