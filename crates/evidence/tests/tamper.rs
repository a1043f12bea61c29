//! Every way to tamper with a log, and what the verifier says of it.
#![allow(clippy::unwrap_used)]

mod common;

use common::{LOG, Stored, at, bundle, heads, key, leaf, leaves};
use expect_test::{Expect, expect};
use proptest::prelude::*;
use weir_evidence::{
    Hash, HeadOrigin, Outcome, Previous, SigningKey, TreeHead, Trust, Verifier, merkle::leaf_hash, verify::Note, verify_bundle,
};

fn verify(leaves: &[Stored], heads: impl IntoIterator<Item = (HeadOrigin, TreeHead)>) -> Outcome {
    let trust = Trust { log_id: LOG.into(), keys: vec![key().public_key()] };
    let mut verifier = Verifier::new(&trust, heads);
    for (seq, bytes, hash) in leaves {
        if verifier.leaf(*seq, bytes, hash).is_break() {
            break;
        }
    }
    verifier.finish()
}

fn of_log(heads: Vec<TreeHead>) -> Vec<(HeadOrigin, TreeHead)> {
    heads.into_iter().map(|head| (HeadOrigin::Log, head)).collect()
}

/// A log of 20 leaves with heads over 0, 5, 12 and 18 of them, after `tamper` had its way with the leaves.
fn check(tamper: impl FnOnce(&mut Vec<Stored>), expected: Expect) {
    let honest = leaves(20);
    let heads = heads(&key(), LOG, &honest, &[0, 5, 12, 18]);
    let mut leaves = honest;
    tamper(&mut leaves);
    expected.assert_eq(&verify(&leaves, of_log(heads)).to_string());
}

fn renumber(leaves: &mut [Stored]) {
    for (seq, leaf) in leaves.iter_mut().enumerate() {
        leaf.0 = seq as u64;
    }
}

/// As an insider would do it: new content, numbers and hashes that fit it.
fn rewrite(leaves: &mut [Stored], seq: usize) {
    leaves[seq] = leaf(seq as u64, "v2");
}

#[test]
fn an_honest_log_verifies() {
    check(
        |_| {},
        expect![
            "verified: 20 leaves, root 1b543d32c812392c1e92d7e7488e13451f05a92b57a8682fa93c5ab83edd8ec4, 4 signed heads, the last of 2026-03-01T12:00:18.000000Z over 18 leaves"
        ],
    );
}

#[test]
fn a_log_without_heads_is_broken_unless_it_is_empty() {
    expect![
        "broken: the log has 3 leaves and no signed head; a log is signed with its first leaves, so that its heads were removed"
    ]
    .assert_eq(&verify(&leaves(3), []).to_string());
    let kept = heads(&key(), LOG, &leaves(3), &[2]).into_iter().map(|head| (HeadOrigin::Outside, head));
    assert!(matches!(verify(&leaves(3), kept), Outcome::Broken(_)), "a head kept outside is none of the log's own");
    expect!["verified: 0 leaves, root e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855, 0 signed heads; nothing is signed yet"].assert_eq(&verify(&[], []).to_string());
}

#[test]
fn a_changed_leaf_is_named() {
    check(
        |leaves| *leaves[7].1.last_mut().unwrap() = b' ',
        expect!["broken at leaf 7: its content does not give the hash stored with it"],
    );
}

#[test]
fn a_changed_hash_is_named() {
    check(
        |leaves| leaves[7].2 = Hash::of(b"other"),
        expect!["broken at leaf 7: its content does not give the hash stored with it"],
    );
}

