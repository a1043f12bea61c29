//! Keys, all of them sealed under another one; the outermost never enters the database.

use sea_orm_migration::prelude::*;

use crate::columns::*;

pub(super) async fn up(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    manager
        .create_table(
            table("sealed_keys")
                .col(text("key_id").primary_key())
                .col(text("kind"))
                .col(id_null("project_id"))
                .col(bytes("sealed"))
                .col(bytes_null("public_key"))
                .col(int("created_at"))
                .col(int_null("retired_at"))
                .foreign_key(&mut refers("project_id", "projects"))
                .to_owned(),
        )
        .await?;
    manager.create_index(index("sealed_keys", "sealed_keys_by_kind", &["kind", "project_id"])).await?;
    // One key a person. Erasure empties `sealed` and leaves the tombstone, so that the person is never given a new key.
    manager
        .create_table(
            table("subject_keys")
                .col(id("project_id"))
                .col(bytes("subject_hash"))
                .col(text("key_id"))
                .col(bytes_null("sealed"))
                .col(int("created_at"))
                .col(int_null("erased_at"))
                .primary_key(&mut key(&["project_id", "subject_hash"]))
                .foreign_key(&mut refers("project_id", "projects"))
                .to_owned(),
        )
        .await
}
