//! `weir key`: the public key of the audit log, for those who verify it elsewhere.

use super::workspace::Workspace;
use super::{DataArg, Outcome, output};
use clap::{Args, Subcommand};
use serde::Serialize;

#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Print the public key that signs the audit log now
    Show(ShowArgs),
}

#[derive(Debug, Args)]
pub struct ShowArgs {
    #[command(flatten)]
    data: DataArg,
    /// Print key, key id and log id as one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Shown {
    log_id: String,
    key_id: String,
    public_key: String,
    algorithm: &'static str,
}

pub async fn run(command: KeyCommand) -> Outcome {
    let KeyCommand::Show(args) = command;
    let workspace = Workspace::open(&args.data).await?;
    let key = workspace.services().evidence_public_key();
    let shown = Shown {
        log_id: workspace.services().store().log_id().to_string(),
        key_id: key.key_id(),
        public_key: key.to_string(),
        algorithm: "Ed25519",
    };
    workspace.close().await?;
    if args.json {
        output::json(&shown)?;
    } else {
        output::line(shown.public_key);
    }
    Ok(())
}
