//! `weir run`: one pipeline in the foreground, governed, without a server.

use super::contracts::ContractsArg;
use super::workspace::refusal;
use super::{DataArg, Failure, Outcome, ProjectArg, StateArg, output, progress, shutdown};
use crate::instance;
use anyhow::anyhow;
use clap::Args;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio_util::sync::CancellationToken;
use weir_api::Slug;
use weir_engine::{Control, Summary};
use weir_service::{alert_feed::AlertNews, bootstrap, operator};
use weir_worker::{
    WorkerError,
    foreground::{self, Start},
};

#[derive(Debug, Args)]
pub struct RunArgs {
    /// The pipeline document; paths in it are relative to it
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    data: DataArg,
    #[command(flatten)]
    project: ProjectArg,
    #[command(flatten)]
    contracts: ContractsArg,
    #[command(flatten)]
    state: StateArg,
    /// Start anew: forget checkpoints, state and positions. Files that sinks have committed stay, and new ones come beside them; the
    /// audit log tells who started anew
    #[arg(long)]
    fresh: bool,
    /// Print the summary as one JSON object
    #[arg(long)]
    json: bool,
}

pub async fn run(args: RunArgs) -> Outcome {
    let name = args.file.display().to_string();
    let contracts = args.contracts.read()?;
    let checked = foreground::check_file(&args.file, &contracts).map_err(|error| Failure::usage(error.to_string()))?;
    for finding in &checked.diagnostics {
        output::note(finding.render(&name));
    }
    let Some(plan) = &checked.plan else { return Err(Failure::Usage(String::new())) };
    let plan_nodes = plan.nodes.iter().filter(|node| node.inputs.is_empty()).count();

    let services = instance::open(&args.data.data).await?;
    // A new folder gets its project here; its administrator can be given a password with `weir user passwd admin`.
    bootstrap::first_start(&services).await.map_err(refusal)?;
    let slug = Slug::new(&*args.project.project).map_err(|error| Failure::usage(format!("project: {error}")))?;
    let cx = operator::context(&services).await.map_err(refusal)?.in_project(&slug).await.map_err(refusal)?;

    let start = if args.fresh { Start::Fresh } else { Start::Resume };
    let control = Control::default();
    let stopping = shutdown::on_signal();
    let ended = CancellationToken::new();
    let watcher = tokio::spawn(watch(control.clone(), plan_nodes, services.alert_feed().subscribe(), ended.clone()));
    let stopper = tokio::spawn({
        let control = control.clone();
        async move {
            stopping.cancelled().await;
            control.stop();
        }
    });
    let reported = foreground::run_reported(&cx, &args.data.data, checked, start, &control, args.state.bytes()).await;
    stopper.abort();
    ended.cancel();
    watcher.await.map_err(|error| anyhow!(error))?;
    let report = reported.map_err(|error| match error {
        WorkerError::Document(_) => Failure::Usage(String::new()),
        WorkerError::Service(error) => refusal(error),
        other => Failure::Failed(anyhow!(other)),
    })?;
    if args.json {
        output::json(&report.summary)?;
    } else {
        describe(&report.summary);
    }
    report.result.map_err(|error| Failure::Failed(anyhow!(error)))?;
    report.signed.map_err(refusal)
}

/// Shows on a terminal how many rows the sources have brought, and above that a line for each alert that begins or ends.
async fn watch(control: Control, sources: usize, mut alerts: Receiver<AlertNews>, ended: CancellationToken) {
    let bar = progress::bar("rows", None);
    let mut tick = tokio::time::interval(Duration::from_millis(200));
    while !ended.is_cancelled() {
        tokio::select! {
            () = ended.cancelled() => {}
            _ = tick.tick() => {
                if let Some(live) = control.live() {
                    // A plan's sources come first.
                    bar.set_position((0..sources.min(live.len())).map(|node| live.get(node).0.rows_in).sum());
                }
            }
            news = alerts.recv() => match news {
                Ok(news) => bar.println(told(&news)),
                Err(RecvError::Lagged(missed)) => bar.println(format!("{missed} more alerts began or ended; the console lists them")),
                Err(RecvError::Closed) => ended.cancelled().await,
            },
        }
    }
    while let Ok(news) = alerts.try_recv() {
        bar.println(told(&news));
    }
    bar.finish_and_clear();
}

