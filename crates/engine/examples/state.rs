//! Measures keyed state: one JSON line per figure.
//!
//! `cargo run --release -p weir-engine --example state -- keys [N]` inserts, updates, snapshots and restores N session keys;
//! `-- restore [MIB]` restores that much state, lazily and at once, and at another parallelism; `-- spill [N] [LIMIT_MIB]`
//! holds N keys within a limit of memory.

#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::{
    path::Path,
    time::{Duration, Instant},
};

use serde_json::json;
use weir_engine::state::{KeyedState, LaneState, Settings, StateError, StateValue, codec::Reader, key_hash, lane_of};
use weir_vault::Key;

/// What a session window with a count and a sum keeps.
#[derive(Clone)]
struct Session {
    start: i64,
    end: i64,
    count: u64,
    sum: f64,
}

impl StateValue for Session {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.start.to_le_bytes());
        out.extend_from_slice(&self.end.to_le_bytes());
        out.extend_from_slice(&self.count.to_le_bytes());
        out.extend_from_slice(&self.sum.to_le_bytes());
    }
    fn decode(bytes: &[u8]) -> Result<Self, StateError> {
        let mut reader = Reader::new(bytes);
        Ok(Self { start: reader.i64()?, end: reader.i64()?, count: reader.u64()?, sum: f64::from_le_bytes(reader.array()?) })
    }
    fn timer(&self) -> Option<i64> {
        Some(self.end)
    }
}

/// A row of a join's side, say: 180 bytes that hardly compress.
#[derive(Clone)]
struct Row(Box<[u8]>);

impl StateValue for Row {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }
    fn decode(bytes: &[u8]) -> Result<Self, StateError> {
        Ok(Self(bytes.into()))
    }
    fn heap_size(&self) -> usize {
        self.0.len() + 16
    }
}

fn settings(folder: &Path, limit: Option<usize>) -> Settings {
    Settings { key: Key::from_bytes(&[7; 32]), operator: [1; 32], folder: folder.to_owned(), memory_limit: limit }
}

fn random(seed: &mut u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed
}

/// A key as the row format makes it of one integer column.
fn key(n: u64) -> [u8; 9] {
    let mut key = [1; 9];
    key[1..].copy_from_slice(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    key
}

fn ms(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e5).round() / 100.0
}

fn rate(number: u64, time: Duration) -> u64 {
    (number as f64 / time.as_secs_f64()) as u64
}

fn memory(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) >> 10
}

fn session(n: u64) -> Session {
    Session { start: n as i64, end: n as i64 + 1000, count: 1, sum: n as f64 / 7.0 }
}

fn touch(state: &mut KeyedState<Session>, n: u64) {
    let session = state.get_or_insert_with(&key(n), || session(n)).unwrap();
    session.count += 1;
    session.sum += 0.5;
    session.end += 10;
}

fn keys(number: u64) {
    let folder = tempfile::tempdir().unwrap();
    let mut state = KeyedState::new(settings(folder.path(), None), 0, 1);
    let timed = |run: &mut dyn FnMut()| {
        let began = Instant::now();
        run();
        began.elapsed()
    };
    let mut slowest = Duration::ZERO;
    let time = timed(&mut || {
        for chunk in 0..number / 1000 {
            let began = Instant::now();
            (chunk * 1000..(chunk + 1) * 1000).for_each(|n| touch(&mut state, n));
            slowest = slowest.max(began.elapsed());
        }
    });
    let usage = state.usage();
    println!(
        "{}",
        json!({"figure": "insert", "keys": number, "per_second": rate(number, time), "slowest_thousand_ms": ms(slowest),
            "bytes_per_key": usage.memory() as u64 / number, "index_bytes_per_key": usage.index as f64 / number as f64})
    );
    let mut seed = 88_172_645_463_325_252;
    let time = timed(&mut || (0..number).for_each(|_| touch(&mut state, random(&mut seed) % number)));
    println!("{}", json!({"figure": "update, random", "per_second": rate(number, time)}));

    let mut slots = Vec::new();
    let time = timed(&mut || {
        for _ in 0..number / 8192 {
            let keys: Vec<_> = (0..8192).map(|_| key(random(&mut seed) % number)).collect();
            slots.clear();
            state.resolve(keys.iter().map(<[u8; 9]>::as_slice), |n| session(n as u64), &mut slots).unwrap();
            for &slot in &slots {
                state.value_mut(slot).unwrap().unwrap().count += 1;
            }
        }
    });
    println!("{}", json!({"figure": "update, random, in batches of 8192", "per_second": rate(number / 8192 * 8192, time)}));

    let mut last = None;
    for (round, all) in [true, true, false].into_iter().enumerate() {
        let changed = if all { number } else { number / 100 };
        (0..changed).for_each(|n| touch(&mut state, if all { n } else { random(&mut seed) % number }));
        let began = Instant::now();
        let snapshot = state.snapshot();
        let pause = began.elapsed();
        let pages = snapshot.changed_pages();
        let writing = std::thread::spawn(move || {
            let began = Instant::now();
            (snapshot.write(&format!("bench.{round}")).unwrap(), began.elapsed())
        });
        let (mut updates, mut slowest) = (0, Duration::ZERO);
        let began = Instant::now();
        while !writing.is_finished() {
            let began = Instant::now();
            (0..1000).for_each(|_| touch(&mut state, random(&mut seed) % number));
            slowest = slowest.max(began.elapsed());
            updates += 1000;
        }
        let rate_meanwhile = rate(updates, began.elapsed());
        let (written, took): (LaneState, _) = writing.join().unwrap();
        println!(
            "{}",
            json!({"figure": "snapshot", "changed_keys": changed, "changed_pages": pages, "pause_ms": ms(pause), "write_ms": ms(took), "file_mib": written.bytes >> 20,
                "files": written.files.len(), "updates_per_second_meanwhile": rate_meanwhile, "slowest_thousand_ms": ms(slowest)})
        );
        last = Some(written);
    }
    drop(state);
    restore::<Session>(folder.path(), &[last.unwrap()], &key(1));
}

