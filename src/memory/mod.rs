//! Frame memory: planes of shared memory, DMABUFs wherever they can be.
//!
//! A `Plane` is reached by the CPU only through an `Access`, which brackets it
//! with DMA_BUF_IOCTL_SYNC, and an `Access` gives out only `View`s: checked
//! ranges without a slice, since a device or a peer may write at any time.

mod access;
mod heap;
mod mapping;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

pub use access::Access;
pub use heap::{Heap, HeapName};
pub use mapping::{Mapping, View};

/// One plane of one frame's memory, mapped for the CPU.
#[derive(Debug)]
pub struct Plane {
    mapping: Mapping,
    dmabuf: Option<OwnedFd>,
}

impl Plane {
    /// Maps a DMABUF of `length` bytes.
    pub fn of_dmabuf(dmabuf: OwnedFd, length: usize) -> nix::Result<Self> {
        let mapping = Mapping::new(dmabuf.as_fd(), length, 0)?;
        Ok(Plane {
            mapping,
            dmabuf: Some(dmabuf),
        })
    }

    /// Memory that is no DMABUF: a memfd, or a driver's that it won't export.
    pub fn of_mapping(mapping: Mapping) -> Self {
        Plane {
            mapping,
            dmabuf: None,
        }
    }

    /// Bytes.
    pub fn length(&self) -> usize {
        self.mapping.length()
    }

    /// The DMABUF, for those who import it.
    pub fn dmabuf(&self) -> Option<BorrowedFd<'_>> {
        self.dmabuf.as_ref().map(AsFd::as_fd)
    }

    /// Begins a read by the CPU.
    pub fn read(&self) -> crate::Result<Access<'_>> {
        Access::begin(self, access::Direction::Read)
    }

    /// Begins a write by the CPU.
    pub fn write(&self) -> crate::Result<Access<'_>> {
        Access::begin(self, access::Direction::Write)
    }
}
