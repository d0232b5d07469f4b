//! `Sender`, `Receiver` and `Capture`, as Python sees them.

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use serde::de::DeserializeOwned;

use super::exit;
use super::frames::{Consumer, Feed};
use super::observer::Link;
use super::place::{Lent, Place};
use super::running::{self, GivenUp, Outcome};
use super::view::{self, View};
use crate::base::{Result, Run, Stop, lock};
use crate::capture::{self, CaptureConfig};
use crate::link::Listener;
use crate::measure::{Measured, Measuring};
use crate::receiver::ReceiverConfig;
use crate::report::file;
use crate::sender::SenderConfig;
use crate::sink::audience::Audience;
use crate::sink::consumer::{Overrun, Terms};
use crate::sink::view::Shown;
use crate::source::Input;
use crate::{receiver, sender};

/// What both ends share: one run at a time, with the interpreter's lock released.
struct Endpoint<State> {
    stop: Arc<Stop>,
    state: Arc<Mutex<Place<State>>>,
    /// By what the run is asked.
    link: Mutex<Option<Arc<Link>>>,
    /// Who takes its frames.
    audience: Audience,
    /// What came of the last run.
    last: Mutex<Option<Arc<Measured>>>,
}

/// What becomes of a stop once a part of a run is over.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stops {
    /// It was for this part.
    UsedUp,
    /// It is for the run that follows.
    Kept,
}

impl<State: Send + 'static> Endpoint<State> {
    fn new(py: Python<'_>, state: State) -> PyResult<Self> {
        let stop = Stop::new().map_err(|error| super::error::raised(py, &error))?;
        Ok(Endpoint {
            stop: Arc::new(stop),
            state: Arc::new(Mutex::new(Place::Here(state))),
            link: Mutex::new(None),
            audience: Audience::default(),
            last: Mutex::new(None),
        })
    }

    /// Does `work` as a run, or as a part of one.
    fn work(
        &self,
        py: Python<'_>,
        progress: Option<Py<PyAny>>,
        stops: Stops,
        work: impl FnOnce(&mut State, &Measuring, &mut Run<'_>) -> Result<()> + Send + 'static,
    ) -> PyResult<Outcome<Result<()>>> {
        let state = {
            let mut place = lock(&self.state);
            place.check()?;
            place.lend()
        };
        let mut lent = Lent {
            state,
            home: Arc::clone(&self.state),
        };
        let outcome = self.beside(py, progress, stops, move |measured, run| {
            match &mut lent.state {
                Some(state) => work(state, measured, run),
                None => Ok(()),
            }
        })?;
        if let Err(GivenUp(calls)) = &outcome.result {
            let mut state = lock(&self.state);
            // Unless it has come back meanwhile.
            if matches!(*state, Place::Lent) {
                *state = Place::Kept(calls.clone());
            }
        }
        Ok(outcome)
    }

    /// Does `work` that needs no state, as a report's writing after a run that was given up.
    fn beside(
        &self,
        py: Python<'_>,
        progress: Option<Py<PyAny>>,
        stops: Stops,
        work: impl FnOnce(&Measuring, &mut Run<'_>) -> Result<()> + Send + 'static,
    ) -> PyResult<Outcome<Result<()>>> {
        let link = Link::new()
            .map(Arc::new)
            .map_err(|error| super::error::raised(py, &error))?;
        *lock(&self.link) = Some(Arc::clone(&link));
        let outcome = running::run(py, &link, &self.stop, progress, work);
        if stops == Stops::UsedUp {
            self.stop.reset();
        }
        outcome
    }

    fn run<'py>(
        &self,
        py: Python<'py>,
        progress: Option<Py<PyAny>>,
        work: impl FnOnce(&mut State, &Audience, &Measuring, &mut Run<'_>) -> Result<()>
        + Send
        + 'static,
    ) -> PyResult<Bound<'py, PyAny>> {
        lock(&self.state).check()?;
        let audience = self.audience.clone();
        let work = move |state: &mut State, measured: &Measuring, run: &mut Run<'_>| {
            let _ending = audience.ending();
            work(state, &audience, measured, run)
        };
        // Whatever comes, the run before is not what it is told by.
        *lock(&self.last) = Some(Arc::default());
        let outcome = self.work(py, progress, Stops::UsedUp, work)?;
        let report = Arc::new(outcome.report);
        *lock(&self.last) = Some(Arc::clone(&report));
        told(py, outcome.raised, outcome.result, &report)?;
        self.report(py)
    }

    /// A part of a run that has no report.
    fn part(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut State, &Measuring, &mut Run<'_>) -> Result<()> + Send + 'static,
    ) -> PyResult<()> {
        let outcome = self.work(py, None, Stops::Kept, work)?;
        told(py, outcome.raised, outcome.result, &Measured::default())
    }

    fn abort(&self) {
        if let Some(link) = &*lock(&self.link) {
            link.abort();
        }
    }

    /// One more who takes the frames: of the run that goes on, or else of the next. No `depth`:
    /// as many as the stream can spare.
    fn subscribe(&self, py: Python<'_>, depth: Option<usize>, policy: &str) -> PyResult<Consumer> {
        let on_overrun: Overrun = serde_json::from_value(policy.into())
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
        let consumer = self.audience.subscribe(Terms { depth, on_overrun });
        consumer
            .map(Consumer::from)
            .map_err(|error| super::error::raised(py, &error))
    }

    fn last(&self) -> Option<Arc<Measured>> {
        lock(&self.last).clone()
    }

    /// The state so far of the run that goes on; that of the last one if none does.
    fn so_far<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let is_running = matches!(*lock(&self.state), Place::Lent);
        let link = lock(&self.link).clone().filter(|_| is_running);
        let Some(link) = link else {
            return self.report(py);
        };
        match exit::without_lock(py, || link.look()) {
            // It has ended meanwhile, or begins just now.
            None => self.report(py),
            Some(state) => super::report::to_python(py, &state),
        }
    }

    fn report<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self.last() {
            None => Ok(py.None().into_bound(py)),
            Some(report) => super::report::to_python(py, &report),
        }
    }

    fn details<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        let last = self.last();
        last.map(|report| super::report::details(py, &report))
            .transpose()
    }

    fn check_report(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        // Before anything is written for a run that can't be.
        lock(&self.state).check()?;
        *lock(&self.last) = Some(Arc::default());
        let checked = self.beside(py, None, Stops::Kept, move |_, run| file::check(&path, run))?;
        told(py, checked.raised, checked.result, &Measured::default())
    }

    fn write_report(
        &self,
        py: Python<'_>,
        path: PathBuf,
        text: String,
        is_last: bool,
    ) -> PyResult<()> {
        let is_last = is_last || exit::is_closing();
        let written = self.beside(py, None, Stops::UsedUp, move |_, run| {
            file::write(&path, text, is_last, run)
        })?;
        told(py, written.raised, written.result, &Measured::default())
    }
}

