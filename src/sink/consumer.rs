//! A consumer: somebody outside the run who takes frames in his own time, by a policy of his
//! own, and may hold them for as long as he likes.
//!
//! The run never waits for him. What it has no room for, by his policy, is his drop; under
//! `Block` there is room for as long as the stream has buffers, and then the stream is slowed.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde::Deserialize;

use crate::base::{Bell, Monotonic, Result, lock};
use crate::frame::{Lease, Lent, Stream};
use crate::measure::{Deliveries, Stage, Stages};

/// Times that are kept until the run takes note: more would be of a run that stands still.
const MOST_TIMES: usize = 4096;

/// What becomes of frames that there is no room for: of a consumer, or of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Overrun {
    /// There are none such: the stream waits once all its buffers are taken, and its driver drops.
    Block,
    /// What comes takes the place of what waited longest, which is dropped.
    DropOldest,
    /// What waits stays, and what comes is dropped.
    DropNewest,
}

/// How a consumer takes frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// How many frames he may have, those that wait for him included; None: as many as the
    /// stream can spare.
    pub depth: Option<usize>,
    /// What becomes of the others.
    pub on_overrun: Overrun,
}

/// What all frames of a stream have in common.
#[derive(Debug)]
pub struct Common {
    /// What the frames are.
    pub stream: Stream,
    /// How many of its buffers are lent out.
    pub lent: Lent,
    /// How many buffers the stream needs to go on.
    pub needed: usize,
    /// Whether it has as many more as were reserved for those who may hold some.
    pub has_reserve: bool,
}

impl Common {
    /// Whether the stream can go on with what is not lent out, if `more` are besides.
    pub fn can_spare(&self, more: usize) -> bool {
        let buffers = self.stream.buffers.get() as usize;
        buffers.saturating_sub(self.lent.count()) >= self.needed + more
    }
}

/// A frame's times, and its place, as this side knows them. Nanoseconds of CLOCK_MONOTONIC.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Passage {
    /// Its number in its stream, from 0.
    pub counter: u64,
    /// When the capturing side dequeued it, by that side's clock; None if it does not tell.
    pub dequeued: Option<u64>,
    /// When the receiving side had it whole.
    pub received: Option<u64>,
}

/// A frame on its way to a consumer.
#[derive(Debug, Clone)]
struct Waiting {
    lease: Lease,
    passage: Passage,
    common: Arc<Common>,
    offered: Monotonic,
}

/// A frame that a consumer has. It counts as held until it is dropped.
#[derive(Debug)]
pub struct Delivered {
    /// Its pixels.
    pub lease: Lease,
    /// Its times.
    pub passage: Passage,
    /// Frames of the stream that are missing between the one before it that this consumer
    /// took and it, by the driver's numbers.
    pub gap: u64,
    /// What it has in common with the others.
    pub common: Arc<Common>,
    /// Counts it as held.
    pub ticket: Ticket,
}

/// Counts a frame as held by its consumer until it is dropped.
#[derive(Debug)]
pub struct Ticket {
    shared: Arc<Shared>,
    number: u64,
    taken: Monotonic,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let held = self.taken.elapsed();
        let mut state = self.shared.lock();
        state.note(Stage::Held, held);
        state.held.retain(|(number, _)| *number != self.number);
    }
}

/// What there is for a consumer.
#[derive(Debug)]
pub enum Next {
    /// A frame.
    Frame(Box<Delivered>),
    /// Nothing yet.
    Nothing,
    /// Nothing any more.
    Ended,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Waiting>,
    /// The numbers of the frames that he has, and their sequence numbers.
    held: Vec<(u64, u64)>,
    counts: Deliveries,
    /// How long frames waited for him and were his, until the run takes note.
    times: Vec<(Stage, Duration)>,
    /// The sequence number of the last frame that he took.
    last: Option<u64>,
    /// What the stream's frames have in common, once one has come.
    common: Option<Arc<Common>>,
    /// Whether the stream was asked to have buffers for all that he may hold.
    is_reserved: bool,
    /// Whether nothing more comes.
    has_ended: bool,
    /// Whether he takes no more.
    is_closed: bool,
    /// Whether somebody waits: to ring for nobody would be two calls a frame.
    is_awaited: bool,
    /// Whether others may wait for the bell whenever they like.
    is_shown: bool,
    has_rung: bool,
}

impl State {
    /// Whether he may have one more buffer, if `more` are lent out besides: one of those that the
    /// stream has for him, or one that it can spare.
    fn may_have(&self, common: &Common, more: usize) -> bool {
        self.is_reserved && common.has_reserve || common.can_spare(more)
    }

    fn note(&mut self, stage: Stage, time: Duration) {
        if !self.has_ended && self.times.len() < MOST_TIMES {
            self.times.push((stage, time));
        }
    }
}

#[derive(Debug)]
struct Shared {
    terms: Terms,
    state: Mutex<State>,
    /// Readable while `State::has_rung`.
    bell: Bell,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Has the bell say what there is, for those who look at it.
    fn settle(&self, state: &mut State) {
        let is_ready = !state.queue.is_empty() || state.has_ended || state.is_closed;
        if is_ready && !state.has_rung && (state.is_awaited || state.is_shown) {
            state.has_rung = true;
            self.bell.ring();
        } else if !is_ready && state.has_rung {
            state.has_rung = false;
            self.bell.hush();
        }
    }
}

/// A consumer's end: frames are taken here, from whatever thread.
#[derive(Debug, Clone)]
pub struct Consumer(Arc<Shared>);

