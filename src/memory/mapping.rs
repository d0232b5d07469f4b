//! A shared mapping, and checked ranges of it.

#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::num::NonZeroUsize;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;

use nix::errno::Errno;
use nix::libc;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

use super::volatile;

/// Memory shared with a device, mapped for reading and writing.
#[derive(Debug)]
pub struct Mapping {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: a mapping belongs to the process, not to a thread, and it is reached
// only through raw pointers, by system calls and by volatile copies. Two threads can't
// copy at once: a mapping isn't `Sync`, nor is a view `Send`.
unsafe impl Send for Mapping {}

impl Mapping {
    /// Maps `length` bytes of `fd` from `offset` (a multiple of the page size).
    ///
    /// `EINVAL` for a length of 0, else what mmap(2) says.
    pub fn new(fd: BorrowedFd<'_>, length: usize, offset: i64) -> nix::Result<Self> {
        let bytes = NonZeroUsize::new(length).ok_or(Errno::EINVAL)?;
        // SAFETY: a new mapping at an address of the kernel's choice touches no
        // memory that Rust knows of.
        let start = unsafe {
            mmap(
                None,
                bytes,
                ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
                MapFlags::MAP_SHARED,
                fd,
                offset,
            )?
        };
        Ok(Mapping {
            start: start.cast(),
            length,
        })
    }

    /// Bytes.
    pub fn length(&self) -> usize {
        self.length
    }

    /// The range of `length` bytes from `offset`; None if it leaves the mapping.
    pub fn view(&self, offset: usize, length: usize) -> Option<View<'_>> {
        let whole = View {
            start: self.start,
            length: self.length,
            mapping: PhantomData,
        };
        whole.skip(offset)?.first(length)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: `new` mapped just this range, and no `View` of it is left:
        // each borrows the mapping.
        if let Err(errno) = unsafe { munmap(self.start.cast(), self.length) } {
            log::error!("cannot unmap {} bytes: {errno}", self.length);
        }
    }
}

/// A range inside a mapping. No slice: others write to this memory.
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

    /// Copies into the range's start as much of `bytes` as fits; says how many.
    pub fn copy_from(&self, bytes: &[u8]) -> usize {
        let (bytes, _) = bytes.split_at(bytes.len().min(self.length));
        // SAFETY: the range is mapped for writing for as long as the view lives, holds as
        // many bytes, and mmap(2) put it where Rust has no memory.
        unsafe { volatile::write(self.start.as_ptr(), bytes) };
        bytes.len()
    }

    /// Copies from the range's start as much as `bytes` takes; says how many.
    pub fn copy_to(&self, bytes: &mut [u8]) -> usize {
        let (bytes, _) = bytes.split_at_mut(bytes.len().min(self.length));
        // SAFETY: as in `copy_from`, for reading.
        unsafe { volatile::read(self.start.as_ptr(), bytes) };
        bytes.len()
    }

    /// The range for a system call, valid for as long as the view is.
    pub(crate) fn iovec(&self) -> libc::iovec {
        libc::iovec {
            iov_base: self.start.as_ptr().cast(),
            iov_len: self.length,
        }
    }
}

#[cfg(test)]
mod tests;
