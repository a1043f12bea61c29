//! Contracts out of files, for documents that are checked or run without a server.

use std::path::{Path, PathBuf};

use weir_plan::{Lookup, Planned, plan_parsed};
use weir_service::versions::newer;
use weir_spec::{Column, Contract, Document, Parsed, Pipeline, connector::GeneratorKind, contract::ContractRef, parse_any};

/// Contracts that a pipeline may name: the newest version of each name and major version counts.
#[derive(Clone, Debug, Default)]
pub struct FileContracts {
    known: Vec<Contract>,
    /// Contracts with errors, each with the first of them.
    broken: Vec<String>,
}

impl FileContracts {
    pub fn add(&mut self, contract: Contract) {
        self.known.push(contract);
    }

    /// Adds every contract of a folder; its other files are nobody's business.
    pub fn add_folder(&mut self, folder: &Path) -> std::io::Result<()> {
        let mut paths = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<PathBuf>>>()?;
        paths.sort();
        for path in paths {
            let document = path.extension().is_some_and(|ext| ["yaml", "yml", "json"].iter().any(|known| ext == *known));
            let small =
                std::fs::metadata(&path).is_ok_and(|found| found.is_file() && found.len() <= weir_spec::parse::MAX_BYTES as u64);
            if !(document && small) {
                continue;
            }
            let Ok(text) = std::fs::read_to_string(&path) else { continue };
            let parsed = parse_any(&text);
            match parsed.value {
                Some(Document::Contract(contract)) => self.add(*contract),
                Some(Document::Pipeline(_)) => {}
                None if parsed.partial.is_some() => {}
                None => {
                    let first = parsed.diagnostics.iter().find(|finding| finding.is_error());
                    self.broken.extend(first.map(|error| error.render(&path.display().to_string())));
                }
            }
        }
        Ok(())
    }

    /// These, and those in `contracts/` beside a document.
    #[must_use]
    pub fn with_neighbours(&self, folder: &Path) -> Self {
        let mut all = self.clone();
        // A folder that is not there or may not be read has no contracts to offer.
        let _ = all.add_folder(&folder.join("contracts"));
        all
    }

    /// Everything that is wrong with a pipeline, and its plan when nothing is. Where it wants a contract that is not known, those that
    /// could not be read are named.
    pub fn plan(&self, parsed: &Parsed<Pipeline>) -> Planned {
        let mut planned = plan_parsed(parsed, self);
        for finding in planned.diagnostics.iter_mut().filter(|finding| finding.code == "unknown-contract") {
            finding.notes.extend(self.broken.iter().map(|broken| format!("a document that cannot be used: {broken}")));
        }
        planned
    }
}

impl Lookup for FileContracts {
    fn contract(&self, reference: &ContractRef) -> Option<Contract> {
        let fitting = self.known.iter().filter(|contract| contract.reference().as_ref() == Some(reference));
        fitting.reduce(|best, next| if newer(&next.version, &best.version) { next } else { best }).cloned()
    }

    fn contract_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.known.iter().filter_map(|c| c.reference()).map(|r| r.to_string()).collect();
        names.sort();
        names.dedup();
        names
    }

    fn generator_columns(&self, kind: GeneratorKind) -> Vec<Column> {
        weir_connectors::generator::columns(kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contract(version: &str) -> String {
        format!(
            "apiVersion: v3.1.0\nkind: DataContract\nid: urn:a\nname: a\nversion: {version}\nstatus: active\n\
             schema:\n  - name: a\n    properties:\n      - {{ name: id, logicalType: string }}\n"
        )
    }

    #[test]
    fn the_newest_contract_of_a_major_version_counts_and_broken_ones_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("contracts");
        std::fs::create_dir(&folder).unwrap();
        for (file, version) in [("1", "1.10.0"), ("2", "1.9.3"), ("3", "2.0.0-rc.1")] {
            std::fs::write(folder.join(format!("{file}.yaml")), contract(version)).unwrap();
        }
        std::fs::write(folder.join("4.yaml"), contract("3.0.0").replace("status", "statos")).unwrap();
        std::fs::write(folder.join("notes.txt"), "nobody's business").unwrap();
        let known = FileContracts::default().with_neighbours(dir.path());
        let version = |reference: &str| known.contract(&reference.parse().unwrap()).map(|contract| contract.version);
        assert_eq!(version("a@1").as_deref(), Some("1.10.0"));
        assert_eq!(version("a@2").as_deref(), Some("2.0.0-rc.1"));
        assert_eq!((version("a@3"), known.broken.len()), (None, 1));

        let text = "apiVersion: weir/v1\nkind: Pipeline\nname: p\npurpose: essential\nbasis: contract\n\
                    sources: { rows: { http: {}, contract: a@3 } }\nsinks: { out: { from: rows, file: { path: out } } }\n";
        let planned = known.plan(&weir_spec::parse_pipeline(text));
        assert!(planned.plan.is_none());
        let notes: Vec<_> = planned.diagnostics.iter().flat_map(|finding| &finding.notes).collect();
        assert!(notes.iter().any(|note| note.contains("4.yaml") && note.contains("statos")), "{notes:?}");
    }
}
