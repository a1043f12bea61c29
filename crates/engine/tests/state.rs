//! Keyed state against a plain map: checkpoints, restores at any parallelism, tiny memory, damage.

#![allow(clippy::unwrap_used)]

use std::{collections::BTreeMap, fs, path::Path};

use proptest::prelude::*;
use weir_engine::state::{
    KeyedState, LaneState, Settings, Slot, StateError, StateValue, codec, files_needed, garbage, key_hash, lane_of, verify,
};
use weir_vault::Key;

/// A value with heap and, now and then, a timer.
#[derive(Clone, Debug, PartialEq)]
struct Row {
    count: u64,
    text: String,
}

impl Row {
    fn new(count: u64) -> Self {
        Self { count, text: "x".repeat((count % 50) as usize) }
    }
}

impl StateValue for Row {
    fn encode(&self, out: &mut Vec<u8>) {
        codec::put_varint(out, self.count);
        codec::put_bytes(out, self.text.as_bytes());
    }
    fn decode(bytes: &[u8]) -> Result<Self, StateError> {
        let mut reader = codec::Reader::new(bytes);
        let count = reader.varint()?;
        let text = String::from_utf8(reader.bytes()?.to_vec()).map_err(|_| StateError::Malformed("not UTF-8"))?;
        reader.finish()?;
        Ok(Self { count, text })
    }
    fn heap_size(&self) -> usize {
        self.text.capacity()
    }
    fn timer(&self) -> Option<i64> {
        self.count.is_multiple_of(3).then_some(self.count as i64)
    }
}

fn settings(folder: &Path, memory_limit: Option<usize>) -> Settings {
    Settings { key: Key::from_bytes(&[7; 32]), operator: [1; 32], folder: folder.to_owned(), memory_limit }
}

type Model = BTreeMap<Vec<u8>, Row>;

fn contents(lanes: &mut [KeyedState<Row>]) -> Model {
    let mut all = Model::new();
    for lane in lanes {
        let before = all.len();
        lane.for_each(|_, key, value| assert!(all.insert(key.to_vec(), value.clone()).is_none(), "a key is there twice"))
            .unwrap();
        assert_eq!(all.len() - before, lane.len());
    }
    all
}

fn key(n: u16) -> Vec<u8> {
    format!("key-{n}-{}", "k".repeat(usize::from(n % 20))).into_bytes()
}

/// A run of several lanes over one folder.
struct Run {
    folder: tempfile::TempDir,
    lanes: Vec<KeyedState<Row>>,
    limit: Option<usize>,
    files: u32,
    /// What the last two checkpoints consist of, and what they should hold.
    checkpoints: Vec<(Vec<LaneState>, Model)>,
}

impl Run {
    fn new(lanes: usize, limit: Option<usize>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let lanes = (0..lanes).map(|lane| KeyedState::new(settings(folder.path(), limit), lane, lanes)).collect();
        Self { folder, lanes, limit, files: 0, checkpoints: Vec::new() }
    }

    fn lane(&mut self, key: &[u8]) -> &mut KeyedState<Row> {
        let lanes = self.lanes.len();
        &mut self.lanes[lane_of(key_hash(key), lanes)]
    }

    /// Takes snapshots, lets `meanwhile` change things, then writes them.
    fn checkpoint(&mut self, model: &Model, commit: bool, meanwhile: impl FnOnce(&mut Self)) {
        let snapshots: Vec<_> = self.lanes.iter_mut().map(KeyedState::snapshot).collect();
        meanwhile(self);
        self.files += 1;
        let files = self.files;
        let write = |(lane, snapshot): (usize, weir_engine::state::Snapshot<Row>)| {
            std::thread::spawn(move || snapshot.write(&format!("s{files}.{lane}.state")).unwrap()).join().unwrap()
        };
        let states: Vec<_> = snapshots.into_iter().enumerate().map(write).collect();
        if !commit {
            return;
        }
        self.checkpoints.push((states, model.clone()));
        if self.checkpoints.len() > 2 {
            let (dropped, _) = self.checkpoints.remove(0);
            let kept = self.checkpoints.iter().flat_map(|(states, _)| states);
            for file in garbage(&dropped, kept) {
                fs::remove_file(self.folder.path().join(file)).unwrap();
            }
        }
    }

