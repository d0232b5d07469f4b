//! An endpoint's methods, as Python has them.

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use serde::de::DeserializeOwned;

use super::{Endpoint, Role, Stops, told};
use crate::base::{Run, lock};
use crate::measure::{Measured, Measuring};
use crate::python::frames::{Consumer, Feed};
use crate::python::place::Place;
use crate::python::report::{details, to_python};
use crate::python::view::{self, View};
use crate::python::{error::raised, exit};
use crate::report::file;
use crate::sink::consumer::{Overrun, Terms};
use crate::sink::view::Shown;

/// Settings out of JSON. `ValueError`: the configuration object let one pass that the core does
/// not.
fn settings<T: DeserializeOwned>(json: &str) -> PyResult<T> {
    serde_json::from_str(json).map_err(|error| PyValueError::new_err(error.to_string()))
}

#[pymethods]
impl Endpoint {
    #[staticmethod]
    fn sender(py: Python<'_>, config: &str) -> PyResult<Self> {
        Endpoint::new(py, Role::Sender(settings(config)?))
    }

    #[staticmethod]
    fn receiver(py: Python<'_>, config: &str) -> PyResult<Self> {
        Endpoint::new(py, Role::Receiver(settings(config)?, None))
    }

    #[staticmethod]
    fn capture(py: Python<'_>, config: &str) -> PyResult<Self> {
        Endpoint::new(py, Role::Capture(settings(config)?))
    }

    #[pyo3(signature = (frames=None, progress=None, feed=None))]
    fn run<'py>(
        &self,
        py: Python<'py>,
        frames: Option<NonZeroU64>,
        progress: Option<Py<PyAny>>,
        feed: Option<Bound<'py, Feed>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        lock(&self.role).check()?;
        let feed = feed.map(|feed| feed.get().core());
        let audience = self.audience.clone();
        let work = move |role: &mut Role, measured: &Measuring, run: &mut Run<'_>| {
            let _ending = audience.ending();
            role.run((frames, feed), &audience, measured, run)
        };
        // Whatever comes, the run before is not what it is told by.
        *lock(&self.last) = Some(Arc::default());
        let mut outcome = self.work(py, progress, Stops::UsedUp, work)?;
        let report = Arc::new(std::mem::take(&mut outcome.report));
        *lock(&self.last) = Some(Arc::clone(&report));
        told(py, outcome, &report)?;
        self.report(py)
    }

    fn stop(&self) {
        self.stop.request();
    }

    /// Ends the run that goes on at once, whatever it is at.
    fn abort(&self) {
        if let Some(link) = &*lock(&self.link) {
            link.abort();
        }
    }

    /// Binds a receiver's address. A stop that comes before or meanwhile leaves that off, and is
    /// the next run's.
    fn listen(&self, py: Python<'_>) -> PyResult<()> {
        self.part(py, |role, _, run| role.listen(run))
    }

    /// Lets a receiver's address go, if it is bound and no run is going on.
    fn unlisten(&self) {
        if let Place::Here(Role::Receiver(_, listener)) = &mut *lock(&self.role) {
            *listener = None;
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
            .map_err(|error| raised(py, &error))
    }

    /// Shows the next run at an address: one picture an interval of so many seconds at most, so
    /// wide at most. `figures` tells what is measured so far, as JSON. None on a stop, which is
    /// the next run's.
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
    ) -> PyResult<Option<View>> {
        let shown = Shown {
            latest: self.audience.latest(),
            interval: Duration::try_from_secs_f64(interval).unwrap_or(Duration::MAX),
            width,
            page: page.0,
            policy: page.1,
            figures: view::asked(figures),
        };
        let made = Arc::new(Mutex::new(None));
        let own = Arc::clone(&made);
        let outcome = self.beside(py, None, Stops::Kept, move |_, run| {
            *lock(&own) = Some(crate::sink::view::View::listen(run, &host, port, shown)?);
            Ok(())
        })?;
        told(py, outcome, &Measured::default())?;
        Ok(lock(&made).take().map(View::new))
    }

    /// Nothing more comes for those who take frames.
    fn end_consumers(&self) {
        self.audience.end();
    }

    /// The last run's report, however it ended.
    fn report<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self.last() {
            None => Ok(py.None().into_bound(py)),
            Some(report) => to_python(py, &report),
        }
    }

    /// The state so far of the run that goes on; the last one's report if none does.
    fn so_far<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let is_running = matches!(*lock(&self.role), Place::Lent);
        let link = lock(&self.link).clone().filter(|_| is_running);
        let Some(link) = link else {
            return self.report(py);
        };
        match exit::without_lock(py, || link.look()) {
            // It has ended meanwhile, or begins just now.
            None => self.report(py),
            Some(state) => to_python(py, &state),
        }
    }

    /// What the last run's result has beside its report.
    fn details<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        self.last().map(|report| details(py, &report)).transpose()
    }

    /// Sees to it that a result can be written to a path.
    fn check_report(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        // Before anything is written for a run that can't be.
        lock(&self.role).check()?;
        *lock(&self.last) = Some(Arc::default());
        let checked = self.beside(py, None, Stops::Kept, move |_, run| file::check(&path, run))?;
        told(py, checked, &Measured::default())
    }

    /// Writes a result; with `is_last` it waits for no reader.
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
        told(py, written, &Measured::default())
    }
}
