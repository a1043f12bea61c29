//! Everyone's consent to a purpose at once, for loading millions.
//!
//! A row through the pool costs more than a microsecond: its values are copied one by one and cross two threads. Here, threads with
//! connections of their own step through ranges of the key and hand over pages of entries.

use std::{path::Path, sync::mpsc, time::Duration};

use rusqlite::{Connection, OpenFlags, params};

use crate::{
    consent::{ConsentEntry, PurposeId, state},
    error::{Result, StoreError},
    open::Store,
    stored::unsigned,
};

/// Entries handed over at a time.
const PAGE: usize = 4_096;
/// How long to wait for a lock, which readers of a write-ahead log meet only while it is being recovered.
const BUSY: Duration = Duration::from_secs(60);

/// Calls `take` with everyone's consent to a purpose, page by page, in no order. Begin to follow [`crate::consent::since`] the
/// version that was current *before* this was called: the threads do not read at one instant, and what changes meanwhile then
/// comes again, which does no harm. Blocking.
pub fn snapshot(store: &Store, purpose: PurposeId, threads: usize, mut take: impl FnMut(&[ConsentEntry])) -> Result<()> {
    let file = store.file();
    let threads = threads.clamp(1, 256);
    let (pages, read) = mpsc::sync_channel::<Result<Vec<ConsentEntry>>>(2 * threads);
    std::thread::scope(|scope| {
        for part in 0..threads {
            let (pages, file) = (pages.clone(), &file);
            scope.spawn(move || {
                if let Err(error) = read_part(file, purpose, part, threads, &pages) {
                    // Nobody listens only when another part has failed already.
                    let _ = pages.send(Err(error));
                }
            });
        }
        drop(pages);
        for page in read {
            take(&page?);
        }
        Ok(())
    })
}

/// Subjects are keyed hashes, so ranges of their first byte hold equal shares.
fn read_part(
    file: &Path,
    purpose: PurposeId,
    part: usize,
    parts: usize,
    pages: &mpsc::SyncSender<Result<Vec<ConsentEntry>>>,
) -> Result<()> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags).map_err(failed)?;
    connection.busy_timeout(BUSY).map_err(failed)?;
    let bound = |part: usize| vec![(part * 256 / parts).min(255) as u8];
    let (from, to) = (bound(part), if part + 1 == parts { vec![u8::MAX; 33] } else { bound(part + 1) });
    let mut statement = connection
        .prepare(
            "SELECT subject_hash, state, valid_from, expires_at, version FROM consent \
             WHERE purpose_id = ? AND subject_hash >= ? AND subject_hash < ?",
        )
        .map_err(failed)?;
    let mut rows = statement.query(params![purpose.0, from, to]).map_err(failed)?;
    let mut page = Vec::with_capacity(PAGE);
    while let Some(row) = rows.next().map_err(failed)? {
        let subject = row.get_ref(0).map_err(failed)?.as_blob().ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        page.push(ConsentEntry {
            subject: subject.ok_or_else(|| StoreError::Corrupt("a subject hash has not 32 bytes".to_owned()))?,
            purpose,
            state: state(row.get(1).map_err(failed)?)?,
            valid_from: row.get(2).map_err(failed)?,
            expires_at: row.get(3).map_err(failed)?,
            version: unsigned("a consent version", row.get(4).map_err(failed)?)?,
        });
        if page.len() == PAGE && pages.send(Ok(std::mem::replace(&mut page, Vec::with_capacity(PAGE)))).is_err() {
            return Ok(());
        }
    }
    let _ = pages.send(Ok(page));
    Ok(())
}

fn failed(error: rusqlite::Error) -> StoreError {
    StoreError::Database(sea_orm::DbErr::Custom(format!("reading consent: {error}")))
}
