//! Reference files of distribution rules: all values of one column, read once at start.

use std::{fs::File, io::BufReader, path::Path};

/// The values of a column of a CSV file with a header, or of a file of one JSON object a line (`.json`, `.jsonl`, `.ndjson`). Empty
/// cells and nulls are left out.
pub fn values(path: &Path, column: &str) -> Result<Vec<String>, String> {
    let failed = |error: &dyn std::fmt::Display| format!("reference file {}: {error}", path.display());
    let file = BufReader::new(File::open(path).map_err(|e| failed(&e))?);
    let json =
        path.extension().is_some_and(|ending| ["json", "jsonl", "ndjson"].iter().any(|json| ending.eq_ignore_ascii_case(json)));
    let values = if json { from_json(file, column) } else { from_csv(file, column) };
    values.map_err(|message| failed(&message))
}

fn from_csv(file: BufReader<File>, column: &str) -> Result<Vec<String>, String> {
    let mut reader = csv::Reader::from_reader(file);
    let header = reader.headers().map_err(|e| e.to_string())?;
    let place = header
        .iter()
        .position(|name| name == column)
        .ok_or_else(|| format!("has no column `{column}`; its columns are {}", header.iter().collect::<Vec<_>>().join(", ")))?;
    let mut values = Vec::new();
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record).map_err(|e| e.to_string())? {
        values.extend(record.get(place).filter(|value| !value.is_empty()).map(str::to_owned));
    }
    Ok(values)
}

fn from_json(file: BufReader<File>, column: &str) -> Result<Vec<String>, String> {
    let mut values = Vec::new();
    for (line, text) in std::io::BufRead::lines(file).enumerate() {
        let text = text.map_err(|e| e.to_string())?;
        if text.trim().is_empty() {
            continue;
        }
        let row: serde_json::Value =
            serde_json::from_str(&text).map_err(|_| format!("line {} is not a JSON object", line + 1))?;
        match row.get(column) {
            Some(serde_json::Value::String(value)) => values.push(value.clone()),
            Some(serde_json::Value::Null) => {}
            Some(value) => values.push(value.to_string()),
            None => return Err(format!("line {} has no key `{column}`", line + 1)),
        }
    }
    Ok(values)
}
