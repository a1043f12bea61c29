//! Signed tree heads. Appended, never changed.

use sea_orm::{EntityTrait, QueryOrder, QuerySelect};
use weir_evidence::TreeHead;

use crate::{
    db::{Db, Tx},
    entity::tree_heads,
    error::{Result, StoreError},
    stored::signed,
};

/// Appends a head.
pub async fn append(tx: &Tx, head: &TreeHead) -> Result<()> {
    let last = newest().one(tx.conn()).await?;
    let row = tree_heads::Model {
        id: last.map_or(1, |row| row.id + 1),
        size: signed(head.size),
        root: head.root.as_bytes().to_vec(),
        signed_at: head.at.as_micros(),
        key_id: head.key_id.clone(),
        signature: head.signature.as_bytes().to_vec(),
        body: head.to_line().map_err(|e| StoreError::Evidence(e.to_string()))?,
    };
    tree_heads::Entity::insert(tree_heads::ActiveModel::from(row)).exec_without_returning(tx.conn()).await?;
    Ok(())
}

pub async fn latest(db: &impl Db) -> Result<Option<TreeHead>> {
    newest().one(db.conn()).await?.map(head).transpose()
}

/// All heads, oldest first.
pub async fn all(db: &impl Db) -> Result<Vec<TreeHead>> {
    tree_heads::Entity::find().order_by_asc(tree_heads::Column::Id).all(db.conn()).await?.into_iter().map(head).collect()
}

fn newest() -> sea_orm::Select<tree_heads::Entity> {
    tree_heads::Entity::find().order_by_desc(tree_heads::Column::Id).limit(1)
}

/// The line is the head; the columns beside it are for people who look.
fn head(row: tree_heads::Model) -> Result<TreeHead> {
    TreeHead::from_line(&row.body).map_err(|e| StoreError::Corrupt(format!("tree head {}: {e}", row.id)))
}
