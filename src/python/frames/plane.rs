//! A memory plane of a frame.

#![allow(unsafe_code)]

use std::ffi::c_int;
use std::os::fd::RawFd;

use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;

use super::dlpack::{self, Asked};
use super::frame::Frame;
use super::pixels;

/// A memory plane of a frame, as `struct v4l2_plane` has it. Its buffer is its payload.
#[pyclass(frozen, module = "v4l_dmabuf._core")]
pub struct Plane {
    frame: Py<Frame>,
    number: usize,
}

impl Plane {
    /// Plane `number` of a frame.
    pub fn new(frame: Py<Frame>, number: usize) -> Self {
        Plane { frame, number }
    }
}

#[pymethods]
impl Plane {
    /// Bytes of the frame's payload in it, without `data_offset`.
    #[getter]
    fn bytesused(&self) -> usize {
        self.frame.get().payload(self.number).length
    }

    /// Bytes of the plane before the payload.
    #[getter]
    fn data_offset(&self) -> usize {
        self.frame.get().payload(self.number).offset
    }

    /// Bytes that a frame's payload has in it at most.
    #[getter]
    fn length(&self) -> Option<u32> {
        let plane = self.frame.get().layout(self.number);
        plane.map(|plane| plane.sizeimage.get())
    }

    /// Bytes from one row to the next; None where nobody tells.
    #[getter]
    fn bytesperline(&self) -> Option<u32> {
        let plane = self.frame.get().layout(self.number);
        plane.and_then(|plane| plane.bytesperline)
    }

    /// The descriptor of its memory, for as long as the frame is held. `HeapError`: there is none.
    fn fileno(&self, py: Python<'_>) -> PyResult<RawFd> {
        self.frame.get().fileno(py, self.number)
    }

    /// A DLPack tensor of it. `BufferError`: the consumer can't take it.
    #[pyo3(signature = (*, stream=None, max_version=None, dl_device=None, copy=None))]
    fn __dlpack__<'py>(
        &self,
        py: Python<'py>,
        stream: Option<Py<PyAny>>,
        max_version: Option<(u32, u32)>,
        dl_device: Option<(i32, i32)>,
        copy: Option<bool>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let frame = self.frame.get();
        let array = frame
            .array_of(self.number)
            .map_err(PyBufferError::new_err)?;
        let asked = Asked::new(stream.is_some(), max_version, dl_device, copy);
        frame.tensor(py, &array, asked)
    }

    /// DLPack's device of it: the CPU.
    fn __dlpack_device__(&self) -> (i32, i32) {
        dlpack::DEVICE
    }

    unsafe fn __getbuffer__(
        slf: Bound<'_, Self>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> PyResult<()> {
        let own = slf.get();
        let pixels = own.frame.get().pixels()?;
        // SAFETY: `view` is what this was given.
        unsafe { pixels::open_view(slf.as_any(), pixels, own.number, view, flags) }
    }

    unsafe fn __releasebuffer__(&self, view: *mut ffi::Py_buffer) {
        // SAFETY: `view` is what this was given, and `__getbuffer__` filled it.
        unsafe { pixels::close_view(view) };
    }

    fn __repr__(&self) -> String {
        format!("<Plane {}, {} bytes>", self.number, self.bytesused())
    }
}
