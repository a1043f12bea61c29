//! Golden pipelines: every case in `tests/pipelines` gives the rows, the quarantine and the evidence that lie beside it, however
//! many lanes carry it, however its input is cut into batches, and however often it is stopped and restored at another
//! parallelism on the way.
//!
//! A case is a folder with `pipeline.yaml`, its inputs (of `name.sql` the database `name.db` is made), `consent.csv` where people have said something, and what is expected:
//! `expected/<sink>.jsonl` (or `.csv`) with the committed rows in order, `quarantine.txt` with every held row and all its
//! reasons, `evidence.snap` with what the checkpoints' decisions add up to, and, where anything watches rows,
//! `expected.observations` with what was noticed. Rows
//! behind steps with state are sorted, and of changes the table is shown that they make (see [`crate::unordered`]).
//! `UPDATE_EXPECT=1` writes the expectations anew. Keyed values,
//! which no two installations share, are numbered: the same value, the same number.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    io::Read as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use weir_engine::{
    Control, Status,
    observation::{AlertChange, MeasuredWindow, Observations},
};
use weir_evidence::{
    Body,
    record::{CheckpointDecision, Leaf, NodeCounts},
};
use weir_plan::NodeKind;
use weir_spec::{
    connector::{Format, SinkConnector},
    metric::RuleSeverity,
};
use weir_store::{evidence, quarantine};
use weir_vault::quarantine::Entry;
use weir_worker::foreground;

use crate::{harness::Instance, table, unordered::LeftOpen};

/// How a case is run.
struct Variant {
    what: &'static str,
    /// The lanes of each run; all but the last are stopped on the way.
    lanes: &'static [usize],
    /// Rows a batch.
    rows: usize,
}

const STRAIGHT: Variant = Variant { what: "straight", lanes: &[1], rows: 8192 };
const VARIANTS: [Variant; 4] = [
    Variant { what: "with 3 lanes and batches of 2", lanes: &[3], rows: 2 },
    Variant { what: "with 3 lanes and batches of 1", lanes: &[3], rows: 1 },
    Variant { what: "restored with 3 and then 2 lanes, batches of 1", lanes: &[1, 3, 2], rows: 1 },
    Variant { what: "restored with 1 and then 3 lanes, batches of 2", lanes: &[2, 1, 3], rows: 2 },
];

/// The file that tells what was noticed.
const OBSERVATIONS: &str = "expected.observations";

/// What a case leaves behind: the text of each file of expectations by its name.
type Outcome = BTreeMap<String, String>;

#[tokio::test(flavor = "multi_thread")]
async fn every_case_gives_what_lies_beside_it_whatever_the_lanes_batches_and_stops() {
    let mut failures = String::new();
    let cases = cases();
    assert!(cases.len() >= 14, "{} cases", cases.len());
    for case in &cases {
        let name = case.file_name().unwrap().to_string_lossy();
        let (outcome, rows) = match run(case, &STRAIGHT, 0).await {
            Ok(straight) => straight,
            Err(error) => {
                writeln!(failures, "{name}: {error}").unwrap();
                continue;
            }
        };
        let [a, b, c, d] = &VARIANTS;
        let others = tokio::join!(run(case, a, rows), run(case, b, rows), run(case, c, rows), run(case, d, rows));
        for (variant, other) in VARIANTS.iter().zip([others.0, others.1, others.2, others.3]) {
            let what = format!("{name}, {}", variant.what);
            match other {
                Ok((other, _)) => compare(&what, &outcome, &other, &mut failures),
                Err(error) => writeln!(failures, "{what}: {error}").unwrap(),
            }
        }
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            write(case, &outcome);
        }
        compare(&name, &expected(case), &outcome, &mut failures);
    }
    assert!(failures.is_empty(), "{failures}\nUPDATE_EXPECT=1 writes the expectations anew");
}

fn cases() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/pipelines");
    let mut cases: Vec<PathBuf> = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.retain(|case| case.join("pipeline.yaml").exists());
    cases.sort();
    cases
}

