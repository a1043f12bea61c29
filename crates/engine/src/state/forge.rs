//! For fuzzing: a state file whose seals are good and whose contents may be anything, as whoever holds the key could write it.

use std::collections::BTreeSet;

use super::super::{
    LaneState, Settings, StateError,
    manifest::{LivePages, Manifest},
    page::{Page, PageSummary},
    seal::Kind,
};
use super::{FileWriter, put_place};

/// A page as it is sealed, and what the index tells of it; None to tell the truth, where the page can be read.
pub struct ForgedPage<'a> {
    pub plain: &'a [u8],
    pub summary: Option<&'a [u8]>,
}

/// Writes a file of these pages; `index` and `manifest` stand in place of the true ones. Gives the record that a checkpoint
/// would have of it.
pub fn forge(
    settings: &Settings,
    name: &str,
    pages: &[ForgedPage<'_>],
    index: Option<&[u8]>,
    manifest: Option<&[u8]>,
) -> Result<LaneState, StateError> {
    let mut writer = FileWriter::create(&settings.folder, name, &settings.key, settings.operator, 0, 1)?;
    let mut live = LivePages { id: writer.id(), ..LivePages::default() };
    let mut entries = 0;
    for page in pages {
        let place = writer.block(Kind::Page, page.plain)?;
        live.ordinals.push(place.ordinal);
        put_place(&mut writer.index, place);
        match page.summary {
            Some(summary) => writer.index.extend_from_slice(summary),
            None => {
                let read = Page::<Vec<u8>>::decode(page.plain);
                let summary = read.map_or_else(|_| PageSummary::default(), |page| page.summary());
                entries += summary.hashes.len() as u64;
                summary.encode(&mut writer.index);
            }
        }
        writer.indexed += 1;
    }
    if let Some(index) = index {
        writer.index = index.to_vec();
        writer.indexed = 1;
    }
    let id = hex::encode(writer.id());
    let truth = Manifest { entries, files: [(String::new(), live)].into() }.encode();
    let finished = writer.finish(manifest.unwrap_or(&truth))?;
    let files = BTreeSet::from([name.to_owned()]);
    Ok(LaneState { lane: 0, lanes: 1, file: name.to_owned(), id, bytes: finished.bytes, entries, files })
}
