//! What the kernel refers to while it sends without a copy.
//!
//! `InFlight` holds a lease of each frame from before the first call that refers to it until
//! the kernel has completed the last one, so that nobody can get the buffer to change its
//! bytes. It has one socket, whose calls it counts and whose completions it reads itself: no
//! frame is let go of by another socket's completion, nor by one that was made up.

#![allow(unsafe_code)]

use std::io::IoSliceMut;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrIn6, recvmsg};

use crate::base::{Monotonic, Result};
use crate::frame::Lease;
use crate::link::{socket, socket::Gather};

/// `SO_EE_ORIGIN_ZEROCOPY` of <linux/errqueue.h>
const ORIGIN_ZEROCOPY: u8 = 5;
/// `SO_EE_CODE_ZEROCOPY_COPIED` of <linux/errqueue.h>
const CODE_COPIED: u8 = 1;

/// The header that a frame is sent with.
#[derive(Debug)]
pub struct Header {
    /// Frames that were sent before it.
    pub counter: u64,
    /// On the heap, for the network refers to it as well.
    pub bytes: Box<[u8]>,
}

/// The frames that a socket is sending without a copy.
#[derive(Debug)]
pub struct InFlight {
    socket: OwnedFd,
    next_call: u32,
    transfers: Vec<Transfer>,
    /// Completions that said that the kernel copied after all.
    pub copied_by_kernel: u64,
    /// The frames that are completed, and how long they were in flight, whole.
    completed: Vec<(u64, Duration)>,
}

impl InFlight {
    /// Allows `socket` to send without a copy. `EOPNOTSUPP` and the like: the kernel
    /// doesn't have it.
    pub(super) fn new(socket: BorrowedFd<'_>) -> nix::Result<Self> {
        socket::enable_zero_copy(socket)?;
        let socket = socket
            .try_clone_to_owned()
            .map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)))?;
        Ok(InFlight {
            socket,
            next_call: 0,
            transfers: Vec::new(),
            copied_by_kernel: 0,
            completed: Vec::new(),
        })
    }

    /// Takes a frame in, to be sent by `send`; tells how many bytes that are.
    pub(super) fn begin(&mut self, lease: Lease, header: Header) -> Result<usize> {
        let transfer = Transfer::new(lease, header)?;
        let bytes = transfer.gather()?.length();
        self.transfers.push(transfer);
        Ok(bytes)
    }

    /// Sends what follows the first `sent` bytes of the frame that was begun last, without
    /// waiting; tells how many bytes the socket took.
    pub(super) fn send(&mut self, sent: usize) -> nix::Result<usize> {
        let transfer = self.transfers.last_mut().ok_or(Errno::EINVAL)?;
        let what = transfer.gather().map_err(|_| Errno::EFAULT)?;
        // SAFETY: the transfer owns the header and a lease. Nobody writes to a leased buffer,
        // and both are let go of by `complete` alone, which waits for the completion of this
        // call, whose number is noted below. A transfer that is given up before leaks its
        // header and retires its buffer: nobody gets that again, and of its planes' pages,
        // which are unmapped, the kernel holds those that it refers to.
        let bytes = unsafe { socket::send_zero_copy(self.socket.as_fd(), &what, sent) }?;
        transfer.calls.push(self.next_call);
        self.next_call = self.next_call.wrapping_add(1);
        Ok(bytes)
    }

    /// As `send`, by copying.
    pub(super) fn send_copy(&self, sent: usize) -> nix::Result<usize> {
        let transfer = self.transfers.last().ok_or(Errno::EINVAL)?;
        let what = transfer.gather().map_err(|_| Errno::EFAULT)?;
        socket::send_now(self.socket.as_fd(), &what, sent)
    }

    /// Notes that all of the frame that was begun last has been handed over.
    pub(super) fn sent_whole(&mut self) {
        if let Some(transfer) = self.transfers.last_mut() {
            transfer.sent = Some(Monotonic::now());
        }
    }

    /// Takes in what the kernel says that it is done with (MSG_ERRQUEUE).
    pub(super) fn reap(&mut self) -> nix::Result<()> {
        // Nothing left to be told: spares a call a frame once frames are copied.
        if self.transfers.is_empty() {
            return Ok(());
        }
        let mut space = nix::cmsg_space!(libc::sock_extended_err, libc::sockaddr_in6);
        loop {
            let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
            let mut nothing: [IoSliceMut<'_>; 0] = [];
            let socket = self.socket.as_raw_fd();
            let message =
                match recvmsg::<SockaddrIn6>(socket, &mut nothing, Some(&mut space), flags) {
                    Ok(message) => message,
                    Err(Errno::EAGAIN) => return Ok(()),
                    Err(Errno::EINTR) => continue,
                    Err(errno) => return Err(errno),
                };
            for told in message.cmsgs()? {
                let (ControlMessageOwned::Ipv4RecvErr(told, _)
                | ControlMessageOwned::Ipv6RecvErr(told, _)) = told
                else {
                    continue;
                };
                if told.ee_origin == ORIGIN_ZEROCOPY && told.ee_errno == 0 {
                    self.note(Completion {
                        first: told.ee_info,
                        last: told.ee_data,
                        copied: told.ee_code & CODE_COPIED != 0,
                    });
                }
            }
        }
    }

    fn note(&mut self, completion: Completion) {
        self.copied_by_kernel += u64::from(completion.copied);
        for transfer in &mut self.transfers {
            transfer.calls.retain(|call| !completion.covers(*call));
        }
    }

    /// Lets go of the frames that the kernel is done with.
    pub(super) fn release(&mut self) {
        for transfer in std::mem::take(&mut self.transfers) {
            let (counter, sent) = (transfer.header.counter, transfer.sent);
            match transfer.complete() {
                Ok(()) => {
                    let time = sent.map(|sent| (counter, sent.elapsed()));
                    self.completed.extend(time);
                }
                Err(transfer) => self.transfers.push(transfer),
            }
        }
    }

    /// The frames that were completed since the last time, and how long they were in
    /// flight, from their last byte handed over until that was learned.
    pub fn completed(&mut self) -> Vec<(u64, Duration)> {
        std::mem::take(&mut self.completed)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        for transfer in self.transfers.drain(..) {
            ManuallyDrop::into_inner(transfer.lease).retire();
        }
    }
}

