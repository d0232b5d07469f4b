//! The thread that gives an output device its frames, and takes them back.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags};
use nix::time::{ClockId, clock_gettime};

use crate::base::{Bell, Error, Monotonic, Result, lock, poll_until, spawn};
use crate::frame::{Lease, Timestamp, field};
use crate::measure::Stage;
use crate::sink::Done;
use crate::v4l2::output_queue::{NotQueued, OutputQueue, Returned};
use crate::v4l2::{Sent, device::Device, queue::Driver, queue::QueueError};

/// How long the device may keep its last frames once no other follows: drivers keep what they
/// show until then.
const QUIET: Duration = Duration::from_millis(250);
/// How long frames may wait for a device that gives none back.
const STUCK: Duration = Duration::from_secs(5);
/// How long the driver may take to answer after a stop.
const GIVEN_UP: Duration = Duration::from_secs(2);
/// How long to leave a device alone that says that it is ready and has nothing.
const AGAIN: Duration = Duration::from_millis(2);

/// A frame to be shown.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) counter: u64,
    pub(super) lease: Lease,
    /// When it was captured, by this machine's CLOCK_MONOTONIC.
    pub(super) timestamp: Timestamp,
}

/// What became of frames.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    /// The device gave them back.
    pub(super) shown: u64,
    /// It gave them back and says that they failed.
    pub(super) failed: u64,
    /// They waited for it, or it had them, when it was stopped.
    pub(super) left: u64,
    /// What the thread took of a CPU.
    pub(super) cpu: Duration,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Rings at the thread.
    wake: Bell,
    /// Rings at the run.
    news: Bell,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Job>,
    /// How many the driver has.
    queued: usize,
    done: VecDeque<Done>,
    counts: Counts,
    failure: Option<Error>,
    /// No frame follows.
    is_finishing: bool,
    /// To be left off at once.
    is_aborted: Option<Instant>,
    has_ended: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// The thread.
#[derive(Debug)]
pub(super) struct Showing(Arc<Shared>);

impl Showing {
    /// Starts it.
    pub(super) fn start(
        device: Arc<Device>,
        queue: OutputQueue<Device, Queued>,
        depth: usize,
        field: u32,
    ) -> Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            wake: Bell::new()?,
            news: Bell::new()?,
        });
        let own = Arc::clone(&shared);
        let thread = Thread {
            shared: Arc::clone(&shared),
            device,
            queue,
            // One waits outside of the driver, where a newer one can take its place.
            most: depth.saturating_sub(1).max(1),
            field,
            has_started: false,
            last_back: Instant::now(),
        };
        spawn("device", move || {
            let ended = thread.run();
            let mut state = own.lock();
            state.has_ended = true;
            state.failure = ended.err();
            // Whoever still waits for one of them is not to wait any more.
            state.counts.left += state.waiting.len() as u64;
            state.waiting.clear();
            state.counts.cpu = thread_time();
            own.news.ring();
        })?;
        Ok(Showing(shared))
    }

    /// How many frames it has.
    pub(super) fn has(&self) -> usize {
        let state = self.0.lock();
        state.waiting.len() + state.queued
    }

    /// Drops the frame that has waited longest; whether one did.
    pub(super) fn drop_oldest(&self) -> bool {
        let mut state = self.0.lock();
        let Some(oldest) = state.waiting.pop_front() else {
            return false;
        };
        state.done.push_back(Done {
            counter: oldest.counter,
            at: Monotonic::now(),
            took: None,
        });
        true
    }

    pub(super) fn give(&self, job: Job) {
        let mut state = self.0.lock();
        if state.has_ended {
            state.counts.left += 1;
            state.done.push_back(Done {
                counter: job.counter,
                at: Monotonic::now(),
                took: None,
            });
        } else {
            state.waiting.push_back(job);
        }
        drop(state);
        self.0.wake.ring();
    }

    pub(super) fn done(&self) -> Result<Option<Done>> {
        self.0.news.hush();
        let mut state = self.0.lock();
        match state.done.pop_front() {
            Some(done) => Ok(Some(done)),
            None => state.failure.take().map_or(Ok(None), Err),
        }
    }

    pub(super) fn counts(&self) -> Counts {
        self.0.lock().counts
    }

    pub(super) fn poll_fd(&self) -> PollFd<'_> {
        self.0.news.poll_fd()
    }

    /// No frame follows.
    pub(super) fn finish(&self) {
        self.0.lock().is_finishing = true;
        self.0.wake.ring();
    }

    /// Whether the thread has ended. `poll_fd` waits for what comes from now on.
    pub(super) fn attend(&self) -> bool {
        self.0.news.hush();
        self.0.lock().has_ended
    }

    /// Has it leave off.
    pub(super) fn abort(&self) {
        self.0.lock().is_aborted.get_or_insert_with(Instant::now);
        self.0.wake.ring();
    }

    /// Until when the driver may take to answer.
    pub(super) fn given_up(&self) -> Instant {
        let since = self.0.lock().is_aborted;
        since.unwrap_or_else(Instant::now) + GIVEN_UP
    }
}

impl Drop for Showing {
    /// The thread goes by itself once the kernel lets it go: all that it uses is its own.
    fn drop(&mut self) {
        self.abort();
    }
}

/// What goes with a frame that the driver has.
#[derive(Debug, Clone, Copy)]
pub struct Queued {
    counter: u64,
    at: Monotonic,
}