fn restore<V: StateValue>(folder: &Path, states: &[LaneState], some_key: &[u8]) {
    let entries: u64 = states.iter().map(|state| state.entries).sum();
    let lanes = states.len();
    let wanted = lane_of(key_hash(some_key), lanes);
    let began = Instant::now();
    let restored: Vec<_> = std::thread::scope(|scope| {
        let lane = |lane| scope.spawn(move || KeyedState::<V>::restore(settings(folder, None), lane, lanes, states).unwrap());
        let threads: Vec<_> = (0..lanes).map(lane).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let indexed = began.elapsed();
    let mut restored = restored;
    assert!(restored[wanted].get(some_key).unwrap().is_some());
    let first = began.elapsed();
    let began = Instant::now();
    std::thread::scope(|scope| {
        for state in &mut restored {
            scope.spawn(|| state.warm(usize::MAX).unwrap());
        }
    });
    let warm = began.elapsed();
    let resident: usize = restored.iter().map(|state| state.usage().resident).sum();
    println!(
        "{}",
        json!({"figure": "restore", "lanes": lanes, "keys": entries, "resident_mib": resident >> 20, "index_ms": ms(indexed),
            "first_access_ms": ms(first), "all_pages_ms": ms(indexed + warm)})
    );
}

fn restore_figures(mib: u64) {
    let folder = tempfile::tempdir().unwrap();
    let number = (mib << 20) / 200;
    let mut seed = 88_172_645_463_325_252u64;
    let mut lanes: Vec<_> = (0..2).map(|lane| KeyedState::new(settings(folder.path(), None), lane, 2)).collect();
    for n in 0..number {
        let mut text = vec![0; 180];
        text.chunks_mut(8).for_each(|chunk| chunk.copy_from_slice(&random(&mut seed).to_le_bytes()[..chunk.len()]));
        lanes[lane_of(key_hash(&key(n)), 2)].insert(&key(n), Row(text.into())).unwrap();
    }
    let began = Instant::now();
    let states: Vec<_> =
        lanes.iter_mut().enumerate().map(|(n, lane)| lane.snapshot().write(&format!("bench.{n}")).unwrap()).collect();
    let bytes: u64 = states.iter().map(|state| state.bytes).sum();
    println!(
        "{}",
        json!({"figure": "write, one thread", "mib": bytes >> 20, "mib_per_second": ((bytes >> 20) as f64 / began.elapsed().as_secs_f64()) as u64})
    );
    drop(lanes);
    restore::<Row>(folder.path(), &states, &key(1));
    let began = Instant::now();
    std::thread::scope(|scope| {
        for lane in 0..3 {
            let (folder, states) = (folder.path(), &states);
            scope.spawn(move || KeyedState::<Row>::restore(settings(folder, None), lane, 3, states).unwrap());
        }
    });
    println!("{}", json!({"figure": "restore, 2 lanes into 3", "ms": ms(began.elapsed())}));
}

fn spill(number: u64, limit_mib: usize) {
    let folder = tempfile::tempdir().unwrap();
    let mut state = KeyedState::new(settings(folder.path(), Some(limit_mib << 20)), 0, 1);
    let report = |figure: &str, state: &KeyedState<Session>, operations: u64, began: Instant| {
        let usage = state.usage();
        println!(
            "{}",
            json!({"figure": figure, "keys": usage.entries, "per_second": rate(operations, began.elapsed()), "resident_mib": usage.resident >> 20,
                "copies_mib": usage.copies >> 20, "index_mib": usage.index >> 20, "spilled_mib": usage.spilled >> 20, "loads": usage.loads, "rss_mib": memory("VmRSS"), "peak_rss_mib": memory("VmHWM")})
        );
    };
    let began = Instant::now();
    (0..number).for_each(|n| touch(&mut state, n));
    report("spill: insert", &state, number, began);
    let mut seed = 88_172_645_463_325_252;
    for round in 0..2 {
        let began = Instant::now();
        let snapshot = state.snapshot();
        let pause = began.elapsed();
        let writing = std::thread::spawn(move || snapshot.write(&format!("bench.{round}")).unwrap());
        let (mut updates, began) = (0, Instant::now());
        while !writing.is_finished() {
            // Sessions are mostly of late: nine of ten updates go to the newest tenth.
            let n = random(&mut seed);
            let n = if n.is_multiple_of(10) { n / 10 % number } else { number - 1 - n / 10 % (number / 10) };
            touch(&mut state, n);
            updates += 1;
        }
        let written = writing.join().unwrap();
        println!(
            "{}",
            json!({"figure": "spill: snapshot", "pause_ms": ms(pause), "write_ms": ms(began.elapsed()), "file_mib": written.bytes >> 20})
        );
        report("spill: update meanwhile, skewed", &state, updates, began);
    }
    let began = Instant::now();
    (0..500_000).for_each(|_| touch(&mut state, random(&mut seed) % number));
    report("spill: update, random", &state, 500_000, began);
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |n: usize, default: u64| arguments.get(n).map_or(default, |text| text.parse().unwrap());
    match arguments.first().map(String::as_str) {
        Some("keys") => keys(number(1, 5_000_000)),
        Some("restore") => restore_figures(number(1, 1024)),
        Some("spill") => spill(number(1, 20_000_000), number(2, 1024) as usize),
        _ => println!("usage: state keys [N] | restore [MIB] | spill [N] [LIMIT_MIB]"),
    }
}
