//! Which lane owns a key: a fixed hash, 1,024 key groups, and ranges of groups for lanes.
//!
//! The hash is written into state files, so it must never change: rapidhash V3 with its default secrets, whose output is
//! specified and the same on every platform. Another hash needs another [`VERSION`](super::VERSION) of the files.

use std::ops::Range;

use rapidhash::v3::{DEFAULT_RAPID_SECRETS, rapidhash_v3_inline};

/// Key groups are the units in which state moves when the parallelism changes. No pipeline can have more lanes.
pub const KEY_GROUPS: usize = 1024;

/// The hash of a key: the same in every lane, run and version.
pub fn key_hash(key: &[u8]) -> u64 {
    rapidhash_v3_inline::<true, false, false>(key, &DEFAULT_RAPID_SECRETS)
}

/// The group of a key with this hash: its upper ten bits.
pub fn key_group(hash: u64) -> usize {
    (hash >> 54) as usize
}

/// The lane, of `lanes`, which owns a key with this hash. `lanes` is 1 to [`KEY_GROUPS`].
pub fn lane_of(hash: u64, lanes: usize) -> usize {
    key_group(hash) * lanes / KEY_GROUPS
}

/// The groups that a lane owns.
pub fn groups_of(lane: usize, lanes: usize) -> Range<usize> {
    (lane * KEY_GROUPS).div_ceil(lanes)..((lane + 1) * KEY_GROUPS).div_ceil(lanes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// State files hold these: if this fails, state written before is lost.
    #[test]
    fn the_hash_never_changes() {
        let hashes = [&b""[..], b"a", b"card-4711", &[7; 100]].map(key_hash);
        expect_test::expect![[r#"
            [
                "338dc4be2cecdae",
                "599f47df33a2e1eb",
                "ef955bfc3ef48852",
                "1b6eb8a0e648b681",
            ]
        "#]]
        .assert_debug_eq(&hashes.map(|hash| format!("{hash:x}")));
    }

    #[test]
    fn every_group_belongs_to_exactly_one_lane() {
        for lanes in (1..40).chain([KEY_GROUPS]) {
            let mut next = 0;
            for lane in 0..lanes {
                let groups = groups_of(lane, lanes);
                assert_eq!(groups.start, next);
                assert!(!groups.is_empty(), "lane {lane} of {lanes} owns nothing");
                for group in groups.clone() {
                    assert_eq!(lane_of((group as u64) << 54 | 99, lanes), lane);
                }
                next = groups.end;
            }
            assert_eq!(next, KEY_GROUPS);
        }
    }
}
