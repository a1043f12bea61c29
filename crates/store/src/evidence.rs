//! The evidence log in the database: appending in the caller's transaction, searching, and streaming for verification.

use std::ops::Range;

use chrono::{DateTime, Utc};
use futures::{Stream, StreamExt};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, LikeExpr},
};
use sqlx::{Row, sqlite::SqliteRow};
use uuid::Uuid;
use weir_api::{Cursor, Page, ProjectId, RunId};
use weir_evidence::{
    Body, CompactRange, Hash, Leaf, Timestamp, Verifier,
    record::{AdminDecision, AlertChange},
    verify::Reason,
};

use crate::{
    db::{Db, Tx},
    entity::{evidence_leaves, evidence_state},
    error::{Result, StoreError},
    open::Store,
    stored::{hash32, signed, unsigned},
    time::{at, at_opt, micros},
};

/// A leaf to append; its place in the log is found when it is.
#[derive(Clone, Debug)]
pub struct NewLeaf {
    /// None for what concerns the whole instance.
    pub project: Option<ProjectId>,
    pub at: DateTime<Utc>,
    /// Who did it, as [`weir_authz::Actor::audit_name`] says, or `run:ID`.
    pub actor: String,
    /// The run it belongs to, for searching.
    pub run: Option<RunId>,
    pub body: Body,
}

/// Where a leaf came to lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    pub seq: u64,
    pub hash: Hash,
}

/// The log as it is now.
#[derive(Clone, Debug)]
pub struct LogState {
    pub range: CompactRange,
    pub last_leaf_at: Option<DateTime<Utc>>,
}

/// A leaf as it is stored, with what it is searched by.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredLeaf {
    pub seq: u64,
    pub project: Option<ProjectId>,
    /// As [`Body::kind`] says.
    pub kind: String,
    pub at: DateTime<Utc>,
    pub actor: String,
    pub action: String,
    pub resource: String,
    pub allowed: bool,
    pub run: Option<RunId>,
    pub hash: Hash,
    /// The canonical bytes: what was hashed.
    pub body: Vec<u8>,
}

/// What to search for; everything given must hold.
#[derive(Clone, Debug, Default)]
pub struct Search {
    /// This project's leaves; none for those of the whole log, all projects included.
    pub project: Option<ProjectId>,
    /// Any of these kinds; empty for all.
    pub kinds: Vec<String>,
    pub actor: Option<String>,
    pub action: Option<String>,
    /// The resource, or the beginning of its name.
    pub resource: Option<String>,
    pub allowed: Option<bool>,
    pub run: Option<RunId>,
    /// At or after.
    pub from: Option<DateTime<Utc>>,
    /// Before.
    pub until: Option<DateTime<Utc>>,
    /// Anywhere in the leaf.
    pub text: Option<String>,
    pub after: Option<Cursor>,
    pub limit: u32,
}

/// Appends leaves in their order. They are there when, and only when, the transaction commits.
pub async fn append(tx: &Tx, leaves: Vec<NewLeaf>) -> Result<Vec<Appended>> {
    let mut range = lock(tx).await?;
    let mut appended = Vec::with_capacity(leaves.len());
    let mut rows = Vec::with_capacity(leaves.len());
    let mut last_at = None;
    for new in leaves {
        let seq = range.size();
        let (action, resource, allowed) = searchable(&new.body);
        let kind = new.body.kind().to_owned();
        let at = Timestamp::from_micros(micros(new.at)).map_err(|e| StoreError::Evidence(e.to_string()))?;
        let project = new.project.map(|p| p.to_string());
        let leaf = Leaf { seq, at, project, actor: new.actor, body: new.body };
        let (body, hash) = leaf.seal().map_err(|e| StoreError::Evidence(e.to_string()))?;
        range.append(hash);
        last_at = Some(micros(new.at));
        appended.push(Appended { seq, hash });
        rows.push(evidence_leaves::ActiveModel::from(evidence_leaves::Model {
            seq: signed(seq),
            project_id: new.project.map(|p| p.0),
            kind,
            at: micros(new.at),
            actor: leaf.actor,
            action,
            resource,
            outcome: outcome(allowed).to_owned(),
            run_id: new.run.map(|run| run.0),
            leaf_hash: hash.as_bytes().to_vec(),
            body: String::from_utf8(body).expect("invariant: canonical JSON is UTF-8"),
        }));
    }
    while !rows.is_empty() {
        let rest = rows.split_off(rows.len().min(500));
        evidence_leaves::Entity::insert_many(rows).exec_without_returning(tx.conn()).await?;
        rows = rest;
    }
    if let Some(last_at) = last_at {
        evidence_state::Entity::update_many()
            .col_expr(evidence_state::Column::Size, signed(range.size()).into())
            .col_expr(evidence_state::Column::Frontier, range.to_bytes().into())
            .col_expr(evidence_state::Column::LastLeafAt, last_at.into())
            .filter(evidence_state::Column::Id.eq(1))
            .exec(tx.conn())
            .await?;
    }
    Ok(appended)
}

