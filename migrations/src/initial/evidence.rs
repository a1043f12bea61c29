//! The evidence log. Triggers refuse every change but the next leaf or head.

use sea_orm_migration::{prelude::*, sea_orm::DbBackend};

use crate::columns::*;

pub(super) async fn up(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    manager
        .create_table(
            table("evidence_leaves")
                .col(int("seq").primary_key())
                // No foreign keys: evidence outlives what it is about.
                .col(id_null("project_id"))
                .col(text("kind"))
                .col(int("at"))
                .col(text("actor"))
                .col(text("action"))
                .col(text("resource"))
                .col(text("outcome"))
                .col(id_null("run_id"))
                .col(bytes("leaf_hash"))
                .col(text("body"))
                .to_owned(),
        )
        .await?;
    manager.create_index(index("evidence_leaves", "evidence_by_project", &["project_id", "seq"])).await?;
    manager.create_index(index("evidence_leaves", "evidence_by_actor", &["actor", "seq"])).await?;
    manager.create_index(index("evidence_leaves", "evidence_by_action", &["action", "seq"])).await?;
    manager.create_index(index("evidence_leaves", "evidence_by_time", &["at", "seq"])).await?;
    manager.create_index(index("evidence_leaves", "evidence_by_run", &["run_id", "seq"])).await?;
    // One row: the Merkle frontier after `size` leaves.
    manager
        .create_table(
            table("evidence_state")
                .col(int("id").primary_key().check(Expr::col("id").eq(1)))
                .col(int("size"))
                .col(bytes("frontier"))
                .col(int_null("last_leaf_at"))
                .to_owned(),
        )
        .await?;
    manager
        .create_table(
            table("tree_heads")
                .col(int("id").primary_key())
                .col(int("size"))
                .col(bytes("root"))
                .col(int("signed_at"))
                .col(text("key_id"))
                .col(bytes("signature"))
                .col(text("body"))
                .to_owned(),
        )
        .await?;
    let backend = manager.get_database_backend();
    for statement in
        append_only(backend, "evidence_leaves", "seq", 0).into_iter().chain(append_only(backend, "tree_heads", "id", 1))
    {
        manager.get_connection().execute_unprepared(&statement).await?;
    }
    Ok(())
}

/// Triggers that refuse UPDATE, DELETE and any INSERT but that of the next number. The last one also stops SQLite's `INSERT OR
/// REPLACE`, which deletes without firing a delete trigger.
fn append_only(backend: DbBackend, table: &str, number: &str, first: u8) -> Vec<String> {
    match backend {
        DbBackend::Sqlite => {
            let mut statements: Vec<String> = ["UPDATE", "DELETE"]
                .map(|event| {
                    let name = event.to_lowercase();
                    format!(
                        "CREATE TRIGGER {table}_no_{name} BEFORE {event} ON {table} \
                         BEGIN SELECT RAISE(ABORT, '{table} is append-only: {event} is refused'); END"
                    )
                })
                .into();
            statements.push(format!(
                "CREATE TRIGGER {table}_in_order BEFORE INSERT ON {table} \
                 WHEN NEW.{number} <> (SELECT COALESCE(MAX({number}) + 1, {first}) FROM {table}) \
                 BEGIN SELECT RAISE(ABORT, '{table} is append-only: only the next {number} may be inserted'); END"
            ));
            statements
        }
        _ => vec![
            format!(
                "CREATE FUNCTION {table}_refuse() RETURNS trigger LANGUAGE plpgsql AS $$ \
                 BEGIN RAISE EXCEPTION '{table} is append-only: % is refused', TG_OP; END $$"
            ),
            format!(
                "CREATE FUNCTION {table}_in_order() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                 IF NEW.{number} <> (SELECT COALESCE(MAX({number}) + 1, {first}) FROM {table}) THEN \
                 RAISE EXCEPTION '{table} is append-only: only the next {number} may be inserted'; END IF; \
                 RETURN NEW; END $$"
            ),
            format!(
                "CREATE TRIGGER {table}_no_change BEFORE UPDATE OR DELETE ON {table} \
                 FOR EACH ROW EXECUTE FUNCTION {table}_refuse()"
            ),
            format!(
                "CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} \
                 FOR EACH STATEMENT EXECUTE FUNCTION {table}_refuse()"
            ),
            format!(
                "CREATE TRIGGER {table}_next BEFORE INSERT ON {table} \
                 FOR EACH ROW EXECUTE FUNCTION {table}_in_order()"
            ),
        ],
    }
}
