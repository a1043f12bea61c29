//! Idempotency keys: which request was already appended, remembered for a day beyond the rows themselves.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::Write,
    path::Path,
};

use super::{
    files::{keys_path, list, sync_folder},
    frame::{Hash, array, crc32},
};
use crate::error::ConnectorError;

/// How long a key is remembered at least: a day.
const KEPT_MS: u64 = 24 * 3_600_000;
const ENTRY: usize = 16 + 16 + 8 + 4 + 8;

/// A request that was appended under a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KeyEntry {
    pub key: Hash,
    pub body: Hash,
    pub first_row: u64,
    pub rows: u32,
    /// Milliseconds since 1970.
    pub appended_at: u64,
}

/// All keys that are remembered.
#[derive(Default)]
pub(super) struct Keys {
    entries: HashMap<Hash, KeyEntry>,
}

impl Keys {
    pub fn get(&self, key: &Hash) -> Option<KeyEntry> {
        self.entries.get(key).copied()
    }

    pub fn insert(&mut self, entry: KeyEntry) {
        self.entries.insert(entry.key, entry);
    }

    /// Forgets the keys of the rows from `row` on: they are not in the log after all.
    pub fn take_back(&mut self, row: u64) {
        self.entries.retain(|_, entry| entry.first_row < row);
    }

    /// Writes the keys of the rows from `segment` on, durably: their segment is full.
    pub fn save(&self, folder: &Path, segment: u64) -> Result<(), ConnectorError> {
        let mut bytes = Vec::new();
        let mut entries: Vec<_> = self.entries.values().filter(|entry| entry.first_row >= segment).collect();
        entries.sort_by_key(|entry| entry.first_row);
        for entry in entries {
            bytes.extend_from_slice(&entry.key);
            bytes.extend_from_slice(&entry.body);
            bytes.extend_from_slice(&entry.first_row.to_le_bytes());
            bytes.extend_from_slice(&entry.rows.to_le_bytes());
            bytes.extend_from_slice(&entry.appended_at.to_le_bytes());
        }
        let checksum = crc32(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        let path = keys_path(folder, segment);
        let temporary = path.with_extension("keys.new");
        let failed = |error| ConnectorError::io(&temporary, error);
        let mut file = File::create(&temporary).map_err(failed)?;
        file.write_all(&bytes).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        fs::rename(&temporary, &path).map_err(failed)?;
        sync_folder(folder)
    }

    /// Loads the keys of a full segment; false if there are none or they are damaged.
    pub fn load(&mut self, folder: &Path, segment: u64) -> bool {
        let Some((entries, checksum)) = fs::read(keys_path(folder, segment)).ok().and_then(|mut bytes| {
            let checksum = bytes.split_off(bytes.len().checked_sub(4)?);
            Some((bytes, u32::from_le_bytes(array(&checksum, 0)?)))
        }) else {
            return false;
        };
        if crc32(&entries) != checksum {
            return false;
        }
        for bytes in entries.chunks_exact(ENTRY) {
            if let Some(entry) = read_entry(bytes) {
                self.insert(entry);
            }
        }
        true
    }

    /// Forgets keys that are older than a day, and the key files of deleted segments that hold no younger ones.
    pub fn expire(&mut self, folder: &Path, now: u64) -> Result<(), ConnectorError> {
        self.entries.retain(|_, entry| entry.appended_at.saturating_add(KEPT_MS) > now);
        let segments = list(folder, "log")?;
        let kept = list(folder, "keys")?;
        for (i, &segment) in kept.iter().enumerate() {
            let end = kept[i + 1..].iter().chain(&segments).copied().filter(|&next| next > segment).min().unwrap_or(u64::MAX);
            let needed = self.entries.values().any(|entry| (segment..end).contains(&entry.first_row));
            if !needed && segments.binary_search(&segment).is_err() {
                let path = keys_path(folder, segment);
                fs::remove_file(&path).map_err(|error| ConnectorError::io(path, error))?;
            }
        }
        Ok(())
    }
}

fn read_entry(bytes: &[u8]) -> Option<KeyEntry> {
    Some(KeyEntry {
        key: array(bytes, 0)?,
        body: array(bytes, 16)?,
        first_row: u64::from_le_bytes(array(bytes, 32)?),
        rows: u32::from_le_bytes(array(bytes, 40)?),
        appended_at: u64::from_le_bytes(array(bytes, 44)?),
    })
}