    /// Restores the newest checkpoint but `back`.
    fn restore(&mut self, lanes: usize, back: usize) -> Option<Model> {
        self.checkpoints.truncate(self.checkpoints.len() - back.min(self.checkpoints.len()));
        let (states, model) = self.checkpoints.last()?;
        let states: Vec<LaneState> = serde_json::from_str(&serde_json::to_string(states).unwrap()).unwrap();
        verify(&settings(self.folder.path(), None), &states).unwrap();
        let restore = |lane| KeyedState::restore(settings(self.folder.path(), self.limit), lane, lanes, &states).unwrap();
        self.lanes = (0..lanes).map(restore).collect();
        let mut timers = Vec::new();
        for lane in &mut self.lanes {
            for (timer, slot) in lane.take_timers() {
                assert_eq!(lane.value(slot).unwrap().unwrap().timer(), Some(timer));
                timers.push((lane.key(slot).unwrap().unwrap().to_vec(), timer));
            }
        }
        timers.sort();
        let expected: Vec<_> = model.iter().filter_map(|(key, value)| Some((key.clone(), value.timer()?))).collect();
        assert_eq!(timers, expected);
        Some(model.clone())
    }
}

#[derive(Clone, Debug)]
enum Step {
    Set(u16, u64),
    Add(u16, u64),
    Remove(u16),
    Get(u16),
    /// Keys from, number.
    Many(u16, u16),
    Forget(u16),
    /// Keys changed while it is written; whether it is committed.
    Checkpoint(Vec<u16>, bool),
    /// Two barriers before the first is written.
    Overtaken,
    Restore(usize, bool),
    Rewrite,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = 0..600u16;
    let step = prop_oneof![
        6 => (key.clone(), 0..200u64).prop_map(|(key, value)| Step::Set(key, value)),
        6 => (key.clone(), 0..200u64).prop_map(|(key, value)| Step::Add(key, value)),
        6 => key.clone().prop_map(Step::Remove),
        3 => key.clone().prop_map(Step::Get),
        3 => (key.clone(), 0..300u16).prop_map(|(from, number)| Step::Many(from, number)),
        1 => (2..5u16).prop_map(Step::Forget),
        3 => (prop::collection::vec(key, 0..30), prop::bool::weighted(0.8)).prop_map(|(keys, commit)| Step::Checkpoint(keys, commit)),
        1 => Just(Step::Overtaken),
        2 => (1..6usize, prop::bool::weighted(0.2)).prop_map(|(lanes, back)| Step::Restore(lanes, back)),
        1 => Just(Step::Rewrite),
    ];
    prop::collection::vec(step, 1..60)
}

