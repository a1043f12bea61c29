//! `weir run`: one pipeline in the foreground, governed, without a server.

use super::{DataArg, Outcome, ProjectArg};
use clap::Args;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct RunArgs {
    /// The pipeline document; paths in it are relative to it
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    data: DataArg,
    #[command(flatten)]
    project: ProjectArg,
    /// Print the summary as one JSON object
    #[arg(long)]
    json: bool,
}
