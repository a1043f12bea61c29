//! The first schema.

use sea_orm_migration::prelude::*;

mod consent;
mod documents;
mod evidence;
mod identity;
mod keys;
mod quarantine;
mod runs;

pub(crate) struct Initial;

impl MigrationName for Initial {
    fn name(&self) -> &str {
        "m20261120_000001_initial"
    }
}

// `async_trait` gives a written lifetime another place than the trait's elided one.
#[allow(elided_lifetimes_in_paths)]
#[async_trait::async_trait]
impl MigrationTrait for Initial {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        identity::up(manager).await?;
        keys::up(manager).await?;
        documents::up(manager).await?;
        runs::up(manager).await?;
        quarantine::up(manager).await?;
        consent::up(manager).await?;
        evidence::up(manager).await
    }
}
