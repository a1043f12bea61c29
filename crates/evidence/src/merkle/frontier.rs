//! The frontier of a growing tree: what is needed to append a leaf and to know the root, and nothing more.

use thiserror::Error;

use super::{Hash, empty_root, node_hash};

/// A tree's size and the roots of its full subtrees, largest first: one hash for each bit set in the size.
///
/// At most 64 hashes, so a store keeps it in one row ([`CompactRange::to_bytes`]) and appends within its own transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompactRange {
    size: u64,
    peaks: Vec<Hash>,
}

/// Bytes that are no frontier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "{length} bytes are not a Merkle frontier: a size of {size} leaves needs {expected} bytes; rebuild it from the leaf hashes"
)]
pub struct FrontierError {
    length: usize,
    size: u64,
    expected: usize,
}

impl CompactRange {
    /// The frontier of the empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many leaves the tree has; also the index of the next leaf.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf by its hash. One hash computation on average, log2(size) at worst.
    pub fn append(&mut self, leaf_hash: Hash) {
        let mut hash = leaf_hash;
        // Every trailing one bit of the size is a full subtree on the right that the new one completes to a larger one.
        for _ in 0..self.size.trailing_ones() {
            let left = self.peaks.pop().expect("invariant: one peak for each bit set in the size");
            hash = node_hash(&left, &hash);
        }
        self.peaks.push(hash);
        self.size += 1;
    }

    /// The root of the tree as it is now.
    pub fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev();
        let Some(last) = peaks.next() else {
            return empty_root();
        };
        peaks.fold(*last, |right, left| node_hash(left, &right))
    }

    /// Size (8 bytes, big-endian), then the peaks, largest first.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(8 + self.peaks.len() * Hash::LEN);
        bytes.extend_from_slice(&self.size.to_be_bytes());
        for peak in &self.peaks {
            bytes.extend_from_slice(peak.as_bytes());
        }
        bytes
    }

    /// The inverse of [`CompactRange::to_bytes`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FrontierError> {
        let error = |size: u64| FrontierError { length: bytes.len(), size, expected: 8 + size.count_ones() as usize * Hash::LEN };
        let (size, peaks) = bytes.split_first_chunk::<8>().ok_or_else(|| error(0))?;
        let size = u64::from_be_bytes(*size);
        let (peaks, rest) = peaks.as_chunks::<{ Hash::LEN }>();
        if !rest.is_empty() || peaks.len() != size.count_ones() as usize {
            return Err(error(size));
        }
        Ok(Self { size, peaks: peaks.iter().copied().map(Hash::from_bytes).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merkle::leaf_hash;

    #[test]
    fn survives_storage_at_every_size() {
        let mut range = CompactRange::new();
        for n in 0..70u64 {
            let stored = CompactRange::from_bytes(&range.to_bytes()).unwrap();
            assert_eq!(stored, range);
            range = stored;
            range.append(leaf_hash(&n.to_be_bytes()));
            assert_eq!(range.size(), n + 1);
        }
    }

    #[test]
    fn refuses_bytes_of_the_wrong_length() {
        let mut range = CompactRange::new();
        for n in 0..6u8 {
            range.append(leaf_hash(&[n]));
        }
        let bytes = range.to_bytes();
        for cut in 0..bytes.len() {
            assert!(CompactRange::from_bytes(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        let mut longer = bytes;
        longer.extend_from_slice(&[0; 32]);
        assert!(CompactRange::from_bytes(&longer).is_err());
    }
}
