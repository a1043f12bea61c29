//! Inclusion and consistency proofs: which subtrees they need, making them, checking them (RFC 9162, section 2.1).

use std::ops::Range;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Hash, node_hash, root_of};

/// Shows that a leaf is in a tree: what an auditor gets for one leaf.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InclusionProof {
    /// The leaf's index, from 0.
    pub index: u64,
    /// The size of the tree that the proof is for.
    pub size: u64,
    /// Sibling hashes, from the leaf up.
    pub hashes: Vec<Hash>,
}

/// Why a proof cannot be made or does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ProofError {
    #[error("leaf {index} is not in a tree of {size} leaves")]
    OutsideTree { index: u64, size: u64 },
    #[error("a tree of {first} leaves cannot be the beginning of one of {second}")]
    Shrinking { first: u64, second: u64 },
    #[error("nothing can be proved about an empty tree")]
    EmptyTree,
    #[error("the proof has {found} hashes, which does not fit the sizes of the trees")]
    WrongLength { found: usize },
    #[error("the proof leads to another root")]
    RootMismatch,
}

/// The subtrees, as ranges of leaves, whose roots prove that leaf `index` is in a tree of `size` leaves; from the leaf up.
///
/// A store that holds leaf hashes computes each with [`root_of`].
pub fn inclusion_ranges(index: u64, size: u64) -> Result<Vec<Range<u64>>, ProofError> {
    if index >= size {
        return Err(ProofError::OutsideTree { index, size });
    }
    let (mut start, mut end) = (0, size);
    let mut siblings = Vec::new();
    while end - start > 1 {
        let middle = start + split(end - start);
        if index < middle {
            siblings.push(middle..end);
            end = middle;
        } else {
            siblings.push(start..middle);
            start = middle;
        }
    }
    siblings.reverse();
    Ok(siblings)
}

/// The subtrees whose roots prove that a tree of `first` leaves is the beginning of one of `second` leaves.
pub fn consistency_ranges(first: u64, second: u64) -> Result<Vec<Range<u64>>, ProofError> {
    if first == 0 {
        return Err(ProofError::EmptyTree);
    }
    if first > second {
        return Err(ProofError::Shrinking { first, second });
    }
    let (mut start, mut end) = (0, second);
    let mut subtrees = Vec::new();
    while first != end {
        let middle = start + split(end - start);
        if first <= middle {
            subtrees.push(middle..end);
            end = middle;
        } else {
            subtrees.push(start..middle);
            start = middle;
        }
    }
    // A first tree that is a full subtree of the second one is known to the verifier already.
    if start != 0 {
        subtrees.push(start..end);
    }
    subtrees.reverse();
    Ok(subtrees)
}

/// The inclusion proof of one leaf, from the hashes of all leaves.
pub fn inclusion_proof(leaf_hashes: &[Hash], index: u64) -> Result<InclusionProof, ProofError> {
    let size = leaf_hashes.len() as u64;
    let hashes = inclusion_ranges(index, size)?.into_iter().map(|range| subtree(leaf_hashes, range)).collect();
    Ok(InclusionProof { index, size, hashes })
}

/// The proof that the first `first` leaves are the beginning of the tree over all leaf hashes.
pub fn consistency_proof(leaf_hashes: &[Hash], first: u64) -> Result<Vec<Hash>, ProofError> {
    let ranges = consistency_ranges(first, leaf_hashes.len() as u64)?;
    Ok(ranges.into_iter().map(|range| subtree(leaf_hashes, range)).collect())
}

fn subtree(leaf_hashes: &[Hash], range: Range<u64>) -> Hash {
    root_of(leaf_hashes[range.start as usize..range.end as usize].iter().copied())
}

/// The largest power of two below `n`, where RFC 6962 splits a tree of `n > 1` leaves.
fn split(n: u64) -> u64 {
    1 << (n - 1).ilog2()
}

/// Checks an inclusion proof against a root (RFC 9162, section 2.1.3.2).
pub fn verify_inclusion(proof: &InclusionProof, leaf_hash: &Hash, root: &Hash) -> Result<(), ProofError> {
    let InclusionProof { index, size, ref hashes } = *proof;
    if index >= size {
        return Err(ProofError::OutsideTree { index, size });
    }
    let wrong_length = ProofError::WrongLength { found: hashes.len() };
    // The position of the current node and of the last node on its level.
    let (mut node, mut last) = (index, size - 1);
    let mut hash = *leaf_hash;
    for sibling in hashes {
        if last == 0 {
            return Err(wrong_length);
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            climb_to_right_child(&mut node, &mut last);
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    match (last, hash == *root) {
        (0, true) => Ok(()),
        (0, false) => Err(ProofError::RootMismatch),
        _ => Err(wrong_length),
    }
}

/// Checks that a tree of `first` leaves is the beginning of one of `second` leaves (RFC 9162, section 2.1.4.2).
pub fn verify_consistency(
    first: u64,
    second: u64,
    first_root: &Hash,
    second_root: &Hash,
    proof: &[Hash],
) -> Result<(), ProofError> {
    if first == 0 {
        return Err(ProofError::EmptyTree);
    }
    if first > second {
        return Err(ProofError::Shrinking { first, second });
    }
    let wrong_length = ProofError::WrongLength { found: proof.len() };
    if first == second {
        return match (proof.is_empty(), first_root == second_root) {
            (true, true) => Ok(()),
            (true, false) => Err(ProofError::RootMismatch),
            (false, _) => Err(wrong_length),
        };
    }
    let (start, rest) = match proof.split_first() {
        None => return Err(wrong_length),
        Some(_) if first.is_power_of_two() => (first_root, proof),
        Some((start, rest)) => (start, rest),
    };
    let (mut node, mut last) = (first - 1, second - 1);
    let ones = node.trailing_ones();
    node >>= ones;
    last >>= ones;
    let (mut old, mut new) = (*start, *start);
    for hash in rest {
        if last == 0 {
            return Err(wrong_length);
        }
        if node & 1 == 1 || node == last {
            old = node_hash(hash, &old);
            new = node_hash(hash, &new);
            climb_to_right_child(&mut node, &mut last);
        } else {
            new = node_hash(&new, hash);
        }
        node >>= 1;
        last >>= 1;
    }
    match (last, old == *first_root && new == *second_root) {
        (0, true) => Ok(()),
        (0, false) => Err(ProofError::RootMismatch),
        _ => Err(wrong_length),
    }
}

/// A last node without a sibling is carried up unchanged, until it is a right child (or the root).
fn climb_to_right_child(node: &mut u64, last: &mut u64) {
    while *node & 1 == 0 && *node != 0 {
        *node >>= 1;
        *last >>= 1;
    }
}
