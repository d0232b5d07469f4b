//! The consumers of a stream: those who were there when it began, and those who join it.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::base::{Result, lock};
use crate::frame::{Lease, Lent, Stream};
use crate::measure::Measuring;
use crate::sink::consumer::{Common, Consumer, Overrun, Passage, Terms};
use crate::sink::latest::Latest;

/// Who takes the frames of a stream beside the run's own sinks. A clone is the same one.
#[derive(Debug, Clone, Default)]
pub struct Audience(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    members: Mutex<Members>,
    /// Whether there is anybody: a look at the members would be a lock a frame.
    has_members: AtomicBool,
}

#[derive(Debug, Default)]
struct Members {
    consumers: Vec<Consumer>,
    /// Who looks at the newest frame, if somebody may.
    latest: Option<Latest>,
    common: Option<Arc<Common>>,
}

impl Members {
    /// Lets those go who take no more.
    fn let_go(&mut self, measured: &Measuring) {
        self.consumers.retain(|consumer| {
            let is_closed = consumer.is_closed();
            if is_closed {
                measured.borrow_mut().consumers.push(consumer.counts());
            }
            !is_closed
        });
    }

    fn note_times(&self, measured: &Measuring) {
        let stages = &mut measured.borrow_mut().stages;
        for consumer in &self.consumers {
            consumer.record_times(stages);
        }
    }
}

impl Audience {
    /// One more consumer: of the stream that goes on, or else of the next.
    pub fn subscribe(&self, terms: Terms) -> Result<Consumer> {
        let consumer = Consumer::new(terms)?;
        let mut members = lock(&self.0.members);
        members.consumers.push(consumer.clone());
        self.0.has_members.store(true, Ordering::Relaxed);
        Ok(consumer)
    }

    /// Who looks at the newest frame of the stream that goes on, or else of the next.
    pub fn latest(&self) -> Latest {
        let mut members = lock(&self.0.members);
        self.0.has_members.store(true, Ordering::Relaxed);
        members.latest.get_or_insert_default().clone()
    }

    /// How many frames they may hold, for the buffers that a stream has beside its own. Whoever
    /// joins later gets what can be spared of those.
    pub fn reserve(&self) -> u32 {
        let members = lock(&self.0.members);
        let depths = members.consumers.iter();
        let depths = depths.map(|consumer| match consumer.terms() {
            Terms {
                depth: Some(depth), ..
            } => {
                consumer.reserve();
                depth
            }
            // He waits for nobody, and nobody for him: there must be one to spare.
            Terms {
                on_overrun: Overrun::DropOldest | Overrun::DropNewest,
                ..
            } => 1,
            Terms {
                on_overrun: Overrun::Block,
                ..
            } => 0,
        });
        let looks = usize::from(members.latest.is_some());
        u32::try_from(depths.sum::<usize>() + looks).unwrap_or(u32::MAX)
    }

    /// A stream begins: of such frames, in buffers of which it needs so many to go on; it was to
    /// have `wanted`, with those that were reserved. What its frames have in common is for other
    /// sinks as well.
    pub fn begin(
        &self,
        stream: Stream,
        lent: Lent,
        needed: usize,
        wanted: NonZeroU32,
    ) -> Arc<Common> {
        let common = Arc::new(Common {
            has_reserve: stream.buffers >= wanted,
            stream,
            lent,
            needed,
        });
        lock(&self.0.members).common = Some(Arc::clone(&common));
        common
    }

    /// Offers them a frame. Whoever offers keeps no lease of it: that its buffer is not free by
    /// a consumer's letting go is to mean that another consumer has it.
    pub fn offer(&self, lease: Lease, passage: Passage, measured: &Measuring) {
        if !self.0.has_members.load(Ordering::Relaxed) {
            return;
        }
        let mut members = lock(&self.0.members);
        let Some(common) = members.common.clone() else {
            return;
        };
        members.let_go(measured);
        if let Some(latest) = &members.latest {
            latest.offer(&lease, passage, &common);
        }
        if let Some((last, others)) = members.consumers.split_last() {
            for consumer in others {
                consumer.offer(lease.clone(), passage, &common);
            }
            last.offer(lease, passage, &common);
        }
        let is_left = !members.consumers.is_empty() || members.latest.is_some();
        self.0.has_members.store(is_left, Ordering::Relaxed);
        members.note_times(measured);
    }

    /// The run is over: notes where their frames went.
    pub fn account(&self, measured: &Measuring) {
        let members = lock(&self.0.members);
        members.note_times(measured);
        let consumers = members.consumers.iter().map(Consumer::counts);
        let looks = members.latest.iter().map(Latest::counts);
        let consumers = consumers.chain(looks.filter(|counts| counts.received > 0));
        measured.borrow_mut().consumers.extend(consumers);
    }

    /// Whether the stream waits for one of them, once it has no buffer left.
    pub fn is_awaited(&self) -> bool {
        let members = lock(&self.0.members);
        members.consumers.iter().any(Consumer::is_awaited)
    }

    /// Nothing more comes for those who are there.
    pub fn end(&self) {
        let mut members = lock(&self.0.members);
        members.common = None;
        for consumer in members.consumers.drain(..) {
            consumer.end();
        }
        if let Some(latest) = members.latest.take() {
            latest.end();
        }
        self.0.has_members.store(false, Ordering::Relaxed);
    }

    /// Ends when it is dropped, however the run does.
    pub fn ending(&self) -> Ending {
        Ending(self.clone())
    }
}

/// See `Audience::ending`.
pub struct Ending(Audience);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.end();
    }
}
