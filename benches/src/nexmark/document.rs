//! The documents of `examples/nexmark`, and how they are set to another size.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// How many events the documents themselves ask for.
const EVENTS: &str = "events: 100000 ";
const LANES: &str = "parallelism: 2\n";

/// A query's document.
pub struct Query {
    pub name: String,
    pub text: String,
    /// The folder that its relative inputs lie in.
    pub folder: PathBuf,
}

/// The names of the queries that have a document, by number.
pub fn queries(folder: &Path) -> Result<Vec<String>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut numbers: Vec<u32> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.strip_prefix('q')?.strip_suffix(".yaml")?.parse().ok())
        .collect();
    numbers.sort_unstable();
    Ok(numbers.into_iter().map(|number| format!("q{number}")).collect())
}

impl Query {
    pub fn read(folder: &Path, name: &str) -> Result<Self> {
        let path = folder.join(format!("{name}.yaml"));
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Self { name: name.to_owned(), text, folder: folder.to_path_buf() })
    }

    /// The document with so many events and lanes. Its inputs are found from `base`, where they are copied to.
    pub fn sized(&self, base: &Path, events: u64, event_rate: u64, parallelism: usize) -> Result<String> {
        ensure!(self.text.contains(EVENTS), "{}: its sources do not say `{}`", self.name, EVENTS.trim());
        ensure!(self.text.contains(LANES), "{}: it does not say `{}`", self.name, LANES.trim());
        let side_input = "side_input.csv";
        if self.text.contains(side_input) {
            std::fs::copy(self.folder.join(side_input), base.join(side_input)).context("cannot copy the side input")?;
        }
        let sized = format!("events: {events}, event_rate: {event_rate} ");
        Ok(self.text.replace(EVENTS, &sized).replace(LANES, &format!("parallelism: {parallelism}\n")))
    }
}
