//! Sealed batches of rejected rows.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "quarantine_segments")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub project_id: Uuid,
    pub document_id: Uuid,
    #[sea_orm(column_type = "Text")]
    pub pipeline: String,
    pub run_id: Uuid,
    pub epoch: i64,
    #[sea_orm(column_type = "Text")]
    pub node: String,
    #[sea_orm(column_type = "Text")]
    pub stage: String,
    #[sea_orm(column_type = "Text", nullable)]
    pub contract: Option<String>,
    #[sea_orm(column_type = "Text")]
    pub classification: String,
    pub rows: i64,
    #[sea_orm(column_type = "Text")]
    pub counts: String,
    pub at: i64,
    #[sea_orm(column_type = "Text")]
    pub entries: String,
    pub subjects: Vec<u8>,
    pub sealed: Vec<u8>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