#[test]
fn a_leaf_changed_with_its_hash_is_caught_between_two_heads() {
    check(
        |leaves| rewrite(leaves, 7),
        expect![
            "broken at leaf 5: a leaf from 5 to 11 was changed, removed, inserted or reordered together with its hash; the head of 2026-03-01T12:00:12.000000Z in the log proves it"
        ],
    );
    check(
        |leaves| rewrite(leaves, 0),
        expect![
            "broken at leaf 0: a leaf from 0 to 4 was changed, removed, inserted or reordered together with its hash; the head of 2026-03-01T12:00:05.000000Z in the log proves it"
        ],
    );
    check(
        |leaves| rewrite(leaves, 17),
        expect![
            "broken at leaf 12: a leaf from 12 to 17 was changed, removed, inserted or reordered together with its hash; the head of 2026-03-01T12:00:18.000000Z in the log proves it"
        ],
    );
}

#[test]
fn a_removed_leaf_is_named() {
    check(|leaves| drop(leaves.remove(7)), expect!["broken at leaf 7: it is missing; the next one is 8"]);
    check(|leaves| drop(leaves.remove(0)), expect!["broken at leaf 0: it is missing; the next one is 1"]);
}

#[test]
fn a_removed_leaf_is_named_even_if_the_rest_is_renumbered() {
    let remove = |leaves: &mut Vec<Stored>| {
        leaves.remove(7);
        renumber(leaves);
    };
    check(
        remove,
        expect!["broken at leaf 7: what is stored here was written as leaf 8; leaves were removed, inserted or reordered"],
    );
}

#[test]
fn an_inserted_leaf_is_named() {
    check(|leaves| leaves.insert(7, leaf(7, "v2")), expect!["broken at leaf 8: leaf 7 came in its place"]);
    let renumbered = |leaves: &mut Vec<Stored>| {
        leaves.insert(8, leaf(8, "v2"));
        renumber(leaves);
    };
    check(
        renumbered,
        expect!["broken at leaf 9: what is stored here was written as leaf 8; leaves were removed, inserted or reordered"],
    );
}

#[test]
fn reordered_leaves_are_named() {
    check(|leaves| leaves.swap(7, 8), expect!["broken at leaf 7: it is missing; the next one is 8"]);
    let renumbered = |leaves: &mut Vec<Stored>| {
        leaves.swap(7, 8);
        renumber(leaves);
    };
    check(
        renumbered,
        expect!["broken at leaf 7: what is stored here was written as leaf 8; leaves were removed, inserted or reordered"],
    );
}

#[test]
fn a_cut_tail_is_noticed_down_to_the_last_head() {
    check(
        |leaves| leaves.truncate(17),
        expect![
            "broken at leaf 17: the log ends after 17 leaves, but the head of 2026-03-01T12:00:18.000000Z in the log proves 18"
        ],
    );
    check(
        |leaves| leaves.truncate(3),
        expect![
            "broken at leaf 3: the log ends after 3 leaves, but the head of 2026-03-01T12:00:18.000000Z in the log proves 18"
        ],
    );
    check(
        Vec::clear,
        expect![
            "broken at leaf 0: the log ends after 0 leaves, but the head of 2026-03-01T12:00:18.000000Z in the log proves 18"
        ],
    );
}

#[test]
fn a_tail_cut_with_its_heads_is_noticed_by_a_head_kept_outside() {
    let honest = leaves(20);
    let own = heads(&key(), LOG, &honest, &[5]);
    let outside = heads(&key(), LOG, &honest, &[12]).remove(0);
    let cut = &honest[..9];
    assert!(matches!(verify(cut, of_log(own.clone())), Outcome::Verified(_)));
    let heads = of_log(own).into_iter().chain([(HeadOrigin::Outside, outside)]);
    expect!["broken at leaf 9: the log ends after 9 leaves, but the head of 2026-03-01T12:00:12.000000Z kept outside proves 12"]
        .assert_eq(&verify(cut, heads).to_string());
}

#[test]
fn bytes_that_are_no_leaf_are_named() {
    let junk = |leaves: &mut Vec<Stored>| leaves[19] = (19, b"{}".to_vec(), leaf_hash(b"{}"));
    check(junk, expect!["broken at leaf 19: what is stored here is no leaf of an evidence log"]);
}

