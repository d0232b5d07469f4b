//! A run of the core, on a thread of its own, and the Python thread that waits for it.
//!
//! That one takes the interpreter's lock when a signal came, a log record is queued or progress
//! has come, and at no other time.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::signal::SigSet;
use nix::sys::time::TimeSpec;
use pyo3::exceptions::{PyOSError, PyRuntimeError};
use pyo3::prelude::*;

use super::exit::{Entering, Entry};
use super::log;
use super::observer::{Link, Linked};
use super::signals::Signals;
use crate::base::{Error, ErrorKind, Run, Stop, bell::Ring, blocking};
use crate::measure::{Measured, Measuring};

/// How often progress is told.
const PROGRESS: Duration = Duration::from_millis(500);
/// How long a run that was aborted may take to end. What hangs in the kernel then is left to it.
const PARTING: Duration = Duration::from_millis(500);
/// How long after a stop it is said what call the run hangs in.
const HANGS: Duration = Duration::from_secs(1);

/// The error of a run that was aborted.
pub fn aborted() -> Error {
    Error::new(ErrorKind::Interrupted, "go on").cause("the caller interrupted it")
}

/// What came of a run.
pub struct Outcome<T> {
    /// What a handler or the callback raised.
    pub raised: Option<PyErr>,
    /// What the work gave, or what it is given up at.
    pub result: std::result::Result<T, GivenUp>,
    /// The run's last state; of a run that was given up, the last one that it told.
    pub report: Measured,
}

/// The calls that the kernel did not let go when the run was aborted.
pub struct GivenUp(pub String);

/// Runs `work`, and waits for it.
pub fn run<T: Send + 'static>(
    py: Python<'_>,
    link: &Arc<Link>,
    stop: &Arc<Stop>,
    progress: Option<Py<PyAny>>,
    work: impl FnOnce(&Measuring, &mut Run<'_>) -> T + Send + 'static,
) -> PyResult<Outcome<T>> {
    let signals = Signals::watch(py)?;
    let (sender, result) = channel();
    let (own, its_stop) = (Arc::clone(link), Arc::clone(stop));
    let _entry = Entry::new(link)?;
    let _reader = log::Reader::new(&link.news);
    let thread = std::thread::Builder::new()
        .name("v4l-dmabuf-run".to_owned())
        .spawn(move || {
            // Dropped in the opposite order: who is woken finds the result, or its absence.
            let _over = Ring(Arc::clone(&own.news));
            let sender = sender;
            own.enter_thread();
            // Signals are for the threads that Python knows, and interrupt no call of the run's.
            if let Err(errno) = SigSet::all().thread_block() {
                ::log::debug!("signals can't be kept off the run's thread: {errno}");
            }
            let measured = Measuring::default();
            let mut observer = Linked {
                link: own,
                stop: Arc::clone(&its_stop),
                measured: &measured,
            };
            let mut run = Run::new(&its_stop, &mut observer);
            let result = work(&measured, &mut run);
            {
                let mut measured = measured.borrow_mut();
                measured.stopped = run.was_stopped();
                measured.is_due = run.was_due();
            }
            // Nobody may wait any more.
            let _ = sender.send((result, measured.into_inner()));
        })
        .map_err(|error| PyOSError::new_err(format!("cannot start a thread: {error}")))?;
    let mut waiting = Waiting {
        link,
        stop,
        signals,
        progress,
        result,
        raised: None,
        aborted: None,
        last: Arc::default(),
    };
    let (ended, entering) = py.detach(|| {
        let ended = waiting.wait();
        if !matches!(ended, Ended::NotYet(_)) {
            // It has nothing left to do but to let its descriptors go.
            let _ = thread.join();
        }
        (ended, Entering::new())
    });
    drop(entering);
    let Waiting { raised, last, .. } = waiting;
    match ended {
        Ended::With(ended) => {
            let (result, report) = *ended;
            Ok(Outcome {
                raised,
                result: Ok(result),
                report,
            })
        }
        Ended::NotYet(calls) => Ok(Outcome {
            raised,
            result: Err(calls),
            report: last.so_far(),
        }),
        Ended::Broken => Err(raised.unwrap_or_else(|| {
            PyRuntimeError::new_err("the run's thread ended without an answer: this is a bug")
        })),
    }
}

/// How a wait ended.
enum Ended<T> {
    /// The run is over.
    With(Box<(T, Measured)>),
    /// It was aborted, and hangs in the kernel.
    NotYet(GivenUp),
    /// Its thread failed.
    Broken,
}