/// Runs a case whose longest source has `rows` rows, as far as that is known. What it leaves, and how many rows that source has.
async fn run(case: &Path, variant: &Variant, rows: u64) -> Result<(Outcome, u64), String> {
    let weir = Instance::new().await;
    copy(case, weir.dir.path());
    if let Ok(consent) = fs::read(case.join("consent.csv")) {
        let imported = weir_service::consent::import(&weir.cx().await, &mut consent.as_slice()).await.unwrap();
        assert!(imported.errors.is_empty(), "{}: {:?}", case.display(), imported.errors);
    }
    let document = fs::read_to_string(case.join("pipeline.yaml")).unwrap();
    let kind = "kind: Pipeline\n";
    assert!(document.contains(kind), "{}", case.display());
    let with = |lanes: usize| {
        let settings = format!("{kind}parallelism: {lanes}\nbatch: {{ rows: {}, wait: 5ms }}\n", variant.rows);
        document.replacen(kind, &settings, 1)
    };
    let path = weir.write("pipeline.yaml", with(1));
    let checked = foreground::check_file(&path, &weir_worker::FileContracts::default()).unwrap();
    let shown: Vec<String> = checked.diagnostics.iter().map(|found| found.render(&path.display().to_string())).collect();
    let plan = checked.plan.ok_or_else(|| shown.join("\n"))?;
    let noticed = Arc::new(Mutex::new(Observations::default()));
    let longest = carry(&weir, variant, rows, &noticed, with).await?;

    let mut numbers = BTreeMap::new();
    let mut outcome = Outcome::new();
    let open = LeftOpen::of(&plan);
    for node in &plan.nodes {
        let NodeKind::Sink(planned) = &node.kind else { continue };
        let ending = if planned.sink.format == Format::Csv { "csv" } else { "jsonl" };
        let rows = match &planned.sink.connector {
            SinkConnector::File(file) => open.shown(node, committed(&weir.path(&file.path), planned.sink.format)),
            // A table of rows as they are now has no order.
            SinkConnector::Sqlite(to) if planned.upsert.is_some() => {
                let mut rows = table::rows(&weir.path(&to.path), &to.table);
                rows.sort();
                rows.into_iter().map(|row| row + "\n").collect()
            }
            SinkConnector::Sqlite(to) => {
                let rows = table::rows(&weir.path(&to.path), &to.table);
                open.shown(node, rows.into_iter().map(|row| row + "\n").collect())
            }
            SinkConnector::Stdout(_) => continue,
        };
        outcome.insert(format!("expected/{}.{ending}", node.name), numbered(&rows, &mut numbers));
    }
    outcome.insert("quarantine.txt".to_owned(), held(&weir).await);
    outcome.insert("evidence.snap".to_owned(), decided(&weir, &open).await);
    if (0..plan.nodes.len()).any(|node| plan.is_observer(node)) {
        outcome.insert(OBSERVATIONS.to_owned(), observed(&noticed.lock().unwrap()));
    }
    Ok((outcome, longest))
}

/// Runs a document as often as the variant says. Each run but the last is stopped when a source has given a third of its rows.
async fn carry(
    weir: &Instance,
    variant: &Variant,
    rows: u64,
    noticed: &Arc<Mutex<Observations>>,
    document: impl Fn(usize) -> String,
) -> Result<u64, String> {
    let stops = variant.lanes.len() - 1;
    let mut longest = 0;
    for (run, &lanes) in variant.lanes.iter().enumerate() {
        let control = Control::default();
        let heard = Arc::clone(noticed);
        control.on_observations(move |observations| heard.lock().unwrap().append(observations.clone()));
        if run < stops {
            control.stop_after((rows / 3).div_ceil(variant.rows as u64).max(1));
        }
        let ended = weir.run_with(&document(lanes), &control).await.map_err(|error| format!("run {run}: {error}"))?;
        longest = ended.summary.sources.values().map(|source| source.rows_in).max().unwrap_or(0);
        match ended.status {
            Status::Stopped if run < stops => {}
            Status::Finished if run == stops => {}
            // There was too little to stop in.
            Status::Finished if rows < 3 => return Ok(longest),
            status => return Err(format!("run {run} has {}", status.as_str())),
        }
    }
    Ok(longest)
}

