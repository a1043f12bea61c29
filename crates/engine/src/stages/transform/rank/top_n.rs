//! The first rows of each partition as a changelog: a row that is pushed out is taken back.
//!
//! Rows are taken in batch by batch; of each partition the difference between its ranks before and after is put out, so that a
//! row which enters and leaves within a batch is never seen.
//!
//! | output | a rank's row changes | a rank is new | a rank is gone |
//! | --- | --- | --- | --- |
//! | with the row number, or limit 1 | `-U` old, `+U` new | `+I` | `-D` |
//! | without | `-D` of the rows that left, then `+I` of those that came | `+I` | `-D` |
//!
//! Where the input only inserts, no more than the limit is kept. Where it takes rows back, all rows of a partition are kept, since
//! any may move up. Taking back a row that is not there (any more) does nothing; it is dropped. With a time to live, a partition
//! is forgotten that long after its last row came; what was put out of it stays.

use ahash::AHashMap;
use weir_plan::operator::{Change, RankNode};

use super::ranked::{FROM_BATCH, FROM_STATE, Picked, Ranking, place, row_bytes, sort_key};
use crate::{
    batch::Batch,
    error::EngineError,
    stages::transform::{
        join::{
            encode::EncodedRows,
            output::{Arena, OUTPUT_ROWS},
            rows::{RowList, StoredRow},
            sides::{Leftover, change_of},
            timers::Timers,
        },
        operator::{Durable, Operator, OperatorContext, Output, Progress, Time},
    },
    state::{KeyedState, Slot, StateError, StateValue, codec::Reader},
};

/// In place of the time of the clock: not known, or not asked for.
const UNSTAMPED: i64 = i64::MIN;

/// What is kept of a partition.
#[derive(Clone, Debug)]
pub struct Partition {
    list: RowList,
    /// When it was last written, where there is a time to live.
    touched: i64,
}

impl Default for Partition {
    fn default() -> Self {
        Self { list: RowList::default(), touched: UNSTAMPED }
    }
}

impl StateValue for Partition {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.touched.to_le_bytes());
        self.list.encode(out);
    }

    fn decode(bytes: &[u8]) -> Result<Self, StateError> {
        let mut reader = Reader::new(bytes);
        let touched = reader.i64()?;
        let list = RowList::decode(&mut reader)?;
        reader.finish()?;
        Ok(Self { list, touched })
    }

    fn heap_size(&self) -> usize {
        self.list.heap_size()
    }

    fn timer(&self) -> Option<i64> {
        (self.touched != UNSTAMPED).then_some(self.touched)
    }
}

/// One lane of an updating rank.
pub struct TopN {
    ranking: Ranking,
    ttl: Option<i64>,
    retracts: bool,
    state: KeyedState<Partition>,
    /// One entry a partition: when it was last known to be written.
    timers: Timers,
    unstamped: Vec<Slot>,
    now: Option<i64>,
    arena: Arena,
}

/// A batch on its way into the ranks.
struct Input<'a> {
    batch: &'a Batch,
    order: EncodedRows,
    rows: EncodedRows,
}

impl TopN {
    /// Its state is empty, or as of the last checkpoint.
    pub fn new(node: &RankNode, ttl: Option<i64>, context: &OperatorContext) -> Result<Self, EngineError> {
        let mut state = context.open::<Partition>("partitions")?;
        let timers = Timers::restored(&mut state);
        let retracts = context.input_changes.first() == Some(&true);
        let ranking = Ranking::new(node, context)?;
        Ok(Self { ranking, ttl, retracts, state, timers, unstamped: Vec::new(), now: None, arena: Arena::default() })
    }

    fn failed(&self, error: StateError) -> EngineError {
        EngineError::state(&self.ranking.node, error)
    }

