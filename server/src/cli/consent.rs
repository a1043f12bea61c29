//! `weir consent`: import, grant, withdraw and show what data subjects allow.

use super::workspace::{Workspace, refusal};
use super::{DataArg, Failure, Outcome, ProjectArg, output, progress};
use anyhow::Context as _;
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, ReadBuf};
use weir_api::{ConsentState, SetConsent, ShowConsent};
use weir_service::consent;

#[derive(Debug, Subcommand)]
pub enum ConsentCommand {
    /// Import CSV with the heading `subject,purpose,state,at,expires_at`
    ///
    /// Lines that cannot be read are named and change nothing; the others are taken over, so that a withdrawal does not wait for a
    /// mistake elsewhere in the file. To repeat an import does no harm. The exit code is 1 if a line was rejected.
    Import(ImportArgs),
    /// Record that a subject grants a purpose
    Grant(ChangeArgs),
    /// Record that a subject withdraws a purpose
    Withdraw(ChangeArgs),
    /// Show what holds for a subject
    Show(ShowArgs),
}

#[derive(Debug, Args)]
pub struct ImportArgs {
    /// The file, or `-` for standard input
    file: PathBuf,
    #[command(flatten)]
    data: DataArg,
    #[command(flatten)]
    project: ProjectArg,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub struct ChangeArgs {
    /// The subject as it stands in the data, such as a customer number
    subject: String,
    /// The processing purpose, such as `marketing.email`
    purpose: String,
    /// When the subject said so (RFC 3339); now by default
    #[arg(long, value_name = "TIME")]
    at: Option<DateTime<Utc>>,
    /// When it lapses (RFC 3339); never by default
    #[arg(long, value_name = "TIME")]
    expires_at: Option<DateTime<Utc>>,
    #[command(flatten)]
    data: DataArg,
    #[command(flatten)]
    project: ProjectArg,
}

#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The subject as it stands in the data
    subject: String,
    #[command(flatten)]
    data: DataArg,
    #[command(flatten)]
    project: ProjectArg,
    /// Print the answer as one JSON object
    #[arg(long)]
    json: bool,
}

pub async fn run(command: ConsentCommand) -> Outcome {
    match command {
        ConsentCommand::Import(args) => import(args).await,
        ConsentCommand::Grant(args) => change(args, ConsentState::Granted).await,
        ConsentCommand::Withdraw(args) => change(args, ConsentState::Withdrawn).await,
        ConsentCommand::Show(args) => show(args).await,
    }
}

async fn import(args: ImportArgs) -> Outcome {
    let name = args.file.display().to_string();
    let (input, size): (Box<dyn AsyncRead + Unpin + Send>, Option<u64>) = if name == "-" {
        (Box::new(tokio::fs::File::from_std(standard_input()?)), None)
    } else {
        let file = tokio::fs::File::open(&args.file).await.map_err(|error| Failure::usage(format!("{name}: {error}")))?;
        let size = file.metadata().await.map(|found| found.len()).ok();
        (Box::new(file), size)
    };
    let workspace = Workspace::open_or_make(&args.data).await?;
    let cx = workspace.operator_in(&args.project.project).await?;
    let bar = progress::bar("importing", size);
    let mut counted = Counted { input: tokio::io::BufReader::with_capacity(256 << 10, input), bar: bar.clone() };
    let result = consent::import(&cx, &mut counted).await.map_err(refusal)?;
    bar.finish_and_clear();
    workspace.close().await?;

    if args.json {
        output::json(&result)?;
    } else {
        for error in &result.errors {
            output::note(format_args!("{name}:{}:1: error: {}", error.line, error.message));
        }
        let more = result.rejected.saturating_sub(result.errors.len() as u64);
        if more > 0 {
            output::note(format_args!("{name}: {more} more lines were rejected"));
        }
        if result.accepted + result.outdated + result.rejected == 0 {
            output::note(format_args!("{name}: the file has a heading and no rows"));
        }
        output::line(format_args!("{} taken over, {} outdated, {} rejected", result.accepted, result.outdated, result.rejected));
    }
    if result.rejected > 0 { Err(Failure::Negative) } else { Ok(()) }
}

/// Standard input as a file: what is read from it is read once and by us alone.
fn standard_input() -> Result<std::fs::File, Failure> {
    use std::os::fd::AsFd;
    let own = std::io::stdin().as_fd().try_clone_to_owned();
    Ok(own.context("cannot read standard input")?.into())
}

async fn change(args: ChangeArgs, state: ConsentState) -> Outcome {
    let workspace = Workspace::open_or_make(&args.data).await?;
    let cx = workspace.operator_in(&args.project.project).await?;
    let ChangeArgs { subject, purpose, at, expires_at, .. } = args;
    let record = consent::set(&cx, SetConsent { subject, purpose, state, at, expires_at }).await.map_err(refusal)?;
    workspace.close().await?;
    output::line(format_args!("{}: {} since {}", record.purpose, record.state.as_str(), record.at.to_rfc3339()));
    Ok(())
}

async fn show(args: ShowArgs) -> Outcome {
    let workspace = Workspace::open(&args.data).await?;
    let cx = workspace.operator_in(&args.project.project).await?;
    let found = consent::show(&cx, ShowConsent { subject: args.subject }).await.map_err(refusal)?;
    workspace.close().await?;
    if args.json {
        output::json(&found)?;
        return Ok(());
    }
    if found.records.is_empty() {
        output::note("nothing is known of this subject");
        return Ok(());
    }
    let rows: Vec<Vec<String>> = found
        .records
        .iter()
        .map(|record| {
            let expires = record.expires_at.map_or_else(|| "never".to_owned(), |at| at.to_rfc3339());
            let allows = if record.allows { "yes" } else { "no" };
            vec![record.purpose.clone(), record.state.as_str().to_owned(), record.at.to_rfc3339(), expires, allows.to_owned()]
        })
        .collect();
    output::table(&["PURPOSE", "STATE", "SINCE", "EXPIRES", "ALLOWS"], &rows);
    Ok(())
}

/// Moves a progress bar by what is read.
struct Counted<R> {
    input: R,
    bar: indicatif::ProgressBar,
}

impl<R: AsyncRead + Unpin> AsyncRead for Counted<R> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.input).poll_read(cx, buffer);
        self.bar.inc((buffer.filled().len() - before) as u64);
        polled
    }
}
