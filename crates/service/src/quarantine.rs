//! Quarantined rows: listed without opening them, read one by one, each reading on record.

use weir_api::{Page, QuarantineEntry, QuarantineQuery, QuarantineRow, SegmentId};

use crate::{Cx, Result};

/// Why rows were held, newest first, without their content.
pub async fn list(cx: &Cx, query: QuarantineQuery) -> Result<Page<QuarantineEntry>> {
    let _ = (cx, query);
    todo!()
}

/// One row's reasons, without its content. Asks for `quarantine.list`, as [`list`] does.
pub async fn entry(cx: &Cx, segment: SegmentId, row: u32) -> Result<QuarantineEntry> {
    let _ = (cx, segment, row);
    todo!()
}

/// Opens one row. The reading is recorded before the content is returned.
pub async fn read(cx: &Cx, segment: SegmentId, row: u32) -> Result<QuarantineRow> {
    let _ = (cx, segment, row);
    todo!()
}

/// Opens a page of rows; recorded with their number and the query.
pub async fn export(cx: &Cx, query: QuarantineQuery) -> Result<Page<QuarantineRow>> {
    let _ = (cx, query);
    todo!()
}