#[test]
fn a_replaced_log_is_noticed_by_a_head_kept_outside() {
    let honest = leaves(20);
    let replaced: Vec<Stored> = (0..20).map(|seq| leaf(seq, "forged")).collect();
    let same_key = heads(&key(), LOG, &honest, &[12]).remove(0);
    let other_log = heads(&key(), "another log", &honest, &[12]).remove(0);
    let other_key = heads(&SigningKey::from_bytes(&[9; 32]), LOG, &honest, &[12]).remove(0);
    for (outside, expected) in [
        (
            same_key,
            expect![
                "broken at leaf 5: a leaf from 5 to 11 was changed, removed, inserted or reordered together with its hash; the head of 2026-03-01T12:00:12.000000Z kept outside proves it"
            ],
        ),
        (
            other_log,
            expect![
                "broken: a head kept outside is of log another log, this is log 0123456789abcdef0123456789abcdef; the log was replaced or the head belongs elsewhere"
            ],
        ),
        (
            other_key,
            expect![
                "broken: a head kept outside is signed with key dbc298251c51321b, which is not this log's; the log was replaced or the head belongs elsewhere"
            ],
        ),
    ] {
        let own = of_log(heads(&key(), LOG, &replaced, &[5, 20]));
        let heads = own.into_iter().chain([(HeadOrigin::Outside, outside)]);
        expected.assert_eq(&verify(&replaced, heads).to_string());
    }
}

#[test]
fn a_wrong_signature_is_noticed() {
    let honest = leaves(20);
    let mut forged = heads(&key(), LOG, &honest, &[12]).remove(0);
    forged.at = at(99);
    expect!["broken: the head over 12 leaves in the heads file has a wrong signature; it was changed or forged"]
        .assert_eq(&verify(&honest, [(HeadOrigin::HeadsFile, forged)]).to_string());
}

#[test]
fn heads_of_two_histories_are_noticed() {
    let one = leaves(20);
    let mut two = one.clone();
    rewrite(&mut two, 3);
    let a = heads(&key(), LOG, &one, &[12]).remove(0);
    let b = heads(&key(), LOG, &two, &[12]).remove(0);
    let heads = [(HeadOrigin::Log, a), (HeadOrigin::HeadsFile, b)];
    expect!["broken: two signed heads over 12 leaves, one in the log and one in the heads file, have different roots; the log has two histories"].assert_eq(&verify(&one, heads).to_string());
}

#[test]
fn heads_signed_anew_without_growth_are_no_fault() {
    let honest = leaves(4);
    let first = heads(&key(), LOG, &honest, &[4]).remove(0);
    let again = TreeHead::sign(&key(), LOG, 4, first.root, at(1000), None).unwrap();
    let all = [(HeadOrigin::Log, first.clone()), (HeadOrigin::HeadsFile, first), (HeadOrigin::Log, again)];
    match verify(&honest, all) {
        Outcome::Verified(verified) => {
            assert_eq!((verified.heads_checked, verified.last_head_at), (2, Some(at(1000))));
        }
        broken => panic!("{broken}"),
    }
}

/// Heads over so many leaves of an honest log of 20, each of which names the one before.
fn linked(sizes: &[u64]) -> Vec<TreeHead> {
    let mut linked: Vec<TreeHead> = Vec::new();
    for head in heads(&key(), LOG, &leaves(20), sizes) {
        let previous = linked.last().map_or_else(Previous::none, Previous::from);
        linked.push(TreeHead::sign(&key(), LOG, head.size, head.root, head.at, Some(previous)).unwrap());
    }
    linked
}

