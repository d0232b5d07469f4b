//! A buffer that a program fills, and the feed that it is sent by.

#![allow(unsafe_code)]

use std::ffi::c_int;
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use pyo3::exceptions::{PyBufferError, PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::frame::Frame;
use super::numpy;
use crate::base::{Monotonic, lock};
use crate::frame::{self, Free, Payload, Stream, Timestamp, array, field, flags};
use crate::measure::Measured;
use crate::memory::{Kept, Plane};
use crate::python::error::to_python;
use crate::python::exit::Entering;
use crate::source::feed::{self, Given, Room};

/// How long a wait lasts before signals are looked for.
const LOOK: Duration = Duration::from_millis(50);

/// What a program says of a frame that it gives; None: what it is by itself.
#[derive(Debug, Clone, Default)]
struct Told {
    timestamp: Option<u64>,
    sequence: Option<u64>,
    bytesused: Option<usize>,
}

impl Told {
    /// This, and of the rest what `other` says.
    fn or(self, other: &Told) -> Told {
        Told {
            timestamp: self.timestamp.or(other.timestamp),
            sequence: self.sequence.or(other.sequence),
            bytesused: self.bytesused.or(other.bytesused),
        }
    }
}

/// A buffer of the stream, to be filled and submitted.
#[pyclass(frozen, module = "v4l_dmabuf._core")]
pub struct Slot {
    feed: feed::Feed,
    stream: Box<Stream>,
    filling: Mutex<Filling>,
    /// Keeps it mapped for those whose views nobody counts.
    kept: OnceLock<Kept>,
}

struct Filling {
    /// None once it was submitted or given back.
    free: Option<Free>,
    /// Views that are open. The CPU's access begins with the first and ends with the last.
    views: usize,
    told: Told,
}

impl Slot {
    fn new(feed: feed::Feed, free: Free, stream: Box<Stream>) -> Self {
        Slot {
            feed,
            stream,
            filling: Mutex::new(Filling {
                free: Some(free),
                views: 0,
                told: Told::default(),
            }),
            kept: OnceLock::new(),
        }
    }

    fn sizeimage(&self) -> usize {
        let plane = self.stream.planes.first();
        plane.map_or(0, |plane| plane.sizeimage.get() as usize)
    }

    /// The buffer, for good. `BufferError`: somebody may still write to it.
    fn take(&self) -> PyResult<(Free, Told)> {
        let mut filling = lock(&self.filling);
        if filling.views > 0 {
            return Err(PyBufferError::new_err(format!(
                "{} views of the slot are open, and would change what is sent: delete arrays and \
                 memoryviews first",
                filling.views
            )));
        }
        let told = filling.told.clone();
        let free = filling.free.take().ok_or_else(gone)?;
        if let Some(plane) = free.planes().first() {
            self.kept.get_or_init(|| plane.keep());
        }
        Ok((free, told))
    }

    fn check_bytes(&self, bytes: usize) -> PyResult<usize> {
        let most = self.sizeimage();
        if bytes > most {
            return Err(PyValueError::new_err(format!(
                "bytesused is {most} at most, not {bytes}"
            )));
        }
        Ok(bytes)
    }
}

fn gone() -> PyErr {
    PyValueError::new_err("the slot was submitted or released: acquire another")
}

impl Drop for Slot {
    fn drop(&mut self) {
        let filling = self.filling.get_mut();
        let filling = filling.unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(free) = filling.free.take() {
            self.feed.give_back(free);
        }
    }
}

#[pymethods]
impl Slot {
    /// Pixels.
    #[getter]
    fn width(&self) -> u32 {
        self.stream.width
    }

    /// Pixels.
    #[getter]
    fn height(&self) -> u32 {
        self.stream.height
    }

    /// The pixel format's fourcc.
    #[getter]
    fn format(&self) -> String {
        self.stream.pixel_format.to_string()
    }

    /// Bytes of it.
    #[getter(sizeimage)]
    fn told_sizeimage(&self) -> usize {
        self.sizeimage()
    }

    /// When it was captured, in nanoseconds of CLOCK_MONOTONIC; None: when it is submitted.
    #[getter]
    fn timestamp_ns(&self) -> Option<u64> {
        lock(&self.filling).told.timestamp
    }

    #[setter]
    fn set_timestamp_ns(&self, timestamp: Option<u64>) {
        lock(&self.filling).told.timestamp = timestamp;
    }

    /// Its number; None: the next.
    #[getter]
    fn sequence(&self) -> Option<u64> {
        lock(&self.filling).told.sequence
    }

    #[setter]
    fn set_sequence(&self, sequence: Option<u64>) {
        lock(&self.filling).told.sequence = sequence;
    }

    /// Bytes that are sent; None: all.
    #[getter]
    fn bytesused(&self) -> Option<usize> {
        lock(&self.filling).told.bytesused
    }

    #[setter]
    fn set_bytesused(&self, bytes: Option<usize>) -> PyResult<()> {
        let bytes = bytes.map(|bytes| self.check_bytes(bytes)).transpose()?;
        lock(&self.filling).told.bytesused = bytes;
        Ok(())
    }

    /// One array of it, to write to.
    fn array<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let own = slf.get();
        let array = array::array(&own.stream, &[own.sizeimage()]).map_err(PyValueError::new_err)?;
        numpy::ndarray(slf.as_any(), &array)
    }

    /// An array a colour plane, to write to.
    fn arrays<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyTuple>> {
        let own = slf.get();
        let arrays =
            array::arrays(&own.stream, &[own.sizeimage()]).map_err(PyValueError::new_err)?;
        let views = arrays
            .iter()
            .map(|array| numpy::ndarray(slf.as_any(), array));
        PyTuple::new(slf.py(), views.collect::<PyResult<Vec<_>>>()?)
    }

    /// Gives it back unsent. `BufferError`: views of it are open.
    fn release(&self) -> PyResult<()> {
        if lock(&self.filling).free.is_none() {
            return Ok(());
        }
        let (free, _) = self.take()?;
        self.feed.give_back(free);
        Ok(())
    }

    unsafe fn __getbuffer__(
        slf: Bound<'_, Self>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> PyResult<()> {
        let py = slf.py();
        let own = slf.get();
        // SAFETY: `view` is what this was given. Python reads it where this fails.
        unsafe { (*view).obj = std::ptr::null_mut() };
        // Nobody else's device has a free buffer: this waits for no fence.
        let mut filling = lock(&own.filling);
        let plane = filling.free.as_ref().and_then(|free| free.planes().first());
        let plane = plane.ok_or_else(gone)?;
        let length = own.sizeimage();
        let told = |error| to_python(py, &error, &Measured::default());
        let range = plane.view(0, length).map_err(told)?.iovec();
        if filling.views == 0 {
            plane.begin_write().map_err(told)?;
        }
        let length = length as ffi::Py_ssize_t;
        // SAFETY: as above; the range is mapped for as long as the slot has its buffer, which
        // it keeps while a view is open.
        let filled =
            unsafe { ffi::PyBuffer_FillInfo(view, slf.as_ptr(), range.iov_base, length, 0, flags) };
        if filled != 0 {
            if filling.views == 0 {
                end_write(plane);
            }
            return Err(PyErr::fetch(py));
        }
        filling.views += 1;
        Ok(())
    }

    unsafe fn __releasebuffer__(&self, _view: *mut ffi::Py_buffer) {
        let mut filling = lock(&self.filling);
        filling.views = filling.views.saturating_sub(1);
        let plane = filling.free.as_ref().and_then(|free| free.planes().first());
        if let (Some(plane), 0) = (plane, filling.views) {
            end_write(plane);
        }
    }

    fn __repr__(&self) -> String {
        let state = match lock(&self.filling).free {
            Some(_) => "",
            None => ", gone",
        };
        format!(
            "<Slot: {}x{} {}{state}>",
            self.width(),
            self.height(),
            self.format()
        )
    }
}

