//! CPU access to a plane, bracketed by DMA_BUF_IOCTL_SYNC.
//!
//! Source: the kernel's Documentation/driver-api/dma-buf.rst, "CPU Access to
//! DMA Buffer Objects". videobuf2 does no cache maintenance for memory that it
//! imported, so without this the CPU may see stale bytes.

#![allow(unsafe_code)]

use std::ops::Deref;
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;

use super::{Plane, View, ViewMut};
use crate::base::{Error, ErrorKind, Result};

mod raw {
    // struct dma_buf_sync is a single u64 of flags.
    nix::ioctl_write_ptr!(sync, b'b', 0, u64);
}

/// What the CPU is going to do: `DMA_BUF_SYNC_READ`, `DMA_BUF_SYNC_WRITE`.
#[derive(Debug, Clone, Copy)]
#[repr(u64)]
pub(super) enum Direction {
    Read = 1,
    Write = 2,
}

/// Which end of an access: `DMA_BUF_SYNC_START`, `DMA_BUF_SYNC_END`.
#[derive(Debug, Clone, Copy)]
#[repr(u64)]
pub(super) enum Edge {
    Start = 0,
    End = 4,
}

/// A CPU access under way, by a shared borrow to read or an exclusive one to write. Ends when
/// it is dropped, or by `end`, which can fail.
#[derive(Debug)]
#[must_use]
pub struct Access<P: Deref<Target = Plane>> {
    plane: P,
    direction: Direction,
    open: bool,
}

impl<P: Deref<Target = Plane>> Access<P> {
    pub(super) fn begin(plane: P, direction: Direction) -> Result<Self> {
        synchronize(&plane, direction, Edge::Start)?;
        Ok(Access {
            plane,
            direction,
            open: true,
        })
    }

    /// The range of `length` bytes from `offset`, to read.
    ///
    /// An error of kind `System` if it leaves the plane: sizes are checked
    /// where they enter, so this is a fault of ours.
    pub fn view(&self, offset: usize, length: usize) -> Result<View<'_>> {
        self.plane.view(offset, length)
    }

    /// Ends the access, so that the device sees what the CPU wrote.
    pub fn end(mut self) -> Result<()> {
        self.open = false;
        synchronize(&self.plane, self.direction, Edge::End)
    }
}

impl Access<&mut Plane> {
    /// As `view`, to write to.
    pub fn view_mut(&mut self, offset: usize, length: usize) -> Result<ViewMut<'_>> {
        let whole = self.plane.length();
        let view = self.plane.mapping.view_mut(offset, length);
        view.ok_or_else(|| outside(offset, length, whole))
    }
}

impl<P: Deref<Target = Plane>> Drop for Access<P> {
    fn drop(&mut self) {
        if self.open {
            if let Err(error) = synchronize(&self.plane, self.direction, Edge::End) {
                log::error!("{error}");
            }
        }
    }
}

/// The error of a range that leaves its plane.
pub(super) fn outside(offset: usize, length: usize, whole: usize) -> Error {
    Error::new(ErrorKind::System, "reach into a buffer").cause(format!(
        "{length} bytes from {offset} leave its {whole} bytes"
    ))
}

pub(super) fn synchronize(plane: &Plane, direction: Direction, edge: Edge) -> Result<()> {
    let Some(dmabuf) = plane.dmabuf() else {
        return Ok(());
    };
    let what = "synchronize a DMABUF for the CPU (DMA_BUF_IOCTL_SYNC)";
    sync_ioctl(dmabuf, direction as u64 | edge as u64)
        .map_err(|errno| Error::new(ErrorKind::Heap, what).errno(errno))
}

/// Restarted on EINTR and EAGAIN, as the kernel's documentation demands.
fn sync_ioctl(dmabuf: BorrowedFd<'_>, flags: u64) -> nix::Result<()> {
    loop {
        // SAFETY: the request takes a pointer to a u64, which outlives the call.
        match unsafe { raw::sync(dmabuf.as_raw_fd(), &flags) } {
            Ok(_) => return Ok(()),
            Err(Errno::EINTR | Errno::EAGAIN) => {}
            Err(errno) => return Err(errno),
        }
    }
}