#[test]
fn a_removed_head_is_missed_by_the_next_one() {
    let honest = leaves(20);
    let all = linked(&[3, 5, 12, 20]);
    match verify(&honest, of_log(all.clone())) {
        Outcome::Verified(verified) => assert_eq!((verified.heads_checked, verified.notes), (4, vec![])),
        broken => panic!("{broken}"),
    }
    for (removed, expected) in [
        (
            0,
            expect![
                "broken: the head of 2026-03-01T12:00:05.000000Z over 5 leaves in the log follows one over 3 leaves, which is missing; it was removed"
            ],
        ),
        (
            2,
            expect![
                "broken: the head of 2026-03-01T12:00:20.000000Z over 20 leaves in the log follows one over 12 leaves, which is missing; it was removed"
            ],
        ),
    ] {
        let mut heads = all.clone();
        let gone = heads.remove(removed);
        expected.assert_eq(&verify(&honest, of_log(heads.clone())).to_string());
        let kept = of_log(heads).into_iter().chain([(HeadOrigin::Outside, gone)]);
        assert!(matches!(verify(&honest, kept), Outcome::Broken(_)), "who kept it does not put it back into the log");
    }
}

#[test]
fn a_changed_leaf_is_named_rather_than_the_head_that_was_removed_with_it() {
    let mut changed = leaves(20);
    rewrite(&mut changed, 7);
    let mut heads = linked(&[5, 12, 20]);
    heads.remove(1);
    expect!["broken at leaf 5: a leaf from 5 to 19 was changed, removed, inserted or reordered together with its hash; the head of 2026-03-01T12:00:20.000000Z in the log proves it"].assert_eq(&verify(&changed, of_log(heads)).to_string());
}

#[test]
fn heads_of_an_older_version_verify_with_a_note() {
    let honest = leaves(20);
    let mut heads = heads(&key(), LOG, &honest, &[5, 12]);
    let previous = heads.last().map(Previous::from);
    let last = linked(&[20]).remove(0);
    heads.push(TreeHead::sign(&key(), LOG, 20, last.root, at(20), previous).unwrap());
    match verify(&honest, of_log(heads.clone())) {
        Outcome::Verified(verified) => assert_eq!(verified.notes, [Note::Unlinked { heads: 2 }]),
        broken => panic!("{broken}"),
    }
    heads.remove(1);
    assert!(matches!(verify(&honest, of_log(heads)), Outcome::Broken(_)), "the first new one names the last old one");
}

#[test]
fn heads_after_a_key_change_verify_under_either_key() {
    let honest = leaves(8);
    let new = SigningKey::from_bytes(&[8; 32]);
    let all = [heads(&key(), LOG, &honest, &[4]), heads(&new, LOG, &honest, &[8])].concat();
    let trust = Trust { log_id: LOG.into(), keys: vec![key().public_key(), new.public_key()] };
    let mut verifier = Verifier::new(&trust, of_log(all));
    for (seq, bytes, hash) in &honest {
        assert!(verifier.leaf(*seq, bytes, hash).is_continue());
    }
    assert!(matches!(verifier.finish(), Outcome::Verified(verified) if verified.heads_checked == 2));
}

fn some_bundle() -> Vec<u8> {
    let leaves = leaves(6);
    bundle(&key(), &leaves, &heads(&key(), LOG, &leaves, &[0, 2, 5]))
}

#[test]
fn a_bundle_verifies_whole() {
    let outcome = verify_bundle(some_bundle().as_slice(), [], None).unwrap();
    assert!(matches!(&outcome, Outcome::Verified(verified) if verified.size == 6 && verified.heads_checked == 3), "{outcome}");
    let keys = [key().public_key()];
    assert_eq!(verify_bundle(some_bundle().as_slice(), [], Some(&keys)).unwrap(), outcome);
}

#[test]
fn a_bundle_that_brings_its_own_key_does_not_convince_those_who_know_the_true_one() {
    let keys = [SigningKey::from_bytes(&[9; 32]).public_key()];
    let outcome = verify_bundle(some_bundle().as_slice(), [], Some(&keys)).unwrap();
    expect!["broken: a head in the log is signed with key fe812c12f3ab4ce6, which is not this log's; the log was replaced or the head belongs elsewhere"].assert_eq(&outcome.to_string());
}

