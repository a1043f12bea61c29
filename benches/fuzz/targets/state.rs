//! State files: one that was changed anywhere is refused, and one whose seals are good may hold anything without a panic.
#![no_main]

use std::path::Path;

// The module alone: the engine around it takes many minutes to build with coverage.
#[allow(dead_code, unused_imports)]
#[path = "../../../crates/engine/src/state/mod.rs"]
mod state;

use libfuzzer_sys::fuzz_target;
use state::{
    KeyedState, LaneState, Settings, StateValue,
    forge::{ForgedPage, forge},
    verify,
};
use weir_vault::Key;

fn settings(folder: &Path) -> Settings {
    Settings { key: Key::from_bytes(&[7; 32]), operator: [1; 32], folder: folder.to_owned(), memory_limit: Some(64 << 10) }
}

fuzz_target!(|input: &[u8]| {
    let Some((&choice, rest)) = input.split_first() else { return };
    let folder = tempfile::tempdir_in("/dev/shm").expect("a folder in memory");
    let settings = settings(folder.path());
    if choice & 1 == 0 { changed(&settings, rest) } else { forged(&settings, choice, rest) }
});

/// Some bytes, by a length before them.
fn part<'a>(input: &mut &'a [u8]) -> &'a [u8] {
    let Some((&[low, high], rest)) = input.split_first_chunk::<2>() else { return std::mem::take(input) };
    let length = usize::from(u16::from_le_bytes([low, high])).min(rest.len());
    let (part, rest) = rest.split_at(length);
    *input = rest;
    part
}

/// Written as the product does, then changed in one place or cut off.
fn changed(settings: &Settings, mut input: &[u8]) {
    let place = part(&mut input);
    let mut state = KeyedState::<Vec<u8>>::new(settings.clone(), 0, 1);
    let mut expected = std::collections::BTreeMap::new();
    while !input.is_empty() {
        let (key, value) = (part(&mut input).to_vec(), part(&mut input).to_vec());
        state.insert(&key, value.clone()).expect("the state takes it");
        expected.insert(key, value);
    }
    let written = state.snapshot().write("a.state").expect("the state can be written");
    assert_eq!(contents::<Vec<u8>>(settings, &written, 1), Some(expected.len()));
    let path = settings.folder.join("a.state");
    let mut bytes = std::fs::read(&path).expect("it is there");
    let [kind, bit, at @ ..] = place else { return };
    let at = at.iter().fold(0, |at, &byte| at << 8 | usize::from(byte)) % bytes.len();
    match kind % 3 {
        0 => bytes[at] ^= 1 << (bit % 8),
        1 => bytes.truncate(at),
        _ => bytes.insert(at, *bit),
    }
    std::fs::write(&path, &bytes).expect("a file in memory");
    assert!(verify(settings, std::slice::from_ref(&written)).is_err(), "a changed file was taken for whole");
    contents::<Vec<u8>>(settings, &written, 1);
    contents::<Vec<u8>>(settings, &written, 2);
}

/// Written by somebody who holds the key.
fn forged(settings: &Settings, choice: u8, mut input: &[u8]) {
    let index = (choice & 2 != 0).then(|| part(&mut input));
    let manifest = (choice & 4 != 0).then(|| part(&mut input));
    let mut pages = Vec::new();
    while !input.is_empty() {
        let plain = part(&mut input);
        pages.push(ForgedPage { plain, summary: (choice & 8 != 0).then(|| part(&mut input)) });
    }
    let written = forge(settings, "a.state", &pages, index, manifest).expect("the file can be written");
    let _ = verify(settings, std::slice::from_ref(&written));
    contents::<Vec<u8>>(settings, &written, 1);
    contents::<u64>(settings, &written, 1);
    contents::<Vec<u8>>(settings, &written, 3);
}

/// Restores the state in so many lanes, reads all of it, changes it and writes it again; None when something could not be read.
fn contents<V: StateValue>(settings: &Settings, written: &LaneState, lanes: usize) -> Option<usize> {
    let mut entries = 0;
    for lane in 0..lanes {
        let mut state = KeyedState::<V>::restore(settings.clone(), lane, lanes, std::slice::from_ref(written)).ok()?;
        for (_, slot) in state.take_timers() {
            state.value(slot).ok()?;
        }
        let mut keys = Vec::new();
        state.for_each(|slot, key, _| keys.push((slot, key.to_vec()))).ok()?;
        entries += keys.len();
        for (slot, key) in &keys {
            state.slot_of(key).ok()?;
            state.value_mut(*slot).ok()?;
        }
        for (_, key) in keys.iter().step_by(2) {
            state.remove(key).ok()?;
        }
        state.snapshot().write(&format!("b{lane}-{lanes}.state")).ok()?;
    }
    Some(entries)
}
