//! A shared mapping, and checked ranges of it.

#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::num::NonZeroUsize;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;
use std::sync::Arc;

use nix::errno::Errno;
use nix::libc;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

use super::volatile;

/// Memory shared with a device, mapped for reading and writing.
#[derive(Debug)]
pub struct Mapping(Arc<Mapped>);

/// Keeps a mapping where it is, and gives no access to it: that stays its owner's.
#[derive(Debug)]
pub struct Kept(#[allow(dead_code, reason = "it is kept, and nothing else")] Arc<Mapped>);

/// A range of addresses, unmapped when it is dropped.
#[derive(Debug)]
struct Mapped {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: a mapping belongs to the process, not to a thread, and it is reached
// only through raw pointers, by system calls and by volatile copies.
unsafe impl Send for Mapped {}

// SAFETY: what a shared mapping gives out only reads: to write takes `Mapping::view_mut`, and
// that the mapping for oneself. Reads by volatile copies don't race with each other.
unsafe impl Sync for Mapped {}

impl Mapping {
    /// Maps `length` bytes of `fd` from `offset` (a multiple of the page size).
    ///
    /// `EINVAL` for a length of 0, else what mmap(2) says.
    pub fn new(fd: BorrowedFd<'_>, length: usize, offset: i64) -> nix::Result<Self> {
        let bytes = NonZeroUsize::new(length).ok_or(Errno::EINVAL)?;
        let both = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice touches no
        // memory that Rust knows of.
        let start = unsafe { mmap(None, bytes, both, MapFlags::MAP_SHARED, fd, offset)? };
        Ok(Mapping(Arc::new(Mapped {
            start: start.cast(),
            length,
        })))
    }

    /// Bytes.
    pub fn length(&self) -> usize {
        self.0.length
    }

    /// Keeps it mapped where it is beyond its owner's life.
    pub fn keep(&self) -> Kept {
        Kept(Arc::clone(&self.0))
    }

    /// The range of `length` bytes from `offset`; None if it leaves the mapping.
    pub fn view(&self, offset: usize, length: usize) -> Option<View<'_>> {
        let whole = View {
            start: self.0.start,
            length: self.0.length,
            mapping: PhantomData,
        };
        whole.skip(offset)?.first(length)
    }

    /// As `view`, to write to.
    pub fn view_mut(&mut self, offset: usize, length: usize) -> Option<ViewMut<'_>> {
        self.view(offset, length).map(ViewMut)
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: `Mapping::new` mapped just this range, and no `View` of it is left:
        // each borrows the mapping.
        if let Err(errno) = unsafe { munmap(self.start.cast(), self.length) } {
            log::error!("cannot unmap {} bytes: {errno}", self.length);
        }
    }
}

/// A range inside a mapping, to read. No slice: others write to this memory.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    start: NonNull<u8>,
    length: usize,
    mapping: PhantomData<&'a Mapping>,
}

impl<'a> View<'a> {
    /// Bytes.
    pub fn length(&self) -> usize {
        self.length
    }

    /// The range without its first `bytes`; None if it has fewer.
    pub fn skip(self, bytes: usize) -> Option<View<'a>> {
        let length = self.length.checked_sub(bytes)?;
        // SAFETY: `bytes` is at most the length of this range, so the sum stays
        // inside the mapping or one past its end.
        let start = unsafe { self.start.add(bytes) };
        Some(View {
            start,
            length,
            mapping: self.mapping,
        })
    }

    /// The first `bytes` of the range; None if it has fewer.
    pub fn first(self, bytes: usize) -> Option<View<'a>> {
        (bytes <= self.length).then_some(View {
            length: bytes,
            ..self
        })
    }

    /// Copies from the range's start as much as `bytes` takes; says how many.
    pub fn copy_to(&self, bytes: &mut [u8]) -> usize {
        let (bytes, _) = bytes.split_at_mut(bytes.len().min(self.length));
        // SAFETY: as in `copy_from`, for reading.
        unsafe { volatile::read(self.start.as_ptr(), bytes) };
        bytes.len()
    }

    /// The range for a system call that reads it, valid for as long as the view is.
    pub(crate) fn iovec(&self) -> libc::iovec {
        libc::iovec {
            iov_base: self.start.as_ptr().cast(),
            iov_len: self.length,
        }
    }
}

/// A range inside a mapping that is written to by nobody else of this process.
#[derive(Debug)]
pub struct ViewMut<'a>(View<'a>);

impl ViewMut<'_> {
    /// Bytes.
    pub fn length(&self) -> usize {
        self.0.length
    }

    /// The range without its first `bytes`; None if it has fewer.
    pub fn skip(&mut self, bytes: usize) -> Option<ViewMut<'_>> {
        self.0.skip(bytes).map(ViewMut)
    }

    /// The first `bytes` of the range, or all if it has fewer.
    pub fn at_most(&mut self, bytes: usize) -> ViewMut<'_> {
        ViewMut(View {
            length: self.0.length.min(bytes),
            ..self.0
        })
    }

    /// Copies into the range's start as much of `bytes` as fits; says how many.
    pub fn copy_from(&mut self, bytes: &[u8]) -> usize {
        let (bytes, _) = bytes.split_at(bytes.len().min(self.0.length));
        // SAFETY: the range is mapped for writing for as long as the view lives, holds as
        // many bytes, and mmap(2) put it where Rust has no memory.
        unsafe { volatile::write(self.0.start.as_ptr(), bytes) };
        bytes.len()
    }

    /// Copies into the range's start as much of another range as fits; says how many bytes.
    pub fn copy_from_view(&mut self, from: &View<'_>) -> usize {
        // By way of the CPU's nearest cache: there is no copy from shared memory to shared memory
        // in which each access happens once.
        let mut between = [0; 8192];
        let mut done = 0;
        while let (Some(rest), Some(mut to)) = (from.skip(done), self.skip(done)) {
            let length = rest.copy_to(&mut between);
            let copied = to.copy_from(between.get(..length).unwrap_or_default());
            if copied == 0 {
                break;
            }
            done += copied;
        }
        done
    }

    /// The range for a system call that writes to it, valid for as long as the view is.
    pub(crate) fn iovec(&mut self) -> libc::iovec {
        self.0.iovec()
    }
}

#[cfg(test)]
mod tests;
