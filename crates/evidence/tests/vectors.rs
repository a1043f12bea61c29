//! Published vectors: RFC 6962 proofs (transparency-dev) and Ed25519 signatures (Wycheproof).
#![allow(clippy::unwrap_used)]

mod common;

use std::{fs, path::Path};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;
use weir_evidence::{
    Hash, PublicKey,
    merkle::{InclusionProof, verify_consistency, verify_inclusion},
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Inclusion {
    leaf_idx: u64,
    tree_size: u64,
    root: Option<String>,
    leaf_hash: String,
    proof: Option<Vec<String>>,
    desc: String,
    want_err: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Consistency {
    size1: u64,
    size2: u64,
    root1: String,
    root2: String,
    proof: Option<Vec<String>>,
    desc: String,
    want_err: bool,
}

fn decode(base64: &str) -> Vec<u8> {
    STANDARD.decode(base64).unwrap()
}

/// Calls `check` with the text of every JSON file below a folder; how many there were.
fn each_file(folder: &Path, check: &mut dyn FnMut(&str)) -> usize {
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            count += each_file(&path, check);
        } else {
            check(&fs::read_to_string(&path).unwrap());
            count += 1;
        }
    }
    count
}

#[test]
fn inclusion_proofs_hold_or_fail_as_published() {
    let Some(folder) = common::test_data("merkle/inclusion") else {
        return;
    };
    let mut accepted = 0;
    let count = each_file(&folder, &mut |text| {
        let vector: Inclusion = serde_json::from_str(text).unwrap();
        let desc = vector.desc.clone();
        let want_err = vector.want_err;
        let verdict = check_inclusion(vector);
        assert_eq!(verdict.is_err(), want_err, "{desc}: {verdict:?}");
        accepted += usize::from(verdict.is_ok());
    });
    assert!(count >= 90 && accepted >= 6, "{count} vectors, {accepted} accepted");
}

/// A value that is no hash cannot even be represented: it counts as refused.
fn check_inclusion(vector: Inclusion) -> Result<(), Box<dyn std::error::Error>> {
    let hash = |text: &str| Hash::try_from(decode(text).as_slice());
    let hashes = vector.proof.unwrap_or_default().iter().map(|text| hash(text)).collect::<Result<_, _>>()?;
    let root = hash(vector.root.as_deref().unwrap_or_default())?;
    let proof = InclusionProof { index: vector.leaf_idx, size: vector.tree_size, hashes };
    Ok(verify_inclusion(&proof, &hash(&vector.leaf_hash)?, &root)?)
}

/// The consistency vectors use texts such as "don't care" for arbitrary roots: each stands for a hash of its own.
fn any_hash(base64: &str) -> Hash {
    let bytes = decode(base64);
    Hash::try_from(bytes.as_slice()).unwrap_or_else(|_| Hash::of(&bytes))
}

#[test]
fn consistency_proofs_hold_or_fail_as_published() {
    let Some(folder) = common::test_data("merkle/consistency") else {
        return;
    };
    let mut accepted = 0;
    let count = each_file(&folder, &mut |text| {
        let vector: Consistency = serde_json::from_str(text).unwrap();
        let proof: Vec<Hash> = vector.proof.unwrap_or_default().iter().map(|text| any_hash(text)).collect();
        let (root1, root2) = (any_hash(&vector.root1), any_hash(&vector.root2));
        let verdict = verify_consistency(vector.size1, vector.size2, &root1, &root2, &proof);
        assert_eq!(verdict.is_err(), vector.want_err, "{}: {verdict:?}", vector.desc);
        accepted += usize::from(verdict.is_ok());
    });
    assert!(count >= 90 && accepted >= 5, "{count} vectors, {accepted} accepted");
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Signatures {
    test_groups: Vec<SignatureGroup>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SignatureGroup {
    public_key: GroupKey,
    tests: Vec<SignatureTest>,
}

#[derive(Deserialize)]
struct GroupKey {
    pk: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SignatureTest {
    tc_id: u32,
    comment: String,
    msg: String,
    sig: String,
    result: String,
}

#[test]
fn signatures_hold_or_fail_as_published() {
    let Some(folder) = common::test_data("wycheproof") else {
        return;
    };
    let text = fs::read_to_string(folder.join("ed25519_test.json")).unwrap();
    let vectors: Signatures = serde_json::from_str(&text).unwrap();
    let mut count = 0;
    for group in vectors.test_groups {
        let key: PublicKey = group.public_key.pk.parse().unwrap();
        for SignatureTest { tc_id, comment, msg, sig, result } in group.tests {
            let message = hex::decode(msg).unwrap();
            // A signature of another length cannot even be represented.
            let accepted =
                <[u8; 64]>::try_from(hex::decode(sig).unwrap()).is_ok_and(|signature| key.verifies(&message, &signature));
            assert_eq!(accepted, result == "valid", "test {tc_id}: {comment}");
            count += 1;
        }
    }
    assert_eq!(count, 151);
}
