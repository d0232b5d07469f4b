//! The extension module `v4l_dmabuf._core`: the core's sender and receiver for Python.
//!
//! Runs release the interpreter's lock and take it back for the observer alone.
//! Configuration objects, exceptions and the report are Python's own classes;
//! this layer reads and makes them.

mod config;
mod endpoint;
mod error;
mod observer;
mod probe;
mod report;
mod signals;

use pyo3::prelude::*;

/// The Rust core of v4l-dmabuf.
#[pymodule]
mod _core {
    use pyo3::prelude::*;

    #[pymodule_export]
    use super::endpoint::{Receiver, Sender};
    #[pymodule_export]
    use super::probe::probe;

    /// What the hypervisor calls itself in CPUID; None where nothing signs.
    #[pyfunction]
    fn cpuid_hypervisor() -> Option<String> {
        crate::hypervisor::signature()
    }

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        // Nothing is cached, so that a script may change levels at any time:
        // the core logs a few lines a run, none a frame.
        let logger = pyo3_log::Logger::new(module.py(), pyo3_log::Caching::Nothing)?
            .filter(log::LevelFilter::Debug);
        // Fails only if the module is imported anew in the same process, where
        // the first logger goes on working.
        let _ = logger.install();
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