/// Everything but the expectations and the consent.
fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let name = entry.file_name();
        if name == "expected" || name == "consent.csv" || name == OBSERVATIONS {
            continue;
        }
        let to = to.join(&name);
        if entry.path().is_dir() {
            fs::create_dir_all(&to).unwrap();
            copy(&entry.path(), &to);
        } else if entry.path().extension().is_some_and(|ending| ending == "sql") {
            table::make(&to.with_extension("db"), &fs::read_to_string(entry.path()).unwrap());
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// The rows of a sink: those of each folder below it, headed by the folder's name, in the order of the files' names.
fn committed(folder: &Path, format: Format) -> String {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        let Ok(entries) = fs::read_dir(&next) else { continue };
        for path in entries.map(|entry| entry.unwrap().path()) {
            let hidden = path.file_name().unwrap().to_string_lossy().starts_with(['.', '_']);
            match path.is_dir() {
                _ if hidden => {}
                true => folders.push(path),
                false => files.push(path),
            }
        }
    }
    files.sort_by_key(|file| (file.parent().unwrap().to_owned(), file.clone()));
    let mut text = String::new();
    let mut current = folder.to_owned();
    let mut heading = None;
    for file in files {
        let parent = file.parent().unwrap();
        if parent != current {
            writeln!(text, "# {}", parent.strip_prefix(folder).unwrap().display()).unwrap();
            current = parent.to_owned();
            heading = None;
        }
        let rows = match format {
            Format::Parquet => parquet_rows(&file),
            Format::Json | Format::Csv => plain(&file),
        };
        match (format, rows.split_once('\n')) {
            // One heading a folder: how many files there are is no part of what is expected.
            (Format::Csv, Some((first, rest))) => {
                if heading.is_none() {
                    writeln!(text, "{first}").unwrap();
                }
                assert_eq!(heading.get_or_insert_with(|| first.to_owned()), first);
                text.push_str(rest);
            }
            _ => text.push_str(&rows),
        }
    }
    text
}

fn plain(file: &Path) -> String {
    let bytes = fs::read(file).unwrap();
    let mut text = String::new();
    match file.extension().and_then(|ending| ending.to_str()) {
        Some("gz") => flate2::read::MultiGzDecoder::new(bytes.as_slice()).read_to_string(&mut text).unwrap(),
        Some("zst") => zstd::stream::read::Decoder::new(bytes.as_slice()).unwrap().read_to_string(&mut text).unwrap(),
        _ => bytes.as_slice().read_to_string(&mut text).unwrap(),
    };
    text
}

/// Read and written by the Arrow project's own code.
fn parquet_rows(file: &Path) -> String {
    let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(fs::File::open(file).unwrap());
    let mut writer =
        arrow::json::WriterBuilder::new().with_explicit_nulls(true).build::<_, arrow::json::writer::LineDelimited>(Vec::new());
    for batch in reader.unwrap().build().unwrap() {
        writer.write(&batch.unwrap()).unwrap();
    }
    writer.finish().unwrap();
    String::from_utf8(writer.into_inner()).unwrap()
}

/// The text with keyed values numbered in the order in which they appear.
fn numbered(text: &str, numbers: &mut BTreeMap<String, usize>) -> String {
    let mut number = |value: &str| {
        let next = numbers.len() + 1;
        *numbers.entry(value.to_owned()).or_insert(next)
    };
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(is_part) {
        let end = rest[start..].find(|c| !is_part(c)).map_or(rest.len(), |length| start + length);
        let word = &rest[start..end];
        result.push_str(&rest[..start]);
        match word.strip_prefix("tok_") {
            _ if word.len() == 64 && word.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) => {
                write!(result, "<hash {}>", number(word)).unwrap();
            }
            _ if word.starts_with(weir_vault::mask::PREFIX) => result.push_str("<encrypted>"),
            Some(token) if token.len() >= 22 => write!(result, "<token {}>{}", number(&token[..22]), &token[22..]).unwrap(),
            _ => result.push_str(word),
        }
        rest = &rest[end..];
    }
    result + rest
}

/// Every held row with all its reasons.
async fn held(weir: &Instance) -> String {
    let project = weir.cx().await.project().unwrap().id;
    let filter = quarantine::SegmentFilter { limit: 100_000, ..Default::default() };
    let segments = quarantine::list(weir.services.store(), project, filter).await.unwrap();
    let mut lines = Vec::new();
    for segment in segments.items {
        for entry in serde_json::from_str::<Vec<Entry>>(&segment.entries).unwrap() {
            let mut text =
                format!("{} {} row {}: {} at {}", entry.source, entry.partition, entry.offset, segment.stage, segment.node);
            if let Some(contract) = &segment.contract {
                write!(text, " ({contract})").unwrap();
            }
            text.push('\n');
            for reason in &entry.reasons {
                writeln!(text, "  {}: {}", reason.rule, reason.message).unwrap();
            }
            lines.push((entry.source, entry.partition, entry.offset, segment.node.clone(), text));
        }
    }
    lines.sort();
    lines.into_iter().map(|line| line.4).collect()
}

