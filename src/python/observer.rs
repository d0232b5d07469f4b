//! Python as the observer of a run: signals, and the progress callback.

use std::time::{Duration, Instant};

use pyo3::prelude::*;

use crate::error::{Error, ErrorKind, Result};
use crate::report::Report;
use crate::run::Observer;

/// How often progress is told.
const PROGRESS: Duration = Duration::from_millis(500);

/// Lets Python's signal handlers run, and calls back.
pub struct PythonObserver {
    progress: Option<Py<PyAny>>,
    told: Instant,
    /// What a handler or the callback raised.
    pub raised: Option<PyErr>,
}

impl PythonObserver {
    /// An observer that tells `progress`, if there is one.
    pub fn new(progress: Option<Py<PyAny>>) -> Self {
        PythonObserver {
            progress,
            told: Instant::now(),
            raised: None,
        }
    }

    fn look(&mut self, py: Python<'_>, report: &Report) -> PyResult<()> {
        py.check_signals()?;
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
}
