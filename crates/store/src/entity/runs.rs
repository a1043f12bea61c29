//! Runs, with their leases.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "runs")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub project_id: Uuid,
    pub deployment_id: Uuid,
    pub document_id: Uuid,
    #[sea_orm(column_type = "Text")]
    pub pipeline: String,
    pub version: i64,
    #[sea_orm(column_type = "Text")]
    pub document_hash: String,
    #[sea_orm(column_type = "Text")]
    pub state: String,
    pub created_at: i64,
    pub started_at: Option<i64>,
    pub ended_at: Option<i64>,
    #[sea_orm(column_type = "Text", nullable)]
    pub lease_owner: Option<String>,
    pub lease_epoch: i64,
    pub lease_until: Option<i64>,
    #[sea_orm(column_type = "Text", nullable)]
    pub failure_domain: Option<String>,
    #[sea_orm(column_type = "Text", nullable)]
    pub failure_node: Option<String>,
    #[sea_orm(column_type = "Text", nullable)]
    pub failure_message: Option<String>,
    pub failed_at: Option<i64>,
    #[sea_orm(column_type = "Text", nullable)]
    pub counters: Option<String>,
    #[sea_orm(column_type = "Text", nullable)]
    pub counters_before: Option<String>,
    pub rows_in: i64,
    pub rows_out: i64,
    pub rows_quarantined: i64,
    pub rows_refused: i64,
    pub checkpoints: i64,
    pub last_checkpoint_at: Option<i64>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
