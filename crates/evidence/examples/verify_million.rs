//! Measures offline verification: `cargo run --release -p weir-evidence --example verify_million [LEAVES]`.
#![allow(clippy::print_stdout)]

use std::{io::BufReader, time::Instant};

use weir_evidence::{
    BundleHeader, BundleWriter, CompactRange, Leaf, Previous, SigningKey, Timestamp, TreeHead,
    record::{AdminAction, AdminDecision, Body},
    verify_bundle,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let leaves: u64 = std::env::args().nth(1).map_or(Ok(1_000_000), |text| text.parse())?;
    let every = 10_000;
    let key = SigningKey::generate()?;
    let path = std::env::temp_dir().join(format!("weir-verify-{}.jsonl", std::process::id()));

    let started = Instant::now();
    let mut tree = CompactRange::new();
    let mut heads = Vec::new();
    let mut stored = Vec::new();
    for seq in 0..leaves {
        let at = Timestamp::from_micros(1_772_366_400_000_000 + seq as i64)?;
        let body = Body::Admin(AdminAction {
            address: "192.0.2.7".into(),
            action: "pipeline.deploy".into(),
            resource: format!("pipeline/p{seq}"),
            decision: AdminDecision::Allowed,
            rule: Some("engineer may deploy in their own projects".into()),
            before: Some("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".into()),
            after: Some("47dc540c94ceb704a23875c11273e16bb0b8a87aed84de911f2133568115f254".into()),
            request_id: Some("0190c0de-0000-7000-8000-000000000000".into()),
        });
        let leaf = Leaf { seq, at: at.clone(), project: Some("default".into()), actor: "user-1".into(), body };
        let (bytes, hash) = leaf.seal()?;
        tree.append(hash);
        stored.push((bytes, hash));
        if tree.size().is_multiple_of(every) {
            let previous = heads.last().map_or_else(Previous::none, Previous::from);
            heads.push(TreeHead::sign(&key, "log", tree.size(), tree.root(), at, Some(previous))?);
        }
    }
    let written = started.elapsed();

    let header = BundleHeader { log_id: "log".into(), keys: vec![key.public_key()], heads: heads.len() as u64, leaves };
    let mut writer = BundleWriter::new(std::io::BufWriter::new(std::fs::File::create(&path)?), header)?;
    for head in &heads {
        writer.head(head)?;
    }
    for (seq, (bytes, hash)) in stored.iter().enumerate() {
        writer.leaf(seq as u64, bytes, hash)?;
    }
    writer.finish()?;

    let started = Instant::now();
    let outcome = verify_bundle(BufReader::new(std::fs::File::open(&path)?), [], None)?;
    let verified = started.elapsed();
    let bytes = std::fs::metadata(&path)?.len();
    std::fs::remove_file(&path)?;
    println!("{outcome}");
    println!(
        "{leaves} leaves, {} MB: made in {:.2} s, verified in {:.2} s ({:.2} M leaves/s)",
        bytes / 1_000_000,
        written.as_secs_f64(),
        verified.as_secs_f64(),
        leaves as f64 / verified.as_secs_f64() / 1e6
    );
    Ok(())
}
