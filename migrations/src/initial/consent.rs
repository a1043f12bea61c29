//! What each person allows for each purpose, and the feed of changes.

use sea_orm_migration::{prelude::*, sea_orm::DbBackend};

use crate::columns::*;

pub(super) async fn up(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    manager
        .create_table(
            table("purposes")
                .col(int("id").primary_key())
                .col(id("project_id"))
                .col(text("name"))
                .foreign_key(&mut refers("project_id", "projects"))
                .to_owned(),
        )
        .await?;
    manager.create_index(unique("purposes", "purposes_by_name", &["project_id", "name"])).await?;
    // Tens of millions of rows: clustered by its key where the database can, and no second index.
    let mut consent = table("consent")
        .col(int("purpose_id"))
        .col(bytes("subject_hash"))
        .col(ColumnDef::new("state").small_integer().not_null())
        .col(int("valid_from"))
        .col(int_null("expires_at"))
        .col(int("version"))
        .primary_key(&mut key(&["purpose_id", "subject_hash"]))
        .foreign_key(&mut refers("purpose_id", "purposes"))
        .to_owned();
    if manager.get_database_backend() == DbBackend::Sqlite {
        consent.extra("WITHOUT ROWID");
    }
    manager.create_table(consent).await?;
    // Append-only but for erasure; `version` grows over all projects.
    manager
        .create_table(
            table("consent_changes")
                .col(int("version").primary_key())
                .col(int("purpose_id"))
                .col(bytes("subject_hash"))
                .col(ColumnDef::new("state").small_integer().not_null())
                .col(int("valid_from"))
                .col(int_null("expires_at"))
                .col(int("recorded_at"))
                .foreign_key(&mut refers("purpose_id", "purposes"))
                .to_owned(),
        )
        .await
}
