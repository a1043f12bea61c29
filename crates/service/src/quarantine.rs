//! Quarantined rows: listed without opening them, read one by one, each reading on record.

use base64::{Engine, engine::general_purpose::STANDARD};
use weir_api::{
    Classification, Cursor, HeldRows, Page, PageQuery, QuarantineContent, QuarantineEntry, QuarantineQuery, QuarantineReason,
    QuarantineRow, SegmentId,
};
use weir_authz::{Action, Grant, Resource, ResourceKind};
use weir_evidence::{Body, record::QuarantineRead};
use weir_store::quarantine::{self, Segment, SegmentFilter};
use weir_vault::{
    Sealed,
    quarantine::{Content, Entry, aad, decode},
};

use crate::{Cx, Error, Result, runs::slug};

/// Rows that one page of an export opens.
const EXPORT_LIMIT: u32 = 500;

/// Why rows were held, newest first, without their content.
pub async fn list(cx: &Cx, query: QuarantineQuery) -> Result<Page<QuarantineEntry>> {
    let project = cx.project()?.id;
    cx.authorize(Action::QuarantineList, &Resource::in_project(ResourceKind::Quarantine, project)).await?;
    let limit = PageQuery { after: None, limit: query.limit }.limit();
    Ok(find(cx, &query, limit).await?.map(|(_, entry)| entry))
}

/// How many rows each node of each pipeline holds. No more than its runs tell: asks for `run.read`.
pub async fn held(cx: &Cx) -> Result<Vec<HeldRows>> {
    let project = cx.project()?.id;
    cx.authorize(Action::RunRead, &Resource::in_project(ResourceKind::Run, project)).await?;
    let held = quarantine::held(cx.store(), project).await?;
    held.into_iter().map(|held| Ok(HeldRows { pipeline: slug(&held.pipeline)?, node: held.node, rows: held.rows })).collect()
}

/// One row's reasons, without its content. Asks for `quarantine.list`, as [`list`] does.
pub async fn entry(cx: &Cx, segment: SegmentId, row: u32) -> Result<QuarantineEntry> {
    let project = cx.project()?.id;
    let resource = Resource::in_project(ResourceKind::Quarantine, project).id(segment);
    cx.authorize(Action::QuarantineList, &resource).await?;
    let segment = quarantine::by_id(cx.store(), segment).await?.filter(|found| found.project == project);
    let segment = segment.ok_or_else(|| Error::missing(&resource))?;
    dto(&segment, row)?.ok_or_else(|| Error::missing(&resource))
}

/// Whether the caller may open the rows of a segment, and if not, why. Asking is no attempt, so that nothing is recorded.
pub async fn readable(cx: &Cx, segment: SegmentId) -> Result<std::result::Result<(), String>> {
    let project = cx.project()?.id;
    let resource = Resource::in_project(ResourceKind::Quarantine, project).id(segment);
    cx.authorize(Action::QuarantineList, &resource).await?;
    let found = quarantine::by_id(cx.store(), segment).await?.filter(|found| found.project == project);
    let segment = found.ok_or_else(|| Error::missing(&resource))?;
    let class = classification(&segment);
    let decided = cx.services.authorizer.authorize(&cx.actor, Action::QuarantineRead, &resource.classified(class));
    Ok(decided.map(|_| ()).map_err(|_| format!("These rows hold {class} data, which your roles may not open.")))
}

/// Opens one row. The reading is recorded before the content is returned.
pub async fn read(cx: &Cx, segment: SegmentId, row: u32) -> Result<QuarantineRow> {
    let project = cx.project()?.id;
    let resource = Resource::in_project(ResourceKind::Quarantine, project).id(segment);
    let found = quarantine::by_id(cx.store(), segment).await?.filter(|found| found.project == project);
    let classified = match &found {
        Some(segment) => resource.clone().classified(classification(segment)),
        None => resource.clone(),
    };
    let permitted = cx.authorize(Action::QuarantineRead, &classified).await?;
    let segment = found.ok_or_else(|| Error::missing(&resource))?;
    let entry = dto(&segment, row)?.ok_or_else(|| Error::missing(&resource))?;
    let mut contents = open(cx, &permitted, &segment).await?;
    if row as usize >= contents.len() {
        return Err(damaged(&segment));
    }
    let content = show(&segment, contents.swap_remove(row as usize))?;
    let reading = reading(cx, &segment.pipeline, vec![format!("{}/{row}", segment.id)]);
    let leaf_index = cx.record(&permitted, Some(reading)).await?;
    Ok(QuarantineRow { entry, content, leaf_index: Some(leaf_index) })
}

