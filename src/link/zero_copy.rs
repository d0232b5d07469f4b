//! Sending without a copy: MSG_ZEROCOPY, and its completions.
//!
//! The kernel numbers the calls that succeeded with the flag, and tells on the
//! socket's error queue which of them it is done with: in ranges, late, in any
//! order. Source: the kernel's Documentation/networking/msg_zerocopy.rst.

use nix::errno::Errno;

use super::connection::Connection;
use super::in_flight::{Header, InFlight};
use super::send::{Meanwhile, Send};
use crate::base::{Error, ErrorKind, Result, Run};
use crate::frame::Lease;

impl Connection {
    /// Turns sending without a copy on. `EOPNOTSUPP` and the like: the kernel
    /// doesn't have it.
    pub fn enable_zero_copy(&self) -> nix::Result<InFlight> {
        InFlight::new(self.transport.zero_copy()?)
    }

    /// Sends a frame without a copy. `in_flight` has a lease of it from then on. Tells
    /// whether a part had to be copied because the kernel had no room to pin it (ENOBUFS).
    pub fn send_zero_copy(
        &self,
        run: &mut Run<'_>,
        in_flight: &mut InFlight,
        header: Header,
        lease: Lease,
        meanwhile: &mut dyn Meanwhile,
    ) -> Result<bool> {
        let total = in_flight.begin(lease, header)?;
        let mut job = ZeroCopySend {
            connection: self,
            in_flight,
            must_copy: false,
        };
        self.send_all(run, total, &mut job, meanwhile)?;
        let fell_back = job.must_copy;
        in_flight.sent_whole();
        Ok(fell_back)
    }

    /// Lets go of the frames that the kernel says that it is done with. A completion ends each
    /// wait on the socket: unread, it would do so again and again.
    pub fn reap(&self, in_flight: &mut InFlight) -> Result<()> {
        let what = "read what the network has sent (MSG_ERRQUEUE)";
        let failed = |errno| Error::new(ErrorKind::System, what).errno(errno);
        let reaped = in_flight.reap();
        let reaped = reaped.map_err(|errno| failed(errno).object(self.peer()));
        in_flight.release();
        reaped
    }
}

/// The frame that was begun last, on its way into the socket.
struct ZeroCopySend<'a> {
    connection: &'a Connection,
    in_flight: &'a mut InFlight,
    must_copy: bool,
}

impl Send for ZeroCopySend<'_> {
    fn step(&mut self, sent: usize) -> nix::Result<usize> {
        if !self.must_copy {
            match self.in_flight.send(sent) {
                // No room for a completion (net.core.optmem_max), or for locked
                // pages (ulimit -l): this frame's rest is copied.
                Err(Errno::ENOBUFS | Errno::ENOMEM | Errno::EFAULT) => self.must_copy = true,
                handed => return handed,
            }
        }
        self.in_flight.send_copy(sent)
    }

    fn woken(&mut self) -> Result<()> {
        self.connection.reap(self.in_flight)
    }
}
