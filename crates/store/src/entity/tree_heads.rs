//! Signed heads of the evidence log.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "tree_heads")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i64,
    pub size: i64,
    pub root: Vec<u8>,
    pub signed_at: i64,
    #[sea_orm(column_type = "Text")]
    pub key_id: String,
    pub signature: Vec<u8>,
    #[sea_orm(column_type = "Text")]
    pub body: String,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