/// Opens a page of rows: those that match, or `limit` of them, as many as one page opens. Recorded, with the id of every row, before any
/// is returned.
pub async fn export(cx: &Cx, query: QuarantineQuery) -> Result<Page<QuarantineRow>> {
    let project = cx.project()?.id;
    let all = Resource::in_project(ResourceKind::Quarantine, project);
    cx.authorize(Action::QuarantineExport, &all).await?;
    if query.limit == Some(0) {
        return Err(Error::invalid("limit", "is the number of rows to open, 1 at least; without it all are"));
    }
    let limit = query.limit.unwrap_or(EXPORT_LIMIT).min(EXPORT_LIMIT);
    let page = find(cx, &query, limit).await?;
    let most_sensitive = page.items.iter().map(|(segment, _)| classification(segment)).max().unwrap_or_default();
    let permitted = cx.authorize(Action::QuarantineExport, &all.classified(most_sensitive)).await?;

    let mut rows = Vec::with_capacity(page.items.len());
    let mut opened: Option<(SegmentId, Vec<Option<Content>>)> = None;
    let mut ids: Vec<(String, Vec<String>)> = Vec::new();
    for (segment, entry) in page.items {
        if opened.as_ref().is_none_or(|(id, _)| *id != segment.id) {
            opened = Some((segment.id, open(cx, &permitted, &segment).await?.into_iter().map(Some).collect()));
        }
        let contents = opened.as_mut().map(|(_, contents)| contents);
        let content =
            contents.and_then(|contents| contents.get_mut(entry.row as usize)?.take()).ok_or_else(|| damaged(&segment))?;
        let id = format!("{}/{}", segment.id, entry.row);
        match ids.iter_mut().find(|(pipeline, _)| *pipeline == segment.pipeline) {
            Some((_, known)) => known.push(id),
            None => ids.push((segment.pipeline.clone(), vec![id])),
        }
        rows.push(QuarantineRow { entry, content: show(&segment, content)?, leaf_index: None });
    }
    let mut change = cx.change(&permitted).await?;
    for (pipeline, rows) in ids {
        change.with(reading(cx, &pipeline, rows));
    }
    change.after(format!("{} rows", rows.len()));
    let leaf_index = change.commit().await?;
    rows.iter_mut().for_each(|row| row.leaf_index = Some(leaf_index));
    Ok(Page { items: rows, next: page.next })
}