/// A frame whose bytes the kernel may refer to.
#[derive(Debug)]
struct Transfer {
    /// Kept until it is completed or given up: see `Lease::retire`.
    lease: ManuallyDrop<Lease>,
    /// Leaked unless it is completed: to a receiver that falls silent and takes the frame
    /// later, the kernel would send whatever the heap holds there by then.
    header: ManuallyDrop<Header>,
    /// The numbers of the calls that refer to it and are not completed.
    calls: Vec<u32>,
    /// When its last byte was handed over.
    sent: Option<Monotonic>,
}

impl Transfer {
    fn new(lease: Lease, header: Header) -> Result<Self> {
        for (plane, _) in lease.planes() {
            plane.begin_read()?;
        }
        Ok(Transfer {
            lease: ManuallyDrop::new(lease),
            header: ManuallyDrop::new(header),
            calls: Vec::new(),
            sent: None,
        })
    }

    fn gather(&self) -> Result<Gather<'_>> {
        let planes = self.lease.planes();
        let payloads = planes.map(|(plane, payload)| plane.view(payload.offset, payload.length));
        Ok(Gather {
            header: &self.header.bytes,
            payloads: payloads.collect::<Result<_>>()?,
        })
    }

    /// Lets go of the frame if the kernel is done with every byte of it.
    #[allow(clippy::result_large_err)] // It is moved once a frame.
    fn complete(self) -> std::result::Result<(), Transfer> {
        let is_referred_to = !self.calls.is_empty();
        #[cfg(test)]
        let is_referred_to = is_referred_to && !tests::COMPLETES_EARLY.get();
        if is_referred_to || self.sent.is_none() {
            return Err(self);
        }
        for (plane, _) in self.lease.planes() {
            if let Err(error) = plane.end_read() {
                log::error!("{error}");
            }
        }
        drop(ManuallyDrop::into_inner(self.header));
        drop(ManuallyDrop::into_inner(self.lease));
        Ok(())
    }
}

/// What the kernel says that it is done with: the calls from `first` to `last`,
/// counted in 32 bits that wrap.
#[derive(Debug, Clone, Copy)]
struct Completion {
    first: u32,
    /// The last call, itself included.
    last: u32,
    /// Whether the kernel copied the bytes after all.
    copied: bool,
}

impl Completion {
    fn covers(&self, call: u32) -> bool {
        call.wrapping_sub(self.first) <= self.last.wrapping_sub(self.first)
    }
}

#[cfg(test)]
pub(crate) mod tests;
