//! Reference files for `references` rules: the values of one column, read once at start.

use std::{fs::File, io::BufReader, path::Path, sync::Arc};

use ahash::AHashSet;
use weir_connectors::ConnectorError;

use crate::error::EngineError;

/// The values of `key` in a CSV file with a header, or in a file of one JSON object a line (`.json`, `.jsonl`, `.ndjson`).
pub fn load(node: &str, path: &Path, key: &str) -> Result<Arc<AHashSet<String>>, EngineError> {
    let failed = |error: ConnectorError| EngineError::connector(node, error);
    let file = File::open(path).map_err(|e| failed(ConnectorError::io(path, e)))?;
    let json =
        path.extension().is_some_and(|ending| ["json", "jsonl", "ndjson"].iter().any(|json| ending.eq_ignore_ascii_case(json)));
    let values = if json { from_json(file, key) } else { from_csv(file, key) };
    let values =
        values.map_err(|message| failed(ConnectorError::Config(format!("reference file {}: {message}", path.display()))))?;
    Ok(Arc::new(values))
}

fn from_csv(file: File, key: &str) -> Result<AHashSet<String>, String> {
    let mut reader = csv::Reader::from_reader(BufReader::new(file));
    let header = reader.headers().map_err(|e| e.to_string())?;
    let column = header
        .iter()
        .position(|name| name == key)
        .ok_or_else(|| format!("has no column `{key}`; its columns are {}", header.iter().collect::<Vec<_>>().join(", ")))?;
    let mut values = AHashSet::new();
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record).map_err(|e| e.to_string())? {
        if let Some(value) = record.get(column) {
            values.insert(value.to_owned());
        }
    }
    Ok(values)
}

fn from_json(file: File, key: &str) -> Result<AHashSet<String>, String> {
    let mut values = AHashSet::new();
    for (line, text) in std::io::BufRead::lines(BufReader::new(file)).enumerate() {
        let text = text.map_err(|e| e.to_string())?;
        if text.trim().is_empty() {
            continue;
        }
        let row: serde_json::Value =
            serde_json::from_str(&text).map_err(|_| format!("line {} is not a JSON object", line + 1))?;
        match row.get(key) {
            Some(serde_json::Value::String(value)) => values.insert(value.clone()),
            Some(serde_json::Value::Null) => continue,
            Some(value) => values.insert(value.to_string()),
            None => return Err(format!("line {} has no key `{key}`", line + 1)),
        };
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(name: &str, text: &str, key: &str) -> Result<Vec<String>, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        let loaded = load("rule", &path, key).map_err(|e| e.to_string().replace(&*dir.path().to_string_lossy(), ""))?;
        let mut values: Vec<String> = loaded.iter().cloned().collect();
        values.sort();
        Ok(values)
    }

    #[test]
    fn csv_and_json_files_give_the_values_of_a_column() {
        assert_eq!(values("m.csv", "id,name\n1,\"a,b\"\n2,c\n", "name").unwrap(), ["a,b", "c"]);
        assert_eq!(values("m.ndjson", "{\"id\":7}\n\n{\"id\":\"x\"}\n{\"id\":null}\n", "id").unwrap(), ["7", "x"]);
    }

    #[test]
    fn a_missing_column_or_file_is_named() {
        let error = values("m.csv", "id,name\n1,a\n", "nam").unwrap_err();
        assert!(error.contains("has no column `nam`; its columns are id, name"), "{error}");
        assert!(load("rule", Path::new("absent.csv"), "id").unwrap_err().to_string().contains("absent.csv"));
    }
}
