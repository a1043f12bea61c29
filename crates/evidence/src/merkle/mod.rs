//! The Merkle tree of RFC 6962, section 2: SHA-256, leaves prefixed with 0x00, nodes with 0x01.
//!
//! ```text
//!            root                 a tree of 5 leaves: peaks are the full subtrees {0..4} and {4..5};
//!          /      \               the frontier (`CompactRange`) keeps one hash for each peak
//!      {0..4}    {4..5}
//!      /    \
//!  {0..2}  {2..4}
//! ```

mod frontier;
mod proof;

use sha2::{Digest, Sha256};

pub use frontier::{CompactRange, FrontierError};
pub use proof::{
    InclusionProof, ProofError, consistency_proof, consistency_ranges, inclusion_proof, inclusion_ranges, verify_consistency,
    verify_inclusion,
};

use crate::hash::Hash;

/// The hash of a leaf: `SHA-256(0x00 || leaf)`.
pub fn leaf_hash(leaf: &[u8]) -> Hash {
    Hash::from_bytes(Sha256::new().chain_update([0x00]).chain_update(leaf).finalize().into())
}

/// The hash of an inner node: `SHA-256(0x01 || left || right)`.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut input = [0x01; 65];
    input[1..33].copy_from_slice(left.as_bytes());
    input[33..].copy_from_slice(right.as_bytes());
    Hash::of(&input)
}

/// The root of a tree without leaves: `SHA-256("")`.
pub fn empty_root() -> Hash {
    Hash::of(b"")
}

/// The root over some leaf hashes in order: of a whole tree, or of a subtree that a proof asks for.
pub fn root_of(leaf_hashes: impl IntoIterator<Item = Hash>) -> Hash {
    let mut range = CompactRange::new();
    for hash in leaf_hashes {
        range.append(hash);
    }
    range.root()
}
