//! Where a query runs: on the store, or within a transaction.

use sea_orm::{ConnectionTrait, DatabaseConnection, DatabaseTransaction, StreamTrait};

use crate::{error::Result, open::Store};

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Store {}
    impl Sealed for super::Tx {}
}

/// What can be read from: a [`Store`] (its pool of readers) or a [`Tx`] (which sees its own changes).
pub trait Db: sealed::Sealed + Sync {
    #[doc(hidden)]
    type Connection: ConnectionTrait + StreamTrait;
    #[doc(hidden)]
    fn conn(&self) -> &Self::Connection;
}

impl Db for Store {
    type Connection = DatabaseConnection;
    fn conn(&self) -> &DatabaseConnection {
        self.reader()
    }
}

/// A transaction that writes. [`Tx::commit`] makes its changes last; dropping it undoes them.
#[derive(Debug)]
#[must_use = "a transaction that is not committed is rolled back"]
pub struct Tx {
    pub(crate) inner: DatabaseTransaction,
}

impl Tx {
    /// Makes the changes last. On SQLite they are on disk when this returns.
    pub async fn commit(self) -> Result<()> {
        Ok(self.inner.commit().await?)
    }

    /// Undoes the changes.
    pub async fn rollback(self) -> Result<()> {
        Ok(self.inner.rollback().await?)
    }
}

impl Db for Tx {
    type Connection = DatabaseTransaction;
    fn conn(&self) -> &DatabaseTransaction {
        &self.inner
    }
}
