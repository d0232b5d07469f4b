//! Frames out of a source, and which of them to give up when the network is
//! slower than it.

use std::time::{Duration, Instant};

use crate::base::{Error, Result, WaitsFor};
use crate::frame::Lease;
use crate::link::Meanwhile;
use crate::measure::Measuring;
use crate::sink::consumer::Overrun;
use crate::source::{Next, Source};

/// Frames taken in between two looks at a stop, a deadline and the network: as many
/// as a V4L2 queue has buffers, so that the freshest of a camera's is found at once.
const FRAMES_A_ROUND: u32 = 32;

/// And how long that may take: a source may make its frames while it is asked.
const ROUND: Duration = Duration::from_millis(20);

/// A source, and the frame of it that is next.
pub struct Intake<'a> {
    source: &'a mut dyn Source,
    on_overrun: Overrun,
    measured: &'a Measuring,
    waiting: Option<Taken>,
    /// Frames dropped since one was taken to be sent.
    burst: u64,
    has_ended: bool,
    /// Why it gives no more, which is to be told once the frame under way is out.
    failed: Option<Error>,
}

/// A frame out of the source.
#[derive(Debug)]
pub struct Taken {
    /// The frame.
    pub lease: Lease,
    /// How old it was when it was dequeued, if that is known.
    pub age: Option<Duration>,
}

impl<'a> Intake<'a> {
    /// Takes frames from `source`.
    pub fn new(source: &'a mut dyn Source, on_overrun: Overrun, measured: &'a Measuring) -> Self {
        Intake {
            source,
            on_overrun,
            measured,
            waiting: None,
            burst: 0,
            has_ended: false,
            failed: None,
        }
    }

    /// The frame that is next, if there is one.
    pub fn take(&mut self) -> Option<Taken> {
        let taken = self.waiting.take()?;
        let burst = std::mem::take(&mut self.burst);
        self.measured.borrow_mut().sender_drops.count(burst);
        Some(taken)
    }

    /// The run is over: what was taken in and not sent is left over.
    pub fn end(mut self) {
        let left_over = self.take().is_some();
        let mut measured = self.measured.borrow_mut();
        measured.left_over += u64::from(left_over);
        measured.sender_drops.count(self.burst);
    }

    /// Whether the frame that is next had better be taken when it can leave at
    /// once: until then a fresher one may take its place.
    pub fn may_change(&self) -> bool {
        self.waiting.is_some() && self.on_overrun == Overrun::DropOldest
    }

    /// Whether the source has given its last frame.
    pub fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// What to wait for until there may be a frame.
    pub fn waits_for(&self) -> WaitsFor<'_> {
        self.source.waits_for()
    }

    /// See `Source::poll_error`.
    pub fn poll_error(&self) -> Error {
        self.source.poll_error()
    }

    /// Takes in what the source has, a round of it at most, and drops what the
    /// policy says. A source without a pace always has another frame.
    pub fn take_in(&mut self) -> Result<()> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let begun = Instant::now();
        for _ in 0..FRAMES_A_ROUND {
            let is_full = self.waiting.is_some();
            if is_full && (self.on_overrun == Overrun::Block || begun.elapsed() >= ROUND) {
                break;
            }
            let lease = match self.source.next()? {
                Next::Frame(lease) => lease,
                Next::NotReady => return Ok(()),
                Next::Ended => {
                    self.has_ended = true;
                    return Ok(());
                }
            };
            let age = self.measured.borrow_mut().captured(lease.frame())?;
            let taken = Taken { lease, age };
            let dropped = match (self.on_overrun, self.waiting.take()) {
                (_, None) => {
                    self.waiting = Some(taken);
                    continue;
                }
                (Overrun::DropNewest, Some(waiting)) => {
                    self.waiting = Some(waiting);
                    taken
                }
                (Overrun::Block | Overrun::DropOldest, Some(waiting)) => {
                    self.waiting = Some(taken);
                    waiting
                }
            };
            self.burst += 1;
            let at = dropped.lease.frame().taken;
            let series = &mut self.measured.borrow_mut().series;
            series.count(at, |interval| interval.sender_drops += 1);
        }
        Ok(())
    }
}

impl Meanwhile for Intake<'_> {
    fn waits_for(&self) -> Option<WaitsFor<'_>> {
        let looks = self.on_overrun != Overrun::Block && self.failed.is_none();
        looks.then(|| self.source.waits_for())
    }

    fn look(&mut self) {
        if self.failed.is_some() {
            return;
        }
        if self.on_overrun != Overrun::Block {
            self.failed = self.take_in().err();
        }
    }
}

#[cfg(test)]
mod tests;
