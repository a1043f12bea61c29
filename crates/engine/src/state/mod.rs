//! Keyed state: what stateful operators remember per key, checkpointed without a pause and larger than memory.
//!
//! One [`KeyedState`] is the state of one operator in one lane. It maps keys (bytes, such as Arrow row format) to values.
//!
//! ```text
//!  key ──hash──▶ index: 32 bits of the hash ─▶ slot = page · 64 + place      16 bytes a key, always in memory
//!                                                │
//!   frames   ┌──────────┬──────────┬──────────┬──▼───────┬─────────┐
//!   (pages)  │ in memory│ in memory│ dropped  │ in memory│ dropped │         64 entries a page
//!            │ clean    │ changed  │ clean    │ changed  │ changed │
//!            └────┬─────┴──────────┴────┬─────┴──────────┴────┬────┘
//!   homes         ▼                     ▼                     ▼
//!            ┌──────────────────────────────────┐       ┌────────────┐
//!            │ state files of checkpoints       │       │ spill file │      all sealed (AES-256-GCM)
//!            │ written once, read page by page  │       │ unnamed    │
//!            └──────────────────────────────────┘       └────────────┘
//! ```
//!
//! - **Checkpoint.** [`KeyedState::snapshot`] moves the pages changed since the last one into a set that it shares,
//!   eight bytes a page; that is the pause.
//!   [`Snapshot::write`] encodes, seals and writes them on another thread, while a page that changes is copied first. A state
//!   file holds the pages that changed, and a list of all live pages in this and older files: the checkpoint is incremental,
//!   and its record ([`LaneState`]) is small. When most of the files is garbage, a snapshot also writes some of the pages that
//!   did not change, so that old files come free ([`garbage`]); the work is spread, nothing ever stops for it.
//! - **Restore.** Beside its pages a state file has the hashes of their keys (sealed too: hashes of personal data are
//!   personal data). From them alone the index is made; pages are read when they are first needed. At another parallelism
//!   each lane takes the key groups that are its own now, whoever had them.
//! - **Beyond memory.** Over its limit the state drops pages that were not used of late. A page that is in a state file
//!   is just dropped; another is appended to a spill file. Both are read back by one `pread`.
//! - **Damage.** Every byte of a file is authenticated: header by key derivation, blocks by their tags, the file's identity
//!   and size by the record. [`StateError::is_damage`] says that the checkpoint before is worth trying.
//!
//! # Why not an embedded store
//!
//! `fjall` (LSM tree) and `redb` (B-tree) are sound, permissively licensed and pure Rust. As the home of spilled state they
//! would be a second copy of what checkpoints hold, with their own write-ahead log, compaction, cache and fsyncs, none of which the
//! engine needs: between checkpoints state may be lost, at a checkpoint it must be a consistent cut across all operators and
//! lanes, taken without a pause. Their snapshots live inside one database whose files change, so a checkpoint
//! that can be kept, shipped and restored at another parallelism would still have to be exported key by key. Neither encrypts.
//! Their unit is a key, so each access would pay for a search and for decoding. Here the checkpoint files are the store: a page that is in one is
//! free to drop, and reading it back is one system call.
//!
//! # What to know when using it
//!
//! - A value should be small (64 of them are one page, copied as a whole); put large parts behind a `Box` or an `Arc`.
//! - [`Slot`]s stay valid until the entry is removed, also through eviction, but not through a restore.
//! - Timers: give [`StateValue::timer`], and after a restore [`KeyedState::take_timers`] lists them without reading any page.

mod body;
pub mod codec;
mod compact;
mod error;
mod file;
mod hash;
mod index;
mod keyed;
mod manifest;
mod page;
mod paging;
mod restore;
mod seal;
mod snapshot;
mod spill;
mod stores;

pub use error::StateError;
#[cfg(fuzzing)]
pub use file::forge;
pub use hash::{KEY_GROUPS, groups_of, key_group, key_hash, lane_of};
pub use keyed::{KeyedState, Settings, Slot, Usage};
pub use manifest::{LaneState, files_needed, garbage};
pub use restore::verify;
pub use snapshot::Snapshot;

/// The layout of state files, the hash of keys included.
pub const VERSION: u32 = 1;

/// What is kept per key.
pub trait StateValue: Clone + Send + Sync + 'static {
    /// Appends the value as bytes, from which [`decode`](Self::decode) makes it again. [`codec`] helps.
    fn encode(&self, out: &mut Vec<u8>);

    /// Must not panic, whatever the bytes.
    fn decode(bytes: &[u8]) -> Result<Self, StateError>;

    /// Bytes on the heap, beyond `size_of::<Self>()`. Asked before and after each change; must be quick.
    fn heap_size(&self) -> usize {
        0
    }

    /// When (event time, microseconds since 1970) the entry wants attention: the end of a window, say. Kept beside the
    /// hashes; see [`KeyedState::take_timers`].
    fn timer(&self) -> Option<i64> {
        None
    }
}

impl StateValue for Vec<u8> {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
    fn decode(bytes: &[u8]) -> Result<Self, StateError> {
        Ok(bytes.to_vec())
    }
    fn heap_size(&self) -> usize {
        self.capacity()
    }
}

impl StateValue for u64 {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_le_bytes());
    }
    fn decode(bytes: &[u8]) -> Result<Self, StateError> {
        let mut reader = codec::Reader::new(bytes);
        let number = reader.u64()?;
        reader.finish()?;
        Ok(number)
    }
}
