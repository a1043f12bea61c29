//! The command line: one file per command, and the rules they share.
//!
//! Results go to stdout, everything else to stderr. Exit codes: 0 done, 1 the answer is no or the work failed, 2 the
//! call or a document is wrong.

mod audit;
mod check;
mod consent;
mod contracts;
mod demo;
mod key;
mod logging;
mod output;
mod progress;
mod quarantine;
mod run;
mod serve;
mod shutdown;
mod token;
mod user;
mod workspace;

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;
use weir_worker::host::DEFAULT_STATE_MEMORY;

/// Streaming data pipelines, governed where they run.
#[derive(Debug, Parser)]
#[command(name = "weir", version, propagate_version = true, arg_required_else_help = true, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the console and the API, and run the deployed pipelines
    Serve(serve::ServeArgs),
    /// Run one pipeline in the foreground, governed, without a server
    Run(run::RunArgs),
    /// Report every error of pipeline and contract documents
    Check(check::CheckArgs),
    /// Prove the audit log, or export it
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Import, change and show the consent of data subjects
    #[command(subcommand)]
    Consent(consent::ConsentCommand),
    /// Read what was quarantined, and why; each reading is audited
    #[command(subcommand)]
    Quarantine(quarantine::QuarantineCommand),
    /// Create, list and revoke API tokens
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Add and list users, set passwords and roles
    #[command(subcommand)]
    User(user::UserCommand),
    /// Show the public key that signs the audit log
    #[command(subcommand)]
    Key(key::KeyCommand),
}

/// Where Weir keeps its database, keys and state.
#[derive(Clone, Debug, Args)]
pub(crate) struct DataArg {
    /// The data folder
    #[arg(long, value_name = "DIR", env = "WEIR_DATA", default_value = "weir-data")]
    pub data: PathBuf,
}

/// How much a pipeline may remember without going to disk.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct StateArg {
    /// The memory that the state of one pipeline's windows, joins and patterns may take, in MiB; what is more is kept on disk
    #[arg(
        long = "state-memory",
        value_name = "MIB",
        env = "WEIR_STATE_MEMORY",
        default_value_t = (DEFAULT_STATE_MEMORY >> 20) as u32,
        value_parser = clap::value_parser!(u32).range(16..=1 << 24)
    )]
    mib: u32,
}

impl StateArg {
    pub fn bytes(self) -> usize {
        (self.mib as usize) << 20
    }
}

/// Which project a command is about.
#[derive(Clone, Debug, Args)]
pub(crate) struct ProjectArg {
    /// The project
    #[arg(long, value_name = "NAME", env = "WEIR_PROJECT", default_value = "main")]
    pub project: String,
}

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The answer is no; the command has already said so.
    #[error("")]
    Negative,
    /// The call or a document is wrong.
    #[error("{0}")]
    Usage(String),
    /// The work could not be done.
    #[error(transparent)]
    Failed(#[from] anyhow::Error),
}

impl Failure {
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::Usage(message.into())
    }
}

pub(crate) type Outcome = Result<(), Failure>;

/// Parses the arguments, does what they say, and returns the exit code.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    logging::start(matches!(cli.command, Command::Serve(_)));
    match dispatch(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Negative) => ExitCode::from(1),
        Err(Failure::Usage(message)) => {
            if !message.is_empty() {
                output::error(&message);
            }
            ExitCode::from(2)
        }
        Err(Failure::Failed(error)) => {
            output::error(&format!("{error:#}"));
            ExitCode::from(1)
        }
    }
}

fn dispatch(command: Command) -> Outcome {
    match command {
        Command::Check(args) => check::run(&args),
        Command::Audit(command) => audit::run(command),
        Command::Run(args) => block_on(run::run(args)),
        Command::Serve(args) => block_on(serve::run(args)),
        Command::Consent(command) => block_on(consent::run(command)),
        Command::Quarantine(command) => block_on(quarantine::run(command)),
        Command::Token(command) => block_on(token::run(command)),
        Command::User(command) => block_on(user::run(command)),
        Command::Key(command) => block_on(key::run(command)),
    }
}

/// Runs a command that talks to the database.
pub(crate) fn block_on(work: impl Future<Output = Outcome>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| anyhow::anyhow!("cannot start the asynchronous runtime: {error}"))?;
    runtime.block_on(work)
}

/// A new file that only its owner may read, for exports that hold personal data or evidence.
pub(crate) fn private_file(path: &std::path::Path) -> Result<std::io::BufWriter<std::fs::File>, Failure> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path).map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?;
    Ok(std::io::BufWriter::new(file))
}

#[cfg(test)]
mod tests {
    use super::Cli;
    use clap::CommandFactory;

    #[test]
    fn the_commands_are_well_formed() {
        Cli::command().debug_assert();
    }
}
