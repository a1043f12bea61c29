//! Quarantine segments, opened: contents are read or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use weir_vault::quarantine::{Entry, count_by_rule, decode, encode};

fuzz_target!(|input: &[u8]| {
    let Some((&choice, content)) = input.split_first() else { return };
    // As it came, or as the lines inside a whole compressed stream.
    let stored = if choice & 1 == 0 { content.to_vec() } else { zstd::bulk::compress(content, 1).expect("memory suffices") };
    if let Ok(contents) = decode(&stored) {
        let written = encode(&contents).expect("what was read can be written");
        assert_eq!(decode(&written).expect("what was written reads back").len(), contents.len());
    }
    if let Ok(text) = std::str::from_utf8(content) {
        let entries: Vec<Entry> = serde_entries(text);
        let _ = count_by_rule(&entries);
    }
});

fn serde_entries(text: &str) -> Vec<Entry> {
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}
