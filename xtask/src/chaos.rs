//! `cargo xtask chaos`: `weir run` killed at random moments under load; what it committed is what an undisturbed run commits.
//!
//! Each document of `tests/chaos` is run undisturbed once: that is its oracle. Then it is run again and again with SIGKILLs at seeded
//! moments until the kills are used up; a run that ends before its kill begins a new round in a new folder. A comment `# order: any` in a
//! document says that the order of its rows may differ from run to run; otherwise it must be the same in every file's folder. With
//! `# changes: folded` what counts of a changelog is where it ends, not the way there, which depends on who came first. With
//! `# parallelism: any` every start has another parallelism. With `# observed: compared` the windows that quality steps measured and the
//! alerts that were raised count as rows, too.

use std::{
    cell::Cell,
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::{
    run,
    shell::{has, output, root, say},
};

/// How many rows the documents themselves ask for.
const ROWS: &str = "100000";

pub struct Chaos {
    pub kills: u32,
    pub seed: u64,
    /// Rows or events of each source.
    pub rows: u64,
    /// Only these documents.
    pub documents: Vec<String>,
    pub profile: String,
    /// A binary that is built already.
    pub weir: Option<PathBuf>,
}

pub fn chaos(chaos: &Chaos) -> Result<()> {
    let known = documents()?;
    if let Some(unknown) = chaos.documents.iter().find(|name| !known.contains_key(*name)) {
        bail!("there is no document `{unknown}`; the documents are {}", known.keys().cloned().collect::<Vec<_>>().join(", "));
    }
    let weir = match &chaos.weir {
        Some(weir) => fs::canonicalize(weir).with_context(|| format!("cannot find {}", weir.display()))?,
        None => run::compile(&chaos.profile)?,
    };
    for (name, path) in &known {
        if chaos.documents.is_empty() || chaos.documents.contains(name) {
            let text = fs::read_to_string(path)?.replace(ROWS, &chaos.rows.to_string());
            let work = Work { weir: &weir, text: &text, root: work_folder(name)?, starts: Cell::new(0) };
            let report =
                work.disturb(name, chaos).with_context(|| format!("{name}, seed {}, in {}", chaos.seed, work.root.display()))?;
            println!("{report}");
            fs::remove_dir_all(&work.root)?;
        }
    }
    Ok(())
}

fn documents() -> Result<BTreeMap<String, PathBuf>> {
    let folder = root().join("tests/chaos");
    let entries = fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    Ok(entries
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.strip_suffix(".yaml")?.to_owned(), entry.path())))
        .collect())
}

/// A new folder. It stays when something went wrong, so that one can look.
fn work_folder(name: &str) -> Result<PathBuf> {
    let folder = std::env::temp_dir().join(format!("weir-chaos-{}-{name}", std::process::id()));
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// What a run left: the rows of each folder, and the counts of its summary.
#[derive(PartialEq)]
struct Left {
    rows: BTreeMap<PathBuf, Vec<String>>,
    counts: Value,
}

impl Left {
    fn count(&self) -> usize {
        self.rows.values().map(Vec::len).sum()
    }
}

struct Work<'w> {
    weir: &'w Path,
    text: &'w str,
    root: PathBuf,
    starts: Cell<usize>,
}