/// Rows that match, newest segment first; a cursor is `SEGMENT/ROW`, the last row shown.
async fn find(cx: &Cx, query: &QuarantineQuery, limit: u32) -> Result<Page<(Segment, QuarantineEntry)>> {
    let project = cx.project()?.id;
    let mut items = Vec::new();
    let mut after = None;
    // The segment that the cursor stands in is read first, from the row after it.
    if let Some((segment, row)) = query.after.as_deref().map(parse_cursor).transpose()? {
        if let Some(started) = quarantine::by_id(cx.store(), segment).await?.filter(|found| found.project == project) {
            collect(&started, query, row.saturating_add(1), &mut items)?;
        }
        after = Some(Cursor(segment.to_string()));
    }
    while items.len() <= limit as usize {
        let filter = SegmentFilter {
            pipeline: query.pipeline.clone(),
            run: query.run,
            node: query.node.clone(),
            rule: query.rule.clone(),
            after: after.take(),
            limit: 20,
        };
        let segments = quarantine::list(cx.store(), project, filter).await?;
        for segment in &segments.items {
            collect(segment, query, 0, &mut items)?;
            if items.len() > limit as usize {
                break;
            }
        }
        match segments.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    let more = items.len() > limit as usize;
    items.truncate(limit as usize);
    let next = items.last().filter(|_| more).map(|(segment, entry)| Cursor(format!("{}/{}", segment.id, entry.row)));
    Ok(Page { items, next })
}

fn collect(segment: &Segment, query: &QuarantineQuery, from: u32, items: &mut Vec<(Segment, QuarantineEntry)>) -> Result<()> {
    for (row, entry) in (0..).zip(entries(segment)?).skip(from as usize) {
        if query.rule.as_ref().is_none_or(|rule| entry.reasons.iter().any(|reason| reason.rule == *rule)) {
            items.push((segment.clone(), describe(segment, row, entry)?));
        }
    }
    Ok(())
}

fn parse_cursor(text: &str) -> Result<(SegmentId, u32)> {
    let parts = text.split_once('/').and_then(|(segment, row)| Some((segment.parse().ok()?, row.parse().ok()?)));
    parts.ok_or_else(Error::bad_cursor)
}

async fn open(cx: &Cx, permitted: &Grant, segment: &Segment) -> Result<Vec<Content>> {
    let keys = cx.services.project_keys(segment.project).await?;
    let sealed = quarantine::sealed(cx.store(), permitted, segment.id).await?;
    let bound = aad(keys.project(), &segment.pipeline, &segment.node, segment.epoch);
    let sealed = Sealed::from_bytes(sealed).map_err(|e| Error::internal("a quarantine segment", e))?;
    let opened = keys.quarantine_sealer().open(&bound, &sealed).map_err(|e| Error::internal("a quarantine segment", e))?;
    decode(&opened).map_err(|e| Error::internal("a quarantine segment", e))
}

fn show(segment: &Segment, content: Content) -> Result<QuarantineContent> {
    Ok(match content {
        Content::Row(row) => QuarantineContent::Row { columns: serde_json::from_str(row.get()).map_err(|_| damaged(segment))? },
        Content::Raw { base64, length } => {
            let bytes = STANDARD.decode(base64).map_err(|_| damaged(segment))?;
            match String::from_utf8(bytes) {
                Ok(text) => QuarantineContent::Text { text, length },
                Err(bytes) => QuarantineContent::Bytes { hex: hex::encode(bytes.as_bytes()), length },
            }
        }
    })
}

fn reading(cx: &Cx, pipeline: &str, rows: Vec<String>) -> Body {
    Body::QuarantineRead(QuarantineRead {
        address: cx.address(),
        pipeline: pipeline.to_owned(),
        rows,
        contents: true,
        request_id: cx.request_id(),
    })
}

fn entries(segment: &Segment) -> Result<Vec<Entry>> {
    serde_json::from_str(&segment.entries).map_err(|_| damaged(segment))
}

fn dto(segment: &Segment, row: u32) -> Result<Option<QuarantineEntry>> {
    let entry = entries(segment)?.into_iter().nth(row as usize);
    entry.map(|entry| describe(segment, row, entry)).transpose()
}

fn describe(segment: &Segment, row: u32, entry: Entry) -> Result<QuarantineEntry> {
    let reasons = entry.reasons.into_iter();
    Ok(QuarantineEntry {
        segment: segment.id,
        row,
        pipeline: slug(&segment.pipeline)?,
        run: segment.run,
        stage: segment.stage.clone(),
        node: segment.node.clone(),
        reasons: reasons
            .map(|reason| QuarantineReason { rule: reason.rule, column: reason.column, message: reason.message })
            .collect(),
        source: entry.source,
        partition: entry.partition,
        offset: entry.offset,
        byte: entry.byte,
        contract: segment.contract.clone(),
        at: segment.at,
    })
}

/// What cannot be read is taken for the most sensitive.
fn classification(segment: &Segment) -> Classification {
    Classification::ALL.into_iter().find(|one| one.as_str() == segment.classification).unwrap_or(Classification::Restricted)
}

fn damaged(segment: &Segment) -> Error {
    Error::Internal(format!("quarantine segment {} is damaged: it does not hold what its entries say", segment.id))
}