/// The log's size, root and newest leaf.
pub async fn state(db: &impl Db) -> Result<LogState> {
    let row = evidence_state::Entity::find_by_id(1).one(db.conn()).await?.ok_or_else(no_state)?;
    Ok(LogState { range: frontier(&row)?, last_leaf_at: at_opt(row.last_leaf_at) })
}

pub async fn by_seq(db: &impl Db, seq: u64) -> Result<Option<StoredLeaf>> {
    evidence_leaves::Entity::find_by_id(signed(seq)).one(db.conn()).await?.map(leaf).transpose()
}

/// The places of the leaves before and after a place: of one project, or with none of the whole log.
pub async fn neighbours(db: &impl Db, project: Option<ProjectId>, seq: u64) -> Result<(Option<u64>, Option<u64>)> {
    use evidence_leaves::Column;
    let mut visible = Condition::all();
    if let Some(project) = project {
        visible = visible.add(Column::ProjectId.eq(project.0));
    }
    let places = || evidence_leaves::Entity::find().select_only().column(Column::Seq).filter(visible.clone());
    let before =
        places().filter(Column::Seq.lt(signed(seq))).order_by_desc(Column::Seq).into_tuple::<i64>().one(db.conn()).await?;
    let after = places().filter(Column::Seq.gt(signed(seq))).order_by_asc(Column::Seq).into_tuple::<i64>().one(db.conn()).await?;
    let place = |seq: Option<i64>| seq.map(|seq| unsigned("a leaf's place", seq)).transpose();
    Ok((place(before)?, place(after)?))
}

/// Leaves that match, newest first.
pub async fn search(db: &impl Db, search: &Search) -> Result<Page<StoredLeaf>> {
    use evidence_leaves::Column;
    let limit = search.limit.max(1);
    let mut all = Condition::all();
    if let Some(project) = search.project {
        all = all.add(Column::ProjectId.eq(project.0));
    }
    if !search.kinds.is_empty() {
        all = all.add(Column::Kind.is_in(search.kinds.iter().map(String::as_str)));
    }
    if let Some(actor) = &search.actor {
        all = all.add(Column::Actor.eq(actor.as_str()));
    }
    if let Some(action) = &search.action {
        all = all.add(like(Column::Action, &format!("{}%", escaped(action))));
    }
    if let Some(resource) = &search.resource {
        all = all.add(like(Column::Resource, &format!("{}%", escaped(resource))));
    }
    if let Some(allowed) = search.allowed {
        all = all.add(Column::Outcome.eq(outcome(allowed)));
    }
    if let Some(run) = search.run {
        all = all.add(Column::RunId.eq(run.0));
    }
    if let Some(from) = search.from {
        all = all.add(Column::At.gte(micros(from)));
    }
    if let Some(until) = search.until {
        all = all.add(Column::At.lt(micros(until)));
    }
    if let Some(text) = search.text.as_deref().filter(|text| !text.is_empty()) {
        all = all.add(like(Column::Body, &format!("%{}%", escaped(text))));
    }
    if let Some(after) = &search.after {
        let before: i64 = after.0.parse().map_err(|_| StoreError::Cursor)?;
        all = all.add(Column::Seq.lt(before));
    }
    let query = evidence_leaves::Entity::find().filter(all).order_by_desc(Column::Seq).limit(u64::from(limit) + 1);
    let mut rows = query.all(db.conn()).await?;
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let items = rows.into_iter().map(leaf).collect::<Result<Vec<_>>>()?;
    let next = items.last().filter(|_| more).map(|last| Cursor(last.seq.to_string()));
    Ok(Page { items, next })
}

/// The bytes of the leaves of a range, in order, straight from the database: for verification and bundles. The stored hash comes with
/// each; a verifier computes its own.
pub fn stream(store: &Store, range: Range<u64>) -> impl Stream<Item = Result<(u64, Vec<u8>, Hash)>> + Send + '_ {
    sqlx::query("SELECT seq, CAST(body AS BLOB), leaf_hash FROM evidence_leaves WHERE seq >= ? AND seq < ? ORDER BY seq")
        .bind(signed(range.start))
        .bind(signed(range.end))
        .fetch(store.rows())
        .map(|row| {
            let row = row?;
            let (seq, body, hash) = numbered(&row)?;
            Ok((seq, body.to_vec(), hash))
        })
}

