//! Signed tree heads: appended, never changed; and the sealed copy of the newest.

use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, sea_query::OnConflict};
use weir_evidence::{HeadOrigin, Reason, TreeHead};

use crate::{
    db::{Db, Tx},
    entity::{newest_head, tree_heads},
    error::{Result, StoreError},
    stored::signed,
};

/// The heads as the table holds them, and what is wrong with the first that is not as Weir wrote it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recorded {
    pub heads: Vec<TreeHead>,
    pub fault: Option<Reason>,
}

/// The copy of the newest head, and what was sealed with it.
#[derive(Clone, Debug, PartialEq)]
pub struct SealedHead {
    /// The head as it was when it was sealed: its line.
    pub line: String,
    pub sealed: Vec<u8>,
}

/// Appends a head.
pub async fn append(tx: &Tx, head: &TreeHead) -> Result<()> {
    let last = newest().one(tx.conn()).await?;
    let row = row(last.map_or(1, |row| row.id + 1), head)?;
    tree_heads::Entity::insert(tree_heads::ActiveModel::from(row)).exec_without_returning(tx.conn()).await?;
    Ok(())
}

/// The newest head.
pub async fn latest(db: &impl Db) -> Result<Option<TreeHead>> {
    newest().one(db.conn()).await?.map(|row| head(&row)).transpose()
}

/// All heads, oldest first.
pub async fn all(db: &impl Db) -> Result<Vec<TreeHead>> {
    tree_heads::Entity::find().order_by_asc(tree_heads::Column::Id).all(db.conn()).await?.iter().map(head).collect()
}

/// All heads, oldest first, with their columns compared with what was signed: for verification.
pub async fn recorded(db: &impl Db) -> Result<Recorded> {
    let mut recorded = Recorded::default();
    for found in tree_heads::Entity::find().order_by_asc(tree_heads::Column::Id).all(db.conn()).await? {
        let problem = match TreeHead::from_line(&found.body) {
            Ok(head) => {
                let misfiled = misfiled(&head, &found);
                recorded.heads.push(head);
                misfiled.map(|column| format!("row {}: {column} is not what the head states", found.id))
            }
            Err(error) => Some(format!("row {}: {error}", found.id)),
        };
        if let Some(problem) = problem {
            recorded.fault.get_or_insert(Reason::DamagedHead { origin: HeadOrigin::Log, problem });
        }
    }
    Ok(recorded)
}

/// Whether this very head is in the table.
pub async fn contains(db: &impl Db, head: &TreeHead) -> Result<bool> {
    let line = row(0, head)?.body;
    let same = tree_heads::Entity::find().filter(tree_heads::Column::Size.eq(signed(head.size)));
    Ok(same.filter(tree_heads::Column::Body.eq(line)).count(db.conn()).await? > 0)
}

/// The copy of the newest head. None also in a database that an older version made and nobody has migrated.
pub async fn sealed(db: &impl Db) -> Result<Option<SealedHead>> {
    match newest_head::Entity::find_by_id(1).one(db.conn()).await {
        Ok(row) => Ok(row.map(|row| SealedHead { line: row.body, sealed: row.sealed })),
        Err(error) if error.to_string().contains("no such table") => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Puts a copy in the place of the last one.
pub async fn keep_sealed(tx: &Tx, copy: SealedHead) -> Result<()> {
    let row = newest_head::Model { id: 1, body: copy.line, sealed: copy.sealed };
    let replace = OnConflict::column(newest_head::Column::Id)
        .update_columns([newest_head::Column::Body, newest_head::Column::Sealed])
        .to_owned();
    newest_head::Entity::insert(newest_head::ActiveModel::from(row))
        .on_conflict(replace)
        .exec_without_returning(tx.conn())
        .await?;
    Ok(())
}

fn newest() -> sea_orm::Select<tree_heads::Entity> {
    tree_heads::Entity::find().order_by_desc(tree_heads::Column::Id).limit(1)
}

fn row(id: i64, head: &TreeHead) -> Result<tree_heads::Model> {
    Ok(tree_heads::Model {
        id,
        size: signed(head.size),
        root: head.root.as_bytes().to_vec(),
        signed_at: head.at.as_micros(),
        key_id: head.key_id.clone(),
        signature: head.signature.as_bytes().to_vec(),
        body: head.to_line().map_err(|e| StoreError::Evidence(e.to_string()))?,
    })
}

/// The first column beside the line that does not say what the line says.
fn misfiled(head: &TreeHead, found: &tree_heads::Model) -> Option<&'static str> {
    let columns = [
        ("its size", signed(head.size) == found.size),
        ("its root", head.root.as_bytes().as_slice() == found.root),
        ("its time", head.at.as_micros() == found.signed_at),
        ("its key", head.key_id == found.key_id),
        ("its signature", head.signature.as_bytes().as_slice() == found.signature),
    ];
    columns.into_iter().find(|(_, fits)| !fits).map(|(column, _)| column)
}

/// The line is the head; the columns beside it are for people who look.
fn head(row: &tree_heads::Model) -> Result<TreeHead> {
    TreeHead::from_line(&row.body).map_err(|e| StoreError::Corrupt(format!("tree head {}: {e}", row.id)))
}