/// What a run came to, as Python has it.
fn told(
    py: Python<'_>,
    raised: Option<PyErr>,
    result: std::result::Result<Result<()>, GivenUp>,
    report: &Measured,
) -> PyResult<()> {
    let failed = |error| super::error::to_python(py, &error, report);
    match (raised, result) {
        (Some(raised), _) => Err(raised),
        (None, Ok(result)) => result.map_err(failed),
        (None, Err(GivenUp(_))) => Err(failed(running::aborted())),
    }
}

/// Settings out of JSON. `ValueError`: the configuration object let one pass that the core does
/// not.
fn settings<T: DeserializeOwned>(json: &str) -> PyResult<T> {
    serde_json::from_str(json).map_err(|error| PyValueError::new_err(error.to_string()))
}

/// Captures and sends.
#[pyclass(frozen)]
pub struct Sender(Endpoint<SenderConfig>);

/// Captures.
#[pyclass(frozen)]
pub struct Capture(Endpoint<CaptureConfig>);

/// Receives.
#[pyclass(frozen)]
pub struct Receiver(Endpoint<Receiving>);

struct Receiving {
    config: ReceiverConfig,
    /// Bound ahead of the run, by `listen`.
    listener: Option<Listener>,
}

/// A class's own methods, and those that both have.
macro_rules! methods {
    ($class:ident: $($own:tt)*) => {
        #[pymethods]
        impl $class {
            $($own)*

            fn stop(&self) {
                self.0.stop.request();
            }

            /// Ends the run that goes on at once, whatever it is at.
            fn abort(&self) {
                self.0.abort();
            }

            /// One more who takes the frames.
            fn subscribe(
                &self,
                py: Python<'_>,
                depth: Option<usize>,
                policy: &str,
            ) -> PyResult<Consumer> {
                self.0.subscribe(py, depth, policy)
            }

            /// Shows the next run at an address: one picture an interval of so many seconds at
            /// most, so wide at most. `figures` tells what is measured so far, as JSON.
            #[allow(clippy::too_many_arguments)]
            fn show(
                &self,
                py: Python<'_>,
                host: String,
                port: u16,
                page: (Vec<u8>, String),
                interval: f64,
                width: u32,
                figures: Py<PyAny>,
            ) -> PyResult<View> {
                View::listen(py, (&host, port), Shown {
                    latest: self.0.audience.latest(),
                    interval: Duration::try_from_secs_f64(interval).unwrap_or_default(),
                    width,
                    page: page.0,
                    policy: page.1,
                    figures: view::asked(figures),
                })
            }

            /// Nothing more comes for those who take frames.
            fn end_consumers(&self) {
                self.0.audience.end();
            }

            /// The last run's report, however it ended.
            fn report<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
                self.0.report(py)
            }

            /// The state of the run that goes on, or the last run's report.
            fn so_far<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
                self.0.so_far(py)
            }

            /// What the last run's result has beside its report.
            fn details<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
                self.0.details(py)
            }

            /// Sees to it that a result can be written to a path.
            fn check_report(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
                self.0.check_report(py, path)
            }

            /// Writes a result; with `is_last` it waits for no reader.
            fn write_report(
                &self,
                py: Python<'_>,
                path: PathBuf,
                text: String,
                is_last: bool,
            ) -> PyResult<()> {
                self.0.write_report(py, path, text, is_last)
            }
        }
    };
}

