//! Where received frames go: every frame into each sink, and its record on when all that
//! keep it are done.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use nix::poll::PollFd;

use crate::base::{Monotonic, Result, Run, error::keep_first};
use crate::frame::{Lease, Timestamp};
use crate::link::Nothing;
use crate::measure::{FrameRecord, Measuring};
use crate::sink::{Fate, Passing, Sink, Told};

/// How often what the sinks have done is noted, for those who look at the run.
const NOTE: Duration = Duration::from_millis(100);

/// The sinks of a stream.
pub(super) struct Outlets<'m> {
    measured: &'m Measuring,
    sinks: Vec<Outlet>,
    /// The frames that a sink keeps, and those after the first of them, in order.
    kept: VecDeque<Kept>,
    /// The number of the first of these, counted from the stream's beginning.
    first: u64,
    /// When what the sinks have done was noted last.
    noted: Instant,
}

struct Outlet {
    sink: Box<dyn Sink>,
    /// The frames that it keeps, in order: their numbers, and their counters, by which it tells of
    /// them.
    keeps: VecDeque<(u64, u64)>,
}

struct Kept {
    record: FrameRecord,
    /// How many sinks keep it.
    by: usize,
}

impl<'m> Outlets<'m> {
    pub(super) fn new(sinks: Vec<Box<dyn Sink>>, measured: &'m Measuring) -> Self {
        let outlet = |sink| Outlet {
            sink,
            keeps: VecDeque::new(),
        };
        Outlets {
            measured,
            sinks: sinks.into_iter().map(outlet).collect(),
            kept: VecDeque::new(),
            first: 0,
            noted: Instant::now(),
        }
    }

    /// Whether anybody wants the frames.
    pub(super) fn is_wanted(&self) -> bool {
        !self.sinks.is_empty()
    }

    /// Puts a frame into the sinks.
    pub(super) fn put(
        &mut self,
        lease: &Lease,
        mut record: FrameRecord,
        timestamp: Option<Timestamp>,
        run: &mut Run<'_>,
    ) -> Result<()> {
        let number = self.first + self.kept.len() as u64;
        let frame = Passing {
            lease,
            record: &record,
            found: None,
            timestamp,
        };
        let (mut by, mut done) = (0, 0);
        for outlet in &mut self.sinks {
            match outlet.sink.put(frame, &mut Nothing, run)? {
                Fate::Kept => {
                    outlet.keeps.push_back((number, record.counter));
                    by += 1;
                }
                Fate::Done => done = Monotonic::now().nanoseconds(),
                Fate::Dropped => {}
            }
        }
        record.done = done;
        self.kept.push_back(Kept { record, by });
        if self.noted.elapsed() >= NOTE {
            self.noted = Instant::now();
            self.note();
        }
        Ok(())
    }

    /// The record of the next frame that all are done with, if there is one.
    pub(super) fn done(&mut self) -> Result<Option<FrameRecord>> {
        for outlet in &mut self.sinks {
            while let Some(done) = outlet.sink.done()? {
                if let Some((stage, time)) = done.took {
                    self.measured.borrow_mut().stages.record(stage, time);
                }
                // Most sinks are done in the frames' order.
                let its = |(_, counter): &(u64, u64)| *counter == done.counter;
                let its = outlet.keeps.iter().position(its);
                let kept = its.and_then(|its| outlet.keeps.remove(its));
                let number = kept.map_or(self.first, |(number, _)| number);
                let place = usize::try_from(number.saturating_sub(self.first));
                let kept = place.ok().and_then(|place| self.kept.get_mut(place));
                if let Some(kept) = kept {
                    kept.let_go(done.at);
                }
            }
        }
        Ok(self.next(|kept| kept.by == 0))
    }

    fn next(&mut self, is_next: impl FnOnce(&Kept) -> bool) -> Option<FrameRecord> {
        self.kept.front().filter(|kept| is_next(kept))?;
        self.first += 1;
        self.kept.pop_front().map(|kept| kept.record)
    }

    /// What has an event once `done` may have something to tell.
    pub(super) fn poll_fds(&self) -> impl Iterator<Item = PollFd<'_>> {
        self.sinks.iter().filter_map(|outlet| outlet.sink.poll_fd())
    }

    /// Waits until the sinks have all frames.
    pub(super) fn finish(&mut self, run: &mut Run<'_>) -> Result<()> {
        let mut finished = Ok(());
        for outlet in &mut self.sinks {
            finished = keep_first(finished, outlet.sink.finish(run));
        }
        self.note();
        finished
    }

    /// Takes note of what the sinks have done.
    pub(super) fn note(&self) {
        let mut measured = self.measured.borrow_mut();
        measured.sink_drops.clear();
        for outlet in &self.sinks {
            match outlet.sink.told() {
                Told::Dropped(frames) => measured.sink_drops.push(frames),
                Told::OnDevice(device) => measured.on_device = Some(device),
                Told::OnSocket(socket) => measured.on_socket = Some(socket),
            }
        }
    }

    /// The record of the next frame, whether all were done with it or not.
    pub(super) fn rest(&mut self) -> Option<FrameRecord> {
        // What failed has been told of by now.
        self.done().ok().flatten().or_else(|| self.next(|_| true))
    }
}

impl Kept {
    fn let_go(&mut self, at: Monotonic) {
        self.by = self.by.saturating_sub(1);
        self.record.done = self.record.done.max(at.nanoseconds());
    }
}
