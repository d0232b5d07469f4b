//! The core's errors as Python's exceptions.

use nix::errno::Errno;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::base::{Error, ErrorKind};
use crate::measure::Measured;

/// The name of the class in `v4l_dmabuf.errors`.
fn class_name(error: &Error) -> &'static str {
    match error.kind() {
        ErrorKind::DeviceNotFound => "DeviceNotFoundError",
        ErrorKind::DevicePermission => "DevicePermissionError",
        ErrorKind::DeviceBusy => "DeviceBusyError",
        ErrorKind::NotACaptureDevice => "NotACaptureDeviceError",
        ErrorKind::NotAnOutputDevice => "NotAnOutputDeviceError",
        ErrorKind::DeviceGone => "DeviceGoneError",
        ErrorKind::Device => "DeviceError",
        ErrorKind::Format => "FormatError",
        ErrorKind::HeapNotFound => "HeapNotFoundError",
        ErrorKind::HeapPermission => "HeapPermissionError",
        ErrorKind::HeapExhausted => "HeapExhaustedError",
        ErrorKind::Heap => "HeapError",
        ErrorKind::ImportRefused => "ImportRefusedError",
        ErrorKind::ZeroCopy => "ZeroCopyError",
        ErrorKind::Address => "AddressError",
        ErrorKind::Connect if error.errno_value() == Some(Errno::ECONNREFUSED) => {
            "ConnectRefusedError"
        }
        ErrorKind::Connect => "ConnectError",
        ErrorKind::PeerLost => "PeerLostError",
        ErrorKind::PeerTimeout => "PeerTimeoutError",
        ErrorKind::Protocol => "ProtocolError",
        ErrorKind::Truncated => "TruncatedError",
        ErrorKind::Limit => "LimitError",
        ErrorKind::Refused => "RefusedError",
        ErrorKind::Integrity => "IntegrityError",
        ErrorKind::Output => "OutputError",
        ErrorKind::System => "SystemCallError",
        ErrorKind::Interrupted => "Error",
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
