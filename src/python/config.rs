//! The core's settings, read from the attributes of Python's configuration objects.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::receiver::ReceiverConfig;
use crate::sender::{Input, SenderConfig};
use crate::sink::{WhenFull, dump::DumpTarget};
use crate::source::{camera::Capture, test::Picture};
use crate::wire::Version;

/// The attributes of `v4l_dmabuf.SenderConfig`.
#[derive(FromPyObject)]
pub struct SenderAttributes {
    device: PathBuf,
    address: String,
    port: u16,
    width: NonZeroU32,
    height: NonZeroU32,
    format: String,
    buffers: NonZeroU32,
    heap: String,
    memory: String,
    fps: Option<f64>,
    zero_copy: String,
    on_overrun: String,
    peer_timeout: f64,
    protocol: u32,
    verify: bool,
    records: Option<PathBuf>,
}

/// The attributes of `v4l_dmabuf.ReceiverConfig`.
#[derive(FromPyObject)]
pub struct ReceiverAttributes {
    listen: String,
    port: u16,
    heap: String,
    output: Option<PathBuf>,
    max_memory: u64,
    peer_timeout: f64,
    records: Option<PathBuf>,
}

/// A setting that the configuration object let pass and the core does not.
fn refused(error: impl std::fmt::Display) -> PyErr {
    PyValueError::new_err(error.to_string())
}

fn seconds(value: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(value).map_err(refused)
}

impl TryFrom<SenderAttributes> for SenderConfig {
    type Error = PyErr;

    fn try_from(python: SenderAttributes) -> PyResult<Self> {
        Ok(SenderConfig {
            input: match python.device.to_str() {
                Some("test") => Input::Test(Picture::Moving),
                Some("test:still") => Input::Test(Picture::Still),
                _ => Input::Device(python.device),
            },
            capture: Capture {
                width: python.width,
                height: python.height,
                pixel_format: python.format.parse().map_err(refused)?,
                buffers: python.buffers,
                heap: python.heap.parse().map_err(refused)?,
                memory: python.memory.parse().map_err(refused)?,
                fps: python.fps,
                verify: python.verify,
            },
            protocol: version(python.protocol)?,
            records: python.records,
            address: python.address,
            port: python.port,
            zero_copy: python.zero_copy.parse().map_err(refused)?,
            on_overrun: python.on_overrun.parse().map_err(refused)?,
            peer_timeout: seconds(python.peer_timeout)?,
        })
    }
}

fn version(number: u32) -> PyResult<Version> {
    let unknown = format!("cannot speak wire version {number}: it is 1, 2 or 3");
    Version::of_number(number).map_err(|_| PyValueError::new_err(unknown))
}

impl TryFrom<ReceiverAttributes> for ReceiverConfig {
    type Error = PyErr;

    fn try_from(python: ReceiverAttributes) -> PyResult<Self> {
        Ok(ReceiverConfig {
            listen: python.listen,
            port: python.port,
            heap: python.heap.parse().map_err(refused)?,
            dumps: python
                .output
                .map(|path| (DumpTarget::from(path), WhenFull::Wait))
                .into_iter()
                .collect(),
            max_memory: python.max_memory,
            records: python.records,
            peer_timeout: seconds(python.peer_timeout)?,
        })
    }
}
