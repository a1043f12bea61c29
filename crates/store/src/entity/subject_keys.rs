//! One sealed key a person, or its tombstone.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "subject_keys")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub project_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub subject_hash: Vec<u8>,
    #[sea_orm(column_type = "Text")]
    pub key_id: String,
    pub sealed: Option<Vec<u8>>,
    pub created_at: i64,
    pub erased_at: Option<i64>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
