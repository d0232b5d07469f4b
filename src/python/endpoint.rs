//! A sender, a receiver or a capture: runs one at a time, each on a thread of its own, with the
//! interpreter's lock released.

mod methods;
mod role;

use std::sync::{Arc, Mutex};

use pyo3::prelude::*;

use self::role::Role;
use super::observer::Link;
use super::place::{Lent, Place};
use super::running::{self, GivenUp, Outcome};
use crate::base::{Result, Run, Stop, error::unless_stopped, lock};
use crate::measure::{Measured, Measuring};
use crate::sink::audience::Audience;

/// What runs.
#[pyclass(frozen)]
pub struct Endpoint {
    stop: Arc<Stop>,
    role: Arc<Mutex<Place<Role>>>,
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

impl Endpoint {
    fn new(py: Python<'_>, role: Role) -> PyResult<Self> {
        let stop = Stop::new().map_err(|error| super::error::raised(py, &error))?;
        Ok(Endpoint {
            stop: Arc::new(stop),
            role: Arc::new(Mutex::new(Place::Here(role))),
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
        work: impl FnOnce(&mut Role, &Measuring, &mut Run<'_>) -> Result<()> + Send + 'static,
    ) -> PyResult<Outcome<Result<()>>> {
        let state = {
            let mut place = lock(&self.role);
            place.check()?;
            place.lend()
        };
        let mut lent = Lent {
            state,
            home: Arc::clone(&self.role),
        };
        let outcome = self.beside(py, progress, stops, move |measured, run| {
            match &mut lent.state {
                Some(role) => work(role, measured, run),
                None => Ok(()),
            }
        })?;
        if let Err(GivenUp(calls)) = &outcome.result {
            let mut place = lock(&self.role);
            // Unless it has come back meanwhile.
            if matches!(*place, Place::Lent) {
                *place = Place::Kept(calls.clone());
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

    /// A part of a run that has no report.
    fn part(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut Role, &Measuring, &mut Run<'_>) -> Result<()> + Send + 'static,
    ) -> PyResult<()> {
        let outcome = self.work(py, None, Stops::Kept, work)?;
        told(py, outcome, &Measured::default())
    }

    fn last(&self) -> Option<Arc<Measured>> {
        lock(&self.last).clone()
    }
}

/// What a run came to, as Python has it.
fn told(py: Python<'_>, outcome: Outcome<Result<()>>, report: &Measured) -> PyResult<()> {
    let failed = |error| super::error::to_python(py, &error, report);
    match (outcome.raised, outcome.result) {
        (Some(raised), _) => Err(raised),
        (None, Ok(result)) => unless_stopped(result).map_err(failed),
        (None, Err(GivenUp(_))) => Err(failed(running::aborted())),
    }
}