/// Gives the verifier every row of the log, whatever its number, and tells it what only the database can: a leaf that is filed under
/// something else than it states, rows behind the end of the log, and a frontier that is not that of the leaves. `seen` is called for
/// each leaf that fits.
pub async fn verify(store: &Store, verifier: &mut Verifier, mut seen: impl FnMut()) -> Result<()> {
    // Known before the leaves are read, so that all that it counts must be among them.
    let before = match state(store).await {
        Ok(log) => Some(log.range),
        Err(StoreError::Corrupt(_)) => None,
        Err(error) => return Err(error),
    };
    let mut rows = sqlx::query(
        "SELECT seq, CAST(body AS BLOB), leaf_hash, project_id, kind, at, actor, action, resource, outcome, run_id \
         FROM evidence_leaves ORDER BY seq",
    )
    .fetch(store.rows());
    while let Some(row) = rows.next().await {
        let row = row?;
        let due = verifier.size();
        let (seq, body, hash) = match numbered(&row) {
            Ok(found) => found,
            Err(StoreError::Corrupt(problem)) => {
                verifier.break_at(Some(due), Reason::Unreadable { problem });
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        if verifier.leaf(seq, body, &hash).is_break() {
            return Ok(());
        }
        if let Some(field) = misfiled(&row, body) {
            verifier.break_at(Some(due), Reason::Misfiled { field: field.to_owned() });
            return Ok(());
        }
        if before.as_ref().is_some_and(|before| before.size() == verifier.size() && before != verifier.tree()) {
            verifier.break_beside(Reason::WrongFrontier { size: verifier.size() });
        }
        seen();
    }
    if let Some(counted) = before.map(|before| before.size()).filter(|counted| *counted > verifier.size()) {
        verifier.break_beside(Reason::Short { counted, found: verifier.size() });
    }
    // Counted after the leaves were read: what was appended meanwhile is counted, and not read.
    match state(store).await {
        Ok(log) if log.range.size() < verifier.size() => {
            let counted = log.range.size();
            verifier.break_at(Some(counted), Reason::Uncounted { counted });
        }
        Ok(_) => {}
        Err(StoreError::Corrupt(problem)) => verifier.break_at(None, Reason::Unreadable { problem }),
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Number, bytes and stored hash of a row: the first three columns.
fn numbered(row: &SqliteRow) -> Result<(u64, &[u8], Hash)> {
    let hash = hash32("a leaf hash", row.try_get::<&[u8], _>(2)?)?;
    Ok((unsigned("a leaf's place", row.try_get(0)?)?, row.try_get(1)?, Hash::from_bytes(hash)))
}

/// The first column by which the log is searched that is not what the leaf states. Of a kind that this version does not know, only
/// the envelope is compared.
fn misfiled(row: &SqliteRow, body: &[u8]) -> Option<&'static str> {
    let leaf = Leaf::from_canonical(body).ok()?;
    let id = |column: &str| -> Option<Option<String>> {
        let bytes: Option<&[u8]> = row.try_get(column).ok()?;
        bytes.map(|bytes| Uuid::from_slice(bytes).ok().map(|id| id.to_string())).map_or(Some(None), |id| id.map(Some))
    };
    let is = |column: &str, stated: &str| row.try_get::<&str, _>(column).is_ok_and(|found| found == stated);
    let envelope = [
        ("project", id("project_id") == Some(leaf.project.clone())),
        ("time", row.try_get::<i64, _>("at").is_ok_and(|at| at == leaf.at.as_micros())),
        ("actor", is("actor", &leaf.actor)),
        ("kind", is("kind", leaf.body.kind())),
    ];
    let wrong = envelope.into_iter().find(|(_, fits)| !fits).map(|(field, _)| field);
    if wrong.is_some() || matches!(leaf.body, Body::Other { .. }) {
        return wrong;
    }
    let (action, resource, allowed) = searchable(&leaf.body);
    let content = [
        ("action", is("action", &action)),
        ("resource", is("resource", &resource)),
        ("outcome", is("outcome", outcome(allowed))),
        ("run", id("run_id") == Some(run_of(&leaf.body).map(str::to_owned))),
    ];
    content.into_iter().find(|(_, fits)| !fits).map(|(field, _)| field)
}

/// The hashes of the leaves of a range, in order: what proofs are made of.
pub async fn hashes(store: &Store, range: Range<u64>) -> Result<Vec<Hash>> {
    let wanted = range.end.saturating_sub(range.start);
    let mut rows = sqlx::query("SELECT leaf_hash FROM evidence_leaves WHERE seq >= ? AND seq < ? ORDER BY seq")
        .bind(signed(range.start))
        .bind(signed(range.end))
        .fetch(store.rows());
    let mut hashes = Vec::with_capacity(usize::try_from(wanted.min(1 << 20)).unwrap_or(0));
    while let Some(row) = rows.next().await {
        hashes.push(Hash::from_bytes(hash32("a leaf hash", row?.try_get::<&[u8], _>(0)?)?));
    }
    if hashes.len() as u64 == wanted {
        Ok(hashes)
    } else {
        Err(StoreError::Corrupt(format!("{} of {wanted} leaves are there", hashes.len())))
    }
}

const ALLOWED: &str = "allowed";
const DENIED: &str = "denied";

fn outcome(allowed: bool) -> &'static str {
    if allowed { ALLOWED } else { DENIED }
}

/// Reads the frontier and keeps other writers out until the transaction ends.
async fn lock(tx: &Tx) -> Result<CompactRange> {
    let row = evidence_state::Entity::find_by_id(1).lock_exclusive().one(tx.conn()).await?.ok_or_else(no_state)?;
    frontier(&row)
}

fn frontier(row: &evidence_state::Model) -> Result<CompactRange> {
    let range = CompactRange::from_bytes(&row.frontier).map_err(|e| StoreError::Corrupt(e.to_string()))?;
    if range.size() == unsigned("the log's size", row.size)? {
        Ok(range)
    } else {
        Err(StoreError::Corrupt(format!("the log has {} leaves by its frontier and {} by its size", range.size(), row.size)))
    }
}

fn no_state() -> StoreError {
    StoreError::Corrupt("the state of the evidence log is missing".to_owned())
}

/// Action, resource and outcome of a leaf, for the columns that the audit log is searched by. Verification compares them with the
/// stored ones, so what is written here for a kind stays.
fn searchable(body: &Body) -> (String, String, bool) {
    let of = |action: &str, resource: String| (action.to_owned(), resource, true);
    match body {
        Body::Admin(admin) => (admin.action.clone(), admin.resource.clone(), admin.decision == AdminDecision::Allowed),
        Body::QuarantineRead(read) => of("quarantine.read", format!("pipeline:{}", read.pipeline)),
        Body::LogStarted(log) => of("log.start", format!("log/{}", log.log_id)),
        Body::RunStarted(run) => of("run.start", format!("pipeline:{}", run.pipeline)),
        Body::RunEnded(run) => of("run.end", format!("pipeline:{}", run.pipeline)),
        Body::Checkpoint(checkpoint) => of("run.checkpoint", format!("pipeline:{}", checkpoint.pipeline)),
        Body::CheckpointDiscarded(discarded) => of("run.checkpoint.discard", format!("pipeline:{}", discarded.pipeline)),
        Body::Alert(alert) => {
            let action = match alert.change {
                AlertChange::Raised => "alert.raise",
                AlertChange::Resolved { .. } => "alert.resolve",
                AlertChange::Forgotten { .. } => "alert.forget",
            };
            of(action, format!("pipeline:{}", alert.pipeline))
        }
        Body::KeyEvent(key) => of("key.change", format!("key/{}", key.key_id)),
        Body::ConsentChange(consent) => of("consent.write", format!("purpose/{}", consent.purpose)),
        Body::ConsentImported(_) => of("consent.import", "consent".to_owned()),
        Body::ContractRegistered(contract) => of("contract.register", format!("contract/{}@{}", contract.name, contract.version)),
        Body::Other { kind, .. } => of(kind, String::new()),
    }
}

/// The run that a leaf is about.
fn run_of(body: &Body) -> Option<&str> {
    match body {
        Body::RunStarted(run) => Some(&run.run),
        Body::RunEnded(run) => Some(&run.run),
        Body::Checkpoint(checkpoint) => Some(&checkpoint.run),
        Body::CheckpointDiscarded(discarded) => Some(&discarded.run),
        Body::Alert(alert) => alert.run.as_deref(),
        _ => None,
    }
}

fn like(column: evidence_leaves::Column, pattern: &str) -> Expr {
    column.like(LikeExpr::new(pattern).escape('\\'))
}

/// The text as a LIKE pattern that means nothing but itself.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}

fn leaf(row: evidence_leaves::Model) -> Result<StoredLeaf> {
    Ok(StoredLeaf {
        seq: unsigned("a leaf's place", row.seq)?,
        project: row.project_id.map(ProjectId),
        kind: row.kind,
        at: at(row.at),
        actor: row.actor,
        action: row.action,
        resource: row.resource,
        allowed: row.outcome == ALLOWED,
        run: row.run_id.map(RunId),
        hash: Hash::from_bytes(hash32("a leaf hash", &row.leaf_hash)?),
        body: row.body.into_bytes(),
    })
}
