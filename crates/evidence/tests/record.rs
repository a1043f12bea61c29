//! Leaves as they are stored, and how they grow.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;

use expect_test::expect;
use weir_evidence::{Hash, Leaf, PublicKey, Timestamp, record::*};

fn leaf(body: Body) -> Leaf {
    let at = Timestamp::from_micros(1_772_366_400_123_456).unwrap();
    Leaf { seq: 3, at, project: Some("default".into()), actor: "run:r1".into(), body }
}

fn checkpoint() -> CheckpointDecision {
    let one = |name: &str| name.to_owned();
    CheckpointDecision {
        run: "r1".into(),
        pipeline: "card-fraud".into(),
        document: Hash::of(b"document"),
        plan: "p1".into(),
        epoch: 7,
        positions: BTreeMap::from([(
            one("payments"),
            vec![SourcePosition { partition: "a.ndjson".into(), byte: 4096, row: 20 }],
        )]),
        nodes: BTreeMap::from([
            (one("payments"), NodeCounts { rows_in: 20, rows_out: 19, malformed: 1, ..Default::default() }),
            (one("checked"), NodeCounts { rows_in: 19, rows_out: 17, quarantined: 2, ..Default::default() }),
        ]),
        rules: BTreeMap::from([(
            one("checked"),
            BTreeMap::from([(one("between(amount)"), RuleResult { evaluated: 19, failed: 2 })]),
        )]),
        consent: BTreeMap::from([(
            one("allowed"),
            ConsentCounts {
                purpose: "essential.fraud_detection".into(),
                version: 12,
                decisions: BTreeMap::from([(one("granted"), 17)]),
            },
        )]),
        masking: vec![MaskingOperation {
            step: "safe".into(),
            column: "card".into(),
            operator: "token".into(),
            key_id: Some("00112233aabbccdd".into()),
            rows: 17,
        }],
        lineage_digest: Hash::of(b"lineage"),
        lineage: Some(vec![ColumnLineage {
            sink: "alerts".into(),
            column: "card".into(),
            inputs: vec![LineageInput {
                source: "payments".into(),
                column: "card".into(),
                kind: LineageType::Direct,
                subtype: "TRANSFORMATION".into(),
                masking: true,
            }],
        }]),
        sinks: BTreeMap::from([(
            one("alerts"),
            SinkCommit {
                rows: 17,
                bytes: 2048,
                files: vec![FileCommit { path: "part-0.json".into(), rows: 17, bytes: 2048, sha256: Some(Hash::of(b"file")) }],
            },
        )]),
        checkpoint: Hash::of(b"checkpoint"),
    }
}

fn one_of_each() -> Vec<Body> {
    let subject = SubjectHash::from_bytes(&[0xab; 32]);
    let public_key: PublicKey = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a".parse().unwrap();
    vec![
        Body::LogStarted(LogStarted { log_id: "log".into(), public_key, weir: "0.1.0".into() }),
        Body::RunStarted(RunStarted {
            run: "r1".into(),
            pipeline: "card-fraud".into(),
            document: Hash::of(b"document"),
            plan: "p1".into(),
            purpose: "essential.fraud_detection".into(),
            basis: "legitimate_interest".into(),
            parallelism: 2,
            resumed_from: Some(6),
            weir: "0.1.0".into(),
        }),
        Body::Checkpoint(Box::new(checkpoint())),
        Body::RunEnded(RunEnded {
            run: "r1".into(),
            pipeline: "card-fraud".into(),
            status: RunStatus::Finished,
            epoch: Some(7),
            reason: None,
        }),
        Body::Admin(AdminAction {
            address: "192.0.2.7".into(),
            action: "pipeline.deploy".into(),
            resource: "pipeline/card-fraud".into(),
            decision: AdminDecision::Denied,
            rule: None,
            before: None,
            after: None,
            request_id: Some("q1".into()),
        }),
        Body::QuarantineRead(QuarantineRead {
            address: "192.0.2.7".into(),
            pipeline: "card-fraud".into(),
            rows: vec!["1".into(), "2".into()],
            contents: true,
            request_id: None,
        }),
        Body::KeyEvent(KeyEvent {
            action: KeyAction::Destroyed,
            scope: "subject".into(),
            key_id: "00".into(),
            subject: Some(subject.clone()),
        }),
        Body::ConsentChange(ConsentChange {
            subject,
            purpose: "marketing".into(),
            state: ConsentState::Withdrawn,
            since: Timestamp::from_micros(0).unwrap(),
            expires_at: None,
            version: 13,
        }),
        Body::ConsentImported(ConsentImported { file: Hash::of(b"csv"), rows: 1_000_000, version: 14 }),
        Body::CheckpointDiscarded(CheckpointDiscarded {
            run: "r".into(),
            pipeline: "card-fraud".into(),
            epoch: 7,
            reason: "state file s is missing".into(),
            resumed_from: 6,
        }),
        Body::ContractRegistered(ContractRegistered { name: "payments".into(), version: 1, document: Hash::of(b"contract") }),
        Body::Alert(alert(AlertChange::Raised)),
        Body::Alert(alert(AlertChange::Resolved {
            raised_at: Timestamp::from_micros(0).unwrap(),
            seen_at: Timestamp::from_micros(1).unwrap(),
            count: 3,
        })),
        Body::Alert(AlertTransition {
            run: None,
            epoch: None,
            detail: None,
            ..alert(AlertChange::Forgotten { raised_at: Timestamp::from_micros(0).unwrap() })
        }),
    ]
}

