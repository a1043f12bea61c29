//! Rejected rows, sealed by the segment. What can be listed (where a row came from, why it was held) names no values; the rows
//! themselves are sealed, and this crate cannot open them.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use futures::StreamExt;
use sea_orm::{ColumnTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect};
use sqlx::Row;
use uuid::Uuid;
use weir_api::{Cursor, DocumentId, Page, ProjectId, RunId, SegmentId};
use weir_authz::{Action, Grant};

use crate::{
    db::{Db, Tx},
    entity::quarantine_segments,
    error::{Result, StoreError},
    open::Store,
    permit::needs_in,
    stored::{from_json, signed, to_json, unsigned, unsigned32},
    time::{at, micros},
};

/// Some rows that one node rejected between two checkpoints.
#[derive(Clone)]
pub struct NewSegment {
    pub id: SegmentId,
    pub node: String,
    /// The stage that held them: `decode`, `contract`, `quality`, `consent`.
    pub stage: String,
    /// The contract they were held against, such as `payments@1.4.0`.
    pub contract: Option<String>,
    /// The most sensitive class in it, such as `confidential`.
    pub classification: String,
    pub rows: u32,
    /// Rows by rule; a row may have failed several.
    pub counts: BTreeMap<String, u64>,
    /// Where each row came from and why it was held, as their writer encodes it. No values.
    pub entries: String,
    /// The keyed hashes of the people in it, so that erasure finds it.
    pub subjects: Vec<[u8; 32]>,
    /// The rows, sealed.
    pub sealed: Vec<u8>,
}

/// A segment without its rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    pub id: SegmentId,
    pub project: ProjectId,
    pub document: DocumentId,
    /// The pipeline's name.
    pub pipeline: String,
    pub run: RunId,
    pub epoch: u64,
    pub node: String,
    pub stage: String,
    pub contract: Option<String>,
    pub classification: String,
    pub rows: u32,
    pub counts: BTreeMap<String, u64>,
    pub at: DateTime<Utc>,
    pub entries: String,
}

/// Which segments to list; everything given must hold.
#[derive(Clone, Debug, Default)]
pub struct SegmentFilter {
    pub pipeline: Option<String>,
    pub run: Option<RunId>,
    pub node: Option<String>,
    /// Segments that hold a row that failed this rule.
    pub rule: Option<String>,
    pub after: Option<Cursor>,
    pub limit: u32,
}

/// What the segments of one checkpoint have in common.
pub(crate) struct Origin {
    pub project: ProjectId,
    pub document: DocumentId,
    pub pipeline: String,
    pub run: RunId,
    pub epoch: u64,
    pub at: DateTime<Utc>,
}

pub(crate) async fn insert(tx: &Tx, origin: &Origin, segments: Vec<NewSegment>) -> Result<()> {
    for new in segments {
        let mut subjects = new.subjects;
        subjects.sort_unstable();
        subjects.dedup();
        let row = quarantine_segments::Model {
            id: new.id.0,
            project_id: origin.project.0,
            document_id: origin.document.0,
            pipeline: origin.pipeline.clone(),
            run_id: origin.run.0,
            epoch: signed(origin.epoch),
            node: new.node,
            stage: new.stage,
            contract: new.contract,
            classification: new.classification,
            rows: i64::from(new.rows),
            counts: to_json("a segment's counts", &new.counts)?,
            at: micros(origin.at),
            entries: new.entries,
            subjects: subjects.concat(),
            sealed: new.sealed,
        };
        quarantine_segments::Entity::insert(quarantine_segments::ActiveModel::from(row))
            .exec_without_returning(tx.conn())
            .await
            .map_err(|e| StoreError::or_exists(e, "quarantine segment", new.id))?;
    }
    Ok(())
}

/// A project's segments, newest first, without their rows.
pub async fn list(db: &impl Db, project: ProjectId, filter: SegmentFilter) -> Result<Page<Segment>> {
    use quarantine_segments::Column;
    let limit = filter.limit.max(1);
    let mut query = info_query().filter(Column::ProjectId.eq(project.0));
    if let Some(pipeline) = filter.pipeline {
        query = query.filter(Column::Pipeline.eq(pipeline));
    }
    if let Some(run) = filter.run {
        query = query.filter(Column::RunId.eq(run.0));
    }
    if let Some(node) = filter.node {
        query = query.filter(Column::Node.eq(node));
    }
    if let Some(rule) = filter.rule {
        // The counts are JSON text, as `{"rule":3}`: the rule's name with its quotes and the colon is its key.
        let key = to_json("a rule's name", &rule)?;
        query = query.filter(Column::Counts.contains(format!("{key}:")));
    }
    if let Some(after) = filter.after {
        let after: SegmentId = after.0.parse().map_err(|_| StoreError::Cursor)?;
        query = query.filter(Column::Id.lt(after.0));
    }
    let query = query.order_by_desc(Column::Id).limit(u64::from(limit) + 1);
    let mut rows = query.into_model::<InfoRow>().all(db.conn()).await?;
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let items = rows.into_iter().map(segment).collect::<Result<Vec<_>>>()?;
    let next = items.last().filter(|_| more).map(|last| Cursor(last.id.to_string()));
    Ok(Page { items, next })
}

