//! Where published test vectors are, and a log to test with.
#![allow(dead_code, clippy::unwrap_used, clippy::print_stdout)]

use std::path::PathBuf;

use weir_evidence::{
    BundleHeader, BundleWriter, CompactRange, Hash, Leaf, SigningKey, Timestamp, TreeHead,
    record::{AdminAction, AdminDecision, Body},
};

/// The folder of public test data, or none, saying so.
pub fn test_data(folder: &str) -> Option<PathBuf> {
    let root = match std::env::var_os("WEIR_TEST_DATA") {
        Some(path) => PathBuf::from(path),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
    };
    let path = root.join(folder);
    if path.is_dir() {
        return Some(path);
    }
    println!("skipped: no test data at {}; set WEIR_TEST_DATA", path.display());
    None
}

pub const LOG: &str = "0123456789abcdef0123456789abcdef";

pub fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

pub fn at(seq: u64) -> Timestamp {
    Timestamp::from_micros(1_772_366_400_000_000 + seq as i64 * 1_000_000).unwrap()
}

/// A leaf as stored: number, canonical bytes, hash.
pub type Stored = (u64, Vec<u8>, Hash);

pub fn leaf(seq: u64, after: &str) -> Stored {
    let body = Body::Admin(AdminAction {
        address: "192.0.2.7".into(),
        action: "pipeline.deploy".into(),
        resource: format!("pipeline/p{seq}"),
        decision: AdminDecision::Allowed,
        rule: Some("engineer may deploy".into()),
        before: None,
        after: Some(after.into()),
        request_id: None,
    });
    let leaf = Leaf { seq, at: at(seq), project: Some("default".into()), actor: "user-1".into(), body };
    let (bytes, hash) = leaf.seal().unwrap();
    (seq, bytes, hash)
}

pub fn leaves(size: u64) -> Vec<Stored> {
    (0..size).map(|seq| leaf(seq, "v1")).collect()
}

/// Signed heads over the first so many leaves.
pub fn heads(key: &SigningKey, log_id: &str, leaves: &[Stored], sizes: &[u64]) -> Vec<TreeHead> {
    let mut heads = Vec::new();
    let mut tree = CompactRange::new();
    for size in 0..=leaves.len() as u64 {
        for _ in sizes.iter().filter(|s| **s == size) {
            heads.push(TreeHead::sign(key, log_id, size, tree.root(), at(size), None).unwrap());
        }
        if let Some((_, _, hash)) = leaves.get(size as usize) {
            tree.append(*hash);
        }
    }
    heads
}

pub fn bundle(key: &SigningKey, leaves: &[Stored], heads: &[TreeHead]) -> Vec<u8> {
    let header =
        BundleHeader { log_id: LOG.into(), keys: vec![key.public_key()], heads: heads.len() as u64, leaves: leaves.len() as u64 };
    let mut writer = BundleWriter::new(Vec::new(), header).unwrap();
    for head in heads {
        writer.head(head).unwrap();
    }
    for (seq, bytes, hash) in leaves {
        writer.leaf(*seq, bytes, hash).unwrap();
    }
    writer.finish().unwrap()
}
