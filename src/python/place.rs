//! Where an endpoint's state is: at home, or with a run.

use std::sync::{Arc, Mutex};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::base::lock;

/// Where an endpoint's state is.
pub enum Place<State> {
    Here(State),
    /// A run that is going on has it.
    Lent,
    /// A run that was given up has it, at these calls.
    Kept(String),
}

impl<State> Place<State> {
    /// `RuntimeError`: the state is not here.
    pub fn check(&self) -> PyResult<()> {
        let away = match self {
            Place::Here(_) => return Ok(()),
            Place::Lent => "it is running already".to_owned(),
            Place::Kept(calls) => format!("its last run was given up in {calls}, and is not over"),
        };
        Err(PyRuntimeError::new_err(away))
    }

    /// Lends the state, if it is here.
    pub fn lend(&mut self) -> Option<State> {
        match std::mem::replace(self, Place::Lent) {
            Place::Here(state) => Some(state),
            away => {
                *self = away;
                None
            }
        }
    }
}

/// A state that a run has, until it is dropped.
pub struct Lent<State> {
    /// None if it was lent to another.
    pub state: Option<State>,
    /// Where it goes.
    pub home: Arc<Mutex<Place<State>>>,
}

impl<State> Drop for Lent<State> {
    fn drop(&mut self) {
        if let Some(state) = self.state.take() {
            *lock(&self.home) = Place::Here(state);
        }
    }
}
