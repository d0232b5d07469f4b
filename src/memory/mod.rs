//! Frame memory: planes of shared memory, DMABUFs wherever they can be.
//!
//! A `Plane` is reached by the CPU only through an `Access`, which brackets it
//! with DMA_BUF_IOCTL_SYNC, and an `Access` gives out only `View`s: checked
//! ranges without a slice, since a device or a peer may write at any time.

mod access;
mod calls;
mod heap;
mod mapping;
pub mod prime;
mod read_rate;
mod udmabuf;
mod used;
mod volatile;
mod witness;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

pub use access::Access;
pub use calls::{try_pin, write};
pub use heap::{Heap, HeapChoice, HeapName, Pages};
pub use mapping::{Kept, Mapping, View, ViewMut};
pub use read_rate::read_rate;
pub use used::{MemoryMode, MemoryUsed};
pub use witness::{Mark, Sync, Witness, displace_caches};

/// One plane of one frame's memory, mapped for the CPU.
#[derive(Debug)]
pub struct Plane {
    mapping: Mapping,
    descriptor: Descriptor,
    /// Whether somebody else has the descriptor, and may use the memory behind our back.
    is_shared: AtomicBool,
}

/// What a plane's memory can be given to others by.
#[derive(Debug)]
enum Descriptor {
    DmaBuf(OwnedFd),
    Memfd(OwnedFd),
    /// A driver's own memory, which it does not export.
    Nothing,
}

impl Plane {
    /// Maps a DMABUF of `length` bytes.
    pub fn of_dmabuf(dmabuf: OwnedFd, length: usize) -> nix::Result<Self> {
        let mapping = Mapping::new(dmabuf.as_fd(), length, 0)?;
        Ok(Plane::new(mapping, Descriptor::DmaBuf(dmabuf)))
    }

    /// Memory that nobody else can be given: a driver's that it won't export.
    pub fn of_mapping(mapping: Mapping) -> Self {
        Plane::new(mapping, Descriptor::Nothing)
    }

    /// Maps a memfd of `length` bytes, which is no DMABUF.
    fn of_memfd(memfd: OwnedFd, length: usize) -> nix::Result<Self> {
        let mapping = Mapping::new(memfd.as_fd(), length, 0)?;
        Ok(Plane::new(mapping, Descriptor::Memfd(memfd)))
    }

    /// A udmabuf, mapped by way of the memfd behind it: that mapping has page
    /// structs, so the network can send from it; the DMABUF's own has none.
    fn of_udmabuf(dmabuf: OwnedFd, memfd: Mapping) -> Self {
        Plane::new(memfd, Descriptor::DmaBuf(dmabuf))
    }

    fn new(mapping: Mapping, descriptor: Descriptor) -> Self {
        Plane {
            mapping,
            descriptor,
            is_shared: AtomicBool::new(false),
        }
    }

    /// The descriptor of its memory, to be given to others, and whether it is a DMABUF; None for
    /// memory that has none.
    pub fn share(&self) -> nix::Result<Option<(BorrowedFd<'_>, bool)>> {
        let shared = match &self.descriptor {
            Descriptor::Nothing => return Ok(None),
            Descriptor::DmaBuf(fd) => (fd.as_fd(), true),
            Descriptor::Memfd(fd) => {
                // What shrinks under a mapping kills who reads it.
                fcntl(fd, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_SHRINK))?;
                (fd.as_fd(), false)
            }
        };
        self.is_shared.store(true, Ordering::Relaxed);
        Ok(Some(shared))
    }

    /// Whether somebody who was given a descriptor has a device read the memory now. A queue does
    /// not wait for that: videobuf2 knows of no implicit fences.
    pub fn is_busy(&self) -> bool {
        let is_shared = self.is_shared.load(Ordering::Relaxed);
        self.dmabuf().filter(|_| is_shared).is_some_and(|dmabuf| {
            // Ready to be written to once every fence has signaled, readers' as well.
            let mut polled = [PollFd::new(dmabuf, PollFlags::POLLOUT)];
            poll(&mut polled, PollTimeout::ZERO) == Ok(0)
        })
    }

    /// Begins a read by the CPU that outlives this borrow; `end_read` ends it.
    pub(crate) fn begin_read(&self) -> crate::Result<()> {
        access::synchronize(self, access::Direction::Read, access::Edge::Start)
    }

    /// Ends what `begin_read` began.
    pub(crate) fn end_read(&self) -> crate::Result<()> {
        access::synchronize(self, access::Direction::Read, access::Edge::End)
    }

    /// Begins a write by the CPU that outlives this borrow, by whoever has the plane for himself;
    /// `end_write` ends it.
    pub fn begin_write(&self) -> crate::Result<()> {
        access::synchronize(self, access::Direction::Write, access::Edge::Start)
    }

    /// Ends what `begin_write` began.
    pub fn end_write(&self) -> crate::Result<()> {
        access::synchronize(self, access::Direction::Write, access::Edge::End)
    }

    /// The range of `length` bytes from `offset`, for whoever has begun an access.
    pub(crate) fn view(&self, offset: usize, length: usize) -> crate::Result<View<'_>> {
        let view = self.mapping.view(offset, length);
        view.ok_or_else(|| access::outside(offset, length, self.length()))
    }

    /// Bytes.
    pub fn length(&self) -> usize {
        self.mapping.length()
    }

    /// Keeps it mapped where it is, whoever uses the memory meanwhile.
    pub fn keep(&self) -> Kept {
        self.mapping.keep()
    }

    /// The DMABUF, for those who import it.
    pub fn dmabuf(&self) -> Option<BorrowedFd<'_>> {
        match &self.descriptor {
            Descriptor::DmaBuf(dmabuf) => Some(dmabuf.as_fd()),
            Descriptor::Memfd(_) | Descriptor::Nothing => None,
        }
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
