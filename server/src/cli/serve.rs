//! `weir serve`: console, API and an embedded worker.

use super::workspace::refusal;
use super::{DataArg, Failure, Outcome, StateArg, output, shutdown};
use crate::http::listen::{self, Bounds};
use crate::http::state::DEFAULT_INGEST_LIMIT;
use crate::http::{self, AppState, Public};
use crate::instance;
use anyhow::Context;
use clap::Args;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use weir_service::bootstrap::{self, Credentials, DemoUser};
use weir_service::{Services, auth, heads};
use weir_worker::Supervisor;

/// How often the log is signed while the server runs.
const SIGN_EVERY: Duration = Duration::from_secs(60);
/// Files that pipelines, the database and the logs may have open beside connections, as far as the system allows so many.
const FILES: usize = 1024;
/// How long open requests may take to end once the server stops.
const DRAIN: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
pub struct ServeArgs {
    #[command(flatten)]
    data: DataArg,
    /// The address to listen on
    #[arg(long, value_name = "ADDR", env = "WEIR_LISTEN", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// The address users type, when a proxy stands in between, such as https://weir.example.com
    #[arg(long, value_name = "URL", env = "WEIR_PUBLIC_URL")]
    public_url: Option<String>,
    /// The largest ingest request, in MiB
    #[arg(long, value_name = "MIB", default_value_t = DEFAULT_INGEST_LIMIT >> 20, value_parser = ingest_limit)]
    ingest_limit: usize,
    /// Connections that may be open at once, as far as the system allows so many open files
    #[arg(long, value_name = "N", default_value_t = Bounds::default().connections, value_parser = at_least_one)]
    connections: usize,
    /// Of them, those of one address; a proxy on this machine in front of --public-url may have all
    #[arg(long, value_name = "N", default_value_t = Bounds::default().an_address, value_parser = at_least_one)]
    connections_per_address: usize,
    /// A folder beside the data folder in which deployed pipelines may read and write; may be repeated
    #[arg(long, value_name = "DIR")]
    allow: Vec<PathBuf>,
    #[command(flatten)]
    state: StateArg,
    /// Add a sign-in for every role and deploy the example pipelines
    #[arg(long)]
    demo: bool,
}

fn ingest_limit(text: &str) -> Result<usize, String> {
    let largest = http::middleware::LARGEST_BODY >> 20;
    match text.parse() {
        Ok(mib) if (1..=largest).contains(&mib) => Ok(mib),
        _ => Err(format!("expected a whole number from 1 to {largest}")),
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|n| (1..=1_000_000).contains(n))
        .ok_or_else(|| "expected a whole number from 1 to 1000000".to_owned())
}

/// Connections that leave the pipelines files to open. What a shell allows by default is far below what the system does.
fn connections(wanted: usize) -> usize {
    let files = match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(files) => usize::try_from(files).unwrap_or(usize::MAX),
        Err(error) => {
            tracing::warn!(%error, "the limit of open files could not be raised");
            FILES
        }
    };
    let allowed = files.saturating_sub(FILES).max(files / 4).max(1);
    if allowed < wanted {
        tracing::warn!(files, "so many files may be open that {allowed} connections are accepted at once, not {wanted}");
    }
    wanted.min(allowed)
}

pub async fn run(args: ServeArgs) -> Outcome {
    let connections = connections(args.connections);
    let public = Public::new(args.public_url.as_deref(), args.listen).map_err(|error| Failure::usage(error.to_string()))?;
    let services = instance::open(&args.data.data).await?;
    let listener = TcpListener::bind(args.listen).await.with_context(|| format!("cannot listen on {}", args.listen))?;
    let address = listener.local_addr().context("cannot tell the address")?;

    let administrator = bootstrap::first_start(&services).await.map_err(refusal)?;
    let demo = match args.demo {
        true => bootstrap::demo(&services, super::demo::documents()).await.map_err(refusal)?,
        false => Vec::new(),
    };
    let supervisor = Supervisor::start(services.clone(), args.allow.clone(), args.state.bytes());
    let supervisor = supervisor.await.context("cannot start the worker")?;

    let stopping = shutdown::on_signal();
    let signer = tokio::spawn(sign_regularly(services.clone(), stopping.clone()));
    let state = AppState::new(services.clone(), public, args.ingest_limit << 20, stopping.clone());
    let proxied = state.public().origin().is_some();
    let bounds = Bounds { connections, an_address: args.connections_per_address, proxied, ..Bounds::default() };
    announce(address, args.public_url.as_deref(), administrator, demo);

    tokio::select! {
        () = listen::serve(listener, http::router(&state), bounds, stopping.clone()) => {}
        () = drained(stopping.clone()) => tracing::warn!("some requests did not end in time"),
    }
    // Runs take their last checkpoints before the log is signed for the last time.
    supervisor.stop().await;
    signer.await.context("the signer failed")?;
    auth::settle_failures(&services, true).await.map_err(refusal)?;
    heads::sign(&services).await.map_err(refusal)?;
    tracing::info!("stopped");
    Ok(())
}

/// Ends some time after the server was asked to stop.
async fn drained(stopping: CancellationToken) {
    stopping.cancelled().await;
    tokio::time::sleep(DRAIN).await;
}

async fn sign_regularly(services: Arc<Services>, stopping: CancellationToken) {
    let mut due = tokio::time::interval(SIGN_EVERY);
    while stopping.run_until_cancelled(due.tick()).await.is_some() {
        if let Err(error) = auth::settle_failures(&services, false).await {
            tracing::error!(%error, "failed sign-ins could not be put on record; it is tried again in a minute");
        }
        if let Err(error) = heads::sign(&services).await {
            tracing::error!(%error, "the log could not be signed; it is tried again in a minute");
        }
    }
}

/// Tells where to go and how to sign in: the administrator once, the users of the demo at every start. On stdout, so that a script can
/// wait for it; a script that has read enough and goes away does not end the server.
fn announce(address: SocketAddr, public_url: Option<&str>, administrator: Option<Credentials>, demo: Vec<DemoUser>) {
    let url = public_url.map_or_else(|| format!("http://{address}"), str::to_owned);
    let mut text = format!("Weir is ready at {url}\n");
    let new = administrator.is_some();
    let changed = demo.iter().any(|user| user.password.is_none());
    let mut rows: Vec<Vec<String>> = Vec::new();
    rows.extend(administrator.map(|a| vec![a.name, a.password.expose().to_owned(), a.role.to_string()]));
    rows.extend(demo.into_iter().map(|user| {
        let password = user.password.map_or_else(|| "(changed)".to_owned(), |password| password.expose().to_owned());
        vec![user.name, password, user.role.to_string()]
    }));
    if !rows.is_empty() {
        text.push('\n');
        text.push_str(&output::table_text(&["SIGN IN AS", "PASSWORD", "ROLE"], &rows));
        text.push_str(if new {
            "\nThe administrator's password is shown this once.\n"
        } else {
            "\nThe administrator's password was shown at the first start; `weir user passwd admin` makes a new one.\n"
        });
        if changed {
            text.push_str(
                "(changed): somebody set another password or disabled the user; `weir user passwd NAME` makes a new one.\n",
            );
        }
    }
    output::announce(&text);
}
