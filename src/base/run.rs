//! A run as seen from outside: it can be stopped from any thread, is observed,
//! and every wait of it goes through here, so that none of them is deaf.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;

use crate::base::{Bell, Blocking, Error, ErrorKind, Result};

/// How often the observer is asked while there is something to do, and how long a call
/// that waits by itself may take: each half of the 100 ms within which an interrupt has
/// to work.
pub(crate) const TICK: Duration = Duration::from_millis(50);

/// A request to stop, from any thread.
#[derive(Debug)]
pub struct Stop {
    requested: AtomicBool,
    waker: Bell,
}

impl Stop {
    /// Nothing requested yet.
    pub fn new() -> Result<Self> {
        Ok(Stop {
            requested: AtomicBool::new(false),
            waker: Bell::new()?,
        })
    }

    /// Ends the run that is going on, or else the next, at the end of its frame.
    pub fn request(&self) {
        self.requested.store(true, Ordering::SeqCst);
        self.waker.ring();
    }

    /// Makes ready for the next run.
    pub fn reset(&self) {
        self.requested.store(false, Ordering::SeqCst);
        self.waker.hush();
    }

    /// What is readable once a stop was requested.
    pub fn waker(&self) -> BorrowedFd<'_> {
        self.waker.as_fd()
    }

    /// Takes back a wake-up that no request goes with. A forked child shares the eventfd, and
    /// its requests are its own.
    fn settle(&self) {
        if !self.is_requested() {
            self.waker.hush();
        }
    }

    /// Whether one was requested.
    pub fn is_requested(&self) -> bool {
        self.requested.load(Ordering::SeqCst)
    }
}

/// Who watches a run, and may abort it.
pub trait Observer {
    /// Called every 50 ms while there is something to do, and in waits as the other
    /// methods say. An error ends the run at once, as it is.
    fn tick(&mut self) -> Result<()>;

    /// What becomes readable when it wants to be called in a wait, at once.
    fn bell(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// How long a wait may last without a call; None: until the bell.
    fn patience(&self) -> Option<Duration> {
        Some(TICK)
    }
}

/// What to wait for until there may be a frame.
#[derive(Debug)]
pub enum WaitsFor<'a> {
    /// A device to be readable, or to have an event, or a buffer to be free again.
    Device {
        /// The device's descriptor.
        device: BorrowedFd<'a>,
        /// What is readable once a buffer is free.
        bell: BorrowedFd<'a>,
    },
    /// A time.
    Time(Instant),
    /// A buffer to be free again, for all are elsewhere: what is readable then.
    Buffer(BorrowedFd<'a>),
}

impl<'a> WaitsFor<'a> {
    /// What to poll for it, and until when.
    pub fn poll(self) -> (impl Iterator<Item = PollFd<'a>>, Option<Instant>) {
        let (device, bell, due) = match self {
            WaitsFor::Device { device, bell } => (Some(device), Some(bell), None),
            WaitsFor::Time(due) => (None, None, Some(due)),
            WaitsFor::Buffer(bell) => (None, Some(bell), None),
        };
        let events = PollFlags::POLLIN | PollFlags::POLLPRI;
        let device = device.map(|device| PollFd::new(device, events));
        let bell = bell.map(|bell| PollFd::new(bell, PollFlags::POLLIN));
        (device.into_iter().chain(bell), due)
    }
}

/// Why a wait ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Woken {
    /// A descriptor has an event; what each of them has.
    Ready(Vec<PollFlags>),
    /// The time is up.
    TimedOut,
    /// A stop was requested.
    Stopped,
}

/// What polling once came to.
enum Polled {
    /// Its time is up.
    Nothing,
    /// The observer wants to be called.
    Bell,
    /// Descriptors have events.
    Events(Vec<PollFlags>),
    /// A stop was requested, and no more.
    Stop,
}

/// Whether a wait heeds a stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnStop {
    /// Nothing is under way: end.
    End,
    /// A frame is under way: finish it.
    Finish,
}

/// A run that is going on.
pub struct Run<'a> {
    stop: &'a Stop,
    observer: &'a mut dyn Observer,
    ticked: Instant,
    stopped: bool,
    /// When it has lasted as long as it was to.
    until: Option<Instant>,
    /// Whether it has.
    is_due: bool,
}

impl<'a> Run<'a> {
    /// Begins a run.
    pub fn new(stop: &'a Stop, observer: &'a mut dyn Observer) -> Self {
        Run {
            stop,
            observer,
            ticked: Instant::now(),
            stopped: false,
            until: None,
            is_due: false,
        }
    }

    /// Whether to begin nothing new. What asks this must then end the run.
    pub fn is_stopped(&mut self) -> bool {
        self.stopped |= self.stop.is_requested();
        let is_due = self.until.is_some_and(|until| Instant::now() >= until);
        self.is_due |= is_due;
        self.stopped || is_due
    }