methods! {
    Sender:
    #[new]
    fn new(py: Python<'_>, config: &str) -> PyResult<Self> {
        Endpoint::new(py, settings(config)?).map(Sender)
    }

    #[pyo3(signature = (frames=None, progress=None, feed=None))]
    fn run<'py>(
        &self,
        py: Python<'py>,
        frames: Option<NonZeroU64>,
        progress: Option<Py<PyAny>>,
        feed: Option<Bound<'py, Feed>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let feed = feed.map(|feed| feed.get().core());
        self.0.run(py, progress, move |config, audience, measured, run| {
            if let Some(feed) = feed {
                config.input = Input::Feed(feed);
            }
            sender::send(config, frames, audience, measured, run)
        })
    }
}

methods! {
    Capture:
    #[new]
    fn new(py: Python<'_>, config: &str) -> PyResult<Self> {
        Endpoint::new(py, settings(config)?).map(Capture)
    }

    #[pyo3(signature = (frames=None, progress=None))]
    fn run<'py>(
        &self,
        py: Python<'py>,
        frames: Option<NonZeroU64>,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.0.run(py, progress, move |config, audience, measured, run| {
            capture::capture(config, frames, audience, measured, run)
        })
    }
}

methods! {
    Receiver:
    #[new]
    fn new(py: Python<'_>, config: &str) -> PyResult<Self> {
        let state = Receiving {
            config: settings(config)?,
            listener: None,
        };
        Endpoint::new(py, state).map(Receiver)
    }

    /// Binds. A stop that comes before or meanwhile leaves that off, and is the next run's.
    fn listen(&self, py: Python<'_>) -> PyResult<()> {
        self.0.part(py, |state, _, run| {
            if state.listener.is_none() {
                state.listener = receiver::listen(&state.config, run)?;
            }
            Ok(())
        })
    }

    #[pyo3(signature = (frames=None, progress=None))]
    fn run<'py>(
        &self,
        py: Python<'py>,
        frames: Option<NonZeroU64>,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.0.run(py, progress, move |state, audience, measured, run| {
            let listener = state.listener.take();
            receiver::receive(&state.config, frames, listener, audience, measured, run)
        })
    }

    /// Lets the address go, if it is bound and no run is going on.
    fn unlisten(&self) {
        if let Place::Here(state) = &mut *lock(&self.0.state) {
            state.listener = None;
        }
    }
}
