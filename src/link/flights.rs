//! What the kernel refers to while it sends without a copy.
//!
//! `Flights` owns each frame from before the first call that refers to it until the kernel
//! has completed the last one, and lends its bytes to nobody who could change them. It has
//! one socket, whose calls it counts and whose completions it reads itself: no frame can
//! come back by another socket's completion, nor by one that was made up.

#![allow(unsafe_code)]

use std::io::IoSliceMut;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrIn6, recvmsg};

use crate::base::error::Result;
use crate::base::monotonic::Monotonic;
use crate::frame::buffer::{Departure, Filled, Free};
use crate::link::socket::{self, Gather};
use crate::memory::View;

/// `SO_EE_ORIGIN_ZEROCOPY` of <linux/errqueue.h>
const ORIGIN_ZEROCOPY: u8 = 5;
/// `SO_EE_CODE_ZEROCOPY_COPIED` of <linux/errqueue.h>
const CODE_COPIED: u8 = 1;

/// The frames that a socket is sending without a copy.
#[derive(Debug)]
pub struct Flights {
    socket: OwnedFd,
    next_call: u32,
    flights: Vec<Flight>,
    /// Completions that said that the kernel copied after all.
    pub copied_by_kernel: u64,
    /// The frames that have landed, and how long they were in flight, whole.
    flown: Vec<(u64, Duration)>,
}

impl Flights {
    /// Allows `socket` to send without a copy. `EOPNOTSUPP` and the like: the kernel
    /// doesn't have it.
    pub(super) fn new(socket: BorrowedFd<'_>) -> nix::Result<Self> {
        socket::enable_zero_copy(socket)?;
        let socket = socket
            .try_clone_to_owned()
            .map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)))?;
        Ok(Flights {
            socket,
            next_call: 0,
            flights: Vec::new(),
            copied_by_kernel: 0,
            flown: Vec::new(),
        })
    }

    /// Takes a frame in, to be sent by `send`; tells how many bytes that are.
    pub(super) fn take_off(&mut self, filled: Filled, departure: Departure) -> Result<usize> {
        let flight = Flight::new(filled, departure)?;
        let bytes = flight.bytes()?;
        self.flights.push(flight);
        Ok(bytes)
    }

    /// Sends what follows the first `sent` bytes of the frame that took off last, without
    /// waiting; tells how many bytes the socket took.
    pub(super) fn send(&mut self, sent: usize) -> nix::Result<usize> {
        let flight = self.flights.last_mut().ok_or(Errno::EINVAL)?;
        let payloads = flight.payloads().map_err(|_| Errno::EFAULT)?;
        let what = Gather {
            header: &flight.departure.header,
            payloads: &payloads,
        };
        // SAFETY: the flight owns both. Nothing writes to them before `land`, and that waits
        // for the completion of this call, whose number is noted below. A flight that is
        // dropped before leaks its header, and of its planes' pages, which are unmapped, the
        // kernel holds those that it refers to.
        let bytes = unsafe { socket::send_zero_copy(self.socket.as_fd(), &what, sent) }?;
        flight.calls.push(self.next_call);
        self.next_call = self.next_call.wrapping_add(1);
        Ok(bytes)
    }

    /// As `send`, by copying.
    pub(super) fn send_copy(&self, sent: usize) -> nix::Result<usize> {
        let flight = self.flights.last().ok_or(Errno::EINVAL)?;
        let payloads = flight.payloads().map_err(|_| Errno::EFAULT)?;
        let what = Gather {
            header: &flight.departure.header,
            payloads: &payloads,
        };
        socket::send_now(self.socket.as_fd(), &what, sent)
    }

    /// Notes that all of the frame that took off last has been handed over.
    pub(super) fn sent_whole(&mut self) {
        if let Some(flight) = self.flights.last_mut() {
            flight.sent = Some(Monotonic::now());
        }
    }

    /// Takes in what the kernel says that it is done with (MSG_ERRQUEUE).
    pub(super) fn reap(&mut self) -> nix::Result<()> {
        // Nothing left to be told: spares a call a frame once frames are copied.
        if self.flights.is_empty() {
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
                    self.complete(Completion {
                        first: told.ee_info,
                        last: told.ee_data,
                        copied: told.ee_code & CODE_COPIED != 0,
                    });
                }
            }
        }
    }

    fn complete(&mut self, completion: Completion) {
        self.copied_by_kernel += u64::from(completion.copied);
        for flight in &mut self.flights {
            flight.calls.retain(|call| !completion.covers(*call));
        }
    }

    /// The buffers that the kernel is done with.
    pub fn landed(&mut self) -> Vec<Free> {
        let mut landed = Vec::new();
        for flight in std::mem::take(&mut self.flights) {
            let (counter, sent) = (flight.departure.counter, flight.sent);
            match flight.land() {
                Ok(free) => {
                    self.flown
                        .extend(sent.map(|sent| (counter, sent.elapsed())));
                    landed.push(free);
                }
                Err(flight) => self.flights.push(flight),
            }
        }
        landed
    }

    /// The frames that have landed since the last time, and how long they were in
    /// flight, from their last byte handed over until that was learned.
    pub fn flown(&mut self) -> Vec<(u64, Duration)> {
        std::mem::take(&mut self.flown)
    }
}

/// A frame whose bytes the kernel may refer to. Its buffer can't be queued or written to:
/// only `land` gives it back.
#[derive(Debug)]
struct Flight {
    filled: Filled,
    /// Leaked unless it lands: to a receiver that falls silent and takes the frame later,
    /// the kernel would send whatever the heap holds there by then.
    departure: ManuallyDrop<Departure>,
    /// The numbers of the calls that refer to it and are not completed.
    calls: Vec<u32>,
    /// When its last byte was handed over.
    sent: Option<Monotonic>,
}

impl Flight {
    fn new(filled: Filled, departure: Departure) -> Result<Self> {
        for (plane, _) in filled.planes() {
            plane.begin_read()?;
        }
        Ok(Flight {
            filled,
            departure: ManuallyDrop::new(departure),
            calls: Vec::new(),
            sent: None,
        })
    }

    fn payloads(&self) -> Result<Vec<View<'_>>> {
        let planes = self.filled.planes();
        planes
            .map(|(plane, payload)| plane.view(payload.offset, payload.length))
            .collect()
    }

    fn bytes(&self) -> Result<usize> {
        let what = Gather {
            header: &self.departure.header,
            payloads: &self.payloads()?,
        };
        Ok(what.length())
    }

    /// Gives the buffer back if the kernel is done with every byte of it, else
    /// stays in flight.
    #[allow(clippy::result_large_err)] // It is moved once a frame.
    fn land(self) -> std::result::Result<Free, Flight> {
        let is_referred_to = !self.calls.is_empty();
        #[cfg(test)]
        let is_referred_to = is_referred_to && !tests::LANDS_EARLY.get();
        if is_referred_to || self.sent.is_none() {
            return Err(self);
        }
        for (plane, _) in self.filled.planes() {
            if let Err(error) = plane.end_read() {
                log::error!("{error}");
            }
        }
        drop(ManuallyDrop::into_inner(self.departure));
        Ok(self.filled.release())
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