struct Thread {
    shared: Arc<Shared>,
    device: Arc<Device>,
    queue: OutputQueue<Device, Queued>,
    /// Frames that the driver gets at a time.
    most: usize,
    /// The stream's, of frames that don't tell theirs.
    field: u32,
    has_started: bool,
    /// When a frame came back last.
    last_back: Instant,
}

impl Thread {
    fn run(mut self) -> Result<()> {
        let mut is_false_alarm = false;
        loop {
            self.shared.wake.hush();
            self.give_all()?;
            let back = self.take_back()?;
            let due = match self.ends_at() {
                Some(at) if at <= Instant::now() => return self.stop(),
                due => due,
            };
            if back == 0 {
                is_false_alarm = self.wait(due, is_false_alarm);
            }
        }
    }

    /// When it is over if nothing happens until then; None: there is more to wait for.
    fn ends_at(&self) -> Option<Instant> {
        let state = self.shared.lock();
        if state.is_aborted.is_some() {
            return Some(Instant::now());
        }
        let patience = match (state.is_finishing, state.waiting.is_empty()) {
            (false, _) => return None,
            (true, true) if state.queued == 0 => Duration::ZERO,
            (true, true) => QUIET,
            (true, false) => STUCK,
        };
        Some(self.last_back + patience)
    }

    /// Gives the driver what waits, as much as it is to have.
    fn give_all(&mut self) -> Result<()> {
        while self.queue.queued() < self.most {
            let job = {
                let mut state = self.shared.lock();
                if state.is_aborted.is_some() {
                    return Ok(());
                }
                let job = state.waiting.pop_front();
                // It is one of the driver's before it is none that waits.
                state.queued += usize::from(job.is_some());
                job
            };
            let Some(job) = job else { return Ok(()) };
            self.give(job)?;
        }
        Ok(())
    }

    fn give(&mut self, job: Job) -> Result<()> {
        let with = Queued {
            counter: job.counter,
            at: Monotonic::now(),
        };
        let sent = Sent {
            field: match job.lease.frame().field {
                field::UNKNOWN => self.field,
                own => own,
            },
            timestamp: (job.timestamp.seconds, job.timestamp.microseconds),
        };
        let failed = |errno| {
            let what = format!("queue a frame on {} (VIDIOC_QBUF)", self.device.path());
            self.device.error(&what, errno)
        };
        match self.queue.enqueue(job.lease, with, sent) {
            Ok(()) => {}
            Err(NotQueued::Driver(errno)) => return Err(failed(errno)),
            Err(NotQueued::Memory(error)) => return Err(error),
        }
        if !self.has_started {
            self.device.streamon().map_err(|errno| {
                let what = format!("start output on {} (VIDIOC_STREAMON)", self.device.path());
                self.device.error(&what, errno)
            })?;
            self.has_started = true;
        }
        self.last_back = Instant::now();
        Ok(())
    }

    /// Takes back what the driver is done with; says how many.
    fn take_back(&mut self) -> Result<usize> {
        let mut back = 0;
        while self.has_started && self.queue.queued() > 0 {
            let returned = self.queue.dequeue().map_err(|error| self.failed(error))?;
            let Some(Returned { with, has_failed }) = returned else {
                break;
            };
            let at = Monotonic::now();
            let mut state = self.shared.lock();
            state.queued -= 1;
            if has_failed {
                state.counts.failed += 1;
            } else {
                state.counts.shown += 1;
            }
            state.done.push_back(Done {
                counter: with.counter,
                at,
                took: (!has_failed).then(|| (Stage::OnDevice, at.since(with.at))),
            });
            drop(state);
            self.last_back = Instant::now();
            back += 1;
        }
        if back > 0 {
            self.shared.news.ring();
        }
        Ok(back)
    }

    fn failed(&self, error: QueueError) -> Error {
        let what = format!(
            "take a frame back from {} (VIDIOC_DQBUF)",
            self.device.path()
        );
        self.device.queue_error(&what, error)
    }

    /// Waits for a frame to come back or to be given. Kernels differ in whether an output device
    /// is writable while it has room: then it says so and has nothing, and is asked again later.
    /// Says whether it did.
    fn wait(&self, due: Option<Instant>, is_false_alarm: bool) -> bool {
        let mut polled = vec![self.shared.wake.poll_fd()];
        if self.has_started && self.queue.queued() > 0 && !is_false_alarm {
            polled.push(PollFd::new(self.device.fd(), PollFlags::POLLOUT));
        }
        let again = is_false_alarm.then(|| Instant::now() + AGAIN);
        if let Err(errno) = poll_until(&mut polled, due.into_iter().chain(again).min()) {
            log::error!("cannot wait for {}: {errno}", self.device.path());
        }
        let device = polled.get(1).and_then(PollFd::revents);
        device.is_some_and(|events| !events.is_empty())
    }

    /// Takes back all that the driver has.
    fn stop(mut self) -> Result<()> {
        let left = self.queue.stop().map_err(|errno| {
            let what = format!("stop output on {} (VIDIOC_STREAMOFF)", self.device.path());
            self.device.error(&what, errno)
        })?;
        let mut state = self.shared.lock();
        state.counts.left += left.len() as u64;
        state.queued = 0;
        let at = Monotonic::now();
        let waiting = std::mem::take(&mut state.waiting);
        state.counts.left += waiting.len() as u64;
        let counters = left.iter().map(|it| it.counter);
        let counters = counters.chain(waiting.iter().map(|it| it.counter));
        let done = counters.map(|counter| Done {
            counter,
            at,
            took: None,
        });
        state.done.extend(done);
        drop(state);
        drop(waiting);
        Ok(())
    }
}

/// What this thread has taken of a CPU.
fn thread_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}
