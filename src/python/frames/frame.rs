//! A frame, as Python has it.

#![allow(unsafe_code)]

use std::ffi::c_int;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::{Arc, Mutex, OnceLock};

use pyo3::exceptions::{PyBufferError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::dlpack::{self, Asked};
use super::handed;
use super::numpy;
use super::pixels::{self, Held, Pixels};
use super::plane::Plane;
use crate::base::{Error, ErrorKind, lock};
use crate::frame::{Lease, Payload, PlaneLayout, Stream, array, field, flags};
use crate::memory::{Kept, MemoryUsed};
use crate::python::{error::raised, exit::without_lock};
use crate::sink::consumer::{Common, Delivered, Passage};

/// What is known of a frame.
#[derive(Clone)]
struct About {
    frame: crate::frame::Frame,
    index: u32,
    passage: Passage,
    gap: u64,
    common: Arc<Common>,
}

/// A frame: its pixels, for as long as they are held, and what is known of it.
#[pyclass(frozen, module = "v4l_dmabuf._core")]
pub struct Frame {
    about: About,
    /// None once it was released.
    pixels: Mutex<Option<Arc<Pixels>>>,
    /// Keeps the buffer mapped beyond its release, for those whose views nobody counts.
    kept: OnceLock<Vec<Kept>>,
}

impl Frame {
    /// What a consumer was given.
    pub fn new(delivered: Delivered) -> Self {
        let Delivered {
            lease,
            passage,
            gap,
            common,
            ticket,
        } = delivered;
        let about = About {
            frame: lease.frame().clone(),
            index: lease.index(),
            passage,
            gap,
            common,
        };
        Frame::of(about, Pixels::Held(Held::new(lease, ticket)))
    }

    fn of(about: About, pixels: Pixels) -> Self {
        Frame {
            about,
            pixels: Mutex::new(Some(Arc::new(pixels))),
            kept: OnceLock::new(),
        }
    }

    /// Its pixels. `ValueError`: it was released.
    pub fn pixels(&self) -> PyResult<Arc<Pixels>> {
        let pixels = lock(&self.pixels).clone();
        pixels.ok_or_else(|| {
            PyValueError::new_err(format!(
                "frame {} was released: its buffer may hold another by now",
                self.about.frame.sequence
            ))
        })
    }

    /// The payload of a memory plane.
    pub fn payload(&self, plane: usize) -> Payload {
        let payload = self.about.frame.payloads.get(plane).copied();
        payload.unwrap_or_default()
    }

    /// The layout of a memory plane.
    pub fn layout(&self, plane: usize) -> Option<PlaneLayout> {
        self.stream().planes.get(plane).copied()
    }

    /// The frame in its stream's buffer, to be sent on; None of a copy. `ValueError`: it was
    /// released.
    pub fn lease(&self) -> PyResult<Option<Lease>> {
        Ok(match &*self.pixels()? {
            Pixels::Held(held) => held.lease().cloned(),
            Pixels::Copied(_) => None,
        })
    }

    /// The descriptor of a memory plane, valid while the frame is held. `HeapError`: it has none.
    pub fn fileno(&self, py: Python<'_>, plane: usize) -> PyResult<RawFd> {
        let pixels = self.pixels()?;
        let shared = pixels.share(plane).and_then(|shared| {
            shared.map(|(fd, _)| fd.as_raw_fd()).ok_or_else(|| {
                Error::new(ErrorKind::Heap, "give a frame's memory to others")
                    .cause("it has no descriptor: a copy, or a buffer that its driver won't export")
                    .next("use memory=\"dmabuf\", and the frame itself")
            })
        });
        shared.map_err(|error| raised(py, &error))
    }

    /// Whether its memory is DMABUFs.
    pub fn is_dmabuf(&self) -> bool {
        self.stream().memory != MemoryUsed::Memfd
    }

    /// What the frames of its stream are.
    pub fn stream(&self) -> &Stream {
        &self.about.common.stream
    }

    /// A tensor of one of its arrays, as a consumer asks for it.
    pub fn tensor<'py>(
        &self,
        py: Python<'py>,
        array: &array::Array,
        asked: Asked,
    ) -> PyResult<Bound<'py, PyAny>> {
        asked.check()?;
        if asked.copy {
            let copied = self.copy(py)?;
            return dlpack::capsule(py, copied.pixels()?, array, true);
        }
        dlpack::capsule(py, self.pixels()?, array, false)
    }

    /// The one array of a memory plane. The error says why there is none.
    pub fn array_of(&self, plane: usize) -> Result<array::Array, String> {
        if self.about.frame.payloads.len() == 1 {
            return array::array(self.stream(), &self.lengths());
        }
        let arrays = array::arrays(self.stream(), &self.lengths())?;
        let mut own = arrays.into_iter().filter(|array| array.plane == plane);
        own.next()
            .ok_or_else(|| format!("there is no plane {plane}"))
    }

    /// Bytes of the payload in each memory plane.
    pub fn lengths(&self) -> Vec<usize> {
        let payloads = self.about.frame.payloads.iter();
        payloads.map(|payload| payload.length).collect()
    }
}

