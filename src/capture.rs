//! Capture without a network: a source's frames, for whoever takes them on this machine.

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags};
use serde::Deserialize;

use crate::base::{OnStop, Result, Run, WaitsFor, Woken, settings};
use crate::frame::Lease;
use crate::measure::{FrameRecord, Ledger, Measuring};
use crate::report::account::Account;
use crate::sink::{audience::Audience, consumer::Passage};
use crate::source::{self, Input, Next, SILENT_SOURCE, Source, camera};
use crate::wire::Description;

/// What to capture.
#[derive(Debug, Clone, Deserialize)]
pub struct CaptureConfig {
    /// What to capture from.
    #[serde(rename = "device")]
    pub input: Input,
    /// What to capture.
    #[serde(flatten)]
    pub capture: camera::Capture,
    /// How long the stream is to last, from its first frame; None: for as long as it does.
    #[serde(deserialize_with = "settings::perhaps_seconds")]
    pub duration: Option<Duration>,
    /// Where to write a line a frame, if anywhere.
    #[serde(deserialize_with = "settings::path")]
    pub records: Option<PathBuf>,
    /// Bytes that it and the file before it may take; None: no limit.
    pub records_limit: Option<u64>,
}

/// Captures until `frames` have come, the source ends, or a stop. An error of kind `Stopped` if a
/// stop comes before there is a source.
pub fn capture(
    config: &CaptureConfig,
    frames: Option<NonZeroU64>,
    audience: &Audience,
    measured: &Measuring,
    run: &mut Run<'_>,
) -> Result<()> {
    measured.borrow_mut().is_capture = true;
    let records = (config.records.as_deref(), config.records_limit);
    let ledger = Ledger::open(records, measured, run)?;
    let capture = config.capture.with_more_buffers(audience.reserve());
    let source = config.input.open(&capture, run)?;
    {
        let mut measured = measured.borrow_mut();
        measured.stream = Some(source.stream().clone());
        measured.describe(Description::of(source.stream(), false, false));
    }
    let (stream, lent) = (source.stream().clone(), source.pool().lent());
    audience.begin(stream, lent, source.needed(), capture.buffers);
    let Some((mut source, started)) = source::start(source, run)? else {
        return Ok(());
    };
    let mut capturing = Capturing {
        measured,
        audience,
        ledger,
        duration: config.duration,
    };
    let result = started.and_then(|()| capturing.capture(source.as_mut(), frames, run));
    run.stream_ended();
    let torn_down = source::tear_down(source, ())?;
    let result = capturing.ledger.close(result, run);
    audience.account(measured);
    measured.borrow_mut().stages.settle();
    let result = result.and_then(|()| Account::of_capture(&measured.borrow()).check());
    source::end_with(torn_down, result, run)
}

/// A stream that is being captured.
struct Capturing<'m> {
    measured: &'m Measuring,
    audience: &'m Audience,
    ledger: Ledger<'m>,
    /// How long it is to last.
    duration: Option<Duration>,
}

impl Capturing<'_> {
    fn capture(
        &mut self,
        source: &mut dyn Source,
        frames: Option<NonZeroU64>,
        run: &mut Run<'_>,
    ) -> Result<()> {
        let mut has_failed = false;
        while frames.is_none_or(|frames| self.measured.borrow().frames < frames.get()) {
            run.tick()?;
            if run.is_stopped() {
                break;
            }
            match source.next()? {
                Next::Frame(lease) => {
                    run.last(self.duration);
                    self.take(lease, run)?;
                }
                // What is wrong is told better by `next`, where it can tell.
                Next::NotReady if has_failed => return Err(source.poll_error()),
                Next::NotReady => has_failed = wait(source, run)?,
                Next::Ended => break,
            }
        }
        Ok(())
    }

    fn take(&mut self, lease: Lease, run: &mut Run<'_>) -> Result<()> {
        let frame = lease.frame();
        let record = {
            let mut measured = self.measured.borrow_mut();
            let age = measured.captured(frame)?;
            let counter = measured.frames;
            measured.count(frame);
            FrameRecord {
                counter,
                sequence: frame.sequence,
                flags: frame.flags,
                field: frame.field,
                bytes: frame.bytes(),
                captured: age.map_or(0, |age| frame.taken.before(age).nanoseconds()),
                dequeued: frame.taken.nanoseconds(),
                ..FrameRecord::default()
            }
        };
        let passage = Passage {
            counter: record.counter,
            dequeued: Some(record.dequeued),
            received: None,
        };
        let finished = self.ledger.finish(record, run);
        self.audience.offer(lease, passage, self.measured);
        finished
    }
}

/// Waits until there may be a frame, or for a stop. Whether the source's descriptor reports an
/// error.
fn wait(source: &dyn Source, run: &mut Run<'_>) -> Result<bool> {
    let mut warn_at = Some(Instant::now() + SILENT_SOURCE);
    loop {
        let waits_for = source.waits_for();
        // Whoever holds all buffers is told so by himself.
        let is_starved = matches!(waits_for, WaitsFor::Buffer(_));
        let (polled, due) = waits_for.poll();
        let polled: Vec<PollFd<'_>> = polled.collect();
        let warn = warn_at.filter(|_| !is_starved);
        let deadline = [due, warn].into_iter().flatten().min();
        match run.wait(&polled, deadline, OnStop::End)? {
            Woken::Ready(events) => {
                let failed = PollFlags::POLLERR | PollFlags::POLLHUP | PollFlags::POLLNVAL;
                return Ok(events.iter().any(|source| source.intersects(failed)));
            }
            Woken::TimedOut if warn.is_some_and(|at| Instant::now() >= at) => {
                source::warn_of_silence();
                warn_at = None;
            }
            Woken::TimedOut | Woken::Stopped => return Ok(false),
        }
    }
}

#[cfg(test)]
mod tests;
