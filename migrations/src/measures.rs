//! What windows of quality steps added up to, so that they add up to hours and days.

use sea_orm_migration::prelude::*;

use crate::columns::*;

pub(crate) struct Measures;

impl MigrationName for Measures {
    fn name(&self) -> &str {
        "m20261128_000003_measures"
    }
}

// `async_trait` gives a written lifetime another place than the trait's elided one.
#[allow(elided_lifetimes_in_paths)]
#[async_trait::async_trait]
impl MigrationTrait for Measures {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                table("quality_measures")
                    .col(id("deployment_id"))
                    .col(text("step"))
                    .col(int("start_at"))
                    .col(int("end_at"))
                    // Under the project's key for measures.
                    .col(bytes("sealed"))
                    .col(int("epoch"))
                    .col(int("at"))
                    .primary_key(&mut key(&["deployment_id", "step", "start_at", "end_at"]))
                    .foreign_key(&mut refers("deployment_id", "deployments"))
                    .to_owned(),
            )
            .await?;
        manager.create_index(index("quality_measures", "quality_measures_by_epoch", &["deployment_id", "epoch"])).await?;
        manager.create_index(index("quality_measures", "quality_measures_by_age", &["at"])).await
    }
}
