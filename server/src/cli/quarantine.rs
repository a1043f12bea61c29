//! `weir quarantine`: why rows were held, and what they hold. Each reading is on record.

use super::workspace::{Workspace, refusal};
use super::{DataArg, Failure, Outcome, ProjectArg, output};
use anyhow::Context;
use clap::{Args, Subcommand};
use std::io::Write;
use std::path::PathBuf;
use weir_api::{QuarantineContent, QuarantineEntry, QuarantineQuery, QuarantineRow, RunId, SegmentId};
use weir_service::quarantine;

#[derive(Debug, Subcommand)]
pub enum QuarantineCommand {
    /// List rows with their reasons, without their content. Lines are counted from 1; the header of a CSV file is none
    List(ListArgs),
    /// Show one row with its content
    Show(ShowArgs),
    /// Write rows with their content as NDJSON
    Export(ExportArgs),
}

#[derive(Debug, Args)]
struct Filter {
    /// Of this pipeline only
    #[arg(long, value_name = "NAME")]
    pipeline: Option<String>,
    /// Of this run only
    #[arg(long, value_name = "ID")]
    run: Option<RunId>,
    /// Held by this source or step only
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
    /// Held by this rule only
    #[arg(long, value_name = "NAME")]
    rule: Option<String>,
    #[command(flatten)]
    data: DataArg,
    #[command(flatten)]
    project: ProjectArg,
}

#[derive(Debug, Args)]
pub struct ListArgs {
    #[command(flatten)]
    filter: Filter,
    /// At most so many rows
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The row's address as `list` prints it: SEGMENT/ROW
    row: String,
    #[command(flatten)]
    data: DataArg,
    #[command(flatten)]
    project: ProjectArg,
    /// Print the row as one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub struct ExportArgs {
    #[command(flatten)]
    filter: Filter,
    /// Write to this file, readable by its owner only, instead of standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Filter {
    fn query(&self, after: Option<String>, limit: usize) -> QuarantineQuery {
        QuarantineQuery {
            pipeline: self.pipeline.clone(),
            run: self.run,
            node: self.node.clone(),
            rule: self.rule.clone(),
            after,
            limit: Some(u32::try_from(limit).unwrap_or(u32::MAX).min(500)),
        }
    }
}

pub async fn run(command: QuarantineCommand) -> Outcome {
    match command {
        QuarantineCommand::List(args) => list(args).await,
        QuarantineCommand::Show(args) => show(args).await,
        QuarantineCommand::Export(args) => export(args).await,
    }
}

async fn list(args: ListArgs) -> Outcome {
    let workspace = Workspace::open(&args.filter.data).await?;
    let cx = workspace.operator_in(&args.filter.project.project).await?;
    let mut entries: Vec<QuarantineEntry> = Vec::new();
    let mut after = None;
    while entries.len() < args.limit {
        let page = quarantine::list(&cx, args.filter.query(after, args.limit - entries.len())).await.map_err(refusal)?;
        entries.extend(page.items);
        after = page.next.map(|cursor| cursor.0);
        if after.is_none() {
            break;
        }
    }
    workspace.close().await?;
    if args.json {
        entries.iter().try_for_each(output::json)?;
        return Ok(());
    }
    let rows: Vec<Vec<String>> = entries.iter().map(listed).collect();
    output::table(&["ROW", "PIPELINE", "NODE", "SOURCE", "LINE", "REASONS"], &rows);
    if after.is_some() {
        output::note(format_args!("more rows follow; see --limit"));
    }
    Ok(())
}

fn listed(entry: &QuarantineEntry) -> Vec<String> {
    let reasons: Vec<&str> = entry.reasons.iter().map(|reason| reason.rule.as_str()).collect();
    vec![
        format!("{}/{}", entry.segment, entry.row),
        entry.pipeline.to_string(),
        entry.node.clone(),
        format!("{}:{}", entry.source, entry.partition),
        (entry.offset + 1).to_string(),
        reasons.join(", "),
    ]
}

async fn show(args: ShowArgs) -> Outcome {
    let wrong = || {
        Failure::usage(format!(
            "`{}` is not the address of a row; expected SEGMENT/ROW as `weir quarantine list` prints it",
            args.row
        ))
    };
    let (segment, row) = args.row.split_once('/').ok_or_else(wrong)?;
    let segment: SegmentId = segment.parse().map_err(|_| wrong())?;
    let row: u32 = row.parse().map_err(|_| wrong())?;
    let workspace = Workspace::open(&args.data).await?;
    let cx = workspace.operator_in(&args.project.project).await?;
    let found = quarantine::read(&cx, segment, row).await.map_err(refusal)?;
    workspace.close().await?;
    if args.json {
        output::json(&found)?;
    } else {
        describe(&found)?;
    }
    Ok(())
}

fn describe(found: &QuarantineRow) -> anyhow::Result<()> {
    let entry = &found.entry;
    output::line(format_args!("pipeline  {}", entry.pipeline));
    output::line(format_args!("held by   {} ({})", entry.node, entry.stage));
    let byte = entry.byte.map_or_else(String::new, |byte| format!(", byte {byte}"));
    let what = if entry.byte.is_some() { "line" } else { "row" };
    output::line(format_args!("from      {}, {}, {what} {}{byte}", entry.source, entry.partition, entry.offset + 1));
    if let Some(contract) = &entry.contract {
        output::line(format_args!("contract  {contract}"));
    }
    output::line(format_args!("at        {}", entry.at.to_rfc3339()));
    for reason in &entry.reasons {
        let column = reason.column.as_ref().map_or_else(String::new, |column| format!(" on {column}"));
        output::line(format_args!("reason    {}{column}: {}", reason.rule, reason.message));
    }
    match &found.content {
        QuarantineContent::Row { columns } => output::line(serde_json::to_string_pretty(columns)?),
        QuarantineContent::Text { text, length } => output::line(format_args!("text      ({length} bytes) {text}")),
        QuarantineContent::Bytes { hex, length } => output::line(format_args!("bytes     ({length}) {hex}")),
    }
    if let Some(leaf) = found.leaf_index {
        output::note(format_args!("this reading is leaf {leaf} of the audit log"));
    }
    Ok(())
}

async fn export(args: ExportArgs) -> Outcome {
    let workspace = Workspace::open(&args.filter.data).await?;
    let cx = workspace.operator_in(&args.filter.project.project).await?;
    let mut file = args.output.as_deref().map(super::private_file).transpose()?;
    let mut after = None;
    let mut rows = 0u64;
    loop {
        let page = quarantine::export(&cx, args.filter.query(after, 500)).await.map_err(refusal)?;
        for row in &page.items {
            let mut line = serde_json::to_vec(row).context("cannot write a row as JSON")?;
            line.push(b'\n');
            match &mut file {
                Some(file) => file.write_all(&line).context("cannot write the export")?,
                None => output::bytes(&line),
            }
            rows += 1;
        }
        after = page.next.map(|cursor| cursor.0);
        if after.is_none() {
            break;
        }
    }
    if let Some(file) = file {
        file.into_inner()
            .map_err(|error| error.into_error())
            .and_then(|file| file.sync_all())
            .context("cannot write the export")?;
    }
    workspace.close().await?;
    output::note(format_args!("{rows} rows exported; the audit log records it"));
    Ok(())
}