fn apply(run: &mut Run, model: &mut Model, step: Step) {
    match step {
        Step::Set(n, value) => {
            let old = run.lane(&key(n)).insert(&key(n), Row::new(value)).unwrap();
            assert_eq!(old, model.insert(key(n), Row::new(value)));
        }
        Step::Add(n, value) => {
            for row in [
                run.lane(&key(n)).get_or_insert_with(&key(n), || Row::new(value)).unwrap(),
                model.entry(key(n)).or_insert_with(|| Row::new(value)),
            ] {
                row.count += value;
                row.text.push('+');
            }
        }
        Step::Remove(n) => assert_eq!(run.lane(&key(n)).remove(&key(n)).unwrap(), model.remove(&key(n))),
        Step::Get(n) => assert_eq!(run.lane(&key(n)).get(&key(n)).unwrap(), model.get(&key(n))),
        Step::Many(from, number) => {
            let keys: Vec<_> = (from..from + number).map(key).collect();
            for lane in 0..run.lanes.len() {
                let lanes = run.lanes.len();
                let keys: Vec<_> = keys.iter().filter(|key| lane_of(key_hash(key), lanes) == lane).collect();
                let mut slots: Vec<Slot> = Vec::new();
                run.lanes[lane].resolve(keys.iter().map(|key| key.as_slice()), |n| Row::new(n as u64), &mut slots).unwrap();
                for (n, (key, slot)) in keys.into_iter().zip(slots).enumerate() {
                    assert_eq!(run.lanes[lane].key(slot).unwrap(), Some(&key[..]));
                    run.lanes[lane].value_mut(slot).unwrap().unwrap().count += 1;
                    model.entry(key.clone()).or_insert_with(|| Row::new(n as u64)).count += 1;
                }
            }
        }
        Step::Forget(n) => {
            let keep = |row: &Row| !row.count.is_multiple_of(u64::from(n));
            run.lanes.iter_mut().for_each(|lane| lane.retain(|_, row| keep(row)).unwrap());
            model.retain(|_, row| keep(row));
        }
        Step::Checkpoint(keys, commit) => {
            let at_barrier = model.clone();
            run.checkpoint(&at_barrier, commit, |run| {
                for n in keys {
                    let step = if n % 3 == 0 { Step::Remove(n) } else { Step::Add(n, 5) };
                    apply(run, model, step);
                }
            });
        }
        Step::Overtaken => {
            let at_barrier = model.clone();
            run.checkpoint(&at_barrier, false, |run| {
                apply(run, model, Step::Many(10, 50));
                run.checkpoint(&model.clone(), true, |_| ());
                apply(run, model, Step::Many(30, 50));
            });
        }
        Step::Restore(lanes, back) => {
            if let Some(restored) = run.restore(lanes, usize::from(back && run.checkpoints.len() > 1)) {
                *model = restored;
            }
        }
        Step::Rewrite => run.lanes.iter_mut().for_each(KeyedState::rewrite),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Whatever happens in whatever order, at 1 to 5 lanes, with memory for everything, for a few pages or for none.
    #[test]
    fn it_is_a_map(lanes in 1..6usize, limit in prop::option::of(prop_oneof![Just(0), 1..100_000usize]), steps in steps()) {
        let (mut run, mut model) = (Run::new(lanes, limit), Model::new());
        for step in steps {
            apply(&mut run, &mut model, step);
            let live: usize = run.lanes.iter().map(KeyedState::len).sum();
            prop_assert_eq!(live, model.len());
        }
        prop_assert_eq!(&contents(&mut run.lanes), &model);
        run.checkpoint(&model, true, |_| ());
        for lanes in 1..6 {
            run.restore(lanes, 0);
            prop_assert_eq!(&contents(&mut run.lanes), &model);
        }
    }
}

fn filled(folder: &Path, entries: u16) -> KeyedState<Row> {
    let mut state = KeyedState::new(settings(folder, None), 0, 1);
    for n in 0..entries {
        state.insert(&key(n), Row::new(n.into())).unwrap();
    }
    state
}

fn restored(folder: &Path, state: &LaneState) -> Result<Model, StateError> {
    let states = [state.clone()];
    verify(&settings(folder, None), &states)?;
    Ok(contents(&mut [KeyedState::restore(settings(folder, None), 0, 1, &states)?]))
}

#[test]
fn changes_after_the_barrier_are_not_in_the_snapshot() {
    let folder = tempfile::tempdir().unwrap();
    let mut state = filled(folder.path(), 500);
    let expected = contents(std::slice::from_mut(&mut state));
    let snapshot = state.snapshot();
    for n in 0..500 {
        match n % 3 {
            0 => state.remove(&key(n)).unwrap().map(|_| ()),
            1 => state.get_mut(&key(n)).unwrap().map(|row| row.count = 0),
            _ => state.insert(&key(n + 1000), Row::new(0)).unwrap().map(|_| ()),
        };
    }
    let written = std::thread::spawn(move || snapshot.write("a").unwrap()).join().unwrap();
    assert_eq!(restored(folder.path(), &written).unwrap(), expected);
}

#[test]
fn a_snapshot_writes_what_changed_and_nothing_if_nothing_did() {
    let folder = tempfile::tempdir().unwrap();
    let mut state = filled(folder.path(), 6400);
    let first = state.snapshot().write("a").unwrap();
    assert_eq!(state.snapshot().write("b").unwrap(), first, "nothing changed");
    assert!(!folder.path().join("b").exists());
    state.get_mut(&key(17)).unwrap().unwrap().count = 99;
    let snapshot = state.snapshot();
    assert_eq!(snapshot.changed_pages(), 1);
    let second = snapshot.write("c").unwrap();
    assert!(second.bytes < first.bytes / 20, "{} after {}", second.bytes, first.bytes);
    assert_eq!(files_needed([&second]), ["a", "c"].into());
    assert_eq!(restored(folder.path(), &second).unwrap(), contents(&mut [state]));
}

#[test]
fn a_state_that_stays_stays_in_few_files_without_much_garbage() {
    let folder = tempfile::tempdir().unwrap();
    let mut state = filled(folder.path(), 6400);
    let (mut states, mut written) = (Vec::<LaneState>::new(), 0);
    for round in 0..300u16 {
        for n in 0..20 {
            state.get_mut(&key((round * 37 + n * 331) % 6400)).unwrap().unwrap().count += 1;
        }
        let new = state.snapshot().write(&format!("f{round}")).unwrap();
        written += new.bytes;
        states.push(new);
        if let [.., dropped, one, two] = &states[..] {
            for file in garbage([dropped], [one, two]) {
                fs::remove_file(folder.path().join(file)).unwrap();
            }
        }
    }
    let bytes: u64 = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
    let (first, last) = (&states[0], &states[299]);
    assert!(last.files.len() <= 34, "{} files", last.files.len());
    assert!(bytes < 4 * first.bytes, "{bytes} bytes for a state of {}", first.bytes);
    // A fifth of the pages changes each time: what must be written is 60 times the state.
    assert!(written < 200 * first.bytes, "{written} bytes written for a state of {}", first.bytes);
    assert_eq!(restored(folder.path(), last).unwrap(), contents(&mut [state]));
}

#[test]
fn after_a_rewrite_no_old_file_is_needed() {
    let folder = tempfile::tempdir().unwrap();
    let mut state = filled(folder.path(), 640);
    state.snapshot().write("a").unwrap();
    state.remove(&key(3)).unwrap();
    state.rewrite();
    assert_eq!(files_needed([&state.snapshot().write("b").unwrap()]), ["b"].into());
}

#[test]
fn every_flipped_bit_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let written = filled(folder.path(), 20).snapshot().write("a").unwrap();
    let path = folder.path().join("a");
    let bytes = fs::read(&path).unwrap();
    for bit in 0..bytes.len() * 8 {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, changed).unwrap();
        let error = restored(folder.path(), &written).expect_err(&format!("bit {bit}"));
        assert!(error.is_damage() && error.to_string().contains("state file a is damaged"), "bit {bit}: {error}");
    }
}

