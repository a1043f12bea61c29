//! The tree against RFC 6962's recursive definition, written down naively.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use sha2::{Digest, Sha256};
use weir_evidence::{
    CompactRange, Hash,
    merkle::{
        ProofError, consistency_proof, consistency_ranges, empty_root, inclusion_proof, inclusion_ranges, leaf_hash, root_of,
        verify_consistency, verify_inclusion,
    },
};

/// MTH of RFC 6962, section 2.1.
fn mth(leaves: &[Vec<u8>]) -> Hash {
    let digest: [u8; 32] = match leaves {
        [] => Sha256::digest(b"").into(),
        [leaf] => Sha256::digest([&[0], leaf.as_slice()].concat()).into(),
        _ => {
            let (left, right) = leaves.split_at(split(leaves.len()));
            Sha256::digest([&[1], mth(left).as_bytes().as_slice(), mth(right).as_bytes().as_slice()].concat()).into()
        }
    };
    Hash::from(digest)
}

fn split(n: usize) -> usize {
    let mut k = 1;
    while k * 2 < n {
        k *= 2;
    }
    k
}

/// PATH of RFC 6962, section 2.1.1.
fn path(m: usize, leaves: &[Vec<u8>]) -> Vec<Hash> {
    if leaves.len() == 1 {
        return Vec::new();
    }
    let k = split(leaves.len());
    let (left, right) = leaves.split_at(k);
    let (mut below, sibling) = if m < k { (path(m, left), mth(right)) } else { (path(m - k, right), mth(left)) };
    below.push(sibling);
    below
}

/// SUBPROOF of RFC 6962, section 2.1.2.
fn subproof(m: usize, leaves: &[Vec<u8>], whole: bool) -> Vec<Hash> {
    if m == leaves.len() {
        return if whole { Vec::new() } else { vec![mth(leaves)] };
    }
    let k = split(leaves.len());
    let (left, right) = leaves.split_at(k);
    let (mut below, other) =
        if m <= k { (subproof(m, left, whole), mth(right)) } else { (subproof(m - k, right, false), mth(left)) };
    below.push(other);
    below
}

fn some_leaves() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(prop::collection::vec(any::<u8>(), 0..8), 1..130)
}

proptest! {
    #[test]
    fn frontier_has_the_defined_root_at_every_size(leaves in some_leaves()) {
        let mut range = CompactRange::new();
        prop_assert_eq!(range.root(), empty_root());
        for size in 1..=leaves.len() {
            range.append(leaf_hash(&leaves[size - 1]));
            prop_assert_eq!(range.root(), mth(&leaves[..size]));
        }
    }

    #[test]
    fn inclusion_proofs_are_as_defined_and_hold_for_their_leaf_only(leaves in some_leaves(), index: prop::sample::Index, other: prop::sample::Index) {
        let hashes: Vec<Hash> = leaves.iter().map(|leaf| leaf_hash(leaf)).collect();
        let (index, other) = (index.index(leaves.len()), other.index(leaves.len()));
        let proof = inclusion_proof(&hashes, index as u64).unwrap();
        prop_assert_eq!(&proof.hashes, &path(index, &leaves));
        let root = mth(&leaves);
        prop_assert_eq!(verify_inclusion(&proof, &hashes[index], &root), Ok(()));
        if hashes[other] != hashes[index] {
            prop_assert_eq!(verify_inclusion(&proof, &hashes[other], &root), Err(ProofError::RootMismatch));
        }
    }

    #[test]
    fn consistency_proofs_are_as_defined_and_hold_for_their_roots_only(leaves in some_leaves(), first: prop::sample::Index) {
        let hashes: Vec<Hash> = leaves.iter().map(|leaf| leaf_hash(leaf)).collect();
        let first = first.index(leaves.len()) + 1;
        let second = leaves.len() as u64;
        let proof = consistency_proof(&hashes, first as u64).unwrap();
        prop_assert_eq!(&proof, &subproof(first, &leaves, true));
        let (old, new) = (mth(&leaves[..first]), mth(&leaves));
        prop_assert_eq!(verify_consistency(first as u64, second, &old, &new, &proof), Ok(()));
        let wrong = Hash::of(b"wrong");
        prop_assert!(verify_consistency(first as u64, second, &wrong, &new, &proof).is_err());
        prop_assert!(verify_consistency(first as u64, second, &old, &wrong, &proof).is_err());
    }

    #[test]
    fn proofs_of_huge_trees_ask_for_few_subtrees(size in 1u64.., index: prop::sample::Index) {
        let index = index.index(usize::MAX) as u64 % size;
        let ranges = inclusion_ranges(index, size).unwrap();
        prop_assert!(ranges.len() <= 64);
        prop_assert_eq!(ranges.iter().map(|range| range.end - range.start).sum::<u64>(), size - 1);
        prop_assert!(ranges.iter().all(|range| !range.contains(&index)));
        prop_assert!(consistency_ranges(index + 1, size).unwrap().len() <= 65);
    }
}

#[test]
fn a_store_can_prove_through_ranges() {
    let hashes: Vec<Hash> = (0..21u8).map(|n| leaf_hash(&[n])).collect();
    let read = |range: std::ops::Range<u64>| root_of(hashes[range.start as usize..range.end as usize].to_vec());
    let from_store: Vec<Hash> = inclusion_ranges(13, 21).unwrap().into_iter().map(read).collect();
    assert_eq!(from_store, inclusion_proof(&hashes, 13).unwrap().hashes);
}

#[test]
fn what_cannot_be_proved_is_an_error() {
    let hashes = [leaf_hash(b"a"), leaf_hash(b"b")];
    assert_eq!(inclusion_proof(&hashes, 2), Err(ProofError::OutsideTree { index: 2, size: 2 }));
    assert_eq!(inclusion_proof(&[], 0), Err(ProofError::OutsideTree { index: 0, size: 0 }));
    assert_eq!(consistency_proof(&hashes, 3), Err(ProofError::Shrinking { first: 3, second: 2 }));
    assert_eq!(consistency_proof(&hashes, 0), Err(ProofError::EmptyTree));
}
