//! State that is small enough to be written in one piece.

use crate::{
    error::EngineError,
    stages::transform::operator::{Durable, OperatorContext, PendingState},
    state::{KeyedState, LaneState, StateError},
};

/// Bytes that checkpoints hold, under the empty key of a state of their own: sealed, and restored by whichever lane has that key.
pub struct Piece {
    state: KeyedState<Vec<u8>>,
    bytes: Vec<u8>,
}

const KEY: &[u8] = b"";

impl Piece {
    /// The state of this name: empty, or as of the last checkpoint.
    pub fn open(context: &OperatorContext, name: &str) -> Result<Self, EngineError> {
        let mut state = context.open::<Vec<u8>>(name)?;
        let bytes = state.get(KEY).map_err(|e| context.failed(e))?.cloned().unwrap_or_default();
        Ok(Self { state, bytes })
    }

    /// What was restored, or set since. Empty where there is nothing.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// To be called before [`Durable::snapshot`].
    pub fn set(&mut self, bytes: Vec<u8>) {
        self.bytes = bytes;
    }

    fn store(&mut self) -> Result<(), StateError> {
        // What has not changed is in the files of an earlier checkpoint already.
        if self.state.get(KEY)?.map_or(&[][..], Vec::as_slice) != self.bytes {
            self.state.insert(KEY, self.bytes.clone())?;
        }
        Ok(())
    }
}

impl Durable for Piece {
    fn snapshot(&mut self) -> Box<dyn PendingState> {
        match self.store() {
            Ok(()) => Durable::snapshot(&mut self.state),
            Err(error) => Box::new(Unsaved(error)),
        }
    }
}

/// A state that could not be taken; says so where it would be written.
struct Unsaved(StateError);

impl PendingState for Unsaved {
    fn write(self: Box<Self>, _name: &str) -> Result<LaneState, StateError> {
        Err(self.0)
    }
}