fn end_write(plane: &Plane) {
    if let Err(error) = plane.end_write() {
        log::error!("{error}");
    }
}

/// Where a program gives frames to a sender.
#[pyclass(frozen, module = "v4l_dmabuf._core")]
pub struct Feed {
    feed: feed::Feed,
    /// The number of the next frame that has none.
    next: Mutex<u64>,
}

impl Feed {
    /// The core's.
    pub fn core(&self) -> feed::Feed {
        self.feed.clone()
    }

    /// A frame that was made here.
    fn made(&self, told: &Told, most: usize) -> frame::Frame {
        let taken = Monotonic::now();
        let mut next = lock(&self.next);
        let sequence = told.sequence.unwrap_or(*next);
        *next = sequence.saturating_add(1);
        frame::Frame {
            sequence,
            flags: flags::BUF_FLAG_TIMESTAMP_MONOTONIC,
            field: field::UNKNOWN,
            timestamp: Timestamp::of_nanoseconds(told.timestamp.unwrap_or(taken.nanoseconds())),
            payloads: vec![Payload {
                offset: 0,
                length: told.bytesused.unwrap_or(most),
            }],
            taken,
        }
    }
}

#[pymethods]
impl Feed {
    #[new]
    fn new(py: Python<'_>) -> PyResult<Self> {
        let feed =
            feed::Feed::new().map_err(|error| to_python(py, &error, &Measured::default()))?;
        Ok(Feed {
            feed,
            next: Mutex::new(0),
        })
    }