impl Consumer {
    /// Of these terms, with no frames yet.
    pub fn new(terms: Terms) -> Result<Self> {
        Ok(Consumer(Arc::new(Shared {
            terms,
            state: Mutex::default(),
            bell: Bell::new()?,
        })))
    }

    /// How he takes frames.
    pub fn terms(&self) -> Terms {
        self.0.terms
    }

    /// A stream is about to have buffers for all that he may hold.
    pub(super) fn reserve(&self) {
        self.0.lock().is_reserved = true;
    }

    /// The next frame, without waiting. Frames that had come before the end are given first.
    pub fn take(&self) -> Next {
        let mut state = self.0.lock();
        state.is_awaited = false;
        let Some(waiting) = state.queue.pop_front() else {
            return if state.has_ended || state.is_closed {
                Next::Ended
            } else {
                Next::Nothing
            };
        };
        let sequence = waiting.lease.frame().sequence;
        let gap = state
            .last
            .map_or(0, |last| sequence.saturating_sub(last).saturating_sub(1));
        state.last = Some(sequence);
        let number = state.counts.delivered;
        let taken = Monotonic::now();
        state.note(Stage::UntilDelivered, taken.since(waiting.offered));
        state.counts.delivered += 1;
        state.held.push((number, sequence));
        self.0.settle(&mut state);
        Next::Frame(Box::new(Delivered {
            lease: waiting.lease,
            passage: waiting.passage,
            gap,
            common: waiting.common,
            ticket: Ticket {
                shared: Arc::clone(&self.0),
                number,
                taken,
            },
        }))
    }

    /// What is readable once `take` has something, for a wait that begins now.
    pub fn bell(&self) -> BorrowedFd<'_> {
        let mut state = self.0.lock();
        state.is_awaited = true;
        self.0.settle(&mut state);
        self.0.bell.as_fd()
    }

    /// What is readable whenever `take` has something, from now on.
    pub fn show_bell(&self) -> BorrowedFd<'_> {
        let mut state = self.0.lock();
        state.is_shown = true;
        self.0.settle(&mut state);
        self.0.bell.as_fd()
    }

    /// Where his frames went so far.
    pub fn counts(&self) -> Deliveries {
        let state = self.0.lock();
        Deliveries {
            undelivered: state.counts.undelivered + state.queue.len() as u64,
            held: state.held.len() as u64,
            ..state.counts
        }
    }

    /// Whether there is nothing more to take.
    pub fn has_ended(&self) -> bool {
        let state = self.0.lock();
        state.queue.is_empty() && (state.has_ended || state.is_closed)
    }

    /// The sequence numbers of the frames that he has.
    pub fn held(&self) -> Vec<u64> {
        let state = self.0.lock();
        state.held.iter().map(|(_, sequence)| *sequence).collect()
    }

    /// Whether no frame can come before he lets go of one that he has.
    pub fn holds_all(&self) -> bool {
        let state = self.0.lock();
        let has_all_that_he_may = self
            .0
            .terms
            .depth
            .is_some_and(|most| state.held.len() >= most);
        let common = state.common.as_ref();
        // A frame that may be dropped is not his unless the stream can spare its buffer as well.
        let next = usize::from(self.0.terms.on_overrun != Overrun::Block);
        let is_awaited = has_all_that_he_may || common.is_some_and(|it| !state.may_have(it, next));
        !state.held.is_empty() && state.queue.is_empty() && is_awaited
    }

    /// He takes no more. What waits for him is undelivered.
    pub fn close(&self) {
        let left = {
            let mut state = self.0.lock();
            state.is_closed = true;
            state.counts.undelivered += state.queue.len() as u64;
            let left = std::mem::take(&mut state.queue);
            self.0.settle(&mut state);
            left
        };
        // Their buffers are given back without his lock.
        drop(left);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.0.lock().is_closed
    }

    /// Whether the stream waits for him, if it has no buffer left.
    pub(super) fn is_awaited(&self) -> bool {
        let state = self.0.lock();
        let has = !state.queue.is_empty() || !state.held.is_empty();
        self.0.terms.on_overrun == Overrun::Block && has && !state.is_closed
    }

    /// Offers him a frame.
    pub(super) fn offer(&self, lease: Lease, passage: Passage, common: &Arc<Common>) {
        let dropped = {
            let mut state = self.0.lock();
            if state.is_closed || state.has_ended {
                return;
            }
            state.counts.received += 1;
            if state.common.is_none() {
                state.common = Some(Arc::clone(common));
            }
            let has = state.queue.len() + state.held.len();
            let is_full = match self.0.terms.on_overrun {
                Overrun::Block => false,
                _ => {
                    let is_deep = self.0.terms.depth.is_some_and(|most| has >= most);
                    is_deep || !state.may_have(common, 0)
                }
            };
            let oldest = match self.0.terms.on_overrun {
                Overrun::DropOldest if is_full => state.queue.pop_front(),
                _ => None,
            };
            if is_full && oldest.is_none() {
                state.counts.drops += 1;
                return;
            }
            state.counts.drops += u64::from(oldest.is_some());
            state.queue.push_back(Waiting {
                lease,
                passage,
                common: Arc::clone(common),
                offered: Monotonic::now(),
            });
            self.0.settle(&mut state);
            oldest
        };
        drop(dropped);
    }

    /// Records how long frames waited for him and were his, since the last time.
    pub(super) fn record_times(&self, stages: &mut Stages) {
        for (stage, time) in self.0.lock().times.drain(..) {
            stages.record(stage, time);
        }
    }

    /// Nothing more comes.
    pub(super) fn end(&self) {
        let mut state = self.0.lock();
        state.has_ended = true;
        self.0.settle(&mut state);
    }
}

#[cfg(test)]
pub(super) mod tests;
