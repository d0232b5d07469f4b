//! A V4L2 output device: frames are queued to it from the buffers that they came in, and held
//! until it gives them back.
//!
//! The device has a thread of its own: an ioctl takes the time that the driver takes, and a copy
//! for a driver that imports nothing takes longer.

mod setup;
mod showing;

use std::sync::Arc;
use std::time::Duration;

use nix::poll::PollFd;

pub use self::setup::{OpenDevice, OutputTarget, Ready};
use self::showing::{Job, Showing};
use crate::base::{Error, ErrorKind, OnStop, Result, Run, Woken};
use crate::frame::Timestamp;
use crate::link::Meanwhile;
use crate::measure::OnDevice;
use crate::sink::consumer::{Common, Overrun};
use crate::sink::{Done, Fate, Passing, Sink, Told};

/// A device that shows frames.
pub struct OutputDevice {
    showing: Showing,
    path: String,
    on_overrun: Overrun,
    /// Frames that it may have, those that wait for it included.
    depth: usize,
    common: Arc<Common>,
    about: OnDevice,
}

impl OutputDevice {
    /// Begins to show frames of the stream that `common` tells of.
    pub fn begin(ready: Ready, common: Arc<Common>) -> Result<Self> {
        let Ready {
            device,
            queue,
            target,
            depth,
            memory,
            reason,
            field,
        } = ready;
        Ok(OutputDevice {
            path: device.path(),
            on_overrun: target.on_overrun,
            depth,
            common,
            about: OnDevice {
                memory: memory.used(),
                reason,
                shown: 0,
                failed: 0,
                drops: 0,
                left: 0,
                cpu: Duration::ZERO,
            },
            showing: Showing::start(device, queue, depth, field)?,
        })
    }
}

impl Sink for OutputDevice {
    fn put(
        &mut self,
        frame: Passing<'_>,
        _meanwhile: &mut dyn Meanwhile,
        _run: &mut Run<'_>,
    ) -> Result<Fate> {
        // Of an empty buffer drivers show the older frame that is in it.
        let is_empty = frame.lease.frame().payloads.iter().any(|it| it.length == 0);
        let may_have = self.common.has_reserve || self.common.can_spare(0);
        let is_full =
            self.on_overrun != Overrun::Block && (self.showing.has() >= self.depth || !may_have);
        let makes_room = is_full && self.on_overrun == Overrun::DropOldest;
        if is_empty || is_full && !(makes_room && self.showing.drop_oldest()) {
            self.about.drops += 1;
            return Ok(Fate::Dropped);
        }
        self.about.drops += u64::from(makes_room);
        self.showing.give(Job {
            counter: frame.record.counter,
            lease: frame.lease.clone(),
            timestamp: frame.timestamp.unwrap_or(Timestamp::of_nanoseconds(
                frame.lease.frame().taken.nanoseconds(),
            )),
        });
        Ok(Fate::Kept)
    }

    fn done(&mut self) -> Result<Option<Done>> {
        self.showing.done()
    }

    fn told(&self) -> Told {
        let counts = self.showing.counts();
        Told::OnDevice(OnDevice {
            shown: counts.shown,
            failed: counts.failed,
            left: counts.left,
            cpu: counts.cpu,
            ..self.about.clone()
        })
    }

    fn poll_fd(&self) -> Option<PollFd<'_>> {
        Some(self.showing.poll_fd())
    }

    /// Waits until the device has had the frames that wait for it. After a stop they are given up.
    fn finish(&mut self, run: &mut Run<'_>) -> Result<()> {
        self.showing.finish();
        while !self.showing.attend() {
            let on_stop = if run.is_stopped() {
                self.showing.abort();
                OnStop::Finish
            } else {
                OnStop::End
            };
            let until = run.is_stopped().then(|| self.showing.given_up());
            let news = [self.showing.poll_fd()];
            let woken = run.wait(&news, until, on_stop)?;
            if woken == Woken::TimedOut {
                return Err(
                    Error::about(ErrorKind::Device, "end the output to", &self.path)
                        .cause("a stop came, and the driver has not answered since")
                        .next("the kernel log (dmesg) may tell more"),
                );
            }
        }
        Ok(())
    }
}

impl std::fmt::Debug for OutputDevice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OutputDevice")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
