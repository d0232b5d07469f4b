//! Frame memory: planes of shared memory, DMABUFs wherever they can be.
//!
//! A `Plane` is reached by the CPU only through an `Access`, which brackets it
//! with DMA_BUF_IOCTL_SYNC, and an `Access` gives out only `View`s: checked
//! ranges without a slice, since a device or a peer may write at any time.

mod access;
mod calls;
mod heap;
mod mapping;
mod read_rate;
mod udmabuf;
mod used;
mod volatile;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

pub use access::Access;
pub use calls::{try_pin, write};
pub use heap::{Heap, HeapChoice, HeapName, Pages};
pub use mapping::{Mapping, View, ViewMut};
pub use read_rate::read_rate;
pub use used::MemoryUsed;

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

    /// A udmabuf, mapped by way of the memfd behind it: that mapping has page
    /// structs, so the network can send from it; the DMABUF's own has none.
    fn of_udmabuf(dmabuf: OwnedFd, memfd: Mapping) -> Self {
        Plane {
            mapping: memfd,
            dmabuf: Some(dmabuf),
        }
    }

    /// Begins a read by the CPU that outlives this borrow; `end_read` ends it.
    pub(crate) fn begin_read(&self) -> crate::Result<()> {
        access::synchronize(self, access::Direction::Read, access::Edge::Start)
    }

    /// Ends what `begin_read` began.
    pub(crate) fn end_read(&self) -> crate::Result<()> {
        access::synchronize(self, access::Direction::Read, access::Edge::End)
    }

    /// The range of `length` bytes from `offset`, for whoever has begun a read.
    pub(crate) fn view(&self, offset: usize, length: usize) -> crate::Result<View<'_>> {
        let view = self.mapping.view(offset, length);
        view.ok_or_else(|| access::outside(offset, length, self.length()))
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
    pub fn read(&self) -> crate::Result<Access<&Plane>> {
        Access::begin(self, access::Direction::Read)
    }

    /// Begins a write by the CPU, which nobody else of this process reads or writes meanwhile.
    pub fn write(&mut self) -> crate::Result<Access<&mut Plane>> {
        Access::begin(self, access::Direction::Write)
    }
}
