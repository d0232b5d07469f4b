//! A stream's frames, one after the other: acknowledged, looked at, dumped, and counted.

use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags};

use super::incoming::{Arrival, Incoming, Told};
use super::outlets::Outlets;
use crate::base::{
    Error, ErrorKind, Monotonic, OnStop, Result, Run, Woken, error::failure, error::keep_first,
};
use crate::frame::{Free, Lease, Pool, Timestamp};
use crate::link::Connection;
use crate::measure::{FrameRecord, Ledger, Measuring, Resolve, Stage};
use crate::report::account::Account;
use crate::session::control::ReceiverEnd;
use crate::sink::{audience::Audience, consumer::Passage};
use crate::wire::{Description, Version, v3::Ack, v3::End, v3::Outcome};

/// How often the sender is told that whoever takes the frames keeps the stream waiting.
const BUSY: Duration = Duration::from_millis(200);

/// What a sender may be impatient about.
const PERCEPTIBLE: Duration = Duration::from_millis(200);

/// A stream that is being received.
pub(super) struct Receiving<'m> {
    pub(super) measured: &'m Measuring,
    pub(super) audience: &'m Audience,
    pub(super) pool: Pool,
    pub(super) outlets: Outlets<'m>,
    pub(super) ledger: Ledger<'m>,
    pub(super) control: Option<ReceiverEnd>,
    /// The counter that the next frame should have.
    pub(super) expected: u64,
    /// How long it is to last.
    pub(super) duration: Option<Duration>,
    /// The longest time for which whoever takes the frames had all buffers.
    pub(super) starved: Duration,
}