#[test]
fn every_cut_is_noticed_and_so_is_a_missing_or_exchanged_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut state = filled(folder.path(), 20);
    let written = state.snapshot().write("a").unwrap();
    let path = folder.path().join("a");
    let bytes = fs::read(&path).unwrap();
    for length in 0..bytes.len() {
        fs::write(&path, &bytes[..length]).unwrap();
        let error = restored(folder.path(), &written).expect_err(&format!("cut at {length}"));
        assert!(error.is_damage(), "cut at {length}: {error}");
    }
    fs::write(&path, [&bytes[..], b"x"].concat()).unwrap();
    assert!(restored(folder.path(), &written).unwrap_err().is_damage(), "something follows");
    fs::remove_file(&path).unwrap();
    assert!(matches!(restored(folder.path(), &written), Err(StateError::Missing { .. })));
    filled(folder.path(), 20).snapshot().write("a").unwrap();
    assert!(restored(folder.path(), &written).unwrap_err().is_damage(), "another file of that name");
    fs::write(&path, &bytes).unwrap();
    assert!(restored(folder.path(), &written).is_ok());
}

#[test]
fn a_checkpoint_without_one_of_its_lanes_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let of = |lane| KeyedState::<Row>::new(settings(folder.path(), None), lane, 2).snapshot().write(&format!("l{lane}")).unwrap();
    let states = [of(0), of(1)];
    let restore = |states: &[LaneState]| KeyedState::<Row>::restore(settings(folder.path(), None), 0, 1, states).map(|_| ());
    assert!(restore(&states).is_ok());
    for wrong in [&states[..1], &states[1..], &[states[0].clone(), states[0].clone()]] {
        assert!(matches!(restore(wrong), Err(StateError::Incomplete { .. })));
    }
    assert!(restore(&[]).is_ok(), "nothing was there yet");
}

