//! A frame's pixels for Python: in a buffer that is held until nobody sees it any more, or in
//! ordinary memory.

#![allow(unsafe_code)]

use std::ffi::c_int;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex};

use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;

use crate::base::{Error, ErrorKind, Result, lock};
use crate::frame::Lease;
use crate::memory::Kept;
use crate::python::error::raised;
use crate::python::exit::without_lock;
use crate::sink::consumer::Ticket;

/// Where the bytes are.
#[derive(Debug)]
pub enum Pixels {
    /// In the stream's buffer.
    Held(Held),
    /// In ordinary memory, a piece a memory plane.
    Copied(Vec<Box<[u8]>>),
}

/// A frame in its buffer.
#[derive(Debug)]
pub struct Held {
    /// None only while it is dropped.
    parts: Option<(Lease, Ticket)>,
    /// Views that are open. The CPU's access begins with the first and ends with the last.
    views: Mutex<usize>,
    /// The process that it is held in: a forked child has none of its parent's frames.
    process: u32,
}

impl Held {
    /// Holds a frame.
    pub fn new(lease: Lease, ticket: Ticket) -> Self {
        Held {
            parts: Some((lease, ticket)),
            views: Mutex::new(0),
            process: std::process::id(),
        }
    }

    /// The frame; None in a forked child.
    pub fn lease(&self) -> Option<&Lease> {
        let is_own = self.process == std::process::id();
        let parts = self.parts.as_ref().filter(|_| is_own);
        parts.map(|(lease, _)| lease)
    }

    /// Lets go of it; says whether its buffer is free by that.
    fn release(mut self) -> bool {
        if self.process != std::process::id() {
            return false;
        }
        self.parts.take().is_some_and(|(lease, ticket)| {
            drop(ticket);
            lease.release()
        })
    }

    fn begin_view(&self) -> Result<()> {
        let Some(lease) = self.lease() else {
            return Ok(());
        };
        let mut views = lock(&self.views);
        if *views == 0 {
            for (number, (plane, _)) in lease.planes().enumerate() {
                if let Err(error) = plane.begin_read() {
                    for (plane, _) in lease.planes().take(number) {
                        end_read(plane);
                    }
                    return Err(error);
                }
            }
        }
        *views += 1;
        Ok(())
    }

    fn end_view(&self) {
        let Some(lease) = self.lease() else { return };
        let mut views = lock(&self.views);
        *views -= 1;
        if *views == 0 {
            for (plane, _) in lease.planes() {
                end_read(plane);
            }
        }
    }
}

fn end_read(plane: &crate::memory::Plane) {
    if let Err(error) = plane.end_read() {
        log::error!("{error}");
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.process != std::process::id() {
            // The locks that giving it back takes may have been held at the fork, by threads
            // that are not here.
            std::mem::forget(self.parts.take());
        }
    }
}

impl Pixels {
    /// Lets go of them, if nobody else has them; says whether a buffer is free by that.
    pub fn release(self: Arc<Self>) -> bool {
        match Arc::into_inner(self) {
            Some(Pixels::Held(held)) => held.release(),
            Some(Pixels::Copied(_)) | None => false,
        }
    }

    /// Keeps each plane mapped where it is.
    pub fn keep(&self) -> Vec<Kept> {
        match self {
            Pixels::Held(held) => held
                .lease()
                .map(|lease| lease.planes().map(|(plane, _)| plane.keep()).collect())
                .unwrap_or_default(),
            Pixels::Copied(_) => Vec::new(),
        }
    }

    /// A descriptor of a plane's memory, and whether that is a DMABUF; None where it has none.
    pub fn share(&self, plane: usize) -> Result<Option<(BorrowedFd<'_>, bool)>> {
        let Pixels::Held(held) = self else {
            return Ok(None);
        };
        let mut planes = held.lease().into_iter().flat_map(Lease::planes);
        let Some((plane, _)) = planes.nth(plane) else {
            return Ok(None);
        };
        plane.share().map_err(|errno| {
            Error::new(ErrorKind::Heap, "give a frame's memory to others").errno(errno)
        })
    }

