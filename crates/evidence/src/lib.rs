//! Decision records, canonical encoding, the Merkle log, proofs and offline verification.
//!
//! Every decision Weir takes becomes a [`Leaf`]: canonical JSON (RFC 8785), hashed as a leaf of an RFC 6962 Merkle tree.
//! The tree's root is signed from time to time as a [`TreeHead`]. Whoever holds leaves, heads and the public key can prove,
//! without Weir and without its database, that nothing was changed, removed, inserted, reordered or cut off.
//!
//! ```text
//! Leaf --canonical JSON--> bytes --leaf_hash--> CompactRange --root--> TreeHead::sign --> heads file, database, outside
//!                            |                                              |
//!                            +---------------> Verifier <-------------------+--> Outcome
//! ```
//!
//! Invariants: verification hashes the stored bytes and never re-encodes them, so a log with kinds of leaves that this
//! version does not know still verifies; leaves hold integers and strings only, never floats, and no plain personal data
//! (subjects are keyed hashes); nothing here reads a clock or a database.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod bundle;
pub mod canonical;
pub mod hash;
pub mod head;
pub mod heads_file;
pub mod key;
pub mod merkle;
pub mod places;
pub mod record;
pub mod timestamp;
pub mod verify;

pub use bundle::{BundleHeader, BundleReader, BundleWriter, verify_bundle};
pub use hash::Hash;
pub use head::{Previous, TreeHead};
pub use key::{PublicKey, SigningKey};
pub use merkle::CompactRange;
pub use places::Places;
pub use record::{Body, Leaf};
pub use timestamp::Timestamp;
pub use verify::{HeadOrigin, Outcome, Reason, Trust, Verifier};
