//! The core's errors as Python's exceptions.

use nix::errno::Errno;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::base::{Error, ErrorKind};
use crate::measure::Measured;

/// The name of the class in `v4l_dmabuf.errors`.
fn class_name(error: &Error) -> String {
    let is_refused = error.errno_value() == Some(Errno::ECONNREFUSED);
    match error.kind() {
        ErrorKind::Connect if is_refused => "ConnectRefusedError".to_owned(),
        ErrorKind::System => "SystemCallError".to_owned(),
        // The interruption itself is what Python raised.
        ErrorKind::Interrupted | ErrorKind::Stopped => "Error".to_owned(),
        kind => format!("{}Error", kind.as_ref()),
    }
}

/// Makes the exception that fits; with the report of what was done until then
/// if frames could flow already.
pub fn to_python(py: Python<'_>, error: &Error, report: &Measured) -> PyErr {
    exception(py, error, report).map_or_else(|failure| failure, PyErr::from_value)
}

/// As `to_python`, for what is no part of a run.
pub fn raised(py: Python<'_>, error: &Error) -> PyErr {
    to_python(py, error, &Measured::default())
}

fn exception<'py>(
    py: Python<'py>,
    error: &Error,
    report: &Measured,
) -> PyResult<Bound<'py, PyAny>> {
    let fields = PyDict::new(py);
    if let Some(errno) = error.errno_value() {
        fields.set_item("errno", errno as i32)?;
        fields.set_item("strerror", errno.desc())?;
    }
    fields.set_item("filename", error.object_name())?;
    if report.stream.is_some() {
        fields.set_item("report", super::report::to_python(py, report)?)?;
    }
    py.import("v4l_dmabuf.errors")?
        .getattr(class_name(error))?
        .call((error.to_string(),), Some(&fields))
}
