//! Alerts, open and ended.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "alerts")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub project_id: Uuid,
    pub document_id: Uuid,
    #[sea_orm(column_type = "Text")]
    pub pipeline: String,
    pub deployment_id: Uuid,
    pub run_id: Uuid,
    #[sea_orm(column_type = "Text")]
    pub step: String,
    #[sea_orm(column_type = "Text")]
    pub cause: String,
    #[sea_orm(column_type = "Text")]
    pub severity: String,
    #[sea_orm(column_type = "Text")]
    pub message: String,
    #[sea_orm(column_type = "Text", nullable)]
    pub detail: Option<String>,
    pub raised_at: i64,
    pub seen_at: i64,
    pub seen: i64,
    pub raised_epoch: i64,
    pub raised_leaf: i64,
    #[sea_orm(column_type = "Text", nullable)]
    pub ended: Option<String>,
    pub ended_at: Option<i64>,
    pub ended_epoch: Option<i64>,
    pub ended_leaf: Option<i64>,
    pub acknowledged_at: Option<i64>,
    pub acknowledged_by: Option<Uuid>,
    #[sea_orm(column_type = "Text", nullable)]
    pub acknowledged_note: Option<String>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