    /// The rows that may change ranks, by partition, partitions in the order of their first rows.
    fn groups(&mut self, input: &Input<'_>, leftover: &mut Leftover) -> Result<Vec<(Slot, Vec<u32>)>, EngineError> {
        let batch = input.batch;
        let partitions = self.ranking.partition.encode(&batch.rows).map_err(|error| self.ranking.failed(error))?;
        let mut groups: Vec<(Slot, Vec<u32>)> = Vec::new();
        let mut known: AHashMap<Slot, u32> = AHashMap::with_capacity(batch.num_rows());
        for row in 0..batch.num_rows() {
            let key = partitions.get(row);
            let slot = if change_of(batch, row).is_retraction() {
                match self.state.slot_of(key).map_err(|error| self.failed(error))? {
                    Some(slot) => slot,
                    None => {
                        leftover.dropped += 1;
                        continue;
                    }
                }
            } else {
                let (slot, new) = self.state.slot_or_insert(key, Partition::default).map_err(|error| self.failed(error))?;
                if new {
                    self.touch(slot, true)?;
                } else if !self.retracts {
                    let full = self.state.value(slot).map_err(|error| EngineError::state(&self.ranking.node, error))?;
                    let full = full.map(|partition| &partition.list).filter(|list| list.len() >= self.ranking.limit);
                    // Whatever else comes, it would not rank.
                    if full.is_some_and(|list| place(list, input.order.get(row)) >= self.ranking.limit) {
                        if self.ttl.is_some() {
                            self.touch(slot, false)?;
                        }
                        continue;
                    }
                }
                slot
            };
            let group = *known.entry(slot).or_insert_with(|| {
                groups.push((slot, Vec::new()));
                groups.len() as u32 - 1
            });
            groups[group as usize].1.push(row as u32);
        }
        Ok(groups)
    }

    /// Notes that a partition is in use.
    fn touch(&mut self, slot: Slot, new: bool) -> Result<(), EngineError> {
        if self.ttl.is_none() {
            return Ok(());
        }
        let Some(now) = self.now else {
            self.unstamped.push(slot);
            return Ok(());
        };
        if self
            .state
            .value(slot)
            .map_err(|error| EngineError::state(&self.ranking.node, error))?
            .is_some_and(|partition| partition.touched != now)
            && let Some(partition) = self.state.value_mut(slot).map_err(|error| EngineError::state(&self.ranking.node, error))?
        {
            partition.touched = now;
        }
        if new {
            self.timers.push(now, slot);
        }
        Ok(())
    }

    /// Takes rows into a partition and notes how its ranks change.
    fn update(
        &mut self,
        slot: Slot,
        rows: &[u32],
        input: &Input<'_>,
        leftover: &mut Leftover,
        picked: &mut Picked,
    ) -> Result<(), EngineError> {
        let limit = self.ranking.limit;
        let entry = self.state.value_mut(slot).map_err(|error| EngineError::state(&self.ranking.node, error))?;
        let list = &mut entry.expect("invariant: the slot was found for this batch").list;
        let before: Vec<StoredRow> = list.rows()[..list.len().min(limit)].to_vec();
        let first_new = list.next_id();
        let mut born: Vec<(u32, u32)> = Vec::new();
        for &row in rows {
            let (key, bytes) = (input.order.get(row as usize), input.rows.get(row as usize));
            if change_of(input.batch, row as usize).is_retraction() {
                match find(list, key, bytes) {
                    Some(at) => {
                        list.remove(at);
                    }
                    None => leftover.dropped += 1,
                }
                continue;
            }
            let at = place(list, key);
            if at >= limit && !self.retracts {
                continue;
            }
            born.push((list.next_id(), row));
            list.insert(at, 0, 0, key.len() as u32, [key, bytes]);
            if list.len() > limit && !self.retracts {
                list.remove(limit);
            }
        }
        let mut pick = |row: &StoredRow, rank: usize, change: Change| {
            picked.rows.push(match row.id() < first_new {
                true => (FROM_STATE, self.arena.add_once(slot, row.id(), row_bytes(list, row)) as usize),
                false => {
                    let at = born.binary_search_by_key(&row.id(), |(id, _)| *id).expect("invariant: new rows are of this batch");
                    (FROM_BATCH, born[at].1 as usize)
                }
            });
            picked.changes.push(change);
            if self.ranking.number {
                picked.numbers.push(rank as i64 + 1);
            }
        };
        let after = &list.rows()[..list.len().min(limit)];
        if self.ranking.number || limit == 1 {
            for rank in 0..before.len().max(after.len()) {
                match (before.get(rank), after.get(rank)) {
                    (Some(old), Some(new)) if old.id() != new.id() => {
                        pick(old, rank, Change::UpdateBefore);
                        pick(new, rank, Change::UpdateAfter);
                    }
                    (None, Some(new)) => pick(new, rank, Change::Insert),
                    (Some(old), None) => pick(old, rank, Change::Delete),
                    _ => {}
                }
            }
        } else {
            let ids = |rows: &[StoredRow]| {
                let mut ids: Vec<u32> = rows.iter().map(StoredRow::id).collect();
                ids.sort_unstable();
                ids
            };
            let (had, has) = (ids(&before), ids(after));
            for row in before.iter().filter(|row| has.binary_search(&row.id()).is_err()) {
                pick(row, 0, Change::Delete);
            }
            for row in after.iter().filter(|row| had.binary_search(&row.id()).is_err()) {
                pick(row, 0, Change::Insert);
            }
        }
        list.close_gaps();
        let empty = list.is_empty();
        if empty && self.ttl.is_none() {
            self.state.remove_slot(slot).map_err(|error| self.failed(error))?;
        } else {
            self.touch(slot, false)?;
        }
        Ok(())
    }

