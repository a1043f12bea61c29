//! How many tickets may be under way between the dispatcher and the writer.
//!
//! A barrier comes behind every ticket that is under way, so with a slow sink full channels would make checkpoints late by all that is
//! in them. By Little's law a ticket is under way for as long as the tickets before it need; the window is kept so small that this time
//! stays below a target, and as large as the channels where nothing is slow. It begins small, since nobody knows the sink yet.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// More than the channels hold.
const MOST: usize = 64;

/// The tickets under way, and how many there may be.
#[derive(Debug)]
pub struct Window {
    under_way: VecDeque<(u64, Instant)>,
    size: usize,
    /// Enough for every lane to be at work.
    least: usize,
    target: Duration,
    /// The first ticket that was sent since the size was last decided on.
    decide_at: u64,
    /// Whether the size has held back a ticket since then.
    held_back: bool,
}

impl Window {
    /// For so many lanes; a ticket is to be under way for this long at most.
    pub fn new(lanes: usize, target: Duration) -> Self {
        let least = lanes + 1;
        Self { under_way: VecDeque::new(), size: 2 * least, least, target, decide_at: 0, held_back: false }
    }

    pub fn sent(&mut self, ticket: u64, now: Instant) {
        self.under_way.push_back((ticket, now));
    }

    pub fn is_full(&mut self) -> bool {
        let full = self.under_way.len() >= self.size;
        self.held_back |= full;
        full
    }

    /// The writer has done with all tickets before `next`.
    pub fn done(&mut self, next: u64, now: Instant) {
        while let Some(&(ticket, sent)) = self.under_way.front().filter(|(ticket, _)| *ticket < next) {
            self.under_way.pop_front();
            if ticket >= self.decide_at {
                self.decide(now.saturating_duration_since(sent));
                // What is under way now was sent with the size as it was.
                self.decide_at = self.under_way.back().map_or(ticket, |(last, _)| *last) + 1;
                self.held_back = false;
            }
        }
    }

    fn decide(&mut self, took: Duration) {
        if took > self.target {
            let fitting = self.size.min(self.under_way.len() + 1) as f64 * self.target.as_secs_f64() / took.as_secs_f64();
            self.size = (fitting as usize).max(self.least);
        } else if self.held_back {
            let more = if took < self.target / 2 { self.size } else { 1 };
            self.size = (self.size + more).min(MOST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: Duration = Duration::from_millis(500);

    /// A sink that takes so long for a ticket, fed whenever the window allows it: how many tickets are under way in the end.
    fn settled(each: Duration) -> usize {
        let mut window = Window::new(2, TARGET);
        let (mut now, mut sent) = (Instant::now(), 0);
        for done in 1..500 {
            while !window.is_full() {
                window.sent(sent, now);
                sent += 1;
            }
            now += each;
            window.done(done, now);
        }
        window.under_way.len() + 1
    }

    #[test]
    fn a_fast_sink_is_fed_as_much_as_channels_hold() {
        assert_eq!(settled(Duration::from_millis(1)), MOST);
    }

    #[test]
    fn a_slow_sink_keeps_no_ticket_waiting_beyond_the_target() {
        for each in [20, 50, 100].map(Duration::from_millis) {
            let under_way = settled(each) as u32;
            assert!(each * under_way <= TARGET + 2 * each, "{under_way} tickets of {each:?}");
            assert!(each * under_way >= TARGET / 2, "{under_way} tickets of {each:?}");
        }
    }

    #[test]
    fn lanes_are_kept_at_work_however_slow_the_sink() {
        assert_eq!(settled(Duration::from_secs(2)), 3);
    }

    #[test]
    fn what_was_slow_for_a_while_is_fed_as_before_when_it_is_fast_again() {
        let mut window = Window::new(2, TARGET);
        let (mut now, mut sent) = (Instant::now(), 0);
        for done in 1..2_000 {
            while !window.is_full() {
                window.sent(sent, now);
                sent += 1;
            }
            now += Duration::from_millis(if done < 500 { 200 } else { 1 });
            window.done(done, now);
        }
        assert_eq!(window.under_way.len() + 1, MOST);
    }
}
