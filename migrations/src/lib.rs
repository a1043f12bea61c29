//! Database migrations: one schema for SQLite and PostgreSQL.
//!
//! Conventions of the schema: ids are UUIDs, version 7; times are `bigint`, microseconds since 1970-01-01T00:00:00Z, in columns that
//! end in `_at` or `_until`; hashes and sealed values are bytes; JSON is text. Personal data is nowhere in the clear: people that data
//! is about appear as keyed hashes (`subject_hash`). A released migration is never changed; the next one adds.

pub use sea_orm_migration::MigratorTrait;
use sea_orm_migration::{MigrationTrait, async_trait};

mod columns;
mod initial;
mod measures;
mod newest_head;
mod observations;
mod run_counts;

/// All migrations, oldest first. Run it inside one transaction, so that two processes that start at once do not both migrate and
/// a crash leaves nothing half done.
#[derive(Debug)]
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(initial::Initial),
            Box::new(observations::Observations),
            Box::new(measures::Measures),
            Box::new(newest_head::NewestHead),
            Box::new(run_counts::RunCounts),
        ]
    }
}
