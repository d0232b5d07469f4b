//! A buffer that a program fills.

#![allow(unsafe_code)]

use std::ffi::c_int;
use std::sync::{Mutex, OnceLock};

use pyo3::exceptions::{PyBufferError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::numpy;
use crate::base::lock;
use crate::frame::{Free, Stream, array};
use crate::measure::Measured;
use crate::memory::{Kept, Plane};
use crate::python::error::to_python;
use crate::source::feed;

/// What a program says of a frame that it gives; None: what it is by itself.
#[derive(Debug, Clone, Default)]
pub struct Told {
    pub timestamp: Option<u64>,
    pub sequence: Option<u64>,
    pub bytesused: Option<usize>,
}

impl Told {
    /// This, and of the rest what `other` says.
    pub fn or(self, other: &Told) -> Told {
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
    /// What its frames are.
    pub fn stream(&self) -> &Stream {
        &self.stream
    }

    /// A free buffer of a stream's.
    pub fn new(feed: feed::Feed, free: Free, stream: Box<Stream>) -> Self {
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

    /// Bytes of it.
    pub fn sizeimage(&self) -> usize {
        let plane = self.stream.planes.first();
        plane.map_or(0, |plane| plane.sizeimage.get() as usize)
    }

    /// The buffer, for good. `BufferError`: somebody may still write to it.
    pub fn take(&self) -> PyResult<(Free, Told)> {
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

    /// `ValueError`: it has fewer bytes.
    pub fn check_bytes(&self, bytes: usize) -> PyResult<usize> {
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
