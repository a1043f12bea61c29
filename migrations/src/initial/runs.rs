//! Runs with their leases, their checkpoints and their recent rates.

use sea_orm_migration::prelude::*;

use crate::columns::*;

pub(super) async fn up(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    manager
        .create_table(
            table("runs")
                .col(id("id").primary_key())
                .col(id("project_id"))
                .col(id("deployment_id"))
                .col(id("document_id"))
                .col(text("pipeline"))
                .col(int("version"))
                .col(text("document_hash"))
                .col(text("state"))
                .col(int("created_at"))
                .col(int_null("started_at"))
                .col(int_null("ended_at"))
                // The lease. `lease_epoch` grows with every acquisition: it is the fencing token.
                .col(text_null("lease_owner"))
                .col(count("lease_epoch"))
                .col(int_null("lease_until"))
                .col(text_null("failure_domain"))
                .col(text_null("failure_node"))
                .col(text_null("failure_message"))
                .col(int_null("failed_at"))
                .col(text_null("counters"))
                .col(count("rows_in"))
                .col(count("rows_out"))
                .col(count("rows_quarantined"))
                .col(count("rows_refused"))
                .col(count("checkpoints"))
                .col(int_null("last_checkpoint_at"))
                .foreign_key(&mut refers("project_id", "projects"))
                .foreign_key(&mut refers("deployment_id", "deployments"))
                .foreign_key(&mut refers("document_id", "documents"))
                .to_owned(),
        )
        .await?;
    manager.create_index(index("runs", "runs_by_project", &["project_id", "id"])).await?;
    manager.create_index(index("runs", "runs_by_document", &["document_id", "id"])).await?;
    // A deployment has one run that is not over.
    manager
        .get_connection()
        .execute_unprepared("CREATE UNIQUE INDEX runs_alive ON runs (deployment_id) WHERE ended_at IS NULL")
        .await?;
    manager
        .create_table(
            table("checkpoints")
                .col(id("deployment_id"))
                .col(int("epoch"))
                .col(id("run_id"))
                .col(int("lease_epoch"))
                .col(int("at"))
                .col(int_null("duration_ms"))
                .col(text("plan_fingerprint"))
                .col(int("rows_in"))
                .col(int("rows_out"))
                .col(text("positions"))
                .col(int("leaf_seq"))
                // Emptied once newer checkpoints have made it useless.
                .col(bytes_null("content_hash"))
                .col(bytes_null("content"))
                .primary_key(&mut key(&["deployment_id", "epoch"]))
                .foreign_key(&mut refers("deployment_id", "deployments"))
                .foreign_key(&mut refers("run_id", "runs"))
                .to_owned(),
        )
        .await?;
    manager.create_index(index("checkpoints", "checkpoints_by_run", &["run_id", "epoch"])).await?;
    manager
        .create_table(
            table("node_metrics")
                .col(id("run_id"))
                .col(int("at"))
                .col(text("node"))
                .col(int("rows_in"))
                .col(int("rows_out"))
                .col(int("rejects"))
                .col(ColumnDef::new("rows_in_per_second").double().not_null())
                .col(ColumnDef::new("rows_out_per_second").double().not_null())
                .col(ColumnDef::new("rejects_per_second").double().not_null())
                .col(int_null("lag"))
                .primary_key(&mut key(&["run_id", "at", "node"]))
                .foreign_key(&mut belongs("run_id", "runs"))
                .to_owned(),
        )
        .await?;
    manager.create_index(index("node_metrics", "node_metrics_by_age", &["at"])).await
}
