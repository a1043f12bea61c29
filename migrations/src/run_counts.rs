//! What a pipeline had counted before a run, so that one can tell what the run did; and indexes to count held rows by.

use sea_orm_migration::prelude::*;

use crate::columns::*;

pub(crate) struct RunCounts;

impl MigrationName for RunCounts {
    fn name(&self) -> &str {
        "m20261128_000005_run_counts"
    }
}

// `async_trait` gives a written lifetime another place than the trait's elided one.
#[allow(elided_lifetimes_in_paths)]
#[async_trait::async_trait]
impl MigrationTrait for RunCounts {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let column = Table::alter().table(Alias::new("runs")).add_column(text_null("counters_before")).to_owned();
        manager.alter_table(column).await?;
        // Rows are summed up from the index alone: beside it lie the sealed rows.
        let held = index("quarantine_segments", "quarantine_held", &["project_id", "pipeline", "node", "rows"]);
        manager.create_index(held).await
    }
}
