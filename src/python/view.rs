//! The page of a run.

use std::time::Duration;

use pyo3::prelude::*;

use super::exit::{Entering, without_lock};
use crate::base::{Error, ErrorKind, Result};
use crate::sink::view;

/// A page that is listened for.
#[pyclass(frozen, module = "v4l_dmabuf._core")]
pub struct View(view::View);

impl View {
    /// The core's.
    pub fn new(view: view::View) -> Self {
        View(view)
    }
}

#[pymethods]
impl View {
    /// Its port.
    #[getter]
    fn port(&self) -> u16 {
        self.0.port()
    }

    /// Whether this machine alone reaches it.
    #[getter]
    fn is_local(&self) -> bool {
        self.0.is_local()
    }

    /// Tells viewers the final figures, for which it waits so many seconds, and leaves off.
    fn end(&self, py: Python<'_>, last: String, patience: f64) {
        let patience = Duration::try_from_secs_f64(patience).unwrap_or_default();
        without_lock(py, || self.0.end(last, patience));
    }
}

/// Has a Python function tell what is measured so far.
pub fn asked(figures: Py<PyAny>) -> Box<dyn Fn() -> Result<String> + Send + Sync> {
    Box::new(move || {
        let entering = Entering::new();
        Python::attach(|py| {
            drop(entering);
            let told = figures.call0(py).and_then(|told| told.extract(py));
            told.map_err(|error| {
                Error::new(ErrorKind::System, "tell what is measured").cause(error.to_string())
            })
        })
    })
}
