//! Rows between segments: split by key on one side, put together in ticket order on the other.
//!
//! Every lane ends each ticket with a packet to every lane of each segment it feeds, empty or not, and each pair of lanes has a
//! channel of its own. What a ticket brings may go ahead in parts. A lane takes packets in ticket order, and within a ticket by segment and lane;
//! it sends in ticket order, and nothing for a ticket before it has taken in all of it. So of all lanes with the smallest ticket, the first by
//! segment and number can always go on: whoever it sends to takes from it and waits for nobody else. Bounded channels cannot lock each other.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, UInt32Array},
    compute::take_record_batch,
    datatypes::SchemaRef,
    row::{RowConverter, SortField},
};
use crossbeam_channel::{Receiver, RecvTimeoutError, SendTimeoutError, Sender};
use std::time::Duration;

use super::layout::{Route, SOURCES};
use crate::{
    batch::Batch,
    error::EngineError,
    ordered::Cancel,
    state::{key_hash, lane_of},
};

/// What a lane sends to a lane of another segment for one ticket.
pub struct Packet {
    pub ticket: u64,
    pub content: Content,
}

pub enum Content {
    /// Some of a ticket's rows; more, or none, follow with its end.
    Part {
        source: usize,
        now: i64,
        pieces: Vec<(usize, Batch)>,
    },
    /// The rest of a ticket.
    Rows {
        /// The source whose chunk the ticket was.
        source: usize,
        /// The clock when the ticket was made, microseconds.
        now: i64,
        /// Edge and rows, in order.
        pieces: Vec<(usize, Batch)>,
        /// The watermark on each edge after this ticket.
        marks: Arc<[(usize, i64)]>,
    },
    Barrier {
        epoch: u64,
    },
}

/// Sends to all lanes of one segment.
pub struct Outbox {
    /// Edges to that segment.
    edges: Vec<(usize, Splitter)>,
    lanes: Vec<Sender<Packet>>,
    own_lane: usize,
    cancel: Cancel,
}

/// Finds the lane of each row of an edge.
struct Splitter {
    route: Route,
    converter: Option<RowConverter>,
}

impl Splitter {
    fn new(route: Route, schema: &SchemaRef) -> Result<Self, EngineError> {
        let converter = match &route {
            Route::Hash(columns) => {
                let fields = columns.iter().map(|&column| SortField::new(schema.field(column).data_type().clone())).collect();
                Some(RowConverter::new(fields).map_err(|e| EngineError::internal("exchange", e))?)
            }
            Route::Single | Route::Lane => None,
        };
        Ok(Self { route, converter })
    }

    /// The rows of a batch by lane.
    fn split(&self, batch: Batch, lanes: usize, own_lane: usize) -> Result<Vec<(usize, Batch)>, EngineError> {
        let failed = |e| EngineError::internal("exchange", e);
        let (columns, converter) = match (&self.route, &self.converter) {
            (Route::Hash(columns), Some(converter)) if lanes > 1 => (columns, converter),
            (Route::Lane, _) => return Ok(vec![(own_lane % lanes, batch)]),
            _ => return Ok(vec![(0, batch)]),
        };
        let keys: Vec<ArrayRef> = columns.iter().map(|&column| Arc::clone(batch.rows.column(column))).collect();
        let keys = converter.convert_columns(&keys).map_err(failed)?;
        let mut rows: Vec<Vec<u32>> = vec![Vec::with_capacity(batch.num_rows() / lanes + 16); lanes];
        for (row, key) in keys.iter().enumerate() {
            rows[lane_of(key_hash(key.as_ref()), lanes)].push(row as u32);
        }
        let taken = |rows: Vec<u32>| {
            if rows.len() == batch.num_rows() {
                return Ok(batch.clone());
            }
            let offsets = rows.iter().map(|&row| (batch.offset(row as usize) - batch.origin.first_row) as u32).collect();
            let changes = batch.changes.as_ref().map(|changes| rows.iter().map(|&row| changes[row as usize]).collect());
            let behind = batch.behind.as_ref().map(|behind| rows.iter().map(|&row| behind[row as usize]).collect());
            let rows = take_record_batch(&batch.rows, &UInt32Array::from(rows)).map_err(failed)?;
            Ok(Batch { rows, origin: Arc::clone(&batch.origin), offsets: Some(offsets), changes, behind })
        };
        rows.into_iter().enumerate().filter(|(_, rows)| !rows.is_empty()).map(|(lane, rows)| Ok((lane, taken(rows)?))).collect()
    }
}

impl Outbox {
    /// `edges` are those to the segment, each with its route and the schema of its rows; `lanes` the channels to its lanes.
    pub fn new(
        edges: impl IntoIterator<Item = (usize, Route, SchemaRef)>,
        lanes: Vec<Sender<Packet>>,
        own_lane: usize,
        cancel: Cancel,
    ) -> Result<Self, EngineError> {
        let edges = edges
            .into_iter()
            .map(|(edge, route, schema)| Ok((edge, Splitter::new(route, &schema)?)))
            .collect::<Result<_, _>>()?;
        Ok(Self { edges, lanes, own_lane, cancel })
    }

    /// Sends what a ticket brought: of `outgoing`, the rows on this outbox's edges. `marks` has the watermark of every edge.
    pub fn rows(
        &self,
        ticket: u64,
        source: usize,
        now: i64,
        outgoing: &[(usize, Batch)],
        marks: &[(usize, i64)],
    ) -> Result<(), EngineError> {
        let pieces = self.split(outgoing)?;
        let marks: Arc<[(usize, i64)]> =
            marks.iter().filter(|(edge, _)| self.edges.iter().any(|(own, _)| own == edge)).copied().collect();
        for (lane, pieces) in self.lanes.iter().zip(pieces) {
            self.send(lane, Packet { ticket, content: Content::Rows { source, now, pieces, marks: Arc::clone(&marks) } })?;
        }
        Ok(())
    }

