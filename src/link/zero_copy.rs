//! Sending without a copy: MSG_ZEROCOPY, and its completions.
//!
//! The kernel numbers the calls that succeeded with the flag, and tells on the
//! socket's error queue which of them it is done with: in ranges, late, in any
//! order. Source: the kernel's Documentation/networking/msg_zerocopy.rst.

use std::os::fd::AsFd;

use nix::errno::Errno;

use super::flights::Flights;
use super::{Connection, Meanwhile, Send};
use crate::base::error::{Error, ErrorKind, Result};
use crate::base::run::Run;
use crate::frame::buffer::{Departure, Filled, Free};

impl Connection {
    /// Turns sending without a copy on. `EOPNOTSUPP` and the like: the kernel
    /// doesn't have it.
    pub fn enable_zero_copy(&self) -> nix::Result<Flights> {
        Flights::new(self.socket.as_fd())
    }

    /// Sends a frame without a copy. Its buffer is among `flights` from then on. Tells
    /// whether a part had to be copied because the kernel had no room to pin it (ENOBUFS).
    pub fn send_zero_copy(
        &self,
        run: &mut Run<'_>,
        flights: &mut Flights,
        departure: Departure,
        filled: Filled,
        meanwhile: &mut dyn Meanwhile,
    ) -> Result<bool> {
        let total = flights.take_off(filled, departure)?;
        let mut job = ZeroCopySend {
            connection: self,
            flights,
            must_copy: false,
        };
        self.send_all(run, total, &mut job, meanwhile)?;
        let fell_back = job.must_copy;
        flights.sent_whole();
        Ok(fell_back)
    }

    /// The buffers that the kernel is done with. A completion ends each wait on the socket:
    /// unread, it would do so again and again.
    pub(super) fn landed(&self, flights: &mut Flights) -> Result<Vec<Free>> {
        self.reap(flights)?;
        Ok(flights.landed())
    }

    /// Takes in what the kernel says that it is done with.
    pub fn reap(&self, flights: &mut Flights) -> Result<()> {
        flights.reap().map_err(|errno| {
            Error::new(
                ErrorKind::System,
                "read what the network has sent (MSG_ERRQUEUE)",
            )
            .object(self.peer())
            .errno(errno)
        })
    }
}

/// The frame that took off last, on its way into the socket.
struct ZeroCopySend<'a> {
    connection: &'a Connection,
    flights: &'a mut Flights,
    must_copy: bool,
}

impl Send for ZeroCopySend<'_> {
    fn step(&mut self, sent: usize) -> nix::Result<usize> {
        if !self.must_copy {
            match self.flights.send(sent) {
                // No room for a completion (net.core.optmem_max), or for locked
                // pages (ulimit -l): this frame's rest is copied.
                Err(Errno::ENOBUFS | Errno::ENOMEM | Errno::EFAULT) => self.must_copy = true,
                handed => return handed,
            }
        }
        self.flights.send_copy(sent)
    }

    fn woken(&mut self) -> Result<Vec<Free>> {
        self.connection.landed(self.flights)
    }
}