/// What the decisions of all checkpoints add up to.
async fn decided(weir: &Instance, open: &LeftOpen) -> String {
    let log = evidence::state(weir.services.store()).await.unwrap();
    let mut decisions: Vec<CheckpointDecision> = Vec::new();
    for seq in 0..log.range.size() {
        let leaf = evidence::by_seq(weir.services.store(), seq).await.unwrap().unwrap();
        if let Body::Checkpoint(decision) = Leaf::from_canonical(&leaf.body).unwrap().body {
            decisions.push(*decision);
        }
    }
    let mut nodes: BTreeMap<&str, NodeCounts> = BTreeMap::new();
    let mut counts: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    let mut add = |key: String, one: u64, other: u64| {
        let sum = counts.entry(key).or_default();
        *sum = (sum.0 + one, sum.1 + other);
    };
    for decision in &decisions {
        for (node, counts) in &decision.nodes {
            assert!(counts.is_conserved(), "{node}: {counts:?}");
            let sum = nodes.entry(node).or_default();
            sum.rows_in += counts.rows_in;
            sum.rows_out += counts.rows_out;
            sum.quarantined += counts.quarantined;
            sum.denied += counts.denied;
            sum.late += counts.late;
            sum.dropped += counts.dropped;
            sum.malformed += counts.malformed;
            sum.absorbed += counts.absorbed;
            sum.emitted += counts.emitted;
        }
        for (node, rules) in &decision.rules {
            rules.iter().for_each(|(rule, result)| add(format!("rule {node} {rule}"), result.evaluated, result.failed));
        }
        for (node, consent) in &decision.consent {
            let purpose = &consent.purpose;
            consent.decisions.iter().for_each(|(decision, rows)| add(format!("consent {node} {purpose} {decision}"), *rows, 0));
        }
        for mask in &decision.masking {
            let key = match mask.key_id.as_deref() {
                None => "",
                Some("subject") => ", under the subject's key",
                Some(_) => ", keyed",
            };
            add(format!("masking {}.{} {}{key}", mask.step, mask.column, mask.operator), mask.rows, 0);
        }
        for (sink, commit) in &decision.sinks {
            assert_eq!(commit.rows, commit.files.iter().map(|file| file.rows).sum::<u64>(), "{sink}");
            if open.counts_out(sink) {
                add(format!("sink {sink}"), commit.rows, 0);
            }
        }
    }
    let mut text = String::new();
    for (node, counts) in nodes.into_iter().filter(|(node, _)| open.counts_in(node)) {
        let counts = serde_json::to_value(counts).unwrap();
        let counts = counts.as_object().unwrap().iter();
        let counts = counts.filter(|(what, _)| open.counts_out(node) || !matches!(what.as_str(), "out" | "emitted"));
        let shown: Vec<String> = counts.map(|(what, rows)| format!("{what} {rows}")).collect();
        writeln!(text, "node {node}: {}", shown.join(", ")).unwrap();
    }
    for (key, (rows, failed)) in counts.into_iter().filter(|(key, (rows, _))| *rows > 0 || key.starts_with("rule")) {
        match key.starts_with("rule") {
            true => writeln!(text, "{key}: {rows} asked, {failed} failed").unwrap(),
            false => writeln!(text, "{key}: {rows} rows").unwrap(),
        }
    }
    for column in decisions.iter().find_map(|decision| decision.lineage.as_ref()).into_iter().flatten() {
        let inputs = column.inputs.iter().map(|input| {
            let masking = if input.masking { " masked" } else { "" };
            format!("{}.{} {}{masking}", input.source, input.column, input.subtype)
        });
        writeln!(text, "lineage {}.{}: {}", column.sink, column.column, inputs.collect::<Vec<_>>().join(", ")).unwrap();
    }
    text
}