pub async fn by_id(db: &impl Db, id: SegmentId) -> Result<Option<Segment>> {
    let query = info_query().filter(quarantine_segments::Column::Id.eq(id.0));
    query.into_model::<InfoRow>().one(db.conn()).await?.map(segment).transpose()
}

/// The sealed rows of a segment. Takes the grant, though it changes nothing: rows are read by permission only.
pub async fn sealed(db: &impl Db, grant: &Grant, id: SegmentId) -> Result<Vec<u8>> {
    let row = quarantine_segments::Entity::find()
        .select_only()
        .columns([quarantine_segments::Column::ProjectId, quarantine_segments::Column::Sealed])
        .filter(quarantine_segments::Column::Id.eq(id.0))
        .into_tuple::<(Uuid, Vec<u8>)>()
        .one(db.conn())
        .await?;
    let (project, sealed) = row.ok_or_else(|| StoreError::not_found("quarantine segment", id))?;
    needs_in(grant, &[Action::QuarantineRead, Action::QuarantineExport], ProjectId(project))?;
    Ok(sealed)
}

/// How many rows are held in a project.
pub async fn rows_held(db: &impl Db, project: ProjectId) -> Result<u64> {
    let sum = quarantine_segments::Entity::find()
        .select_only()
        .column_as(quarantine_segments::Column::Rows.sum(), "rows_held")
        .filter(quarantine_segments::Column::ProjectId.eq(project.0))
        .into_tuple::<Option<i64>>()
        .one(db.conn())
        .await?;
    unsigned("the rows held", sum.flatten().unwrap_or(0))
}

/// Rows that a node of a pipeline holds back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The pipeline's name.
    pub pipeline: String,
    pub node: String,
    pub rows: u64,
}

/// How many rows are held in a project, by pipeline and node.
pub async fn held(db: &impl Db, project: ProjectId) -> Result<Vec<Held>> {
    use quarantine_segments::Column::{Node, Pipeline, ProjectId, Rows};
    let query = quarantine_segments::Entity::find().select_only().columns([Pipeline, Node]).column_as(Rows.sum(), "rows_held");
    let query = query.filter(ProjectId.eq(project.0)).group_by(Pipeline).group_by(Node);
    let sums =
        query.order_by_asc(Pipeline).order_by_asc(Node).into_tuple::<(String, String, Option<i64>)>().all(db.conn()).await?;
    sums.into_iter()
        .map(|(pipeline, node, rows)| Ok(Held { pipeline, node, rows: unsigned("the rows held", rows.unwrap_or(0))? }))
        .collect()
}

/// The segments of a project that hold rows of this person. Reads the list of people of every segment: erasure is rare, and rejecting
/// rows, which would have to keep an index, is not.
pub async fn of_subject(store: &Store, project: ProjectId, subject: &[u8; 32]) -> Result<Vec<SegmentId>> {
    let mut rows = sqlx::query("SELECT id, subjects FROM quarantine_segments WHERE project_id = ? ORDER BY id")
        .bind(project.0)
        .fetch(store.rows());
    let mut found = Vec::new();
    while let Some(row) = rows.next().await {
        let row = row?;
        let (subjects, _) = row.try_get::<&[u8], _>(1)?.as_chunks::<32>();
        if subjects.binary_search(subject).is_ok() {
            found.push(SegmentId(row.try_get::<Uuid, _>(0)?));
        }
    }
    Ok(found)
}

/// All columns but the people and the sealed rows.
#[derive(FromQueryResult)]
struct InfoRow {
    id: Uuid,
    project_id: Uuid,
    document_id: Uuid,
    pipeline: String,
    run_id: Uuid,
    epoch: i64,
    node: String,
    stage: String,
    contract: Option<String>,
    classification: String,
    rows: i64,
    counts: String,
    at: i64,
    entries: String,
}

fn info_query() -> sea_orm::Select<quarantine_segments::Entity> {
    use quarantine_segments::Column::{
        At, Classification, Contract, Counts, DocumentId, Entries, Epoch, Id, Node, Pipeline, ProjectId, Rows, RunId, Stage,
    };
    quarantine_segments::Entity::find().select_only().columns([
        Id,
        ProjectId,
        DocumentId,
        Pipeline,
        RunId,
        Epoch,
        Node,
        Stage,
        Contract,
        Classification,
        Rows,
        Counts,
        At,
        Entries,
    ])
}

fn segment(row: InfoRow) -> Result<Segment> {
    Ok(Segment {
        id: SegmentId(row.id),
        project: ProjectId(row.project_id),
        document: DocumentId(row.document_id),
        pipeline: row.pipeline,
        run: RunId(row.run_id),
        epoch: unsigned("an epoch", row.epoch)?,
        node: row.node,
        stage: row.stage,
        contract: row.contract,
        classification: row.classification,
        rows: unsigned32("a segment's rows", row.rows)?,
        counts: from_json("a segment's counts", &row.counts)?,
        at: at(row.at),
        entries: row.entries,
    })
}
