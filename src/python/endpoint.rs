//! `Sender` and `Receiver`, as Python sees them.

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::config::{ReceiverAttributes, SenderAttributes};
use super::observer::Link;
use super::running::{self, Outcome};
use crate::connection::Listener;
use crate::error::Result;
use crate::receiver::ReceiverConfig;
use crate::report::Report;
use crate::report_file;
use crate::run::{Run, Stop};
use crate::sender::SenderConfig;
use crate::{receiver, sender};

/// What both ends share: one run at a time, with the interpreter's lock released.
struct Endpoint<State> {
    stop: Arc<Stop>,
    /// None: a run that is going on has it.
    state: Arc<Mutex<Option<State>>>,
    /// By what the run is asked.
    link: Mutex<Option<Arc<Link>>>,
    /// What came of the last run.
    last: Mutex<Option<Arc<Report>>>,
}

/// What becomes of a stop once a part of a run is over.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stops {
    /// It was for this part.
    UsedUp,
    /// It is for the run that follows.
    Kept,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A state that a run has, until it is dropped.
struct Lent<State> {
    state: Option<State>,
    home: Arc<Mutex<Option<State>>>,
}

impl<State> Drop for Lent<State> {
    fn drop(&mut self) {
        *lock(&self.home) = self.state.take();
    }
}

impl<State: Send + 'static> Endpoint<State> {
    fn new(py: Python<'_>, state: State) -> PyResult<Self> {
        let stop =
            Stop::new().map_err(|error| super::error::to_python(py, &error, &Report::default()))?;
        Ok(Endpoint {
            stop: Arc::new(stop),
            state: Arc::new(Mutex::new(Some(state))),
            link: Mutex::new(None),
            last: Mutex::new(None),
        })
    }

    /// Does `work` as a run, or as a part of one.
    fn work(
        &self,
        py: Python<'_>,
        progress: Option<Py<PyAny>>,
        stops: Stops,
        work: impl FnOnce(&mut State, &mut Run<'_>) -> Result<()> + Send + 'static,
    ) -> PyResult<Outcome<Result<()>>> {
        let link = Link::new()
            .map(Arc::new)
            .map_err(|error| super::error::to_python(py, &error, &Report::default()))?;
        let taken = lock(&self.state).take();
        let mut lent = Lent {
            state: Some(taken.ok_or_else(|| PyRuntimeError::new_err("it is running already"))?),
            home: Arc::clone(&self.state),
        };
        *lock(&self.link) = Some(Arc::clone(&link));
        let stop = Arc::clone(&self.stop);
        running::run(py, &link, &self.stop, progress, move |run| {
            let result = match &mut lent.state {
                Some(state) => work(state, run),
                None => Ok(()),
            };
            if stops == Stops::UsedUp {
                stop.reset();
            }
            result
        })
    }

    fn run<'py>(
        &self,
        py: Python<'py>,
        progress: Option<Py<PyAny>>,
        work: impl FnOnce(&mut State, &mut Run<'_>) -> Result<()> + Send + 'static,
    ) -> PyResult<Bound<'py, PyAny>> {
        let outcome = self.work(py, progress, Stops::UsedUp, work)?;
        let report = outcome.report.map(Arc::new);
        (*lock(&self.last)).clone_from(&report);
        told(py, outcome.raised, outcome.result, report.as_deref())?;
        self.report(py)
    }

    /// A part of a run that has no report.
    fn part(
        &self,
        py: Python<'_>,
        stops: Stops,
        work: impl FnOnce(&mut State, &mut Run<'_>) -> Result<()> + Send + 'static,
    ) -> PyResult<()> {
        let outcome = self.work(py, None, stops, work)?;
        told(py, outcome.raised, outcome.result, None)
    }

    fn abort(&self) {
        if let Some(link) = &*lock(&self.link) {
            link.abort();
        }
    }

    fn last(&self) -> Option<Arc<Report>> {
        lock(&self.last).clone()
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
        self.part(py, Stops::Kept, move |_, run| {
            report_file::check(&path, run)
        })
    }

    fn write_report(
        &self,
        py: Python<'_>,
        path: PathBuf,
        text: String,
        is_last: bool,
    ) -> PyResult<()> {
        self.part(py, Stops::UsedUp, move |_, run| {
            report_file::write(&path, text, is_last, run)
        })
    }
}

/// What a run came to, as Python has it.
fn told(
    py: Python<'_>,
    raised: Option<PyErr>,
    result: Option<Result<()>>,
    report: Option<&Report>,
) -> PyResult<()> {
    let nothing = Report::default();
    let failed = |error| super::error::to_python(py, &error, report.unwrap_or(&nothing));
    match (raised, result) {
        (Some(raised), _) => Err(raised),
        (None, Some(result)) => result.map_err(failed),
        (None, None) => Err(failed(running::aborted())),
    }
}

/// Captures and sends.
#[pyclass(frozen)]
pub struct Sender(Endpoint<SenderConfig>);

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

            /// The last run's report, however it ended.
            fn report<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
                self.0.report(py)
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
    fn new(py: Python<'_>, config: SenderAttributes) -> PyResult<Self> {
        Endpoint::new(py, config.try_into()?).map(Sender)
    }

    #[pyo3(signature = (frames=None, progress=None))]
    fn run<'py>(
        &self,
        py: Python<'py>,
        frames: Option<NonZeroU64>,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.0.run(py, progress, move |config, run| {
            sender::send(config, frames, run)
        })
    }
}

methods! {
    Receiver:
    #[new]
    fn new(py: Python<'_>, config: ReceiverAttributes) -> PyResult<Self> {
        let state = Receiving {
            config: config.try_into()?,
            listener: None,
        };
        Endpoint::new(py, state).map(Receiver)
    }

    /// Binds. A stop that comes before or meanwhile leaves that off, and is the next run's.
    fn listen(&self, py: Python<'_>) -> PyResult<()> {
        self.0.part(py, Stops::Kept, |state, run| {
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
        self.0.run(py, progress, move |state, run| {
            receiver::receive(&state.config, frames, state.listener.take(), run)
        })
    }

    /// Lets the address go, if it is bound and no run is going on.
    fn unlisten(&self) {
        if let Some(state) = &mut *lock(&self.0.state) {
            state.listener = None;
        }
    }
}
