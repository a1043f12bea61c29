//! State that must see batches in input order although lanes run side by side.
//!
//! Lanes hold tickets in increasing order. [`Ordered::turn`] lets the holder of ticket `n` in only after ticket `n - 1` has
//! left, so what the state sees, and therefore what the pipeline decides, does not depend on how fast each lane is. The turn is
//! given up right after the visit: decoding, masking and encoding of neighbouring tickets still overlap.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use parking_lot::{Condvar, Mutex};

use crate::error::EngineError;

/// A flag that one failing thread raises so that none waits for ever.
#[derive(Clone, Debug, Default)]
pub struct Cancel {
    raised: Arc<AtomicBool>,
    /// Raised from further outside.
    outer: Option<Arc<AtomicBool>>,
}

impl Cancel {
    pub fn cancel(&self) {
        self.raised.store(true, Ordering::SeqCst);
    }
    pub fn is_cancelled(&self) -> bool {
        self.raised.load(Ordering::Relaxed) || self.outer.as_ref().is_some_and(|outer| outer.load(Ordering::Relaxed))
    }
    /// A flag that is raised with this one, while raising it leaves this one alone.
    pub fn inner(&self) -> Self {
        Self { raised: Arc::default(), outer: Some(Arc::clone(&self.raised)) }
    }
}

/// State entered in ticket order.
#[derive(Debug)]
pub struct Ordered<T> {
    inner: Mutex<Inner<T>>,
    advanced: Condvar,
    cancel: Cancel,
}

#[derive(Debug)]
struct Inner<T> {
    /// The ticket whose turn it is.
    next: u64,
    /// Visits the current ticket has made so far.
    visits: usize,
    /// Later tickets that will not come.
    skipped: BTreeSet<u64>,
    value: T,
}

impl<T> Ordered<T> {
    pub fn new(value: T, cancel: Cancel) -> Self {
        let inner = Inner { next: 0, visits: 0, skipped: BTreeSet::new(), value };
        Self { inner: Mutex::new(inner), advanced: Condvar::new(), cancel }
    }

    /// Waits for the ticket's turn and visits the state. After `expected` visits the turn passes on.
    pub fn turn<R>(&self, ticket: u64, expected: usize, visit: impl FnOnce(&mut T) -> R) -> Result<R, EngineError> {
        let mut inner = self.inner.lock();
        while inner.next != ticket {
            debug_assert!(inner.next < ticket, "ticket {ticket} comes after {} has passed", inner.next);
            self.advanced.wait_for(&mut inner, Duration::from_millis(50));
            if self.cancel.is_cancelled() {
                return Err(EngineError::Cancelled);
            }
        }
        let result = visit(&mut inner.value);
        inner.visits += 1;
        if inner.visits >= expected {
            inner.advance();
            drop(inner);
            self.advanced.notify_all();
        }
        Ok(result)
    }

    /// Looks at the state out of turn, for what does not depend on order.
    pub fn peek<R>(&self, look: impl FnOnce(&mut T) -> R) -> R {
        look(&mut self.inner.lock().value)
    }

    /// Says that this ticket will not visit. Does not wait.
    pub fn skip(&self, ticket: u64) {
        let mut inner = self.inner.lock();
        inner.skipped.insert(ticket);
        if inner.next == ticket {
            inner.skipped.remove(&ticket);
            inner.advance();
            drop(inner);
            self.advanced.notify_all();
        }
    }
}

impl<T> Inner<T> {
    fn advance(&mut self) {
        self.visits = 0;
        self.next += 1;
        while self.skipped.remove(&self.next) {
            self.next += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn visits_happen_in_ticket_order_whatever_the_threads_do() {
        let seen = Arc::new(Ordered::new(Vec::new(), Cancel::default()));
        let threads: Vec<_> = (0..4u64)
            .map(|lane| {
                let seen = Arc::clone(&seen);
                std::thread::spawn(move || {
                    for ticket in (0..400).filter(|t| t % 4 == lane) {
                        match ticket % 7 {
                            3 => seen.skip(ticket),
                            5 => {
                                seen.turn(ticket, 2, |seen| seen.push(ticket)).unwrap();
                                seen.turn(ticket, 2, |seen| seen.push(ticket)).unwrap();
                            }
                            _ => seen.turn(ticket, 1, |seen| seen.push(ticket)).unwrap(),
                        }
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        let expected: Vec<u64> =
            (0..400u64).filter(|t| t % 7 != 3).flat_map(|t| vec![t; if t % 7 == 5 { 2 } else { 1 }]).collect();
        seen.turn(400, 1, |seen| assert_eq!(*seen, expected)).unwrap();
    }

    #[test]
    fn a_cancelled_run_wakes_those_who_wait() {
        let cancel = Cancel::default();
        let ordered = Arc::new(Ordered::new((), cancel.clone()));
        let waiting = std::thread::spawn({
            let ordered = Arc::clone(&ordered);
            move || ordered.turn(1, 1, |()| ())
        });
        cancel.cancel();
        assert!(matches!(waiting.join().unwrap(), Err(EngineError::Cancelled)));
    }
}
