//! Consent as CSV: every line is good or named with what is wrong, however the bytes are cut into chunks.
#![no_main]

// The file alone: the service around it takes many minutes to build with coverage.
#[allow(dead_code)]
#[path = "../../../crates/service/src/consent_csv.rs"]
mod consent_csv;

use consent_csv::{ConsentCsv, check_purpose};
use libfuzzer_sys::fuzz_target;

/// What a reader says of a file, read in chunks of so many bytes.
fn read(text: &[u8], chunk: usize) -> Option<Vec<String>> {
    let mut said = Vec::new();
    let mut csv = ConsentCsv::new();
    for chunk in text.chunks(chunk).chain([&[][..]]) {
        let pushed = csv.push(chunk, |line, found| {
            said.push(match found {
                Ok(good) => {
                    let _ = check_purpose(good.purpose);
                    format!("{line} {:?} {:?} {:?} {:?} {:?}", good.subject, good.purpose, good.state, good.at, good.expires_at)
                }
                Err(bad) => format!("{line} {bad:?}"),
            });
        });
        pushed.ok()?;
    }
    Some(said)
}

fuzz_target!(|input: &[u8]| {
    let Some((&chunk, text)) = input.split_first() else { return };
    assert_eq!(read(text, text.len().max(1)), read(text, usize::from(chunk).max(1)), "what a file says depends on the chunks");
});
