//! System calls straight from and into frame memory: the only places where the
//! kernel is handed a view's address.

#![allow(unsafe_code)]

use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::libc;

use crate::memory::View;

fn count(result: libc::ssize_t) -> nix::Result<usize> {
    Errno::result(result).map(|bytes| bytes as usize)
}

/// sendmsg(2) of `header` and then `payload`, in one call and without SIGPIPE;
/// says how many bytes the socket took.
pub fn send(
    socket: BorrowedFd<'_>,
    header: &[u8],
    payload: Option<View<'_>>,
) -> nix::Result<usize> {
    let mut parts = [
        libc::iovec {
            iov_base: header.as_ptr().cast_mut().cast(),
            iov_len: header.len(),
        },
        payload.map_or(
            libc::iovec {
                iov_base: std::ptr::null_mut(),
                iov_len: 0,
            },
            |payload| payload.iovec(),
        ),
    ];
    // SAFETY: all-zero bytes are a valid `msghdr`: null pointers of length 0.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = parts.as_mut_ptr();
    message.msg_iovlen = parts.len();
    // SAFETY: the message points to two ranges, each empty or alive for longer
    // than the call, which only reads them.
    count(unsafe { libc::sendmsg(socket.as_raw_fd(), &message, libc::MSG_NOSIGNAL) })
}

/// recv(2) into `into`; says how many bytes came, 0 at the stream's end.
pub fn receive(socket: BorrowedFd<'_>, into: View<'_>) -> nix::Result<usize> {
    let range = into.iovec();
    // SAFETY: the range is mapped writable for as long as the view lives.
    count(unsafe { libc::recv(socket.as_raw_fd(), range.iov_base, range.iov_len, 0) })
}

/// write(2) from `from`; says how many bytes were taken.
pub fn write(file: BorrowedFd<'_>, from: View<'_>) -> nix::Result<usize> {
    let range = from.iovec();
    // SAFETY: the range is mapped for as long as the view lives.
    count(unsafe { libc::write(file.as_raw_fd(), range.iov_base, range.iov_len) })
}
