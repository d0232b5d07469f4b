//! Sending without a copy: MSG_ZEROCOPY, and its completions.
//!
//! The kernel numbers the calls that succeeded with the flag, and tells on the
//! socket's error queue which of them it is done with: in ranges, late, in any
//! order. Source: the kernel's Documentation/networking/msg_zerocopy.rst.

use std::io::IoSliceMut;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrIn6, recvmsg};

use super::{Connection, Meanwhile, Send};
use crate::buffer::{Completion, Departure, Filled, Free, InFlight};
use crate::error::{Error, ErrorKind, Result};
use crate::io::{self, Gather};
use crate::run::Run;

/// `SO_EE_ORIGIN_ZEROCOPY` of <linux/errqueue.h>
const ORIGIN_ZEROCOPY: u8 = 5;
/// `SO_EE_CODE_ZEROCOPY_COPIED` of <linux/errqueue.h>
const CODE_COPIED: u8 = 1;

/// The frames that a connection is sending without a copy.
#[derive(Debug, Default)]
pub struct Flights {
    next_call: u32,
    flights: Vec<InFlight>,
    /// Completions that said that the kernel copied after all.
    pub copied_by_kernel: u64,
    /// Frames of which a part had to be copied because the kernel had no room
    /// to pin it (ENOBUFS).
    pub fell_back: u64,
    /// The frames that have landed, and how long they were in flight, whole.
    flown: Vec<(u64, Duration)>,
}

impl Flights {
    /// The buffers that the kernel is done with.
    pub fn landed(&mut self) -> Vec<Free> {
        let mut landed = Vec::new();
        for flight in std::mem::take(&mut self.flights) {
            let (counter, sent) = (flight.counter(), flight.sent());
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

    fn complete(&mut self, completion: &Completion) {
        self.copied_by_kernel += u64::from(completion.copied);
        for flight in &mut self.flights {
            flight.complete(completion);
        }
    }
}

impl Connection {
    /// Turns sending without a copy on. `EOPNOTSUPP` and the like: the kernel
    /// doesn't have it.
    pub fn enable_zero_copy(&self) -> nix::Result<Flights> {
        io::enable_zero_copy(self.socket.as_fd())?;
        Ok(Flights::default())
    }

    /// Sends a frame without a copy. Its buffer is among `flights` from then on.
    pub fn send_zero_copy(
        &self,
        run: &mut Run<'_>,
        flights: &mut Flights,
        departure: Departure,
        filled: Filled,
        meanwhile: &mut dyn Meanwhile,
    ) -> Result<()> {
        let flight = filled.take_off(departure)?;
        let total = flight.bytes()?;
        flights.flights.push(flight);
        let mut job = ZeroCopySend {
            connection: self,
            flights,
            must_copy: false,
        };
        self.send_all(run, total, &mut job, meanwhile)?;
        flights.fell_back += u64::from(job.must_copy);
        if let Some(flight) = flights.flights.last_mut() {
            flight.sent_whole();
        }
        Ok(())
    }

    /// Takes in what the kernel says that it is done with.
    pub fn reap(&self, flights: &mut Flights) -> Result<()> {
        // Nothing left to be told: spares a call a frame once frames are copied.
        if flights.flights.is_empty() {
            return Ok(());
        }
        let mut space = nix::cmsg_space!(libc::sock_extended_err, libc::sockaddr_in6);
        loop {
            let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
            let mut nothing: [IoSliceMut<'_>; 0] = [];
            let message = match recvmsg::<SockaddrIn6>(
                self.socket.as_raw_fd(),
                &mut nothing,
                Some(&mut space),
                flags,
            ) {
                Ok(message) => message,
                Err(Errno::EAGAIN) => return Ok(()),
                Err(Errno::EINTR) => continue,
                Err(errno) => return Err(queue_error(self, errno)),
            };
            for told in message.cmsgs().map_err(|errno| queue_error(self, errno))? {
                let (ControlMessageOwned::Ipv4RecvErr(told, _)
                | ControlMessageOwned::Ipv6RecvErr(told, _)) = told
                else {
                    continue;
                };
                if told.ee_origin == ORIGIN_ZEROCOPY && told.ee_errno == 0 {
                    flights.complete(&Completion {
                        first: told.ee_info,
                        last: told.ee_data,
                        copied: told.ee_code & CODE_COPIED != 0,
                    });
                }
            }
        }
    }
}

fn queue_error(connection: &Connection, errno: Errno) -> Error {
    Error::new(
        ErrorKind::System,
        "read what the network has sent (MSG_ERRQUEUE)",
    )
    .object(connection.peer())
    .errno(errno)
}

/// The frame that was pushed last, on its way into the socket.
struct ZeroCopySend<'a> {
    connection: &'a Connection,
    flights: &'a mut Flights,
    must_copy: bool,
}

impl Send for ZeroCopySend<'_> {
    fn step(&mut self, sent: usize) -> nix::Result<usize> {
        let socket = self.connection.socket.as_fd();
        let Some(flight) = self.flights.flights.last_mut() else {
            return Err(Errno::EINVAL);
        };
        let payloads = flight.payloads().map_err(|_| Errno::EFAULT)?;
        let what = Gather {
            header: flight.header(),
            payloads: &payloads,
        };
        if !self.must_copy {
            match io::send_zero_copy(socket, &what, sent) {
                Ok(bytes) => {
                    flight.refer(self.flights.next_call);
                    self.flights.next_call = self.flights.next_call.wrapping_add(1);
                    return Ok(bytes);
                }
                // No room for a completion (net.core.optmem_max), or for locked
                // pages (ulimit -l): this frame's rest is copied.
                Err(Errno::ENOBUFS | Errno::ENOMEM | Errno::EFAULT) => self.must_copy = true,
                Err(errno) => return Err(errno),
            }
        }
        io::send_now(socket, &what, sent)
    }

    fn woken(&mut self) -> Result<Vec<Free>> {
        // A completion wakes whoever waits for room: unread, it would do so
        // again and again.
        self.connection.reap(self.flights)?;
        Ok(self.flights.landed())
    }
}
