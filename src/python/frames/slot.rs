//! A buffer that a program fills.

#![allow(unsafe_code)]

use std::ffi::c_int;
use std::sync::{Arc, Mutex, OnceLock};

use pyo3::exceptions::{PyBufferError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::numpy;
use super::told::{Told, Used};
use crate::base::{Result, lock};
use crate::frame::{Free, Stream, array, is_compressed};
use crate::memory::{Kept, Plane};
use crate::python::error::raised;
use crate::source::feed;

/// A buffer of the stream, to be filled and submitted.
#[pyclass(frozen, module = "v4l_dmabuf._core")]
pub struct Slot {
    feed: feed::Feed,
    stream: Arc<Stream>,
    filling: Mutex<Filling>,
    /// Keeps it mapped for those whose views nobody counts.
    kept: OnceLock<Vec<Kept>>,
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
    pub fn new(feed: feed::Feed, free: Free, stream: Arc<Stream>) -> Self {
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

    /// Bytes of each memory plane.
    pub fn sizes(&self) -> Vec<usize> {
        let planes = self.stream.planes.iter();
        planes.map(|plane| plane.sizeimage.get() as usize).collect()
    }

    /// What is sent of each memory plane, by what the program said of it. `ValueError`: it said
    /// nothing of a frame that has as many bytes as it needs.
    pub fn used(&self, told: &Told) -> PyResult<Vec<usize>> {
        let own = || lock(&self.filling).told.bytesused.clone();
        match told.bytesused.clone().or_else(own) {
            Some(used) => Ok(used),
            None if is_compressed(self.stream.pixel_format) => Err(PyValueError::new_err(format!(
                "a {} frame has as many bytes as it needs: give bytesused",
                self.stream.pixel_format
            ))),
            None => Ok(self.sizes()),
        }
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
        self.kept
            .get_or_init(|| free.planes().iter().map(Plane::keep).collect());
        Ok((free, told))
    }

    /// Opens a view of a plane, as `owner`'s buffer.
    ///
    /// # Safety
    ///
    /// `view` is what `__getbuffer__` was given.
    unsafe fn open_view(
        &self,
        owner: &Bound<'_, PyAny>,
        number: usize,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> PyResult<()> {
        let py = owner.py();
        // SAFETY: as above. Python reads it where this fails.
        unsafe { (*view).obj = std::ptr::null_mut() };
        // Nobody else's device has a free buffer: this waits for no fence.
        let mut filling = lock(&self.filling);
        let planes = filling.free.as_ref().ok_or_else(gone)?.planes();
        let sizes = self.sizes();
        let plane = planes.get(number).zip(sizes.get(number));
        let (plane, length) = plane.ok_or_else(gone)?;
        let told = |error| raised(py, &error);
        let range = plane.view(0, *length).map_err(told)?.iovec();
        if filling.views == 0 {
            begin_write(planes).map_err(told)?;
        }
        let length = *length as ffi::Py_ssize_t;
        // SAFETY: as above; the range is mapped for as long as the slot has its buffer, which
        // it keeps while a view is open.
        let filled = unsafe {
            ffi::PyBuffer_FillInfo(view, owner.as_ptr(), range.iov_base, length, 0, flags)
        };
        if filled != 0 {
            if filling.views == 0 {
                end_write(planes);
            }
            return Err(PyErr::fetch(py));
        }
        filling.views += 1;
        Ok(())
    }

    fn close_view(&self) {
        let mut filling = lock(&self.filling);
        filling.views = filling.views.saturating_sub(1);
        if let (Some(free), 0) = (&filling.free, filling.views) {
            end_write(free.planes());
        }
    }
}

/// What has the bytes of a memory plane as its buffer.
fn owner<'py>(slot: &Bound<'py, Slot>, plane: usize) -> PyResult<Bound<'py, PyAny>> {
    if slot.get().stream.planes.len() == 1 {
        return Ok(slot.clone().into_any());
    }
    let plane = SlotPlane {
        slot: slot.clone().unbind(),
        number: plane,
    };
    Ok(Bound::new(slot.py(), plane)?.into_any())
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

    /// Bytes of it, in all planes.
    #[getter]
    fn sizeimage(&self) -> usize {
        self.sizes().iter().sum()
    }

    /// Its memory planes.
    #[getter]
    fn planes<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyTuple>> {
        let planes = (0..slf.get().stream.planes.len()).map(|number| {
            let slot = slf.clone().unbind();
            Bound::new(slf.py(), SlotPlane { slot, number })
        });
        PyTuple::new(slf.py(), planes.collect::<PyResult<Vec<_>>>()?)
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

    /// Bytes that are sent, in each memory plane if there are several; None: all.
    #[getter]
    fn bytesused<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        Ok(match lock(&self.filling).told.bytesused.as_deref() {
            None => None,
            Some([bytes]) => Some(bytes.into_pyobject(py)?.into_any()),
            Some(each) => Some(PyTuple::new(py, each)?.into_any()),
        })
    }

    #[setter]
    fn set_bytesused(&self, used: Option<Used>) -> PyResult<()> {
        let used = used.map(|used| used.within(&self.sizes())).transpose()?;
        lock(&self.filling).told.bytesused = used;
        Ok(())
    }

    /// One array of it, to write to.
    fn array<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let own = slf.get();
        let array = array::array(&own.stream, &own.sizes()).map_err(PyValueError::new_err)?;
        numpy::ndarray(&owner(slf, array.plane)?, &array)
    }

    /// An array a colour plane, to write to.
    fn arrays<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyTuple>> {
        let own = slf.get();
        let arrays = array::arrays(&own.stream, &own.sizes()).map_err(PyValueError::new_err)?;
        let views = arrays
            .iter()
            .map(|array| numpy::ndarray(&owner(slf, array.plane)?, array));
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
        let own = slf.get();
        let planes = own.stream.planes.len();
        if planes != 1 {
            return Err(PyBufferError::new_err(format!(
                "the slot has {planes} memory planes: each of slot.planes is a buffer"
            )));
        }
        // SAFETY: `view` is what this was given.
        unsafe { own.open_view(slf.as_any(), 0, view, flags) }
    }

    unsafe fn __releasebuffer__(&self, _view: *mut ffi::Py_buffer) {
        self.close_view();
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

/// A memory plane of a slot. Its buffer is the whole of it, to write to.
#[pyclass(frozen, module = "v4l_dmabuf._core")]
pub struct SlotPlane {
    slot: Py<Slot>,
    number: usize,
}

#[pymethods]
impl SlotPlane {
    /// Bytes of it.
    #[getter]
    fn length(&self) -> usize {
        let sizes = self.slot.get().sizes();
        sizes.get(self.number).copied().unwrap_or(0)
    }

    unsafe fn __getbuffer__(
        slf: Bound<'_, Self>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> PyResult<()> {
        let own = slf.get();
        // SAFETY: `view` is what this was given.
        unsafe {
            own.slot
                .get()
                .open_view(slf.as_any(), own.number, view, flags)
        }
    }

    unsafe fn __releasebuffer__(&self, _view: *mut ffi::Py_buffer) {
        self.slot.get().close_view();
    }

    fn __repr__(&self) -> String {
        format!("<SlotPlane {}, {} bytes>", self.number, self.length())
    }
}

fn begin_write(planes: &[Plane]) -> Result<()> {
    for (number, plane) in planes.iter().enumerate() {
        if let Err(error) = plane.begin_write() {
            end_write(planes.get(..number).unwrap_or_default());
            return Err(error);
        }
    }
    Ok(())
}

fn end_write(planes: &[Plane]) {
    for plane in planes {
        if let Err(error) = plane.end_write() {
            log::error!("{error}");
        }
    }
}
