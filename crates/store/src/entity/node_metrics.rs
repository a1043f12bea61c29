//! Recent rates of a run's nodes.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "node_metrics")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub run_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub at: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub node: String,
    pub rows_in: i64,
    pub rows_out: i64,
    pub rejects: i64,
    pub rows_in_per_second: f64,
    pub rows_out_per_second: f64,
    pub rejects_per_second: f64,
    pub lag: Option<i64>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
