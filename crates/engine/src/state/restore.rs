//! Restoring a state from the files of a checkpoint: the index at once, the pages when they are needed.

use std::collections::HashMap;

use super::{
    StateError, StateValue,
    file::OpenedFile,
    hash::{groups_of, key_group},
    index::Index,
    keyed::{KeyedState, Settings, Slot},
    manifest::{LaneState, Manifest},
    page::{Page, PageSummary},
    paging::Home,
    seal::{Kind, Place, Scratch},
    stores::Origin,
};

impl<V: StateValue> KeyedState<V> {
    /// Lane `lane` of `lanes` of the state that a checkpoint holds; `states` are those of all lanes of the run that made it,
    /// whose number may differ. Reads hashes only: a page is read when one of its keys is first asked for, or by
    /// [`warm`](Self::warm). Damage to a page therefore shows later; [`verify`] tells before.
    ///
    /// Pages of which less than half belongs to this lane are read now, and their entries put into new pages.
    pub fn restore(settings: Settings, lane: usize, lanes: usize, states: &[LaneState]) -> Result<Self, StateError> {
        let mut state = Self::new(settings, lane, lanes);
        let relevant = relevant(states, &state.groups)?;
        let share = |of: &LaneState| of.entries as usize * of.lanes.div_ceil(lanes).min(lanes) / lanes;
        let estimate = if states.len() == lanes {
            relevant.iter().map(|of| of.entries as usize).sum()
        } else {
            relevant.iter().map(|of| share(of)).sum()
        };
        let mut source = Source::default();
        let (mut stores, mut split) = (HashMap::new(), Vec::new());
        let mut outcome = Ok(());
        let (settings, groups) = (state.settings.clone(), state.groups.clone());
        let ours = |hash: u64| groups.contains(&key_group(hash));
        state.index = Index::build(estimate, |builder| {
            outcome = relevant.iter().try_for_each(|of| {
                source.visit(&settings, of, |file, place, summary| {
                    let mine = summary.hashes.iter().filter(|hash| ours(**hash)).count();
                    if mine == 0 {
                        return Ok(());
                    }
                    let store = *stores.entry(file.file.name.clone()).or_insert_with(|| {
                        let foreign = (usize::from(file.header.lane), usize::from(file.header.lanes)) != (lane, lanes);
                        state.stores.add(file.file.clone(), Origin::Checkpoint { id: file.header.id, foreign }, file.bytes)
                    });
                    let home = Home { store, place };
                    if mine * 2 < summary.hashes.len() {
                        split.push(home);
                        return Ok(());
                    }
                    let number = state.frames.len();
                    state.add_frame(home);
                    for (at, hash, timer) in summary.entries().filter(|(_, hash, _)| ours(*hash)) {
                        let slot = Slot::new(number, at);
                        builder.add(hash, slot.0);
                        state.timers.extend(timer.map(|timer| (timer, slot)));
                    }
                    Ok(())
                })
            });
        });
        outcome?;
        for home in split {
            state.take_in(home)?;
        }
        stores.values().for_each(|&store| state.stores.forget_if_empty(store));
        if let ([only], true) = (&relevant[..], states.len() == lanes && state.frames.iter().all(|frame| frame.version == 0)) {
            (state.last, state.changed_in) = (Some((0, (*only).clone())), 0);
        }
        Ok(state)
    }

    /// Puts our entries of a page into pages of our own.
    fn take_in(&mut self, home: Home) -> Result<(), StateError> {
        let file = self.stores.file(home.store).clone();
        let plain = file.read(Kind::Page, home.place, &mut self.scratch)?;
        let mut page = Page::<V>::decode(plain).map_err(|error| StateError::damaged(&file.name, error.to_string()))?;
        page.keep_groups(&self.groups);
        let summary = page.summary();
        for (at, hash, timer) in summary.entries() {
            let key = page.key(at).to_vec();
            let value = page.remove(at).expect("invariant: live slots have values");
            let slot = self.insert_new(hash, &key, value)?;
            self.timers.extend(timer.map(|timer| (timer, slot)));
        }
        Ok(())
    }
}

/// Reads every page that these states need and says how many there are, or which file is damaged. Run it beside the
/// processing after a restore, and give up no earlier checkpoint before it has ended well.
pub fn verify(settings: &Settings, states: &[LaneState]) -> Result<u64, StateError> {
    let (mut source, mut scratch, mut pages) = (Source::default(), Scratch::default(), 0);
    for state in relevant(states, &groups_of(0, 1))? {
        source.visit(settings, state, |file, place, _| {
            pages += 1;
            file.file.read(Kind::Page, place, &mut scratch).map(|_| ())
        })?;
    }
    Ok(pages)
}

/// The states in which these key groups are, of a checkpoint that must be complete.
fn relevant<'a>(states: &'a [LaneState], groups: &std::ops::Range<usize>) -> Result<Vec<&'a LaneState>, StateError> {
    let lanes = states.first().map_or(0, |state| state.lanes);
    for lane in 0..lanes.max(states.len()) {
        if states.iter().filter(|state| (state.lane, state.lanes) == (lane, lanes)).count() != 1 {
            return Err(StateError::Incomplete { lane, lanes });
        }
    }
    let overlaps = |state: &&LaneState| {
        let theirs = groups_of(state.lane, state.lanes);
        theirs.start < groups.end && groups.start < theirs.end
    };
    Ok(states.iter().filter(overlaps).collect())
}

/// Files that were opened.
#[derive(Default)]
struct Source(HashMap<String, OpenedFile>);

impl Source {
    fn open(&mut self, settings: &Settings, name: &str, id: &str, bytes: u64) -> Result<&OpenedFile, StateError> {
        if !self.0.contains_key(name) {
            let file = OpenedFile::open(&settings.folder, name, &settings.key, &settings.operator)?;
            self.0.insert(name.to_owned(), file);
        }
        let file = &self.0[name];
        if file.bytes != bytes || hex::encode(file.header.id) != id {
            return Err(StateError::damaged(name, "another file has its name"));
        }
        Ok(file)
    }

    /// Visits the pages of a state.
    fn visit(
        &mut self,
        settings: &Settings,
        state: &LaneState,
        mut visit: impl FnMut(&OpenedFile, Place, &PageSummary) -> Result<(), StateError>,
    ) -> Result<(), StateError> {
        let newest = self.open(settings, &state.file, &state.id, state.bytes)?;
        let manifest = Manifest::decode(newest.manifest());
        let manifest = manifest.map_err(|error| StateError::damaged(&state.file, error.to_string()))?;
        for (name, live) in &manifest.files {
            let (name, bytes) = if name.is_empty() { (&state.file, state.bytes) } else { (name, live.bytes) };
            let file = self.open(settings, name, &hex::encode(live.id), bytes)?;
            let mut left = live.ordinals.iter().copied().peekable();
            file.pages(|place, summary| match left.next_if_eq(&place.ordinal) {
                Some(_) => visit(file, place, summary),
                None => Ok(()),
            })?;
            if let Some(ordinal) = left.next() {
                return Err(StateError::damaged(name, format!("it lacks page {ordinal}")));
            }
        }
        Ok(())
    }
}