#[test]
fn any_single_byte_changed_anywhere_in_a_bundle_is_detected() {
    let leaves = leaves(3);
    let bytes = bundle(&key(), &leaves, &heads(&key(), LOG, &leaves, &[2]));
    for position in 0..bytes.len() {
        // Every single bit, and the bytes that change the meaning of JSON and of lines.
        let flips = (0..8).map(|bit| bytes[position] ^ (1 << bit));
        for byte in flips.chain([b' ', b'\n', b'\r', b'"', b'0', b'}', 0]).filter(|byte| *byte != bytes[position]) {
            let mut changed = bytes.clone();
            changed[position] = byte;
            let outcome = verify_bundle(changed.as_slice(), [], None).unwrap();
            assert!(matches!(outcome, Outcome::Broken(_)), "byte {position} changed to {byte:#04x}: {outcome}");
        }
    }
}

#[test]
fn a_bundle_cut_anywhere_is_detected() {
    let bytes = some_bundle();
    for cut in 0..bytes.len() {
        let outcome = verify_bundle(&bytes[..cut], [], None).unwrap();
        assert!(matches!(outcome, Outcome::Broken(_)), "cut at {cut}: {outcome}");
    }
}

#[test]
fn damage_in_a_bundle_is_named_with_its_line() {
    let text = String::from_utf8(some_bundle()).unwrap();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let without = |n: usize| lines.iter().enumerate().filter(|(i, _)| *i != n).map(|(_, line)| *line).collect::<String>();
    for (changed, expected) in [
        (String::new(), expect!["broken: bundle, line 1: the file is empty"]),
        (
            text.replacen("\"v\":1", "\"v\":2", 1),
            expect!["broken: bundle, line 1: `weir-audit-bundle` version 2, where `weir-audit-bundle` version 1 is expected"],
        ),
        (
            text.replacen("{\"format\"", "{ \"format\"", 1),
            expect!["broken: bundle, line 1: the header is not as Weir writes it; someone has edited it"],
        ),
        (
            without(2),
            expect![
                "broken: bundle, line 4: not a tree head: unknown field `hash`, expected one of `log_id`, `size`, `root`, `at`, `previous`, `key_id`, `signature` at line 1 column 7"
            ],
        ),
        (without(6), expect!["broken at leaf 2: it is missing; the next one is 3"]),
        (without(9), expect!["broken at leaf 5: bundle, line 10: the file ends after 5 of 6 leaves"]),
        (
            format!("{text}{}", lines[9]),
            expect!["broken at leaf 6: bundle, line 11: more follows after the 6 leaves that the header promises"],
        ),
    ] {
        expected.assert_eq(&verify_bundle(changed.as_bytes(), [], None).unwrap().to_string());
    }
}

proptest! {
    /// Whatever is done to one leaf before the last head, rewritten hashes included, the log does not verify, and the leaf
    /// named is never after the first one affected.
    #[test]
    fn one_rewritten_leaf_is_always_caught(size in 1u64..60, victim: prop::sample::Index, cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..5)) {
        let honest = leaves(size);
        let victim = victim.index(size as usize);
        let mut sizes: Vec<u64> = cuts.iter().map(|cut| cut.index(size as usize) as u64).chain([size]).collect();
        sizes.sort_unstable();
        let heads = heads(&key(), LOG, &honest, &sizes);
        let mut changed = honest;
        rewrite(&mut changed, victim);
        match verify(&changed, of_log(heads)) {
            Outcome::Broken(broken) => {
                let last_fitting = sizes.iter().copied().filter(|s| *s <= victim as u64).max().unwrap_or(0);
                prop_assert_eq!(broken.at, Some(last_fitting));
            }
            verified => prop_assert!(false, "{}", verified),
        }
    }
}
