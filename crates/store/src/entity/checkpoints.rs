//! Checkpoints of a deployment, over all its runs.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "checkpoints")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub deployment_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub epoch: i64,
    pub run_id: Uuid,
    pub lease_epoch: i64,
    pub at: i64,
    pub duration_ms: Option<i64>,
    #[sea_orm(column_type = "Text")]
    pub plan_fingerprint: String,
    pub rows_in: i64,
    pub rows_out: i64,
    #[sea_orm(column_type = "Text")]
    pub positions: String,
    pub leaf_seq: i64,
    pub content_hash: Option<Vec<u8>>,
    pub content: Option<Vec<u8>>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
