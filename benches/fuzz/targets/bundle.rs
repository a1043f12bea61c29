//! Evidence from elsewhere: bundles, tree heads and heads files are judged, whatever they hold.
#![no_main]

use libfuzzer_sys::fuzz_target;
use weir_evidence::{TreeHead, heads_file, verify_bundle};

fuzz_target!(|bytes: &[u8]| {
    let _ = verify_bundle(bytes, [], None).expect("memory is always readable");
    if let Ok(heads) = heads_file::read(bytes) {
        for head in heads.heads {
            let line = head.to_line().expect("a head that was read can be written");
            assert_eq!(TreeHead::from_line(&line).expect("what was written reads back"), head);
        }
    }
});
