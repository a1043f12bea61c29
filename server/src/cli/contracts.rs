//! Contracts out of files, for documents that are checked or run without a server.

use std::path::Path;
use weir_plan::Lookup;
use weir_spec::connector::GeneratorKind;
use weir_spec::contract::ContractRef;
use weir_spec::{Column, Contract, Document, parse_any};

/// Contracts that a pipeline may name.
#[derive(Clone, Debug, Default)]
pub struct Contracts(Vec<Contract>);

impl Contracts {
    pub fn add(&mut self, contract: Contract) {
        self.0.push(contract);
    }

    /// Adds every valid contract of a folder; its other files are nobody's business.
    pub fn add_folder(&mut self, folder: &Path) -> std::io::Result<()> {
        let mut paths = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
        paths.sort();
        for path in paths {
            let document = path.extension().is_some_and(|ext| ["yaml", "yml", "json"].iter().any(|known| ext == *known));
            let small =
                std::fs::metadata(&path).is_ok_and(|found| found.is_file() && found.len() <= weir_spec::parse::MAX_BYTES as u64);
            if !(document && small) {
                continue;
            }
            let Ok(text) = std::fs::read_to_string(&path) else { continue };
            if let Some(Document::Contract(contract)) = parse_any(&text).value {
                self.add(*contract);
            }
        }
        Ok(())
    }

    /// These, and those in `contracts/` beside a document, where `weir run` looks for them.
    #[must_use]
    pub fn with_neighbours(&self, folder: &Path) -> Self {
        let mut all = self.clone();
        // A folder that is not there or may not be read has no contracts to offer.
        let _ = all.add_folder(&folder.join("contracts"));
        all
    }
}

impl Lookup for Contracts {
    fn contract(&self, reference: &ContractRef) -> Option<Contract> {
        let fitting = self.0.iter().filter(|contract| contract.reference().as_ref() == Some(reference));
        fitting.max_by_key(|contract| numbers(&contract.version)).cloned()
    }

    fn contract_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.0.iter().filter_map(|c| c.reference()).map(|r| r.to_string()).collect();
        names.sort();
        names.dedup();
        names
    }

    fn generator_columns(&self, kind: GeneratorKind) -> Vec<Column> {
        weir_connectors::generator::columns(kind)
    }
}

/// `1.10.2` as numbers, so that 1.10 is newer than 1.9.
fn numbers(version: &str) -> Vec<u64> {
    version.split('.').map(|part| part.parse().unwrap_or(0)).collect()
}
