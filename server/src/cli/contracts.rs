//! `--contracts`: where documents that are checked or run without a server find their contracts.

use super::Failure;
use clap::Args;
use std::path::PathBuf;
use weir_worker::FileContracts;

#[derive(Clone, Debug, Args)]
pub(crate) struct ContractsArg {
    /// A folder with contracts that pipelines may name; may be repeated. Those in `contracts/` beside a pipeline are known too
    #[arg(long = "contracts", value_name = "DIR")]
    folders: Vec<PathBuf>,
}

impl ContractsArg {
    pub(crate) fn read(&self) -> Result<FileContracts, Failure> {
        let mut known = FileContracts::default();
        for folder in &self.folders {
            known.add_folder(folder).map_err(|problem| Failure::usage(format!("{}: {problem}", folder.display())))?;
        }
        Ok(known)
    }
}
