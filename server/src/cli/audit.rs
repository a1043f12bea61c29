//! `weir audit`: proves the log offline, and exports it so that others can.
//!
//! Verification reads only, also a copy on a medium that cannot be written. It needs no server, no master key and no trust in the
//! database: heads kept outside (`--head`) and a public key got another way (`--key`) are what it stands on.

use super::workspace::{Workspace, refusal};
use super::{DataArg, Failure, Outcome, ProjectArg, output, progress};
use crate::instance::{DATABASE, HEADS, MASTER_KEY};
use anyhow::{Context, anyhow};
use clap::{Args, Subcommand};
use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::{Path, PathBuf};
use weir_evidence::verify::Outcome as Verdict;
use weir_evidence::{Previous, PublicKey, Timestamp, TreeHead, heads_file, verify_bundle};
use weir_service::proof;
use weir_store::Store;
use weir_vault::MasterKey;

#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Prove that nothing was changed, removed, inserted, reordered or cut off
    Verify(VerifyArgs),
    /// Write the log as a bundle that `verify --bundle` proves anywhere
    Export(ExportArgs),
}

#[derive(Debug, Args)]
pub struct VerifyArgs {
    #[command(flatten)]
    data: DataArg,
    /// Verify this bundle instead of a data folder
    #[arg(long, value_name = "FILE", conflicts_with = "data")]
    bundle: Option<PathBuf>,
    /// Heads that were kept outside: lines of a heads file, or the API's answer; `-` for standard input
    #[arg(long, value_name = "FILE")]
    head: Option<PathBuf>,
    /// Trust this public key only (64 hex digits, as `weir key show` prints it); may be repeated
    #[arg(long = "key", value_name = "HEX")]
    keys: Vec<PublicKey>,
    /// Print the verdict as one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The file to write; it must not exist. `-` for standard output
    #[arg(long, short, value_name = "FILE", default_value = "-")]
    output: PathBuf,
    #[command(flatten)]
    data: DataArg,
    #[command(flatten)]
    project: ProjectArg,
}

pub fn run(command: AuditCommand) -> Outcome {
    match command {
        AuditCommand::Verify(args) => verify(&args),
        AuditCommand::Export(args) => super::block_on(export(args)),
    }
}

fn verify(args: &VerifyArgs) -> Outcome {
    let outside = match &args.head {
        Some(path) => read_heads(path)?,
        None => Vec::new(),
    };
    let verdict = match &args.bundle {
        Some(path) => {
            let file = File::open(path).map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?;
            let trusted = (!args.keys.is_empty()).then_some(args.keys.as_slice());
            verify_bundle(BufReader::with_capacity(1 << 20, file), outside, trusted)
                .with_context(|| format!("cannot read {}", path.display()))?
        }
        None => {
            let mut verdict = None;
            super::block_on(async {
                verdict = Some(verify_folder(&args.data.data, outside, &args.keys).await?);
                Ok(())
            })?;
            verdict.ok_or_else(|| anyhow!("the verification ended without a verdict"))?
        }
    };
    if args.json {
        output::json(&verdict)?;
    } else {
        output::line(&verdict);
        if let Verdict::Verified(verified) = &verdict {
            verified.notes.iter().for_each(|note| output::note(format_args!("note: {note}")));
        }
    }
    match verdict {
        Verdict::Verified(_) => Ok(()),
        Verdict::Broken(_) => Err(Failure::Negative),
    }
}

/// Heads from a file: a heads file, lines taken from one, or the one head that the API answers with.
fn read_heads(path: &Path) -> Result<Vec<TreeHead>, Failure> {
    let name = path.display();
    let wrong = |problem: String| Failure::usage(format!("{name}: {problem}"));
    let text = match path == Path::new("-") {
        true => std::io::read_to_string(std::io::stdin()),
        false => std::fs::read_to_string(path),
    };
    let text = text.map_err(|error| wrong(error.to_string()))?;
    if let Ok(answer) = serde_json::from_str::<weir_api::Head>(&text) {
        return Ok(vec![signed_head(answer).map_err(|error| wrong(error.to_string()))?]);
    }
    let found = heads_file::read(text.as_bytes()).map_err(|error| wrong(error.to_string()))?;
    if found.torn {
        return Err(wrong("the last line is cut off".to_owned()));
    }
    if found.heads.is_empty() {
        return Err(wrong("holds no head; expected lines as `weir audit export` or the heads file has them".to_owned()));
    }
    Ok(found.heads)
}

/// The head that an answer of the API stands for.
fn signed_head(answer: weir_api::Head) -> anyhow::Result<TreeHead> {
    Ok(TreeHead {
        log_id: answer.log_id,
        size: answer.size,
        root: answer.root.parse()?,
        at: Timestamp::from_micros(answer.signed_at.timestamp_micros())?,
        previous: answer
            .previous
            .map(|previous| previous.root.parse().map(|root| Previous { size: previous.size, root }))
            .transpose()?,
        key_id: answer.key_id,
        signature: answer.signature.try_into().map_err(|problem: &str| anyhow!(problem))?,
    })
}

async fn verify_folder(data: &Path, outside: Vec<TreeHead>, trusted: &[PublicKey]) -> Result<Verdict, Failure> {
    if !data.join(DATABASE).is_file() {
        return Err(Failure::usage(format!("there is no Weir data in {}; name the folder with --data", data.display())));
    }
    let store = Store::open_read_only(data).await.map_err(|error| anyhow!(error))?;
    // Looked at only where it happens to be: the copy that an auditor gets has none.
    let master = MasterKey::find(&data.join(MASTER_KEY)).ok();
    let given = proof::Given { outside, keys: trusted.to_vec(), master: master.as_ref().map(|(key, _)| key) };
    let bar = progress::bar("verifying", None);
    let verdict = proof::verify(&store, &data.join(HEADS), given, || bar.inc(1)).await.map_err(refusal)?;
    bar.finish_and_clear();
    Ok(verdict)
}

async fn export(args: ExportArgs) -> Outcome {
    let workspace = Workspace::open(&args.data).await?;
    let cx = workspace.operator_in(&args.project.project).await?;
    let mut bundle = weir_service::audit::export(&cx).await.map_err(refusal)?;
    if args.output == Path::new("-") {
        let mut chunk = vec![0; 256 << 10];
        loop {
            let read = bundle.read(&mut chunk).context("cannot read the bundle back")?;
            if read == 0 {
                break;
            }
            output::bytes(&chunk[..read]);
        }
    } else {
        let mut file = super::private_file(&args.output)?;
        std::io::copy(&mut bundle, &mut file).context("cannot write the bundle")?;
        file.flush().context("cannot write the bundle")?;
        output::note(format_args!("written to {}; prove it with `weir audit verify --bundle {0}`", args.output.display()));
    }
    workspace.close().await
}