    /// Forgets partitions whose time to live is over.
    fn forget(&mut self, now: i64, ttl: i64) -> Result<(), EngineError> {
        for slot in std::mem::take(&mut self.unstamped) {
            let partition = self.state.value_mut(slot).map_err(|error| EngineError::state(&self.ranking.node, error))?;
            if let Some(partition) = partition
                && std::mem::replace(&mut partition.touched, now) == UNSTAMPED
            {
                self.timers.push(now, slot);
            }
        }
        while let Some((at, slot)) = self.timers.pop_until(now.saturating_sub(ttl)) {
            match self.state.value(slot).map_err(|error| EngineError::state(&self.ranking.node, error))? {
                Some(partition) if partition.touched > at => self.timers.push(partition.touched, slot),
                Some(_) => {
                    self.state.remove_slot(slot).map_err(|error| self.failed(error))?;
                }
                None => {}
            }
        }
        Ok(())
    }
}

/// Where a row is, the first of those that equal it.
fn find(list: &RowList, key: &[u8], bytes: &[u8]) -> Option<usize> {
    let first = list.rows().partition_point(|row| sort_key(list, row) < key);
    let equal = list.rows()[first..].iter().take_while(|row| sort_key(list, row) == key);
    equal.into_iter().position(|row| row_bytes(list, row) == bytes).map(|at| first + at)
}

impl Operator for TopN {
    fn process(&mut self, _: usize, batch: &Batch, out: &mut Output) -> Result<(), EngineError> {
        if batch.changes.is_some() && !self.retracts {
            return Err(EngineError::internal(&self.ranking.node, "changes came from an input that was to have none"));
        }
        let input = Input {
            batch,
            order: self.ranking.order.encode(&batch.rows).map_err(|error| self.ranking.failed(error))?,
            rows: self.ranking.rows.encode(&batch.rows).map_err(|error| self.ranking.failed(error))?,
        };
        let (mut leftover, mut picked) = (Leftover::default(), Picked::default());
        let groups = self.groups(&input, &mut leftover)?;
        for (slot, rows) in groups {
            self.update(slot, &rows, &input, &mut leftover, &mut picked)?;
            if picked.rows.len() >= OUTPUT_ROWS {
                self.ranking.emit(std::mem::take(&mut picked), Some(&batch.rows), &self.arena, out)?;
                self.arena.clear();
            }
        }
        self.ranking.emit(picked, Some(&batch.rows), &self.arena, out)?;
        self.arena.clear();
        leftover.settle(batch, out);
        Ok(())
    }

    fn advance(&mut self, time: Time, _: &mut Output) -> Result<Progress, EngineError> {
        // The clock of a machine may go back; time to live does not.
        let now = self.now.map_or(time.now, |before| before.max(time.now));
        self.now = Some(now);
        if let Some(ttl) = self.ttl {
            self.forget(now, ttl)?;
        }
        Ok(Progress::Done)
    }

    fn states(&mut self) -> Vec<(&'static str, &mut dyn Durable)> {
        vec![("partitions", &mut self.state)]
    }
}