/// What has the bytes of a memory plane as its buffer.
fn owner<'py>(frame: &Bound<'py, Frame>, plane: usize) -> PyResult<Bound<'py, PyAny>> {
    if frame.get().about.frame.payloads.len() == 1 {
        return Ok(frame.clone().into_any());
    }
    let plane = Plane::new(frame.clone().unbind(), plane);
    Ok(Bound::new(frame.py(), plane)?.into_any())
}

#[pymethods]
impl Frame {
    /// The driver's number of it (v4l2_buffer.sequence).
    #[getter]
    fn sequence(&self) -> u64 {
        self.about.frame.sequence
    }

    /// When it was captured (v4l2_buffer.timestamp), in nanoseconds of the clock that `clock`
    /// names.
    #[getter]
    fn timestamp_ns(&self) -> u64 {
        self.about.frame.timestamp.nanoseconds()
    }

    /// The clock of `timestamp_ns`, by the frame's flags: `monotonic`, `copy` or `unknown`.
    #[getter]
    fn clock(&self) -> &'static str {
        flags::clock(self.about.frame.flags)
    }

    /// `V4L2_BUF_FLAG_*` (v4l2_buffer.flags).
    #[getter]
    fn flags(&self) -> u32 {
        self.about.frame.flags
    }

    /// Which rows it has (v4l2_buffer.field), as V4L2 names it; None if that is unknown.
    #[getter]
    fn field(&self) -> Option<String> {
        let own = self.about.frame.field;
        (own != field::UNKNOWN).then(|| field::name(own))
    }

    /// Bytes of its payload, in all planes.
    #[getter]
    fn bytesused(&self) -> u64 {
        self.about.frame.bytes()
    }

    /// The number of its buffer (v4l2_buffer.index).
    #[getter]
    fn index(&self) -> u32 {
        self.about.index
    }

    /// Pixels.
    #[getter]
    fn width(&self) -> u32 {
        self.stream().width
    }

    /// Pixels.
    #[getter]
    fn height(&self) -> u32 {
        self.stream().height
    }

    /// The pixel format's fourcc.
    #[getter]
    fn format(&self) -> String {
        self.stream().pixel_format.to_string()
    }

    /// Bytes that a frame of the stream has at most.
    #[getter]
    fn sizeimage(&self) -> u64 {
        self.stream().frame_bytes()
    }

    /// Its number in its stream, from 0.
    #[getter]
    fn counter(&self) -> u64 {
        self.about.passage.counter
    }

    /// Frames of the stream that are missing between the one that was given before it and it,
    /// by the driver's numbers.
    #[getter]
    fn gap(&self) -> u64 {
        self.about.gap
    }

    /// Whether the driver flags it as possibly corrupt (V4L2_BUF_FLAG_ERROR).
    #[getter]
    fn error(&self) -> bool {
        self.about.frame.has_error()
    }

    /// When the capturing side dequeued it: nanoseconds of that side's CLOCK_MONOTONIC. None
    /// where it doesn't tell.
    #[getter]
    fn dequeued_ns(&self) -> Option<u64> {
        self.about.passage.dequeued
    }

    /// When it had come whole: nanoseconds of CLOCK_MONOTONIC. None where it came by no network.
    #[getter]
    fn received_ns(&self) -> Option<u64> {
        self.about.passage.received
    }

    /// Its memory planes.
    #[getter]
    fn planes<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyTuple>> {
        let count = slf.get().about.frame.payloads.len();
        let planes = (0..count).map(|number| {
            let plane = Plane::new(slf.clone().unbind(), number);
            Bound::new(slf.py(), plane)
        });
        PyTuple::new(slf.py(), planes.collect::<PyResult<Vec<_>>>()?)
    }

    /// One array of its pixels, a view that is read-only.
    fn array<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let own = slf.get();
        let array = array::array(own.stream(), &own.lengths()).map_err(PyValueError::new_err)?;
        numpy::ndarray(&owner(slf, array.plane)?, &array)
    }

    /// An array a colour plane, views that are read-only.
    fn arrays<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyTuple>> {
        let own = slf.get();
        let arrays = array::arrays(own.stream(), &own.lengths()).map_err(PyValueError::new_err)?;
        let views = arrays
            .iter()
            .map(|array| numpy::ndarray(&owner(slf, array.plane)?, array));
        PyTuple::new(slf.py(), views.collect::<PyResult<Vec<_>>>()?)
    }

    /// The same frame in ordinary memory: it holds no buffer.
    fn copy(&self, py: Python<'_>) -> PyResult<Self> {
        let pixels = self.pixels()?;
        let copied = without_lock(py, || pixels.copy());
        let copied = copied.map_err(|error| raised(py, &error))?;
        let mut about = self.about.clone();
        for payload in &mut about.frame.payloads {
            payload.offset = 0;
        }
        Ok(Frame::of(about, Pixels::Copied(copied)))
    }

    /// Descriptors of its memory, to give to others: a `DmaBuf`, which closes them. `HeapError`:
    /// the memory has none.
    fn dmabuf<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        handed::dmabuf(slf)
    }

    /// A DLPack tensor in the shape of `array`. `BufferError`: the consumer can't take it.
    #[pyo3(signature = (*, stream=None, max_version=None, dl_device=None, copy=None))]
    fn __dlpack__<'py>(
        slf: &Bound<'py, Self>,
        stream: Option<Py<PyAny>>,
        max_version: Option<(u32, u32)>,
        dl_device: Option<(i32, i32)>,
        copy: Option<bool>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let own = slf.get();
        let array = array::array(own.stream(), &own.lengths()).map_err(PyBufferError::new_err)?;
        let asked = Asked::new(stream.is_some(), max_version, dl_device, copy);
        own.tensor(slf.py(), &array, asked)
    }

    /// DLPack's device of it: the CPU.
    fn __dlpack_device__(&self) -> (i32, i32) {
        dlpack::DEVICE
    }

    /// Whether it is in ordinary memory.
    #[getter]
    fn is_copy(&self) -> bool {
        let pixels = lock(&self.pixels);
        let pixels = pixels.as_deref();
        pixels.is_some_and(|pixels| matches!(pixels, Pixels::Copied(_)))
    }

    /// Gives it up: says whether its buffer went back at once.
    fn release(&self) -> bool {
        let Some(pixels) = lock(&self.pixels).take() else {
            return false;
        };
        self.kept.get_or_init(|| pixels.keep());
        pixels.release()
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __exit__(&self, _kind: Py<PyAny>, _error: Py<PyAny>, _traceback: Py<PyAny>) {
        self.release();
    }

    unsafe fn __getbuffer__(
        slf: Bound<'_, Self>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> PyResult<()> {
        let own = slf.get();
        let planes = own.about.frame.payloads.len();
        if planes != 1 {
            return Err(PyBufferError::new_err(format!(
                "the frame has {planes} memory planes: each of frame.planes is a buffer"
            )));
        }
        let pixels = own.pixels()?;
        // SAFETY: `view` is what this was given.
        unsafe { pixels::open_view(slf.as_any(), pixels, 0, view, flags) }
    }

    unsafe fn __releasebuffer__(&self, view: *mut ffi::Py_buffer) {
        // SAFETY: `view` is what this was given, and `__getbuffer__` filled it.
        unsafe { pixels::close_view(view) };
    }

    fn __repr__(&self) -> String {
        let state = match &*lock(&self.pixels) {
            None => ", released",
            Some(pixels) if matches!(**pixels, Pixels::Copied(_)) => ", copied",
            Some(_) => "",
        };
        format!(
            "<Frame {}: {}x{} {}, {} bytes{state}>",
            self.sequence(),
            self.width(),
            self.height(),
            self.format(),
            self.bytesused()
        )
    }
}
