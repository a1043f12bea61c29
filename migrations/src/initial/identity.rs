//! Who there is: the instance, projects, users, memberships, sessions, tokens.

use sea_orm_migration::prelude::*;

use crate::columns::*;

pub(super) async fn up(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    // One row. `log_id` names this instance's evidence log for ever.
    manager
        .create_table(
            table("instance")
                .col(int("id").primary_key().check(Expr::col("id").eq(1)))
                .col(id("log_id"))
                .col(int("created_at"))
                .to_owned(),
        )
        .await?;
    // Numbers that only grow and are handed out in a transaction, such as the consent version.
    manager.create_table(table("counters").col(text("name").primary_key()).col(count("value")).to_owned()).await?;
    manager
        .create_table(
            table("users")
                .col(id("id").primary_key())
                .col(text("name").unique_key())
                .col(text("display_name"))
                .col(text("password_hash"))
                .col(bytes_null("totp_sealed"))
                .col(flag("instance_admin"))
                .col(count("failed_sign_ins"))
                .col(int_null("locked_until"))
                .col(int_null("disabled_at"))
                .col(int("created_at"))
                .col(int("password_changed_at"))
                .col(int_null("last_sign_in_at"))
                .to_owned(),
        )
        .await?;
    manager
        .create_table(
            table("projects")
                .col(id("id").primary_key())
                .col(text("slug").unique_key())
                .col(text("title"))
                .col(int("created_at"))
                .col(id_null("created_by"))
                .col(int_null("deleted_at"))
                .foreign_key(&mut refers("created_by", "users"))
                .to_owned(),
        )
        .await?;
    manager
        .create_table(
            table("memberships")
                .col(id("user_id"))
                .col(id("project_id"))
                .col(text("role"))
                .col(int("created_at"))
                .col(id_null("created_by"))
                .primary_key(&mut key(&["user_id", "project_id", "role"]))
                .foreign_key(&mut belongs("user_id", "users"))
                .foreign_key(&mut belongs("project_id", "projects"))
                .to_owned(),
        )
        .await?;
    manager.create_index(index("memberships", "memberships_by_project", &["project_id"])).await?;
    manager
        .create_table(
            table("sessions")
                .col(id("id").primary_key())
                .col(id("user_id"))
                .col(bytes("token_hash").unique_key())
                .col(bytes("csrf_secret"))
                .col(int("created_at"))
                .col(int("last_seen_at"))
                .col(int("expires_at"))
                .foreign_key(&mut belongs("user_id", "users"))
                .to_owned(),
        )
        .await?;
    manager.create_index(index("sessions", "sessions_by_user", &["user_id"])).await?;
    manager.create_index(index("sessions", "sessions_by_expiry", &["expires_at"])).await?;
    manager
        .create_table(
            table("api_tokens")
                .col(id("id").primary_key())
                .col(text("name"))
                .col(id("owner_id"))
                .col(id_null("project_id"))
                .col(text("scopes"))
                .col(int("created_at"))
                .col(int("expires_at"))
                .col(int_null("revoked_at"))
                .col(int_null("last_used_at"))
                .foreign_key(&mut belongs("owner_id", "users"))
                .foreign_key(&mut belongs("project_id", "projects"))
                .to_owned(),
        )
        .await?;
    manager.create_index(index("api_tokens", "api_tokens_by_owner", &["owner_id"])).await?;
    manager.create_index(index("api_tokens", "api_tokens_by_project", &["project_id"])).await?;
    // Nothing writes to it: the ingest log keeps the keys of its requests itself. A migration only adds, so the table stays.
    manager
        .create_table(
            table("idempotency")
                .col(id("project_id"))
                .col(text("scope"))
                .col(text("idempotency_key"))
                .col(bytes("request_hash"))
                .col(int("status"))
                .col(text("answer"))
                .col(int("created_at"))
                .col(int("expires_at"))
                .primary_key(&mut key(&["project_id", "scope", "idempotency_key"]))
                .foreign_key(&mut belongs("project_id", "projects"))
                .to_owned(),
        )
        .await?;
    manager.create_index(index("idempotency", "idempotency_by_expiry", &["expires_at"])).await
}
