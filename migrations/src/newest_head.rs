//! The sealed copy of the newest signed head: who removes heads everywhere else leaves this one behind.

use sea_orm_migration::prelude::*;

use crate::columns::*;

pub(crate) struct NewestHead;

impl MigrationName for NewestHead {
    fn name(&self) -> &str {
        "m20261128_000004_newest_head"
    }
}

// `async_trait` gives a written lifetime another place than the trait's elided one.
#[allow(elided_lifetimes_in_paths)]
#[async_trait::async_trait]
impl MigrationTrait for NewestHead {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // One row.
        manager
            .create_table(
                table("newest_head")
                    .col(int("id").primary_key().check(Expr::col("id").eq(1)))
                    .col(text("body"))
                    // The Merkle frontier under the head, under the master key, bound to the head.
                    .col(bytes("sealed"))
                    .to_owned(),
            )
            .await
    }
}