    /// Copies each plane's payload. The CPU's access is begun and ended.
    pub fn copy(&self) -> Result<Vec<Box<[u8]>>> {
        let held = match self {
            Pixels::Copied(planes) => return Ok(planes.clone()),
            Pixels::Held(held) => held,
        };
        held.lease().map_or(Ok(Vec::new()), Lease::copy)
    }

    /// A plane's payload: where it begins, and its bytes. Valid for as long as the pixels are
    /// held.
    fn range(&self, plane: usize) -> Option<nix::libc::iovec> {
        match self {
            Pixels::Copied(planes) => planes.get(plane).map(|bytes| nix::libc::iovec {
                iov_base: bytes.as_ptr().cast_mut().cast(),
                iov_len: bytes.len(),
            }),
            Pixels::Held(held) => {
                let (plane, payload) = held.lease()?.planes().nth(plane)?;
                let view = plane.view(payload.offset, payload.length).ok()?;
                Some(view.iovec())
            }
        }
    }
}

/// A view of the planes that somebody has. The pixels are held for as long as it is open.
pub struct Open(Arc<Pixels>);

impl Open {
    /// Opens one, without the interpreter's lock: the kernel may wait for the device's fence,
    /// without a limit.
    pub fn begin(py: Python<'_>, pixels: Arc<Pixels>) -> PyResult<Self> {
        let begun = without_lock(py, || match &*pixels {
            Pixels::Held(held) => held.begin_view(),
            Pixels::Copied(_) => Ok(()),
        });
        begun.map_err(|error| raised(py, &error))?;
        Ok(Open(pixels))
    }

    /// A plane's payload: where it begins, and its bytes. Valid for as long as this is open.
    pub fn range(&self, plane: usize) -> Option<nix::libc::iovec> {
        self.0.range(plane)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Pixels::Held(held) = &*self.0 {
            held.end_view();
        }
    }
}

/// Opens a view of a plane's payload, as `owner`'s buffer: bytes in one dimension, to read.
///
/// # Safety
///
/// `view` is what `__getbuffer__` was given.
pub unsafe fn open_view(
    owner: &Bound<'_, PyAny>,
    pixels: Arc<Pixels>,
    plane: usize,
    view: *mut ffi::Py_buffer,
    flags: c_int,
) -> PyResult<()> {
    let py = owner.py();
    // SAFETY: as above. Python reads it where this fails.
    unsafe { (*view).obj = std::ptr::null_mut() };
    let open = Open::begin(py, pixels)?;
    let Some(range) = open.range(plane) else {
        return Err(PyBufferError::new_err("the frame has no such memory plane"));
    };
    let length = ffi::Py_ssize_t::try_from(range.iov_len)
        .map_err(|_| PyBufferError::new_err("the plane is too long for a buffer"))?;
    // SAFETY: the caller says that `view` is Python's to be filled, and the range is mapped for
    // as long as the pixels are held, which `internal` does until `close_view`.
    unsafe {
        let filled = ffi::PyBuffer_FillInfo(view, owner.as_ptr(), range.iov_base, length, 1, flags);
        if filled != 0 {
            return Err(PyErr::fetch(py));
        }
        (*view).internal = Box::into_raw(Box::new(open)).cast();
    }
    Ok(())
}

/// Closes what `open_view` opened.
///
/// # Safety
///
/// `view` is what `__releasebuffer__` was given, and `open_view` filled it.
pub unsafe fn close_view(view: *mut ffi::Py_buffer) {
    // SAFETY: `internal` is the box that `open_view` put there, and Python closes a view once.
    drop(unsafe { Box::from_raw((*view).internal.cast::<Open>()) });
}
