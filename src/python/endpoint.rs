//! `Sender` and `Receiver`, as Python sees them.

use std::num::NonZeroU64;
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::config::{ReceiverAttributes, SenderAttributes};
use super::observer::PythonObserver;
use crate::connection::Listener;
use crate::error::Result;
use crate::receiver::ReceiverConfig;
use crate::report::Report;
use crate::run::{Run, Stop};
use crate::sender::SenderConfig;
use crate::{receiver, sender};

/// What both ends share: one run at a time, with the interpreter's lock released.
struct Endpoint<State> {
    stop: Stop,
    /// Held by the run that is going on.
    state: Mutex<State>,
    /// What came of the last run.
    last: Mutex<Option<Report>>,
}

impl<State: Send> Endpoint<State> {
    fn new(py: Python<'_>, state: State) -> PyResult<Self> {
        Ok(Endpoint {
            stop: Stop::new()
                .map_err(|error| super::error::to_python(py, &error, &Report::default()))?,
            state: Mutex::new(state),
            last: Mutex::new(None),
        })
    }

    fn run<'py>(
        &self,
        py: Python<'py>,
        progress: Option<Py<PyAny>>,
        work: impl FnOnce(&mut State, &mut Run<'_>) -> Result<()> + Send,
    ) -> PyResult<Bound<'py, PyAny>> {
        let mut observer = PythonObserver::new(py, progress)?;
        let outcome = py.detach(|| {
            let mut state = match self.state.try_lock() {
                Ok(state) => state,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => return None,
            };
            let mut run = Run::new(&self.stop, &mut observer);
            let result = work(&mut state, &mut run);
            let report = run.report;
            self.stop.reset();
            Some((result, report))
        });
        let (result, report) =
            outcome.ok_or_else(|| PyRuntimeError::new_err("it is running already"))?;
        let told = match (observer.raised, result) {
            (Some(raised), _) => Err(raised),
            (None, Err(error)) => Err(super::error::to_python(py, &error, &report)),
            (None, Ok(())) => super::report::to_python(py, &report),
        };
        *self.last() = Some(report);
        told
    }

    fn last(&self) -> MutexGuard<'_, Option<Report>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn details<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        let last = self.last();
        last.as_ref()
            .map(|report| super::report::details(py, report))
            .transpose()
    }
}

/// Captures and sends.
#[pyclass(frozen)]
pub struct Sender(Endpoint<SenderConfig>);

#[pymethods]
impl Sender {
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
        self.0.run(py, progress, |config, run| {
            sender::send(config, frames, run)
        })
    }

    fn stop(&self) {
        self.0.stop.request();
    }

    /// What the last run's result has beside its report.
    fn details<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        self.0.details(py)
    }
}

/// Receives.
#[pyclass(frozen)]
pub struct Receiver(Endpoint<Receiving>);

struct Receiving {
    config: ReceiverConfig,
    /// Bound ahead of the run, by `listen`.
    listener: Option<Listener>,
}

#[pymethods]
impl Receiver {
    #[new]
    fn new(py: Python<'_>, config: ReceiverAttributes) -> PyResult<Self> {
        let state = Receiving {
            config: config.try_into()?,
            listener: None,
        };
        Endpoint::new(py, state).map(Receiver)
    }

    fn listen(&self, py: Python<'_>) -> PyResult<()> {
        self.0.run(py, None, |state, run| {
            if state.listener.is_none() {
                state.listener = receiver::listen(&state.config, run)?;
            }
            Ok(())
        })?;
        Ok(())
    }

    #[pyo3(signature = (frames=None, progress=None))]
    fn run<'py>(
        &self,
        py: Python<'py>,
        frames: Option<NonZeroU64>,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.0.run(py, progress, |state, run| {
            receiver::receive(&state.config, frames, state.listener.take(), run)
        })
    }

    fn stop(&self) {
        self.0.stop.request();
    }

    /// What the last run's result has beside its report.
    fn details<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        self.0.details(py)
    }

    /// Lets the address go, if it is bound and no run is going on.
    fn unlisten(&self) {
        if let Ok(mut state) = self.0.state.try_lock() {
            state.listener = None;
        }
    }
}
