//! System calls straight from and into frame memory: the only places where the
//! kernel is handed a view's address.

#![allow(unsafe_code)]

use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{MsgFlags, setsockopt, sockopt::SetBool, sockopt::SetUsize};

use crate::frame::MAX_PLANES;
use crate::memory::{View, ViewMut};

fn count(result: libc::ssize_t) -> nix::Result<usize> {
    Errno::result(result).map(|bytes| bytes as usize)
}

/// A header and the payload that follows it, plane by plane.
#[derive(Debug)]
pub struct Gather<'a> {
    /// Its bytes.
    pub header: &'a [u8],
    /// A range a plane, no more than a frame can have.
    pub payloads: Vec<View<'a>>,
}

impl<'a> Gather<'a> {
    /// Bytes without a payload.
    pub fn of(header: &'a [u8]) -> Self {
        let payloads = Vec::new();
        Gather { header, payloads }
    }

    /// Bytes of both.
    pub fn length(&self) -> usize {
        let payloads = self.payloads.iter().map(|payload| payload.length());
        self.header.len() + payloads.sum::<usize>()
    }

    /// What follows the first `sent` bytes.
    fn after(&self, sent: usize) -> [libc::iovec; MAX_PLANES + 1] {
        let header = self.header.get(sent..).unwrap_or_default();
        let mut parts = [libc::iovec {
            iov_base: header.as_ptr().cast_mut().cast(),
            iov_len: header.len(),
        }; MAX_PLANES + 1];
        let mut skip = sent.saturating_sub(self.header.len());
        let mut payloads = self.payloads.iter();
        for part in parts.iter_mut().skip(1) {
            *part = libc::iovec {
                iov_base: std::ptr::null_mut(),
                iov_len: 0,
            };
            let Some(payload) = payloads.next() else {
                continue;
            };
            let skipped = skip.min(payload.length());
            skip -= skipped;
            if let Some(rest) = payload.skip(skipped) {
                *part = rest.iovec();
            }
        }
        parts
    }
}

/// sendmsg(2) of what follows the first `sent` bytes, in one call and without SIGPIPE,
/// waiting for room as long as the socket's SO_SNDTIMEO says; tells how many bytes the
/// socket took by then. `EAGAIN`: none.
pub fn send(socket: BorrowedFd<'_>, what: &Gather<'_>, sent: usize) -> nix::Result<usize> {
    // SAFETY: without MSG_ZEROCOPY the kernel is done with `what` when the call returns.
    unsafe { send_message(socket, what, sent, 0) }
}

/// As `send`, without waiting.
pub fn send_now(socket: BorrowedFd<'_>, what: &Gather<'_>, sent: usize) -> nix::Result<usize> {
    // SAFETY: as in `send`.
    unsafe { send_message(socket, what, sent, libc::MSG_DONTWAIT) }
}

/// As `send_now`, with MSG_ZEROCOPY: the kernel refers to all ranges after the call, and
/// sends what they hold by then, until its completion says otherwise.
///
/// # Safety
///
/// All memory of `what` stays what it is until this call's completion: the borrow ends
/// before that. It is neither written to nor given to anybody who may.
///
/// ```compile_fail,E0133
/// # use std::os::fd::AsFd;
/// # use v4l_dmabuf::link::socket::{Gather, send_zero_copy};
/// let socket = std::net::TcpStream::connect("127.0.0.1:9000").unwrap();
/// let header = vec![0; 48]; // freed long before the kernel is done with it
/// let what = Gather { header: &header, payloads: Vec::new() };
/// send_zero_copy(socket.as_fd(), &what, 0);
/// ```
pub unsafe fn send_zero_copy(
    socket: BorrowedFd<'_>,
    what: &Gather<'_>,
    sent: usize,
) -> nix::Result<usize> {
    // SAFETY: the caller sees to what the flag asks for.
    unsafe { send_message(socket, what, sent, libc::MSG_DONTWAIT | libc::MSG_ZEROCOPY) }
}

