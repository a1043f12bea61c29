//! The audit log over HTTP: proofs and bundles that hold without the server.

use crate::common::{MAIN, Server};
use axum::http::StatusCode;
use serde_json::{Value, json};
use weir_evidence::merkle::{InclusionProof, leaf_hash, verify_consistency, verify_inclusion};
use weir_evidence::{Hash, Outcome, Previous, Timestamp, TreeHead, verify_bundle};

fn hash(value: &Value) -> Hash {
    value.as_str().unwrap().parse().unwrap()
}

fn hashes(value: &Value) -> Vec<Hash> {
    value.as_array().unwrap().iter().map(hash).collect()
}

/// The head of an answer, as it was signed.
fn signed(head: &Value) -> TreeHead {
    let at: chrono::DateTime<chrono::Utc> = head["signed_at"].as_str().unwrap().parse().unwrap();
    TreeHead {
        log_id: head["log_id"].as_str().unwrap().to_owned(),
        size: head["size"].as_u64().unwrap(),
        root: hash(&head["root"]),
        at: Timestamp::from_micros(at.timestamp_micros()).unwrap(),
        previous: head
            .get("previous")
            .map(|previous| Previous { size: previous["size"].as_u64().unwrap(), root: hash(&previous["root"]) }),
        key_id: head["key_id"].as_str().unwrap().to_owned(),
        signature: head["signature"].as_str().unwrap().to_owned().try_into().unwrap(),
    }
}

#[tokio::test]
async fn every_entry_is_proved_under_a_signed_head() {
    let server = Server::start().await;
    let compliance = server.member("cora", "compliance").await;
    server.member("stan", "steward").await;
    let entries = server.get(&format!("{MAIN}/audit"), &compliance).await.value();
    let entries = entries["items"].as_array().unwrap().clone();
    assert!(entries.len() >= 2, "{entries:?}");
    let mut first_head = None;
    for entry in &entries {
        let index = entry["index"].as_u64().unwrap();
        let proof = server.get(&format!("{MAIN}/audit/{index}/proof"), &compliance).await.value();
        let head = signed(&proof["head"]);
        assert!(head.is_signed_by(&server.services.evidence_public_key()));
        // The entry's own bytes give the hash that is proved: RFC 8785 is what `serde_json` writes of a sorted map here.
        let leaf = leaf_hash(entry["leaf"].to_string().as_bytes());
        assert_eq!(leaf, hash(&proof["leaf_hash"]), "{entry}");
        let path = InclusionProof { index, size: head.size, hashes: hashes(&proof["path"]) };
        verify_inclusion(&path, &leaf, &head.root).unwrap();
        assert!(verify_inclusion(&path, &leaf_hash(b"something else"), &head.root).is_err());
        first_head.get_or_insert(head);
    }

    server.member("vera", "viewer").await;
    let verified = server.post(&format!("{MAIN}/audit/verify"), &compliance, json!({})).await.value();
    assert_eq!(verified["valid"], true, "{verified}");
    let later = signed(&server.get(&format!("{MAIN}/audit/head"), &compliance).await.value());
    let first = first_head.unwrap();
    assert!(later.size > first.size);
    let address = format!("{MAIN}/audit/consistency?first={}&second={}", first.size, later.size);
    let proof = server.get(&address, &compliance).await.value();
    verify_consistency(first.size, later.size, &first.root, &later.root, &hashes(&proof["path"])).unwrap();
    let nonsense = server.get(&format!("{MAIN}/audit/consistency?first=9&second=2"), &compliance).await;
    assert_eq!(nonsense.problem(422), "/problems/invalid-request");
    assert_eq!(server.get(&format!("{MAIN}/audit/999999/proof"), &compliance).await.problem(404), "/problems/not-found");
}

#[tokio::test]
async fn the_log_goes_out_as_a_bundle_that_proves_itself() {
    let server = Server::start().await;
    let compliance = server.member("cora", "compliance").await;
    server.post(&format!("{MAIN}/audit/verify"), &compliance, json!({})).await;
    let kept = signed(&server.get(&format!("{MAIN}/audit/head"), &compliance).await.value());
    let bundle = server.get(&format!("{MAIN}/audit/bundle"), &compliance).await;
    assert_eq!(bundle.status, StatusCode::OK);
    assert!(bundle.header("content-disposition").contains("attachment"));
    let keys = [server.services.evidence_public_key()];
    let prove = |bytes: &[u8]| verify_bundle(bytes, [kept.clone()], Some(&keys)).unwrap();
    let verdict = prove(&bundle.body);
    assert!(matches!(&verdict, Outcome::Verified(whole) if whole.signed_size == whole.size), "{verdict}");
    let edited = bundle.text().replacen("allowed", "denied!", 1);
    assert_ne!(edited, bundle.text());
    assert!(matches!(prove(edited.as_bytes()), Outcome::Broken(_)));
    let viewer = server.member("vera", "viewer").await;
    assert_eq!(server.get(&format!("{MAIN}/audit/bundle"), &viewer).await.problem(403), "/problems/denied");
}
