//! Python as the observer of a run: signals, and the progress callback.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use pyo3::prelude::*;

use super::signals::Signals;
use crate::error::{Error, ErrorKind, Result};
use crate::report::Report;
use crate::run::Observer;

/// How often progress is told.
const PROGRESS: Duration = Duration::from_millis(500);

/// Lets Python's signal handlers run, and calls back.
pub struct PythonObserver {
    signals: Signals,
    progress: Option<Py<PyAny>>,
    told: Instant,
    /// What a handler or the callback raised.
    pub raised: Option<PyErr>,
}

impl PythonObserver {
    /// An observer that tells `progress`, if there is one.
    pub fn new(py: Python<'_>, progress: Option<Py<PyAny>>) -> PyResult<Self> {
        Ok(PythonObserver {
            signals: Signals::watch(py)?,
            progress,
            told: Instant::now(),
            raised: None,
        })
    }

    fn look(&mut self, py: Python<'_>, report: &Report) -> PyResult<()> {
        self.signals.handle(py)?;
        if self.told.elapsed() >= PROGRESS {
            self.told = Instant::now();
            if let Some(progress) = &self.progress {
                progress.call1(py, (super::report::to_python(py, report)?,))?;
            }
        }
        Ok(())
    }
}

impl Observer for PythonObserver {
    fn tick(&mut self, report: &Report) -> Result<()> {
        Python::attach(|py| self.look(py, report)).map_err(|raised| {
            self.raised = Some(raised);
            Error::new(ErrorKind::Interrupted, "go on").cause("the caller interrupted it")
        })
    }

    fn bell(&self) -> Option<BorrowedFd<'_>> {
        self.signals.bell()
    }

    fn patience(&self) -> Option<Duration> {
        let progress = self.progress.is_some().then_some(PROGRESS);
        progress.into_iter().chain(self.signals.patience()).min()
    }
}