/// # Safety
///
/// As for `send_zero_copy` if `flags` has MSG_ZEROCOPY.
unsafe fn send_message(
    socket: BorrowedFd<'_>,
    what: &Gather<'_>,
    sent: usize,
    flags: libc::c_int,
) -> nix::Result<usize> {
    let mut parts = what.after(sent);
    let flags = flags | libc::MSG_NOSIGNAL;
    // SAFETY: all-zero bytes are a valid `msghdr`: null pointers of length 0.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = parts.as_mut_ptr();
    message.msg_iovlen = parts.len();
    // SAFETY: the message points to ranges that `what` borrows, which the call only reads;
    // for what reads them after it, the caller sees to it.
    count(unsafe { libc::sendmsg(socket.as_raw_fd(), &message, flags) })
}

#[derive(Clone)]
struct ZeroCopy;

#[derive(Clone)]
struct LowWater;

nix::setsockopt_impl!(ZeroCopy, libc::SOL_SOCKET, libc::SO_ZEROCOPY, bool, SetBool);
nix::setsockopt_impl!(
    LowWater,
    libc::SOL_SOCKET,
    libc::SO_RCVLOWAT,
    usize,
    SetUsize
);

/// SO_ZEROCOPY: allows `send_zero_copy` on a socket.
pub fn enable_zero_copy(socket: BorrowedFd<'_>) -> nix::Result<()> {
    setsockopt(&socket, ZeroCopy, &true)
}

/// SO_RCVLOWAT: who waits for a socket's bytes is woken when so many have come.
pub fn wake_at(socket: BorrowedFd<'_>, bytes: usize) -> nix::Result<()> {
    setsockopt(&socket, LowWater, &bytes)
}

/// Bytes in a socket's send queue, those that are on their way included (SIOCOUTQ).
pub fn unacknowledged(socket: BorrowedFd<'_>) -> nix::Result<usize> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the request takes a pointer to an int, which outlives the call.
    Errno::result(unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &mut bytes) })?;
    Ok(usize::try_from(bytes).unwrap_or(0))
}

/// TCP_INFO. What an older kernel doesn't know stays 0.
pub fn tcp_info(socket: BorrowedFd<'_>) -> nix::Result<libc::tcp_info> {
    // SAFETY: all-zero bytes are a valid `tcp_info`, a structure of integers.
    let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
    let mut length = size_of_val(&info) as libc::socklen_t;
    // SAFETY: the kernel writes no more than the length, which is the structure's, and
    // every bit pattern is a value of its integers.
    Errno::result(unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            (&raw mut info).cast(),
            &mut length,
        )
    })?;
    Ok(info)
}

/// recv(2) of what has come, without waiting; 0 at the stream's end.
pub fn receive_now(socket: BorrowedFd<'_>, into: &mut [u8]) -> nix::Result<usize> {
    nix::sys::socket::recv(socket.as_raw_fd(), into, MsgFlags::MSG_DONTWAIT)
}

/// recv(2) into `into` until it is full, waiting as long as the socket's SO_RCVTIMEO
/// says; tells how many bytes came by then, 0 at the stream's end. `EAGAIN`: none did.
///
/// The wait is the kernel's (MSG_WAITALL): a frame comes in as many pieces as packets,
/// and to be told of each would take three more calls.
pub fn receive(socket: BorrowedFd<'_>, into: ViewMut<'_>) -> nix::Result<usize> {
    receive_into(socket, into, libc::MSG_WAITALL)
}

/// recv(2) into `into` of what has come, without waiting; 0 at the stream's end.
pub fn receive_what_came(socket: BorrowedFd<'_>, into: ViewMut<'_>) -> nix::Result<usize> {
    receive_into(socket, into, libc::MSG_DONTWAIT)
}

fn receive_into(
    socket: BorrowedFd<'_>,
    mut into: ViewMut<'_>,
    flags: libc::c_int,
) -> nix::Result<usize> {
    let range = into.iovec();
    // SAFETY: the range is mapped writable for as long as the view lives.
    count(unsafe { libc::recv(socket.as_raw_fd(), range.iov_base, range.iov_len, flags) })
}
