//! Rejected rows, sealed by the batch.

use sea_orm_migration::prelude::*;

use crate::columns::*;

pub(super) async fn up(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    manager
        .create_table(
            table("quarantine_segments")
                .col(id("id").primary_key())
                .col(id("project_id"))
                .col(id("document_id"))
                .col(text("pipeline"))
                .col(id("run_id"))
                .col(int("epoch"))
                .col(text("node"))
                .col(text("stage"))
                .col(text_null("contract"))
                .col(text("classification"))
                .col(int("rows"))
                .col(text("counts"))
                .col(int("at"))
                // Where each row came from and why it was held: no values.
                .col(text("entries"))
                // The subjects' hashes, 32 bytes each, sorted, for erasure.
                .col(bytes("subjects"))
                // Last, so that reading the columns before it does not read it.
                .col(bytes("sealed"))
                .foreign_key(&mut refers("project_id", "projects"))
                .foreign_key(&mut refers("document_id", "documents"))
                .foreign_key(&mut refers("run_id", "runs"))
                .to_owned(),
        )
        .await?;
    manager.create_index(index("quarantine_segments", "quarantine_by_project", &["project_id", "id"])).await?;
    manager.create_index(index("quarantine_segments", "quarantine_by_document", &["document_id", "id"])).await?;
    manager.create_index(index("quarantine_segments", "quarantine_by_run", &["run_id", "id"])).await
}
