//! `Sender`, `Receiver` and `Capture`, as Python sees them.

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use serde::de::DeserializeOwned;

use super::Endpoint;
use crate::base::lock;
use crate::capture::{self, CaptureConfig};
use crate::link::Listener;
use crate::python::frames::{Consumer, Feed};
use crate::python::place::Place;
use crate::python::view::{self, View};
use crate::receiver::ReceiverConfig;
use crate::sender::SenderConfig;
use crate::sink::view::Shown;
use crate::source::Input;
use crate::{receiver, sender};

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
            /// most, so wide at most. `figures` tells what is measured so far, as JSON. None on a
            /// stop, which is the next run's.
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
                    latest: self.0.audience.latest(),
                    interval: Duration::try_from_secs_f64(interval).unwrap_or(Duration::MAX),
                    width,
                    page: page.0,
                    policy: page.1,
                    figures: view::asked(figures),
                };
                Ok(self.0.show(py, host, port, shown)?.map(View::new))
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
                state.listener = Some(receiver::listen(&state.config, run)?);
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
