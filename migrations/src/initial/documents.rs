//! Documents (pipelines, contracts, policies), their versions, and what is deployed.

use sea_orm_migration::prelude::*;

use crate::columns::*;

pub(super) async fn up(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    manager
        .create_table(
            table("documents")
                .col(id("id").primary_key())
                .col(id("project_id"))
                .col(text("kind"))
                .col(text("name"))
                .col(id_null("owner_id"))
                .col(int("latest_version"))
                .col(int("created_at"))
                .col(int("updated_at"))
                .col(int_null("deleted_at"))
                .foreign_key(&mut refers("project_id", "projects"))
                .foreign_key(&mut refers("owner_id", "users"))
                .to_owned(),
        )
        .await?;
    // A name is free again when its document was deleted.
    manager
        .get_connection()
        .execute_unprepared(
            "CREATE UNIQUE INDEX documents_by_name ON documents (project_id, kind, name) WHERE deleted_at IS NULL",
        )
        .await?;
    manager
        .create_table(
            table("document_versions")
                .col(id("document_id"))
                .col(int("version"))
                .col(text_null("label"))
                .col(text("body"))
                .col(text("hash"))
                .col(text("summary"))
                .col(id_null("author_id"))
                .col(int("created_at"))
                .col(text_null("message"))
                .primary_key(&mut key(&["document_id", "version"]))
                .foreign_key(&mut refers("document_id", "documents"))
                .foreign_key(&mut refers("author_id", "users"))
                .to_owned(),
        )
        .await?;
    manager.create_index(unique("document_versions", "document_versions_by_label", &["document_id", "label"])).await?;
    manager
        .create_table(
            table("deployments")
                .col(id("id").primary_key())
                .col(id("project_id"))
                .col(id("document_id").unique_key())
                .col(int("version"))
                .col(text("desired"))
                .col(int("generation"))
                .col(id_null("changed_by"))
                .col(int("changed_at"))
                .foreign_key(&mut refers("project_id", "projects"))
                .foreign_key(&mut refers("document_id", "documents"))
                .foreign_key(&mut refers("changed_by", "users"))
                .to_owned(),
        )
        .await?;
    manager.create_index(index("deployments", "deployments_by_project", &["project_id"])).await?;
    manager.create_index(index("deployments", "deployments_by_desired", &["desired"])).await
}
