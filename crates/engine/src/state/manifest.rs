//! What a checkpoint consists of: the record that goes into it, and the list of live pages in the newest file.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    StateError,
    codec::{Reader, put_bytes, put_varint},
};

/// The state of one operator in one lane at a barrier, as a checkpoint records it: small, whatever the size of the state.
/// The newest file holds the list of the pages that make up the state, in this file and in older ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneState {
    pub lane: usize,
    pub lanes: usize,
    /// The newest file.
    pub file: String,
    /// Its id, 32 hex digits: a file of the same name but of another time is not taken for it.
    pub id: String,
    /// Its size.
    pub bytes: u64,
    pub entries: u64,
    /// Every file that the state needs, the newest included.
    pub files: BTreeSet<String>,
}

/// The files which these checkpoints need. Keep those of the last two checkpoints; see [`garbage`].
pub fn files_needed<'a>(states: impl IntoIterator<Item = &'a LaneState>) -> BTreeSet<&'a str> {
    states.into_iter().flat_map(|state| state.files.iter().map(String::as_str)).collect()
}

/// The files that may be removed once the checkpoints that consist of `dropped` are given up and those of `kept` are not.
/// Files that no committed checkpoint names yet are never among them: a snapshot may be writing them.
pub fn garbage<'a>(
    dropped: impl IntoIterator<Item = &'a LaneState>,
    kept: impl IntoIterator<Item = &'a LaneState>,
) -> BTreeSet<&'a str> {
    let kept = files_needed(kept);
    files_needed(dropped).into_iter().filter(|file| !kept.contains(file)).collect()
}

/// The live pages of one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LivePages {
    pub(crate) id: [u8; 16],
    pub(crate) bytes: u64,
    /// Ordinals of blocks, ascending.
    pub(crate) ordinals: Vec<u32>,
}

/// By file name: its live pages. The newest file stands under the empty name; it cannot know its own size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) entries: u64,
    pub(crate) files: BTreeMap<String, LivePages>,
}

impl Manifest {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_varint(&mut out, self.entries);
        put_varint(&mut out, self.files.len() as u64);
        for (name, live) in &self.files {
            put_bytes(&mut out, name.as_bytes());
            out.extend_from_slice(&live.id);
            put_varint(&mut out, live.bytes);
            put_varint(&mut out, live.ordinals.len() as u64);
            let mut next = 0;
            for &ordinal in &live.ordinals {
                put_varint(&mut out, u64::from(ordinal - next));
                next = ordinal + 1;
            }
        }
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, StateError> {
        let mut reader = Reader::new(bytes);
        let mut manifest = Self { entries: reader.varint()?, files: BTreeMap::new() };
        for _ in 0..reader.size()? {
            let name = std::str::from_utf8(reader.bytes()?).map_err(|_| StateError::Malformed("a name is not UTF-8"))?;
            let (id, bytes, count) = (reader.array()?, reader.varint()?, reader.size()?);
            let mut ordinals = Vec::with_capacity(count.min(reader.remaining().len()));
            let mut next = 0u64;
            for _ in 0..count {
                let ordinal = next.checked_add(reader.varint()?).and_then(|sum| u32::try_from(sum).ok());
                let ordinal = ordinal.ok_or(StateError::Malformed("an ordinal is out of range"))?;
                ordinals.push(ordinal);
                next = u64::from(ordinal) + 1;
            }
            manifest.files.insert(name.to_owned(), LivePages { id, bytes, ordinals });
        }
        reader.finish()?;
        Ok(manifest)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_manifest_comes_back(entries: u64, files in prop::collection::btree_map("[a-z]{0,5}", (any::<[u8; 16]>(), any::<u64>(), prop::collection::btree_set(any::<u32>(), 0..20)), 0..5)) {
            let files = files.into_iter().map(|(name, (id, bytes, ordinals))| {
                (name, LivePages { id, bytes, ordinals: ordinals.into_iter().collect() })
            });
            let manifest = Manifest { entries, files: files.collect() };
            prop_assert_eq!(Manifest::decode(&manifest.encode()).unwrap(), manifest);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = Manifest::decode(&bytes);
        }
    }

    #[test]
    fn only_what_no_kept_checkpoint_needs_is_garbage() {
        let state = |files: &[&str]| LaneState {
            lane: 0,
            lanes: 1,
            file: files[0].to_owned(),
            id: String::new(),
            bytes: 0,
            entries: 0,
            files: files.iter().map(|&file| file.to_owned()).collect(),
        };
        let [one, two, three] = [state(&["c", "b", "a"]), state(&["d", "c"]), state(&["e", "d"])];
        assert_eq!(garbage([&one], [&two, &three]), BTreeSet::from(["a", "b"]));
        assert_eq!(files_needed([&two, &three]), BTreeSet::from(["c", "d", "e"]));
    }
}