    /// Sends some of what a ticket brings, ahead of its end.
    pub fn part(&self, ticket: u64, source: usize, now: i64, outgoing: &[(usize, Batch)]) -> Result<(), EngineError> {
        for (lane, pieces) in self.lanes.iter().zip(self.split(outgoing)?).filter(|(_, pieces)| !pieces.is_empty()) {
            self.send(lane, Packet { ticket, content: Content::Part { source, now, pieces } })?;
        }
        Ok(())
    }

    /// The rows on this outbox's edges, by lane.
    fn split(&self, outgoing: &[(usize, Batch)]) -> Result<Vec<Vec<(usize, Batch)>>, EngineError> {
        let mut pieces: Vec<Vec<(usize, Batch)>> = vec![Vec::new(); self.lanes.len()];
        for (edge, splitter) in &self.edges {
            for (_, batch) in outgoing.iter().filter(|(of, batch)| of == edge && batch.num_rows() > 0) {
                for (lane, piece) in splitter.split(batch.clone(), self.lanes.len(), self.own_lane)? {
                    pieces[lane].push((*edge, piece));
                }
            }
        }
        Ok(pieces)
    }

    pub fn barrier(&self, ticket: u64, epoch: u64) -> Result<(), EngineError> {
        self.lanes.iter().try_for_each(|lane| self.send(lane, Packet { ticket, content: Content::Barrier { epoch } }))
    }

    fn send(&self, lane: &Sender<Packet>, packet: Packet) -> Result<(), EngineError> {
        send(lane, packet, &self.cancel)
    }
}

/// Sends, and waits for room unless the run is being cancelled.
pub fn send<T>(to: &Sender<T>, message: T, cancel: &Cancel) -> Result<(), EngineError> {
    let mut message = message;
    loop {
        match to.send_timeout(message, Duration::from_millis(50)) {
            Ok(()) => return Ok(()),
            Err(SendTimeoutError::Disconnected(_)) => return Err(EngineError::Cancelled),
            Err(SendTimeoutError::Timeout(back)) => {
                if cancel.is_cancelled() {
                    return Err(EngineError::Cancelled);
                }
                message = back;
            }
        }
    }
}

/// Receives, and waits unless the run is being cancelled.
pub fn receive<T>(from: &Receiver<T>, cancel: &Cancel) -> Result<T, EngineError> {
    loop {
        match from.recv_timeout(Duration::from_millis(50)) {
            Ok(message) => return Ok(message),
            Err(RecvTimeoutError::Timeout) if !cancel.is_cancelled() => {}
            Err(_) => return Err(EngineError::Cancelled),
        }
    }
}

/// Whatever lanes send, ticket by ticket.
pub trait Ticketed {
    fn ticket(&self) -> u64;
    fn is_barrier(&self) -> bool;
    /// Whether more of the same ticket follows from the same lane.
    fn is_part(&self) -> bool;
}

impl Ticketed for Packet {
    fn ticket(&self) -> u64 {
        self.ticket
    }
    fn is_barrier(&self) -> bool {
        matches!(self.content, Content::Barrier { .. })
    }
    fn is_part(&self) -> bool {
        matches!(self.content, Content::Part { .. })
    }
}

/// Receives from the lanes of several segments, in ticket order.
pub struct Inbox<T> {
    /// Segment and its lanes' channels, in the order of the segments.
    upstream: Vec<(usize, Vec<Receiver<T>>)>,
    next: u64,
    who: &'static str,
    cancel: Cancel,
}

impl<T: Ticketed> Inbox<T> {
    pub fn new(who: &'static str, upstream: Vec<(usize, Vec<Receiver<T>>)>, cancel: Cancel) -> Self {
        Self { upstream, next: 0, who, cancel }
    }

    /// Hands on all messages of the next ticket as they come, by segment and lane: of the segment of sources from the ticket's lane, of
    /// others from each lane. A barrier comes from all lanes of all segments. Gives the ticket's number.
    pub fn next(&mut self, mut take: impl FnMut(T) -> Result<(), EngineError>) -> Result<u64, EngineError> {
        let Self { upstream, next: ticket, who, cancel } = self;
        let mut barrier = None;
        let mut all_of = |lane: &Receiver<T>| -> Result<bool, EngineError> {
            loop {
                let message = receive(lane, cancel)?;
                let (got, is_barrier, is_part) = (message.ticket(), message.is_barrier(), message.is_part());
                if got != *ticket {
                    return Err(EngineError::internal(who, format!("ticket {got} came where {ticket} was due")));
                }
                if *barrier.get_or_insert(is_barrier) != is_barrier {
                    return Err(EngineError::internal(who, "a lane is behind its barrier"));
                }
                take(message)?;
                if !is_part {
                    return Ok(is_barrier);
                }
            }
        };
        for (segment, lanes) in upstream.iter() {
            let own = (*ticket % lanes.len() as u64) as usize;
            let of_sources = *segment == SOURCES;
            if of_sources && !all_of(&lanes[own])? {
                continue;
            }
            for (_, lane) in lanes.iter().enumerate().filter(|(lane, _)| !of_sources || *lane != own) {
                all_of(lane)?;
            }
        }
        *ticket += 1;
        Ok(*ticket - 1)
    }
}
