//! Word to others in the process of what a run has noticed, once it is committed.

use std::{fmt, sync::Arc};

use parking_lot::Mutex;

use crate::observation::Observations;

type Hear = dyn FnMut(&Observations) + Send;

/// Somebody who is told, or nobody. Clones tell the same one.
#[derive(Clone, Default)]
pub struct Listener(Arc<Mutex<Option<Box<Hear>>>>);

impl Listener {
    pub fn set(&self, hear: impl FnMut(&Observations) + Send + 'static) {
        *self.0.lock() = Some(Box::new(hear));
    }

    /// Blocks for as long as the listener takes.
    pub fn tell(&self, observations: &Observations) {
        if !observations.is_empty()
            && let Some(hear) = self.0.lock().as_mut()
        {
            hear(observations);
        }
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.lock().is_some() { "Listener(somebody)" } else { "Listener(nobody)" })
    }
}