#[test]
fn another_operator_and_another_key_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let states = [filled(folder.path(), 20).snapshot().write("a").unwrap()];
    let restore = |settings: Settings| KeyedState::<Row>::restore(settings, 0, 1, &states).map(|_| ());
    let other = Settings { operator: [2; 32], ..settings(folder.path(), None) };
    assert!(matches!(restore(other), Err(StateError::OtherOperator { .. })));
    let other = Settings { key: Key::from_bytes(&[8; 32]), ..settings(folder.path(), None) };
    assert!(matches!(restore(other), Err(StateError::WrongKey { .. })));
}

#[test]
fn nothing_personal_lies_in_the_clear() {
    let folder = tempfile::tempdir().unwrap();
    let mut state = KeyedState::new(settings(folder.path(), Some(0)), 0, 1);
    for n in 0..500u16 {
        let text = format!("sentinel-value-{n}");
        state.insert(format!("sentinel-key-{n}").as_bytes(), Row { count: 0, text }).unwrap();
    }
    let written = state.snapshot().write("a").unwrap();
    let bytes = fs::read(folder.path().join(written.file)).unwrap();
    let hash = key_hash(b"sentinel-key-7").to_le_bytes();
    assert!(!bytes.windows(8).any(|window| window == b"sentinel" || window == hash));
    let names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["a"], "spill files have no names");
}

#[test]
fn memory_stays_within_its_limit() {
    let folder = tempfile::tempdir().unwrap();
    let limit = 200_000;
    let mut state = KeyedState::new(settings(folder.path(), Some(limit)), 0, 1);
    for round in 0..3u64 {
        for n in 0..6000u16 {
            *state.get_or_insert_with(&key(n), || Row::new(0)).unwrap() = Row::new(round);
            assert!(state.usage().resident < limit + 20_000);
        }
        state.snapshot().write(&format!("f{round}")).unwrap();
    }
    assert!(state.usage().evictions > 100);
    for n in 0..6000 {
        assert_eq!(state.get(&key(n)).unwrap(), Some(&Row::new(2)));
    }
}

#[test]
fn a_slot_stays_through_eviction_and_is_gone_when_removed() {
    let folder = tempfile::tempdir().unwrap();
    let mut state = KeyedState::new(settings(folder.path(), Some(0)), 0, 1);
    let (slot, new) = state.slot_or_insert(b"a", || Row::new(3)).unwrap();
    assert!(new);
    for n in 0..1000 {
        state.insert(&key(n), Row::new(0)).unwrap();
    }
    assert_eq!(state.entry(slot).unwrap(), Some((&b"a"[..], &Row::new(3))));
    assert_eq!(state.remove_slot(slot).unwrap(), Some(Row::new(3)));
    assert_eq!(state.value(slot).unwrap(), None);
    assert_eq!(state.key(slot).unwrap(), None);
    assert_eq!(state.remove_slot(slot).unwrap(), None);
}

#[test]
fn a_snapshot_that_cannot_be_written_is_made_up_for_by_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let mut state = filled(folder.path(), 300);
    assert!(matches!(state.snapshot().write("no/such/folder"), Err(StateError::Missing { .. } | StateError::Io { .. })));
    state.remove(&key(5)).unwrap();
    drop(state.snapshot());
    let written = state.snapshot().write("a").unwrap();
    assert_eq!(restored(folder.path(), &written).unwrap(), contents(&mut [state]));
}
