//! The newest frame of a stream, for somebody who looks now and then.
//!
//! While nobody looks nothing is held. While somebody does, one lease is: that of the newest frame,
//! which the next takes the place of, whether it was looked at or not.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::base::lock;
use crate::frame::Lease;
use crate::measure::Deliveries;
use crate::sink::consumer::{Common, Passage};

/// Who looks. A clone is the same one.
#[derive(Debug, Clone, Default)]
pub struct Latest(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Whether somebody looks: to find out would be a lock a frame.
    is_looking: AtomicBool,
    /// Notified of each frame.
    news: Condvar,
}

#[derive(Debug, Default)]
struct State {
    newest: Option<Look>,
    /// Whether the newest was looked at.
    is_seen: bool,
    counts: Deliveries,
    has_ended: bool,
}

/// A frame to look at.
#[derive(Debug, Clone)]
pub struct Look {
    /// Its pixels.
    pub lease: Lease,
    /// Its times.
    pub passage: Passage,
    /// What it has in common with the others.
    pub common: Arc<Common>,
}

impl Latest {
    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.0.state)
    }

    /// Somebody looks from now on, or nobody does: then nothing is held.
    pub fn look(&self, is_looking: bool) {
        self.0.is_looking.store(is_looking, Ordering::Relaxed);
        if !is_looking {
            let mut state = self.lock();
            let left = state.newest.take();
            state.counts.drops += u64::from(left.is_some() && !state.is_seen);
            drop(state);
            drop(left);
        }
    }

    /// The newest frame, if its number is another than `after`, for which it waits a time at most.
    pub fn get(&self, after: Option<u64>, patience: Duration) -> Option<Look> {
        let is_old = |state: &State| {
            let number = state.newest.as_ref().map(|it| it.passage.counter);
            number.is_none() || number == after
        };
        let waited = self
            .0
            .news
            .wait_timeout_while(self.lock(), patience, |state| {
                is_old(state) && !state.has_ended
            });
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if is_old(&state) {
            return None;
        }
        if !std::mem::replace(&mut state.is_seen, true) {
            state.counts.delivered += 1;
        }
        state.newest.clone()
    }

    /// Where the frames went that came while somebody looked.
    pub fn counts(&self) -> Deliveries {
        let state = self.lock();
        let waits = state.newest.is_some() && !state.is_seen;
        Deliveries {
            undelivered: state.counts.undelivered + u64::from(waits),
            held: u64::from(state.newest.is_some()),
            ..state.counts
        }
    }

    /// The run's side.
    pub(super) fn offer(&self, lease: &Lease, passage: Passage, common: &Arc<Common>) {
        if !self.0.is_looking.load(Ordering::Relaxed) {
            return;
        }
        let mut state = self.lock();
        state.counts.received += 1;
        if !(common.has_reserve || common.can_spare(0)) {
            state.counts.drops += 1;
            return;
        }
        let older = state.newest.replace(Look {
            lease: lease.clone(),
            passage,
            common: Arc::clone(common),
        });
        state.counts.drops += u64::from(older.is_some() && !state.is_seen);
        state.is_seen = false;
        drop(state);
        drop(older);
        self.0.news.notify_all();
    }

    /// The stream is over. The newest frame stays, for those who look at how it ended.
    pub(super) fn end(&self) {
        self.lock().has_ended = true;
        self.0.news.notify_all();
    }
}

#[cfg(test)]
mod tests;
