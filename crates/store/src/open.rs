//! Opening the database: where it is, its pragmas, its two pools, its migrations.

use std::{
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set, DatabaseConnection, EntityTrait, SqliteTransactionMode, SqlxSqliteConnector, TransactionOptions,
    TransactionTrait,
};
use sqlx::{
    ConnectOptions,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous},
};
use uuid::Uuid;
use weir_migrations::{Migrator, MigratorTrait};

use crate::{
    db::Tx,
    entity::{counters, evidence_state, instance},
    error::{Result, StoreError, said},
    time::micros,
};

/// The database's file in a data folder.
const FILE: &str = "weir.db";
/// How long a writer waits for another process's transaction.
const BUSY: Duration = Duration::from_secs(60);
/// How long a caller waits for a connection of this process.
const ACQUIRE: Duration = Duration::from_secs(90);

/// How to open.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// Connections that read. One more writes.
    pub readers: u32,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self { readers: 8 }
    }
}

/// The open database. Cheap to clone; all clones share their connections.
#[derive(Clone, Debug)]
pub struct Store {
    writer: DatabaseConnection,
    reader: DatabaseConnection,
    sqlite: SqliteConnectOptions,
    log_id: Uuid,
}

impl Store {
    /// Opens the database of a data folder and brings its schema up to date. The folder and the file are made when they are
    /// missing, readable by their owner only. `now` is written when the instance is new.
    pub async fn open(data: &Path, now: DateTime<Utc>) -> Result<Self> {
        let problem = |e: std::io::Error| StoreError::Open { location: data.display().to_string(), problem: e.to_string() };
        make_private(data).map_err(problem)?;
        let options = SqliteConnectOptions::new().filename(data.join(FILE));
        Self::connect(options, &data.display().to_string(), StoreOptions::default(), now).await
    }

    /// Opens by URL: `sqlite:PATH`. A PostgreSQL URL is refused: this build has no driver for it.
    pub async fn open_url(url: &str, options: StoreOptions, now: DateTime<Utc>) -> Result<Self> {
        let scheme = url.split(':').next().unwrap_or_default();
        let refuse = |problem: String| StoreError::Open { location: format!("the {scheme} database"), problem };
        if scheme != "sqlite" {
            return Err(refuse(
                "this build of Weir speaks SQLite only; use a data folder, or a URL such as sqlite:weir-data/weir.db".to_owned(),
            ));
        }
        let sqlite = SqliteConnectOptions::from_str(url).map_err(|e| refuse(e.to_string()))?;
        let location = sqlite.get_filename().display().to_string();
        Self::connect(sqlite, &location, options, now).await
    }

    /// Opens the database of a data folder for reading only: nothing is made, migrated or written. For verification. In a folder that
    /// cannot be written nobody else writes either, and SQLite is told so: it could not make the files by which processes agree.
    pub async fn open_read_only(data: &Path) -> Result<Self> {
        let problem = |problem: String| StoreError::Open { location: data.join(FILE).display().to_string(), problem };
        let sqlite = SqliteConnectOptions::new()
            .filename(data.join(FILE))
            .read_only(true)
            .busy_timeout(BUSY)
            .pragma("query_only", "ON")
            .disable_statement_logging();
        let shared = match is_read_only(data) {
            true => None,
            // Whether it can be written shows when SQLite tries to: a medium may refuse what the modes allow.
            false => Some(readable(&sqlite).await),
        };
        let (sqlite, opened) = match shared {
            Some(Err(error)) if !cannot_share(&error) => return Err(problem(said(&error))),
            Some(Ok(opened)) => (sqlite, opened),
            None | Some(Err(_)) => {
                let log = data.join(format!("{FILE}-wal"));
                if std::fs::metadata(&log).is_ok_and(|log| log.len() > 0) {
                    return Err(problem(format!(
                        "the folder cannot be written, and {} holds changes that are not in the database yet; copy the whole folder to \
                         where you may write, and name the copy",
                        log.display()
                    )));
                }
                let alone = sqlite.immutable(true);
                let opened = readable(&alone).await.map_err(|error| problem(said(&error)))?;
                (alone, opened)
            }
        };
        let only = SqlxSqliteConnector::from_sqlx_sqlite_pool(opened);
        let instance = instance::Entity::find_by_id(1).one(&only).await?;
        let log_id = instance.ok_or_else(|| StoreError::Corrupt("the row about this instance is missing".to_owned()))?.log_id;
        Ok(Self { writer: only.clone(), reader: only, sqlite, log_id })
    }

    async fn connect(base: SqliteConnectOptions, location: &str, options: StoreOptions, now: DateTime<Utc>) -> Result<Self> {
        let open = |e: sqlx::Error| StoreError::Open { location: location.to_owned(), problem: said(&e) };
        let sqlite = with_pragmas(base);
        let writer = pool(1).connect_with(sqlite.clone().create_if_missing(true)).await.map_err(open)?;
        let reader = pool(options.readers.max(1)).connect_lazy_with(sqlite.clone().pragma("query_only", "ON"));
        let mut store = Self {
            writer: SqlxSqliteConnector::from_sqlx_sqlite_pool(writer),
            reader: SqlxSqliteConnector::from_sqlx_sqlite_pool(reader),
            sqlite,
            log_id: Uuid::nil(),
        };
        store.log_id = store.migrate(now).await?;
        Ok(store)
    }

