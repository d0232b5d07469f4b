//! What `Sender`, `Receiver` and `Capture` share: runs one at a time, each on a thread of its own.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::exit;
use super::frames::Consumer;
use super::observer::Link;
use super::place::{Lent, Place};
use super::running::{self, GivenUp, Outcome};
use crate::base::{Result, Run, Stop, error::unless_stopped, lock};
use crate::measure::{Measured, Measuring};
use crate::report::file;
use crate::sink::audience::Audience;
use crate::sink::consumer::{Overrun, Terms};
use crate::sink::view::{Shown, View};

mod classes;

pub use classes::{Capture, Receiver, Sender};

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

    fn show(
        &self,
        py: Python<'_>,
        host: String,
        port: u16,
        shown: Shown,
    ) -> PyResult<Option<View>> {
        let made = Arc::new(Mutex::new(None));
        let own = Arc::clone(&made);
        let outcome = self.beside(py, None, Stops::Kept, move |_, run| {
            *lock(&own) = Some(View::listen(run, &host, port, shown)?);
            Ok(())
        })?;
        told(py, outcome.raised, outcome.result, &Measured::default())?;
        Ok(lock(&made).take())
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
        (None, Ok(result)) => unless_stopped(result).map_err(failed),
        (None, Err(GivenUp(_))) => Err(failed(running::aborted())),
    }
}