impl Work<'_> {
    fn disturb(&self, name: &str, chaos: &Chaos) -> Result<Value> {
        say(&format!("{name}: undisturbed"));
        let oracle = self.round("undisturbed")?;
        let began = Instant::now();
        let expected = self.finish(&oracle)?;
        let whole = began.elapsed();
        ensure!(expected.count() > 0, "the undisturbed run wrote nothing, so nothing could be compared");

        say(&format!("{name}: {} kills", chaos.kills));
        // Most kills hit a run in the middle of its work, some while it starts or ends.
        let longest = whole.mul_f64(0.8).max(Duration::from_millis(50));
        let mut random = Random(chaos.seed);
        let (mut kills, mut rounds) = (0, 0);
        while kills < chaos.kills {
            rounds += 1;
            let folder = self.round(&format!("round-{rounds}"))?;
            while kills < chaos.kills {
                let mut child = self.start(&folder)?;
                if ended_within(&mut child, longest.mul_f64(random.unit()))? {
                    break;
                }
                child.kill()?;
                child.wait()?;
                kills += 1;
            }
            let found = self.finish(&folder)?;
            compare(&expected, &found).with_context(|| format!("round {rounds}, after {kills} kills"))?;
        }
        Ok(json!({
            "chaos": name, "kills": kills, "rounds": rounds, "seed": chaos.seed, "rows": expected.count(),
            "undisturbed_seconds": (whole.as_secs_f64() * 1e3).round() / 1e3,
        }))
    }

    fn round(&self, name: &str) -> Result<PathBuf> {
        let folder = self.root.join(name);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("pipeline.yaml"), self.text)?;
        Ok(folder)
    }

    fn start(&self, folder: &Path) -> Result<Child> {
        if self.text.contains("# parallelism: any") {
            let parallelism = [2, 3, 1, 4][self.starts.replace(self.starts.get() + 1) % 4];
            fs::write(folder.join("pipeline.yaml"), self.text.replace("parallelism: 2", &format!("parallelism: {parallelism}")))?;
        }
        let mut command = Command::new(self.weir);
        command.current_dir(folder).args(["run", "pipeline.yaml", "--data", "data", "--json"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().context("cannot start weir")
    }

    /// Runs to the end, and looks at what is there then.
    fn finish(&self, folder: &Path) -> Result<Left> {
        let output = self.start(folder)?.wait_with_output()?;
        ensure!(output.status.success(), "weir run failed: {}", String::from_utf8_lossy(&output.stderr).trim());
        let summary: Value = serde_json::from_slice(&output.stdout).context("the summary is not JSON")?;
        ensure!(summary["status"] == "finished", "the run ended as {}", summary["status"]);
        let verified = Command::new(self.weir).current_dir(folder).args(["audit", "verify", "--data", "data"]).output()?;
        ensure!(verified.status.success(), "the evidence does not verify: {}", String::from_utf8_lossy(&verified.stderr).trim());
        let folded = self.text.contains("# changes: folded");
        let counts = match folded {
            true => json!({ "sources": summary["sources"] }),
            false => json!({ "sources": summary["sources"], "steps": summary["steps"], "sinks": summary["sinks"] }),
        };
        let mut rows = BTreeMap::new();
        read_rows(&folder.join("out"), Path::new(""), &mut rows)?;
        if self.text.contains("# observed: compared") {
            read_tables(&folder.join("data/weir.db"), OBSERVED, Path::new("observed"), &mut rows)?;
        }
        if folded {
            rows.values_mut().for_each(|rows| *rows = fold(rows));
        }
        if self.text.contains("# order: any") {
            rows.values_mut().for_each(|rows| rows.sort());
        }
        Ok(Left { rows, counts })
    }
}

/// Waits so long; true when the run ended by itself before.
fn ended_within(child: &mut Child, time: Duration) -> Result<bool> {
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            ensure!(status.success(), "weir run failed by itself: {status}");
            return Ok(true);
        }
        let Some(left) = time.checked_sub(began.elapsed()).filter(|left| !left.is_zero()) else { return Ok(false) };
        std::thread::sleep(left.min(Duration::from_millis(5)));
    }
}

/// The lines of each folder's files, in the order of the files' names. A file that was never committed is an error.
fn read_rows(folder: &Path, relative: &Path, rows: &mut BTreeMap<PathBuf, Vec<String>>) -> Result<()> {
    let mut entries: Vec<_> =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?.flatten().collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_dir() {
            if !name.starts_with(['.', '_']) {
                read_rows(&entry.path(), &relative.join(&name), rows)?;
            }
            continue;
        }
        ensure!(!name.starts_with('.'), "{} was left behind", entry.path().display());
        if name.ends_with(".db") {
            read_tables(&entry.path(), &[], &relative.join(&name), rows)?;
        } else if !name.starts_with('_') {
            let text = fs::read_to_string(entry.path())?;
            rows.entry(relative.to_path_buf()).or_default().extend(text.lines().map(str::to_owned));
        }
    }
    Ok(())
}

/// What Weir's own database tells people of a run; its other columns are names, times of the clock and places in the log.
const OBSERVED: &[(&str, &str)] = &[
    ("quality_windows", "step, rule, start_at, end_at, rows, late_rows, metric, severity, observed, verdict, detail"),
    ("alerts", "step, severity, message, detail, raised_at, seen_at, seen, ended, ended_at"),
];

/// The rows of a database as somebody else reads them, each as JSON: these columns of these tables, or all of all tables.
fn read_tables(
    database: &Path,
    columns: &[(&str, &str)],
    relative: &Path,
    rows: &mut BTreeMap<PathBuf, Vec<String>>,
) -> Result<()> {
    const SCRIPT: &str = r#"
import json, pathlib, sqlite3, sys
database = sqlite3.connect(pathlib.Path(sys.argv[1]).resolve().as_uri() + "?mode=ro", uri=True)
tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name <> '_weir' ORDER BY name").fetchall()
columns = json.loads(sys.argv[2]) or [[table, "*"] for (table,) in tables]
for table, names in columns:
    for row in database.execute(f'SELECT {names} FROM "{table}" ORDER BY rowid'):
        print(table + "\t" + json.dumps(row, default=repr))
"#;
    ensure!(has("python3"), "Python 3 is missing: the tables of {} are read with it", database.display());
    let read = output(Command::new("python3").args(["-c", SCRIPT]).arg(database).arg(json!(columns).to_string()));
    for line in read.with_context(|| format!("cannot read {}", database.display()))?.lines() {
        let (table, row) = line.split_once('\t').context("a row comes with its table")?;
        rows.entry(relative.join(table)).or_default().push(row.to_owned());
    }
    Ok(())
}