/// A Python thread that waits for a run.
struct Waiting<'a, T> {
    link: &'a Link,
    stop: &'a Stop,
    signals: Signals,
    progress: Option<Py<PyAny>>,
    result: Receiver<(T, Measured)>,
    raised: Option<PyErr>,
    aborted: Option<Instant>,
    last: Arc<Measured>,
}

impl<T> Waiting<'_, T> {
    fn wait(&mut self) -> Ended<T> {
        // Without a callback as well: there is a state to tell of if the run hangs.
        let mut due = Instant::now() + PROGRESS;
        let mut stopped = None;
        let mut said = false;
        // Signals that came before their descriptor was ours left no byte.
        self.attend(true);
        loop {
            let ended = match self.result.try_recv() {
                Ok(result) => Some(Ended::With(Box::new(result))),
                Err(TryRecvError::Disconnected) => Some(Ended::Broken),
                Err(TryRecvError::Empty) => None,
            };
            if let Some(ended) = ended {
                // A handler that raises now comes too late to end anything.
                self.attend(false);
                return ended;
            }
            if self.link.is_aborted() {
                let since = *self.aborted.get_or_insert_with(Instant::now);
                if since.elapsed() >= PARTING {
                    let calls = self.held_by();
                    ::log::warn!("{calls} is given up, and goes on in the kernel");
                    self.attend(false);
                    return Ended::NotYet(GivenUp(calls));
                }
            }
            if Instant::now() >= due {
                self.link.ask();
                due = Instant::now() + PROGRESS;
            }
            if !said && stopped.is_some_and(|stopped: Instant| stopped.elapsed() >= HANGS) {
                said = true;
                for call in blocking::under_way() {
                    ::log::warn!("{call} delays the end");
                }
            }
            let until = [
                Some(due),
                self.aborted.map(|aborted| aborted + PARTING),
                stopped.filter(|_| !said).map(|stopped| stopped + HANGS),
            ];
            let (rung, stop) = self.sleep(until.into_iter().flatten().min(), stopped.is_none());
            if stop {
                stopped = Some(Instant::now());
                // So that there is a state to tell of if the run hangs from here on.
                self.link.ask();
            }
            self.attend(rung);
        }
    }

    /// Sleeps until something happens: whether a signal came, and whether a stop did.
    fn sleep(&self, until: Option<Instant>, watch_stop: bool) -> (bool, bool) {
        let readable = |fd| PollFd::new(fd, PollFlags::POLLIN);
        let mut polled = vec![readable(self.link.news.as_fd())];
        let bell = self.signals.bell();
        polled.extend(bell.map(readable));
        polled.extend(watch_stop.then(|| readable(self.stop.waker())));
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        match ppoll(&mut polled, left.map(TimeSpec::from), None) {
            Ok(_) => {}
            Err(Errno::EINTR) => return (true, false),
            // No descriptor of these can be a bad one: the next look is soon enough.
            Err(_) => std::thread::sleep(Duration::from_millis(10)),
        }
        let mut events = polled.iter().map(|fd| fd.any().unwrap_or(false));
        if events.next() == Some(true) {
            self.link.news.hush();
        }
        let rung = bell.is_some() && events.next() == Some(true);
        (rung, events.next() == Some(true))
    }

    /// Takes the interpreter's lock if there is something for Python.
    fn attend(&mut self, signal: bool) {
        let news = self.link.take_so_far();
        let has_news = news.is_some();
        if let Some(report) = news {
            self.last = report;
        }
        let tells = has_news && self.progress.is_some() && !self.link.is_aborted();
        if !signal && !tells && !log::is_waiting() {
            return;
        }
        let entering = Entering::new();
        let attended = Python::attach(|py| {
            drop(entering);
            self.look(py, tells)
        });
        if let Err(raised) = attended {
            self.link.abort();
            // The first one is the reason.
            self.raised.get_or_insert(raised);
        }
    }

    fn look(&mut self, py: Python<'_>, tells: bool) -> PyResult<()> {
        log::tell(py)?;
        self.signals.handle(py)?;
        if let (Some(progress), true) = (&self.progress, tells) {
            progress.call1(py, (super::report::to_python(py, &self.last)?,))?;
            self.signals.keep(py)?;
        }
        Ok(())
    }

    /// Names what the kernel has not let go: calls, or else what the run's own thread is at.
    fn held_by(&self) -> String {
        let calls = blocking::under_way();
        if calls.is_empty() {
            self.link.call_of_thread()
        } else {
            calls.join(", ")
        }
    }
}
