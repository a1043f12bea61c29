//! What runs notice of their data over time: windows as they were measured and judged, and alerts.

use sea_orm_migration::prelude::*;

use crate::columns::*;

pub(crate) struct Observations;

impl MigrationName for Observations {
    fn name(&self) -> &str {
        "m20261128_000002_observations"
    }
}

// `async_trait` gives a written lifetime another place than the trait's elided one.
#[allow(elided_lifetimes_in_paths)]
#[async_trait::async_trait]
impl MigrationTrait for Observations {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        quality_windows(manager).await?;
        alerts(manager).await
    }
}

async fn quality_windows(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    manager
        .create_table(
            table("quality_windows")
                .col(id("deployment_id"))
                .col(text("step"))
                .col(text("rule"))
                // Of event time, half open. They are what the data says; `at` is when it was committed.
                .col(int("start_at"))
                .col(int("end_at"))
                .col(int("rows"))
                .col(int("late_rows"))
                .col(text("metric"))
                .col(text("severity"))
                .col(float_null("observed"))
                .col(text("verdict"))
                .col(text_null("detail"))
                .col(id("run_id"))
                .col(int("epoch"))
                .col(int("at"))
                .primary_key(&mut key(&["deployment_id", "step", "rule", "start_at", "end_at"]))
                .foreign_key(&mut refers("deployment_id", "deployments"))
                .foreign_key(&mut refers("run_id", "runs"))
                .to_owned(),
        )
        .await?;
    manager.create_index(index("quality_windows", "quality_windows_by_epoch", &["deployment_id", "epoch"])).await?;
    manager.create_index(index("quality_windows", "quality_windows_by_age", &["at"])).await
}

async fn alerts(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    manager
        .create_table(
            table("alerts")
                .col(id("id").primary_key())
                .col(id("project_id"))
                .col(id("document_id"))
                .col(text("pipeline"))
                .col(id("deployment_id"))
                .col(id("run_id"))
                .col(text("step"))
                .col(text("cause"))
                .col(text("severity"))
                .col(text("message"))
                .col(text_null("detail"))
                // Of event time, as the step saw it.
                .col(int("raised_at"))
                .col(int("seen_at"))
                .col(int("seen"))
                .col(int("raised_epoch"))
                .col(int("raised_leaf"))
                // How it ended: `resolved`, `forgotten`, or `withdrawn` with the checkpoint that raised it. Empty while it is open.
                .col(text_null("ended"))
                .col(int_null("ended_at"))
                .col(int_null("ended_epoch"))
                .col(int_null("ended_leaf"))
                .col(int_null("acknowledged_at"))
                .col(id_null("acknowledged_by"))
                .col(text_null("acknowledged_note"))
                .foreign_key(&mut refers("project_id", "projects"))
                .foreign_key(&mut refers("document_id", "documents"))
                .foreign_key(&mut refers("deployment_id", "deployments"))
                .foreign_key(&mut refers("run_id", "runs"))
                .foreign_key(&mut refers("acknowledged_by", "users"))
                .to_owned(),
        )
        .await?;
    // What is raised again when rows are processed again is the same alert.
    manager.create_index(unique("alerts", "alerts_by_cause", &["deployment_id", "step", "cause", "raised_at"])).await?;
    manager.create_index(index("alerts", "alerts_by_project", &["project_id", "id"])).await?;
    manager.create_index(index("alerts", "alerts_by_document", &["document_id", "id"])).await?;
    let connection = manager.get_connection();
    // One open alert a cause.
    connection
        .execute_unprepared("CREATE UNIQUE INDEX alerts_open ON alerts (deployment_id, step, cause) WHERE ended IS NULL")
        .await?;
    connection.execute_unprepared("CREATE INDEX alerts_open_by_project ON alerts (project_id, id) WHERE ended IS NULL").await?;
    Ok(())
}