    /// A free buffer, for which it waits `timeout` seconds at most: then False. None once the
    /// run is over.
    fn acquire(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Py<PyAny>> {
        let begun = std::time::Instant::now();
        let timeout = timeout.and_then(|it| Duration::try_from_secs_f64(it).ok());
        loop {
            match self.feed.take() {
                Room::Buffer(free, stream) => {
                    let slot = Slot::new(self.feed.clone(), free, stream);
                    return Ok(Py::new(py, slot)?.into_any());
                }
                Room::Over => return Ok(py.None()),
                Room::Nothing => {}
            }
            let left = timeout.map_or(LOOK, |it| it.saturating_sub(begun.elapsed()).min(LOOK));
            if left.is_zero() {
                return Ok(false.into_pyobject(py)?.to_owned().into_any().unbind());
            }
            let entering = py.detach(|| {
                self.feed.wait(left);
                Entering::new()
            });
            drop(entering);
            py.check_signals()?;
        }
    }

    /// Gives a slot or a frame to be sent. False once the run is over.
    #[pyo3(signature = (what, timestamp_ns=None, sequence=None, bytesused=None))]
    fn submit(
        &self,
        py: Python<'_>,
        what: &Bound<'_, PyAny>,
        timestamp_ns: Option<u64>,
        sequence: Option<u64>,
        bytesused: Option<usize>,
    ) -> PyResult<bool> {
        let told = Told {
            timestamp: timestamp_ns,
            sequence,
            bytesused,
        };
        let given = if let Ok(slot) = what.cast::<Slot>() {
            let slot = slot.get();
            if let Some(bytes) = bytesused {
                slot.check_bytes(bytes)?;
            }
            let (free, own) = slot.take()?;
            let frame = self.made(&told.or(&own), slot.sizeimage());
            match self.feed.lend(free, frame) {
                Some(lease) => self.feed.give(lease, &slot.stream),
                None => Ok(Given::Over),
            }
        } else if let Ok(frame) = what.cast::<Frame>() {
            let frame = frame.get();
            let Some(lease) = frame.lease()? else {
                return Err(PyTypeError::new_err(
                    "a copied frame has no buffer to be sent from: copy it into a slot",
                ));
            };
            let mut about = lease.frame().clone();
            let most = about.payloads.first().map_or(0, |payload| payload.length);
            if let Some(bytes) = bytesused {
                if bytes > most || about.payloads.len() != 1 {
                    return Err(PyValueError::new_err(format!(
                        "bytesused is of one plane, and {most} at most, not {bytes}"
                    )));
                }
                about.payloads = vec![Payload {
                    offset: 0,
                    length: bytes,
                }];
            }
            if let Some(timestamp) = timestamp_ns {
                about.timestamp = Timestamp::of_nanoseconds(timestamp);
            }
            about.sequence = sequence.unwrap_or(about.sequence);
            let lease = lease.told_otherwise(about);
            self.feed.give(lease, frame.stream())
        } else {
            let kind = what.get_type().name()?;
            return Err(PyTypeError::new_err(format!(
                "give a Slot or a Frame, not a {kind}"
            )));
        };
        given
            .map(|given| given == Given::Taken)
            .map_err(|error| to_python(py, &error, &Measured::default()))
    }

    /// No more will be given.
    fn finish(&self) {
        self.feed.finish();
    }

    /// The run is over, or never began.
    fn end(&self) {
        self.feed.end();
    }
}