/// The rows that are there after all changes, sorted; other rows as they are.
fn fold(rows: &[String]) -> Vec<String> {
    let mut there: BTreeMap<String, i64> = BTreeMap::new();
    for row in rows {
        let change = ["+I", "+U", "-U", "-D"].into_iter().find_map(|op| {
            let rest = row.strip_prefix("{\"op\":\"")?.strip_prefix(op)?.strip_prefix("\",")?;
            Some((format!("{{{rest}"), if op.starts_with('+') { 1 } else { -1 }))
        });
        let (row, change) = change.unwrap_or_else(|| (row.clone(), 1));
        *there.entry(row).or_default() += change;
    }
    // What is taken away without having been there shows too.
    let told = |(row, count): (String, i64)| {
        let row = if count < 0 { format!("missing: {row}") } else { row };
        std::iter::repeat_n(row, usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX))
    };
    there.into_iter().flat_map(told).collect()
}

/// Names the first folder that differs and how, never what is in a row.
fn compare(expected: &Left, found: &Left) -> Result<()> {
    for (folder, rows) in &expected.rows {
        let empty = Vec::new();
        let there = found.rows.get(folder).unwrap_or(&empty);
        if rows == there {
            continue;
        }
        let mut tally: BTreeMap<&str, i64> = BTreeMap::new();
        rows.iter().for_each(|row| *tally.entry(row).or_default() += 1);
        there.iter().for_each(|row| *tally.entry(row).or_default() -= 1);
        let lost: i64 = tally.values().filter(|count| **count > 0).sum();
        let added: i64 = -tally.values().filter(|count| **count < 0).sum::<i64>();
        let order = rows.iter().zip(there).position(|(one, other)| one != other).unwrap_or(rows.len().min(there.len()));
        bail!("in `{}` {lost} rows are lost and {added} are too many; the first difference is at row {order}", folder.display());
    }
    ensure!(expected.rows.len() == found.rows.len(), "there are folders that the undisturbed run does not have");
    ensure!(expected.counts == found.counts, "the counts differ: {} where {} were expected", found.counts, expected.counts);
    Ok(())
}

/// SplitMix64 (Steele, Lea, Flood, 2014).
struct Random(u64);

impl Random {
    /// Uniform in [0, 1).
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(rows: &[&str], written: u64) -> Left {
        let rows = BTreeMap::from([(PathBuf::from("a"), rows.iter().map(|row| (*row).to_owned()).collect())]);
        Left { rows, counts: json!({ "sinks": { "out": { "written": written } } }) }
    }

    #[test]
    fn a_changelog_ends_where_its_changes_lead() {
        let rows = |rows: &[&str]| rows.iter().map(|row| (*row).to_owned()).collect::<Vec<_>>();
        let log = rows(&[
            r#"{"op":"+I","n":1}"#,
            r#"{"op":"-U","n":1}"#,
            r#"{"op":"+U","n":2}"#,
            r#"{"op":"+I","n":7}"#,
            r#"{"op":"-D","n":7}"#,
        ]);
        assert_eq!(fold(&log), [r#"{"n":2}"#]);
        assert_eq!(fold(&log[1..]), [r#"missing: {"n":1}"#, r#"{"n":2}"#]);
        assert_eq!(fold(&rows(&["{\"a\":1}", "{\"a\":1}"])).len(), 2, "rows without changes are all there");
    }

    #[test]
    fn lost_repeated_and_exchanged_rows_are_told_apart() {
        let expected = left(&["1", "2", "3"], 3);
        assert!(compare(&expected, &left(&["1", "2", "3"], 3)).is_ok());
        for (rows, written, message) in [
            (&["1", "3"][..], 3, "1 rows are lost and 0 are too many; the first difference is at row 1"),
            (&["1", "2", "2", "3"], 3, "0 rows are lost and 1 are too many; the first difference is at row 2"),
            (&["2", "1", "3"], 3, "0 rows are lost and 0 are too many; the first difference is at row 0"),
            (&["1", "2", "3"], 4, "the counts differ"),
        ] {
            let error = compare(&expected, &left(rows, written)).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }
}
