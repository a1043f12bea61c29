//! `weir run` killed with SIGKILL at random moments: the output is that of a run nobody disturbed.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::weir::{files_below, lines_below, weir};
use weir_connectors::generator;
use weir_spec::connector::{GeneratorKind, GeneratorSource};

const KILLS: usize = 20;
const ROWS: u64 = 120_000;

/// Deterministic but for what an erased or keyed value would bring: the two runs have keys of their own.
const DOCUMENT: &str = "
apiVersion: weir/v1
kind: Pipeline
name: recovery
purpose: essential.fraud_detection
basis: legitimate_interest
parallelism: 2
checkpoint: { every: 50ms }
batch: { rows: 1000, wait: 5ms }
sources:
  payments:
    file: { path: payments.ndjson }
    subject: customer_id
    schema:
      - { name: tx_id, type: string, required: true }
      - { name: customer_id, type: string, classification: confidential }
      - { name: email, type: string, classification: confidential }
      - { name: card, type: string, classification: restricted }
      - { name: amount, type: \"decimal(12,2)\" }
      - { name: country, type: string }
      - { name: paid_at, type: timestamp, required: true }
    event_time: { column: paid_at, max_delay: 10s, late: quarantine }
steps:
  checked:
    quality:
      from: payments
      rules:
        - not_null: [customer_id, card]
        - format: { column: email, is: email }
        - unique: { columns: [tx_id], within: 1h }
  masked:
    mask:
      from: checked
      columns: { card: { redact: {} }, email: { redact: {} }, customer_id: { partial: { keep_last: 3 } } }
sinks:
  by_country:
    from: masked
    file: { path: out, partition_by: [country] }
";

fn prepare(dir: &Path) {
    std::fs::write(dir.join("pipeline.yaml"), DOCUMENT).unwrap();
    let config = GeneratorSource {
        kind: GeneratorKind::Payments,
        seed: 3,
        rate: None,
        rows: Some(ROWS),
        subjects: 5_000,
        faults: 0.02,
        late: 0.01,
        anomalies: 0.001,
        start: None,
    };
    generator::write_ndjson(&dir.join("payments.ndjson"), &config, 0.005).unwrap();
}

fn start(dir: &Path) -> Child {
    weir(dir)
        .args(["run", "pipeline.yaml", "--data", "data", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn finish(dir: &Path) -> serde_json::Value {
    let output = start(dir).wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn twenty_kills_at_random_moments_change_nothing() {
    let undisturbed = tempfile::tempdir().unwrap();
    prepare(undisturbed.path());
    let began = Instant::now();
    let expected = finish(undisturbed.path());
    let whole = began.elapsed();
    let rows = lines_below(&undisturbed.path().join("out"));
    assert!(rows.len() as u64 > ROWS / 2, "{} rows came out", rows.len());

    let killed = tempfile::tempdir().unwrap();
    prepare(killed.path());
    let mut random = 0x5eed_u64;
    let mut kills = 0;
    while kills < KILLS {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let after = whole.mul_f64(0.9 * ((random >> 33) as f64 / f64::from(1u32 << 31)));
        let mut child = start(killed.path());
        std::thread::sleep(after.max(Duration::from_millis(20)));
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
    }
    let summary = finish(killed.path());

    assert_eq!(lines_below(&killed.path().join("out")), rows, "the same rows, each once, in order in each partition");
    for part in ["sources", "steps", "sinks"] {
        assert_eq!(summary[part], expected[part], "{part}");
    }
    let leftovers: Vec<_> = files_below(&killed.path().join("out"))
        .into_iter()
        .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with('.'))
        .collect();
    assert!(leftovers.is_empty(), "{leftovers:?}");
    let verified = weir(killed.path()).args(["audit", "verify", "--data", "data"]).output().unwrap();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
}

#[cfg(unix)]
#[test]
fn ctrl_c_takes_a_last_checkpoint_and_the_next_run_goes_on() {
    let undisturbed = tempfile::tempdir().unwrap();
    prepare(undisturbed.path());
    finish(undisturbed.path());

    let stopped = tempfile::tempdir().unwrap();
    prepare(stopped.path());
    let slow = DOCUMENT.replace("every: 50ms", "every: 1h");
    std::fs::write(stopped.path().join("pipeline.yaml"), slow).unwrap();
    let child = start(stopped.path());
    std::thread::sleep(Duration::from_millis(1_500));
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let first: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(["stopped", "finished"].contains(&first["status"].as_str().unwrap()), "{first}");
    assert_eq!(first["checkpoints"], 1);
    let second = finish(stopped.path());
    assert_eq!(second["status"], "finished");
    assert_eq!(lines_below(&stopped.path().join("out")), lines_below(&undisturbed.path().join("out")));
}