    /// The stream has begun: it is to last so long. Further calls change nothing.
    pub fn last(&mut self, duration: Option<Duration>) {
        if self.until.is_none() && !self.is_due {
            // What is longer than the clock goes is no limit.
            self.until = duration.and_then(|duration| Instant::now().checked_add(duration));
        }
    }

    /// The stream is over: what follows, such as the last writes, has the time that it takes.
    pub fn stream_ended(&mut self) {
        self.until = None;
    }

    /// Whether the stream ended because it had lasted as long as it was to.
    pub fn was_due(&self) -> bool {
        self.is_due
    }

    /// Whether a stop has ended it.
    pub fn was_stopped(&self) -> bool {
        self.stopped
    }

    /// Asks the observer if that is due. To be called by loops that may never wait.
    pub fn tick(&mut self) -> Result<()> {
        if self.ticked.elapsed() >= TICK {
            self.tick_now()?;
        }
        Ok(())
    }

    fn tick_now(&mut self) -> Result<()> {
        self.ticked = Instant::now();
        self.observer.tick()
    }

    /// Waits for an event on one of `fds`, for `deadline`, or for a stop.
    ///
    /// A signal ends no wait, but lets the observer look.
    pub fn wait(
        &mut self,
        fds: &[PollFd<'_>],
        deadline: Option<Instant>,
        on_stop: OnStop,
    ) -> Result<Woken> {
        loop {
            if on_stop == OnStop::End && self.is_stopped() {
                return Ok(Woken::Stopped);
            }
            let rest = self.observer.patience();
            let rest = rest.map(|rest| rest.saturating_sub(self.ticked.elapsed()));
            let left_until = |at: Instant| at.saturating_duration_since(Instant::now());
            let left = deadline.map(left_until);
            let until = self.until.filter(|_| on_stop == OnStop::End);
            let timeout = [left, rest, until.map(left_until)];
            match self.poll(fds, timeout.into_iter().flatten().min(), on_stop) {
                Ok(Polled::Nothing)
                    if deadline.is_some_and(|deadline| deadline <= Instant::now()) =>
                {
                    // A deadline that is always due lets no wait last until the next tick.
                    self.tick()?;
                    return Ok(Woken::TimedOut);
                }
                Ok(Polled::Nothing | Polled::Bell) => self.tick_now()?,
                Ok(Polled::Stop) => self.stop.settle(),
                Ok(Polled::Events(events)) => {
                    self.tick()?;
                    return Ok(Woken::Ready(events));
                }
                // A signal: its handler may be the observer's to run.
                Err(Errno::EINTR) => self.tick_now()?,
                Err(errno) => {
                    return Err(Error::new(ErrorKind::System, "wait (ppoll)").errno(errno));
                }
            }
        }
    }

    fn poll(
        &self,
        fds: &[PollFd<'_>],
        timeout: Option<Duration>,
        on_stop: OnStop,
    ) -> nix::Result<Polled> {
        let bell = self.observer.bell();
        let stop = (on_stop == OnStop::End).then(|| self.stop.waker.as_fd());
        let readable = |fd| PollFd::new(fd, PollFlags::POLLIN);
        let mut polled: Vec<PollFd<'_>> = fds.to_vec();
        polled.extend(bell.map(readable));
        polled.extend(stop.map(readable));
        if ppoll(&mut polled, timeout.map(TimeSpec::from), None)? == 0 {
            return Ok(Polled::Nothing);
        }
        let mut events = polled
            .iter()
            .map(|fd| fd.revents().unwrap_or(PollFlags::POLLERR));
        let of_fds: Vec<PollFlags> = events.by_ref().take(fds.len()).collect();
        // The bell first: a stop may be what it rang for.
        Ok(
            if bell.is_some() && events.next().is_some_and(|bell| !bell.is_empty()) {
                Polled::Bell
            } else if of_fds.iter().any(|events| !events.is_empty()) {
                Polled::Events(of_fds)
            } else {
                Polled::Stop
            },
        )
    }

    /// An error of kind `Stopped` once a stop is due.
    pub fn heed_stop(&mut self) -> Result<()> {
        if self.is_stopped() {
            return Err(Error::stopped());
        }
        Ok(())
    }

    /// What a call comes to that can't be polled for. An error of kind `Stopped` if a stop came
    /// first: the call is then left to end by itself.
    pub fn result_of<T: Send + 'static>(&mut self, blocking: Blocking<T>) -> Result<T> {
        let result = self.wait_for(blocking, OnStop::End)?;
        result.ok_or_else(Error::stopped)
    }

    /// Waits for a call that can't be polled for. None if a stop came first, where stops are
    /// heeded: the call is then left to end by itself.
    pub fn wait_for<T: Send + 'static>(
        &mut self,
        mut blocking: Blocking<T>,
        on_stop: OnStop,
    ) -> Result<Option<T>> {
        loop {
            if self.wait(&[blocking.poll_fd()], None, on_stop)? == Woken::Stopped {
                return Ok(None);
            }
            if let Some(result) = blocking.take()? {
                return Ok(Some(result));
            }
        }
    }
}
