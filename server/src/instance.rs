//! A data folder opened: its database, its master key and the services over both.

use anyhow::Context;
use chrono::Utc;
use std::path::Path;
use std::sync::Arc;
use weir_service::{Services, ServicesConfig};
use weir_store::{Store, keys};
use weir_vault::MasterKey;
use weir_vault::master::MasterKeyOrigin;

/// The database's file in a data folder; a folder without it is not Weir's.
pub const DATABASE: &str = "weir.db";
/// The master key's file, unless `WEIR_MASTER_KEY` holds the key.
pub const MASTER_KEY: &str = "master.key";
/// Signed heads, one a line, beside the database.
pub use weir_service::heads::FILE as HEADS;
/// The kind under which the database keeps the keys that sign heads.
pub const EVIDENCE_KEY: &str = "evidence-signing";

/// Opens a data folder, or makes a new one with its keys. A folder that has lost its master key gets no new one.
pub async fn open(data: &Path) -> anyhow::Result<Arc<Services>> {
    let folder = data.display();
    let store = Store::open(data, Utc::now()).await.with_context(|| format!("cannot open the data folder {folder}"))?;
    let sealed = keys::list(&store, EVIDENCE_KEY, None).await.with_context(|| format!("cannot open the data folder {folder}"))?;
    let file = data.join(MASTER_KEY);
    let found = if sealed.is_empty() { MasterKey::load(&file) } else { MasterKey::find(&file) };
    let (master_key, origin) = found.context("cannot get the master key")?;
    if origin == MasterKeyOrigin::Created {
        tracing::warn!(
            file = %file.display(),
            "a new master key was made; keep a copy elsewhere: without it nothing in this folder can be read"
        );
    }
    let config = ServicesConfig::new(store, master_key, data, weir_connectors::generator::columns, weir_worker::window_sum);
    Services::open(config).await.with_context(|| format!("cannot open the data folder {folder}"))
}
