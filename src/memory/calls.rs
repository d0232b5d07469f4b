//! System calls from frame memory.

#![allow(unsafe_code)]

use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc;

use super::{Plane, View};

/// write(2) from `from`; says how many bytes were taken.
pub fn write(file: BorrowedFd<'_>, from: View<'_>) -> nix::Result<usize> {
    let range = from.iovec();
    // SAFETY: the range is mapped for as long as the view lives.
    bytes(unsafe { libc::write(file.as_raw_fd(), range.iov_base, range.iov_len) })
}

/// Tries whether the kernel can pin a plane's pages, as sending without a copy
/// does, by vmsplice(2) of one into a pipe that nobody reads. `EFAULT`: it can't.
pub fn try_pin(plane: &Plane) -> nix::Result<()> {
    let (_reader, writer) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
    let range = plane.view(0, 1).map_err(|_| Errno::EFAULT)?.iovec();
    // SAFETY: the range is mapped for as long as the plane lives, and the pipe
    // takes references to its pages, not to its address.
    bytes(unsafe { libc::vmsplice(writer.as_raw_fd(), &range, 1, 0) }).map(|_| ())
}

fn bytes(result: libc::ssize_t) -> nix::Result<usize> {
    Errno::result(result).map(|bytes| bytes as usize)
}
