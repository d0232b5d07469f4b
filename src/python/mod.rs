//! The extension module `v4l_dmabuf._core`: the core's sender and receiver for Python.
//!
//! A run has a thread of its own, which never takes the interpreter's lock; the Python thread
//! that asked for it waits without the lock.
//! Configuration objects, exceptions and the report are Python's own classes;
//! this layer reads and makes them.

mod endpoint;
mod error;
mod exit;
mod frames;
mod log;
mod observer;
mod place;
mod probe;
mod report;
mod running;
mod signals;
mod view;

use pyo3::prelude::*;

/// The Rust core of v4l-dmabuf.
// Untried without the lock; what is built for the stable ABI is not loaded there anyway.
#[pymodule(gil_used = true)]
mod _core {
    use pyo3::prelude::*;

    #[pymodule_export]
    use super::endpoint::Endpoint;
    #[pymodule_export]
    use super::exit::Whole;
    #[pymodule_export]
    use super::frames::{Consumer, Feed, Frame, Plane, Slot, SlotPlane};
    #[pymodule_export]
    use super::probe::{probe, probe_cards};
    #[pymodule_export]
    use super::view::View;

    /// What the hypervisor calls itself in CPUID; None where nothing signs.
    #[pyfunction]
    fn cpuid_hypervisor() -> Option<String> {
        crate::base::hypervisor::signature()
    }

    /// The system calls that have not returned, and may keep the process from ending.
    #[pyfunction]
    fn under_way() -> Vec<String> {
        crate::base::blocking::under_way()
    }

    /// Ends the process after a time, with an exit status, whatever it is at.
    #[pyfunction]
    fn exit_within(seconds: f64, status: i32) {
        super::exit::within(
            std::time::Duration::from_secs_f64(seconds.clamp(0.0, 60.0)),
            status,
        );
    }

    /// Ends the runs that go on, and lets none take the interpreter's lock any more.
    #[pyfunction]
    fn close(py: Python<'_>) {
        // What hangs on to the lock until the end would wait for itself.
        py.detach(super::exit::close);
    }

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        super::log::install();
        let close = wrap_pyfunction!(close, module)?;
        module
            .py()
            .import("atexit")?
            .call_method1("register", (close,))?;
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