/// `ALERT critical volume: fewer payments than usual (row_count is 3, below 100)`.
fn told(news: &AlertNews) -> String {
    let detail = news.detail.as_ref().map(|detail| format!(" ({detail})")).unwrap_or_default();
    let AlertNews { step, severity, message, .. } = news;
    match news.resolved_after {
        None => format!("ALERT {severity} {step}: {message}{detail}"),
        Some(1) => format!("resolved {severity} {step}: {message}, seen once"),
        Some(times) => format!("resolved {severity} {step}: {message}, seen {times} times"),
    }
}

fn describe(summary: &Summary) {
    let number = |n: u64| n.to_string();
    let mut rows = Vec::new();
    for (name, counts) in &summary.sources {
        let refused = [("malformed", counts.malformed), ("late", counts.late)];
        rows.push(vec![name.clone(), number(counts.rows_in), number(counts.out), listed(&refused)]);
    }
    for (name, counts) in &summary.steps {
        let refused =
            [("quarantined", counts.quarantined), ("denied", counts.denied), ("late", counts.late), ("dropped", counts.dropped)];
        let flagged = [("flagged", counts.flagged)];
        rows.push(vec![name.clone(), number(counts.rows_in), number(counts.out), listed(&refused), listed(&flagged)]);
    }
    for (name, counts) in &summary.sinks {
        rows.push(vec![name.clone(), number(counts.rows_in), number(counts.written), String::new()]);
    }
    let flagged = summary.steps.values().any(|counts| counts.flagged > 0);
    let headings = ["NODE", "IN", "OUT", "REFUSED", "NOTED"];
    output::table(if flagged { &headings } else { &headings[..4] }, &rows);
    for (name, counts) in summary.sources.iter().filter(|(_, counts)| counts.unnamed > 0) {
        let rows = counts.unnamed;
        output::line(format_args!("{name}: {rows} rows had fields that its contract does not name; these fields were not kept"));
    }
    for (name, output) in &summary.missing {
        output::line(format_args!(
            "{name}: {} of the {} files that earlier runs wrote were gone when this one began; their rows are counted above. If nobody \
             took them away on purpose, write all anew: `weir run --fresh`",
            output.missing, output.files
        ));
    }
    output::line(format_args!(
        "{} {} after {:.1} s and {} checkpoints; evidence: {} leaves, root {}",
        summary.pipeline, summary.status, summary.seconds, summary.checkpoints, summary.evidence.leaves, summary.evidence.root
    ));
    if let Some(alerts) = &summary.alerts {
        output::line(format_args!("alerts: {} raised, {} resolved, {} open", alerts.raised, alerts.resolved, alerts.open));
    }
}

fn listed(counts: &[(&str, u64)]) -> String {
    let some: Vec<String> = counts.iter().filter(|(_, n)| *n > 0).map(|(name, n)| format!("{n} {name}")).collect();
    some.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_is_told_in_one_line_when_it_begins_and_when_it_ends() {
        let begun = AlertNews {
            project: weir_api::ProjectId::generate(),
            pipeline: "payments".to_owned(),
            step: "volume".to_owned(),
            severity: weir_api::AlertSeverity::Critical,
            message: "fewer payments than usual".to_owned(),
            detail: Some("row_count is 3, below 100".to_owned()),
            resolved_after: None,
        };
        assert_eq!(told(&begun), "ALERT critical volume: fewer payments than usual (row_count is 3, below 100)");
        let ended = |times| told(&AlertNews { resolved_after: Some(times), ..begun.clone() });
        assert_eq!(ended(4), "resolved critical volume: fewer payments than usual, seen 4 times");
        assert_eq!(ended(1), "resolved critical volume: fewer payments than usual, seen once");
    }
}