impl Receiving<'_> {
    pub(super) fn receive_all(
        mut self,
        connection: Connection,
        (version, description): (Version, &Description),
        frames: Option<NonZeroU64>,
        run: &mut Run<'_>,
    ) -> Result<()> {
        let incoming = Incoming {
            pool: self.pool.clone(),
            measured: self.measured,
            connection: &connection,
            version,
            description,
            life: self.control.as_ref().map(ReceiverEnd::life),
        };
        let result = self.receive_frames(&incoming, frames, run);
        run.stream_ended();
        let result = result.map_err(|error| self.blame(error));
        let result = self.finish_outlets(result, run);
        self.audience.account(self.measured);
        let is_interrupted = |error: &Error| error.kind() == ErrorKind::Interrupted;
        if result.as_ref().is_err_and(is_interrupted) {
            return result;
        }
        self.measured.borrow_mut().network = connection.network();
        let told = self.tell(&result);
        // Whoever sends sees by this that nothing more is taken.
        drop(connection);
        let finished = self.control.take().map(|control| control.finish(run));
        let (pieces, finished) = match finished.transpose() {
            Ok(pieces) => (pieces, Ok(())),
            Err(error) => (None, Err(error)),
        };
        let closed = self.ledger.close(result.and(told).and(finished), run);
        if let Some(pieces) = pieces {
            let mut measured = self.measured.borrow_mut();
            measured.resolve_one_way(pieces, Resolve::All);
        }
        closed?;
        Account::of_receiver(&self.measured.borrow()).check()
    }

    /// Says of a sender that is gone what it may have taken for silence.
    fn blame(&self, error: Error) -> Error {
        let is_gone = matches!(error.kind(), ErrorKind::Truncated | ErrorKind::PeerLost);
        if !is_gone || self.starved < PERCEPTIBLE {
            return error;
        }
        error.next(format!(
            "whoever takes the frames had all buffers for {:.1} s before that: if its \
             --peer-timeout struck, raise it, release frames sooner, or drop some",
            self.starved.as_secs_f64()
        ))
    }

    fn receive_frames(
        &mut self,
        incoming: &Incoming<'_>,
        frames: Option<NonZeroU64>,
        run: &mut Run<'_>,
    ) -> Result<()> {
        while frames.is_none_or(|frames| self.measured.borrow().frames < frames.get()) {
            run.tick()?;
            if run.is_stopped() {
                return Ok(());
            }
            let Some(free) = self.free(run)? else {
                return Ok(());
            };
            match incoming.next(free, run)? {
                Arrival::Frame(arrived) => {
                    let (lease, told) = *arrived;
                    run.last(self.duration);
                    self.take(lease, told, run)?;
                }
                Arrival::End(end) => {
                    self.measured.borrow_mut().end = end;
                    return Ok(());
                }
                Arrival::Stopped => return Ok(()),
            }
        }
        if self.control.is_some() {
            let end = incoming.end(run)?;
            self.measured.borrow_mut().end = end;
        }
        Ok(())
    }

    /// A buffer for the next frame. Where all are leased one is waited for, and the stream
    /// with it; None on a stop.
    fn free(&mut self, run: &mut Run<'_>) -> Result<Option<Free>> {
        let begun = Instant::now();
        loop {
            while let Some(record) = self.outlets.done()? {
                self.ledger.finish(record, run)?;
            }
            if let Some(free) = self.pool.take() {
                return Ok(Some(free));
            }
            let is_awaited = self.audience.is_awaited();
            let mut polled = vec![PollFd::new(self.pool.bell(), PollFlags::POLLIN)];
            polled.extend(self.outlets.poll_fds());
            let told = self.control.as_ref().filter(|_| is_awaited);
            if let Some(control) = told {
                control.busy();
            }
            let again = told.map(|_| Instant::now() + BUSY);
            if run.wait(&polled, again, OnStop::End)? == Woken::Stopped {
                return Ok(None);
            }
            if is_awaited {
                self.starved = self.starved.max(begun.elapsed());
            }
        }
    }

    fn take(&mut self, lease: Lease, told: Option<Told>, run: &mut Run<'_>) -> Result<()> {
        let complete = Monotonic::now();
        let header = told.as_ref().map(|told| &told.header);
        let frame = lease.frame();
        let mut record = FrameRecord {
            counter: self.measured.borrow().frames,
            sequence: frame.sequence,
            flags: frame.flags,
            field: frame.field,
            bytes: frame.bytes(),
            header: frame.taken.nanoseconds(),
            complete: complete.nanoseconds(),
            ..FrameRecord::default()
        };
        if let Some(header) = header {
            record.counter = header.counter;
            record.captured = header.captured;
            record.dequeued = header.dequeued;
            record.handed = header.handed;
        }
        if !self.outlets.is_wanted() {
            record.done = record.complete;
        }
        // Before anything else is done with it: the sender waits for no look and no disk.
        if let Some(control) = &self.control {
            control.acknowledge(&Ack {
                counter: record.counter,
                header: record.header,
                complete: record.complete,
                done: record.done,
            });
            let mut measured = self.measured.borrow_mut();
            if measured.one_way.is_due() {
                measured.resolve_one_way(control.take_pieces(), Resolve::Covered);
            }
        }
        let mut borrowed = self.measured.borrow_mut();
        let measured = &mut *borrowed;
        let stages = &mut measured.stages;
        stages.record(Stage::IntoBuffer, complete.since(frame.taken));
        if let Some(header) = header {
            // Numbers that go back would be another stream's; it can't be told how many
            // are missing then.
            let missing = header.counter.saturating_sub(self.expected);
            measured.missing = measured.missing.saturating_add(missing);
            self.expected = header.counter.saturating_add(1);
        }
        let checksum = header.and_then(|header| header.checksum);
        if let (Some(verified), Some(_)) = (&mut measured.verified, checksum) {
            verified.look(&lease, checksum)?;
            measured.stages.record(Stage::Verify, complete.elapsed());
        }
        if let (Some(verified), Some(told)) = (&mut measured.verified, &told) {
            verified.note(told.unwritten);
        }
        measured.saw(frame);
        measured.count(frame);
        drop(borrowed);
        let passage = Passage {
            counter: record.counter,
            dequeued: header.map(|header| header.dequeued),
            received: Some(record.complete),
        };
        let done = if self.outlets.is_wanted() {
            let timestamp = self.captured(&record);
            self.outlets.put(&lease, record, timestamp, run)
        } else {
            self.ledger.finish(record, run)
        };
        self.audience.offer(lease, passage, self.measured);
        done
    }

    /// When a frame was captured, by this machine's clock; None where that is unknown.
    fn captured(&mut self, record: &FrameRecord) -> Option<Timestamp> {
        let control = self.control.as_ref().filter(|_| record.captured != 0)?;
        let here = control.to_here(record.captured)?;
        Some(Timestamp::of_nanoseconds(here))
    }

    /// Waits until the sinks have all frames, unless nobody waits for anything any more.
    /// `result` is how the run went by then.
    fn finish_outlets(&mut self, result: Result<()>, run: &mut Run<'_>) -> Result<()> {
        let is_over =
            |error: &Error| matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::Output);
        let mut finished = Ok(());
        if !result.as_ref().is_err_and(is_over) {
            finished = self.outlets.finish(run);
        }
        // The sinks may not have the last of them, but they came.
        while let Some(record) = self.outlets.rest() {
            finished = finished.and(self.ledger.finish(record, run));
        }
        keep_first(result, finished)
    }

    /// Tells the sender what came of it, and says whether the sender failed.
    fn tell(&self, result: &Result<()>) -> Result<()> {
        let Some(control) = &self.control else {
            return Ok(());
        };
        let report = self.measured.borrow();
        control.tell(&Outcome {
            received: report.frames,
            spoiled: report.verified.as_ref().map_or(0, |it| it.spoiled),
            had_enough: result.is_ok() && report.end.is_none(),
            failure: failure(result),
        });
        match &report.end {
            Some(End { failure, .. }) if !failure.is_empty() => {
                let (what, frames) = ("receive the stream to its end", report.frames);
                let cause = format!("the sender failed after {frames} frames: {failure}");
                Err(Error::new(ErrorKind::Truncated, what).cause(cause))
            }
            _ => Ok(()),
        }
    }
}