/// Windows in the order of each step, then alerts cause by cause: in which order those of several happen is left open.
fn observed(noticed: &Observations) -> String {
    let time = |micros: i64| chrono::DateTime::from_timestamp_micros(micros).unwrap().format("%FT%T%.fZ").to_string();
    let severity = |severity: RuleSeverity| serde_json::to_value(severity).unwrap().as_str().unwrap().to_owned();
    let mut windows: Vec<&MeasuredWindow> = noticed.windows.iter().collect();
    windows.sort_by(|a, b| a.step.cmp(&b.step));
    let mut text = String::new();
    for window in windows {
        let MeasuredWindow { step, start, end, rows, late_rows, measures, .. } = window;
        let measures = if measures.is_empty() { "no" } else { "with" };
        writeln!(text, "{step} {} to {}: {rows} rows, {late_rows} late, {measures} measures", time(*start), time(*end)).unwrap();
        for rule in &window.rules {
            let name = if rule.rule == rule.metric { String::new() } else { format!("{} = ", rule.metric) };
            let observed = rule.observed.map_or("nothing".to_owned(), |observed| format!("{observed}"));
            write!(text, "  {} ({}): {name}{observed}, {}", rule.rule, severity(rule.severity), rule.verdict.as_str()).unwrap();
            writeln!(text, "{}", rule.detail.as_ref().map_or(String::new(), |detail| format!(": {detail}"))).unwrap();
        }
    }
    let mut causes: BTreeMap<(&str, &str), String> = BTreeMap::new();
    for alert in &noticed.alerts {
        let of_cause = causes.entry((&alert.step, &alert.cause)).or_default();
        let at = time(alert.at);
        match &alert.change {
            AlertChange::Raised => {
                let detail = alert.detail.as_ref().map_or(String::new(), |detail| format!(": {detail}"));
                writeln!(of_cause, "  raised {at} ({}) {}{detail}", severity(alert.severity), alert.message)
            }
            AlertChange::Resolved { raised_at, seen_at, count } => {
                let (raised_at, seen_at) = (time(*raised_at), time(*seen_at));
                writeln!(of_cause, "  resolved {at}, raised {raised_at}, seen {count} times, last {seen_at}")
            }
        }
        .unwrap();
    }
    let mut causes: Vec<(&str, String)> = causes.into_iter().map(|((step, _), events)| (step, events)).collect();
    causes.sort();
    causes.iter().for_each(|(step, events)| write!(text, "{step}, a cause\n{events}").unwrap());
    text
}

fn expected(case: &Path) -> Outcome {
    let mut expected = Outcome::new();
    let sinks = fs::read_dir(case.join("expected")).into_iter().flatten().map(|entry| entry.unwrap().file_name());
    let sinks = sinks.map(|name| format!("expected/{}", name.to_string_lossy()));
    for name in sinks.chain(["quarantine.txt", "evidence.snap", OBSERVATIONS].map(str::to_owned)) {
        if let Ok(text) = fs::read_to_string(case.join(&name)) {
            expected.insert(name, text);
        }
    }
    expected
}

fn write(case: &Path, outcome: &Outcome) {
    for stale in expected(case).keys().filter(|name| !outcome.contains_key(*name)) {
        fs::remove_file(case.join(stale)).unwrap();
    }
    fs::create_dir_all(case.join("expected")).unwrap();
    for (name, text) in outcome {
        fs::write(case.join(name), text).unwrap();
    }
}

/// Adds what differs to `failures`: the first line of each file that does.
fn compare(what: &str, expected: &Outcome, found: &Outcome, failures: &mut String) {
    for name in expected.keys().chain(found.keys().filter(|name| !expected.contains_key(*name))) {
        let (expected, found) = (expected.get(name), found.get(name));
        if expected == found {
            continue;
        }
        let lines =
            |text: Option<&String>| text.map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).unwrap_or_default();
        let (expected, found) = (lines(expected), lines(found));
        let line = (0..expected.len().max(found.len())).find(|&line| expected.get(line) != found.get(line)).unwrap_or(0);
        let shown = |lines: &[String]| lines.get(line).map_or("nothing".to_owned(), Clone::clone);
        writeln!(failures, "{what}: {name}:{}\n  expected: {}\n  found:    {}", line + 1, shown(&expected), shown(&found))
            .unwrap();
    }
}