    /// Migrates in one transaction, so that of two processes that start at once one waits, and then finds nothing to do.
    async fn migrate(&self, now: DateTime<Utc>) -> Result<Uuid> {
        let tx = self.begin().await?;
        Migrator::up(&tx.inner, None).await?;
        let log_id = match instance::Entity::find_by_id(1).one(&tx.inner).await? {
            Some(instance) => instance.log_id,
            None => {
                let log_id = Uuid::now_v7();
                let row = instance::ActiveModel { id: Set(1), log_id: Set(log_id), created_at: Set(micros(now)) };
                instance::Entity::insert(row).exec_without_returning(&tx.inner).await?;
                let empty = weir_evidence::CompactRange::new().to_bytes();
                let state =
                    evidence_state::ActiveModel { id: Set(1), size: Set(0), frontier: Set(empty), last_leaf_at: Set(None) };
                evidence_state::Entity::insert(state).exec_without_returning(&tx.inner).await?;
                let counter = counters::ActiveModel { name: Set(crate::consent::VERSION.to_owned()), value: Set(0) };
                counters::Entity::insert(counter).exec_without_returning(&tx.inner).await?;
                log_id
            }
        };
        tx.commit().await?;
        Ok(log_id)
    }

    /// Begins a transaction that writes. Waits for its turn: there is one writer at a time.
    pub async fn begin(&self) -> Result<Tx> {
        let immediate = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        Ok(Tx { inner: self.writer.begin_with_options(immediate).await? })
    }

    pub(crate) fn reader(&self) -> &DatabaseConnection {
        &self.reader
    }

    /// The readers' pool, for streams of millions of rows that skip the entities.
    pub(crate) fn rows(&self) -> &SqlitePool {
        self.reader.get_sqlite_connection_pool()
    }

    /// What names this instance's evidence log, for ever.
    pub fn log_id(&self) -> Uuid {
        self.log_id
    }

    /// The database's file.
    pub fn file(&self) -> PathBuf {
        self.sqlite.get_filename().to_owned()
    }

    /// A pool of its own on the same database, with the same pragmas, for a job queue that brings its own tables.
    pub fn separate_pool(&self, connections: u32) -> SqlitePool {
        pool(connections).connect_lazy_with(self.sqlite.clone())
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<()> {
        Ok(self.reader.ping().await?)
    }

    /// Waits for what is under way and closes all connections. SQLite then folds its write-ahead log into the file.
    pub async fn close(self) -> Result<()> {
        self.reader.close().await?;
        Ok(self.writer.close().await?)
    }
}

/// A pool that has read something: SQLite looks at a file only then.
async fn readable(options: &SqliteConnectOptions) -> std::result::Result<SqlitePool, sqlx::Error> {
    let opened = pool(2).connect_with(options.clone()).await?;
    sqlx::query("SELECT count(*) FROM sqlite_schema").fetch_one(&opened).await?;
    Ok(opened)
}

/// Whether the modes of the folder or of the database say that nobody writes there.
fn is_read_only(data: &Path) -> bool {
    [data, &data.join(FILE)].into_iter().any(|path| std::fs::metadata(path).is_ok_and(|found| found.permissions().readonly()))
}

/// Whether SQLite could not make or open what lies beside a database that several processes share (SQLITE_READONLY, SQLITE_CANTOPEN).
fn cannot_share(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code()).and_then(|code| code.parse::<u32>().ok());
    matches!(code.map(|code| code & 0xff), Some(8 | 14))
}

fn with_pragmas(options: SqliteConnectOptions) -> SqliteConnectOptions {
    options
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY)
        // 16 MiB a connection. It fills within minutes of writing, and what is in it counts as a pipeline's memory.
        .pragma("cache_size", "-16384")
        .pragma("temp_store", "MEMORY")
        .pragma("journal_size_limit", "67108864")
        .pragma("secure_delete", "ON")
        .statement_cache_capacity(256)
        // How far a stream of rows may run ahead of its reader: a switch of threads costs more than a row.
        .row_buffer_size(1_024)
        .disable_statement_logging()
}

fn pool(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
}

/// Makes the folder, for its owner only, and the database file likewise: SQLite gives its companion files the same mode.
fn make_private(data: &Path) -> std::io::Result<()> {
    let mut folder = std::fs::DirBuilder::new();
    folder.recursive(true);
    let mut file = std::fs::OpenOptions::new();
    file.append(true).create(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
        folder.mode(0o700);
        file.mode(0o600);
    }
    folder.create(data)?;
    file.open(data.join(FILE)).map(drop)
}