fn alert(change: AlertChange) -> AlertTransition {
    AlertTransition {
        run: Some("r1".into()),
        pipeline: "card-fraud".into(),
        epoch: Some(7),
        step: "volume".into(),
        cause: "ab".repeat(16),
        severity: AlertSeverity::Error,
        message: "fewer payments than usual".into(),
        detail: Some("row_count is 3, below 100".into()),
        at: Timestamp::from_micros(1_772_366_400_000_000).unwrap(),
        change,
    }
}

/// The same promise for alerts.
#[test]
fn the_stored_form_of_an_alert() {
    let change = AlertChange::Resolved {
        raised_at: Timestamp::from_micros(0).unwrap(),
        seen_at: Timestamp::from_micros(1).unwrap(),
        count: 3,
    };
    let bytes = leaf(Body::Alert(alert(change))).to_canonical().unwrap();
    expect![[r#"{"actor":"run:r1","at":"2026-03-01T12:00:00.123456Z","body":{"at":"2026-03-01T12:00:00.000000Z","cause":"abababababababababababababababab","change":"resolved","count":3,"detail":"row_count is 3, below 100","epoch":7,"message":"fewer payments than usual","pipeline":"card-fraud","raised_at":"1970-01-01T00:00:00.000000Z","run":"r1","seen_at":"1970-01-01T00:00:00.000001Z","severity":"error","step":"volume"},"kind":"alert","project":"default","seq":3,"v":1}"#]].assert_eq(&String::from_utf8(bytes).unwrap());
}

#[test]
fn every_kind_goes_through_its_canonical_bytes() {
    for body in one_of_each() {
        let leaf = leaf(body);
        let bytes = leaf.to_canonical().unwrap();
        let again = Leaf::from_canonical(&bytes).unwrap();
        assert_eq!(again, leaf);
        assert!(!matches!(again.body, Body::Other { .. }), "{} is not recognised", leaf.body.kind());
        let json: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(json["kind"], leaf.body.kind());
        assert_eq!(json["v"], 1);
    }
}

/// The stored form is a promise to everyone who keeps a bundle: if this changes, old logs do not.
#[test]
fn the_stored_form_of_a_checkpoint() {
    let bytes = leaf(Body::Checkpoint(Box::new(checkpoint()))).to_canonical().unwrap();
    expect![[r#"{"actor":"run:r1","at":"2026-03-01T12:00:00.123456Z","body":{"checkpoint":"47320987f9a49d5b00119b960f247a956773f57543982b8bfcb6da5bb3afd9ef","consent":{"allowed":{"decisions":{"granted":17},"purpose":"essential.fraud_detection","version":12}},"document":"43cc23fa52b87b4cc1d02b5b114154151d6adddb17c9fddc06b027fa99e24008","epoch":7,"lineage":[{"column":"card","inputs":[{"column":"card","masking":true,"source":"payments","subtype":"TRANSFORMATION","type":"DIRECT"}],"sink":"alerts"}],"lineage_digest":"0713f136ea316c8f3e274d55012e3bf10d05b5263837187a39593ff0d8838dfa","masking":[{"column":"card","key_id":"00112233aabbccdd","operator":"token","rows":17,"step":"safe"}],"nodes":{"checked":{"in":19,"out":17,"quarantined":2},"payments":{"in":20,"malformed":1,"out":19}},"pipeline":"card-fraud","plan":"p1","positions":{"payments":[{"byte":4096,"partition":"a.ndjson","row":20}]},"rules":{"checked":{"between(amount)":{"evaluated":19,"failed":2}}},"run":"r1","sinks":{"alerts":{"bytes":2048,"files":[{"bytes":2048,"path":"part-0.json","rows":17,"sha256":"3b9c358f36f0a31b6ad3e14f309c7cf198ac9246e8316f9ce543d5b19ac02b80"}],"rows":17}}},"kind":"checkpoint","project":"default","seq":3,"v":1}"#]].assert_eq(&String::from_utf8(bytes).unwrap());
}

#[test]
fn a_kind_from_the_future_is_kept_as_it_is() {
    let text =
        r#"{"actor":"system","at":"2026-03-01T12:00:00.000000Z","body":{"x":[1,"two"]},"kind":"model_promoted","seq":9,"v":1}"#;
    let leaf = Leaf::from_canonical(text.as_bytes()).unwrap();
    assert_eq!((leaf.body.kind(), leaf.seq), ("model_promoted", 9));
    assert_eq!(leaf.to_canonical().unwrap(), text.as_bytes());
}

#[test]
fn an_envelope_from_the_future_is_an_error_that_says_so() {
    let error = Leaf::from_canonical(br#"{"v":2,"anything":"else"}"#).unwrap_err();
    assert!(error.to_string().contains("envelope version 2"), "{error}");
    assert!(Leaf::from_canonical(b"[]").is_err());
}

#[test]
fn a_subject_is_a_keyed_hash_or_nothing() {
    for text in ["Ada Lovelace", "ada@example.com", "AB", &"AB".repeat(32), &"ab".repeat(31), ""] {
        let error = SubjectHash::try_from(text.to_owned()).unwrap_err();
        assert!(text.is_empty() || !error.to_string().contains(text), "the message repeats what may be a name");
    }
    assert_eq!(SubjectHash::try_from("ab".repeat(32)).unwrap(), SubjectHash::from_bytes(&[0xab; 32]));
}

#[test]
fn row_conservation() {
    let kept = NodeCounts {
        rows_in: 10,
        rows_out: 4,
        quarantined: 1,
        denied: 2,
        late: 1,
        dropped: 1,
        malformed: 1,
        absorbed: 0,
        emitted: 0,
    };
    assert!(kept.is_conserved());
    assert!(!NodeCounts { rows_in: 11, ..kept }.is_conserved());
    assert!(!NodeCounts { rows_out: u64::MAX, ..kept }.is_conserved());
}
