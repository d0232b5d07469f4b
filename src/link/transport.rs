//! What the bytes of a connection travel on. What a transport can do is asked of it, and
//! what it can't has an answer that does without.

use std::fmt::Debug;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::errno::Errno;
use socket2::Socket;

use super::network::Network;
use super::socket::{self, Gather};
use crate::base::{Result, Run};
use crate::memory::ViewMut;

/// A stream of bytes between two machines, behind a descriptor that can be polled.
pub trait Transport: AsFd + Debug + Send {
    /// Where the peer is, for people.
    fn peer(&self) -> String;

    /// A second connection to the same peer. That one may be silent for
    /// `patience` from then on.
    fn connect_again(
        &self,
        run: &mut Run<'_>,
        within: Duration,
        patience: Duration,
    ) -> Result<Box<dyn Transport>>;

    /// The socket, for those who do without the run's waits.
    fn into_socket(self: Box<Self>) -> Socket;

    /// Sends what follows the first `sent` bytes, and waits for room for a tick at most;
    /// tells how many bytes were taken. `EAGAIN`: none.
    fn send(&self, what: &Gather<'_>, sent: usize) -> nix::Result<usize> {
        socket::send(self.as_fd(), what, sent)
    }

    /// As `send`, without waiting.
    fn send_now(&self, what: &Gather<'_>, sent: usize) -> nix::Result<usize> {
        socket::send_now(self.as_fd(), what, sent)
    }

    /// Receives into `into`, and waits for a tick at most; tells how many bytes came, 0 at
    /// the stream's end. `EAGAIN`: none.
    fn receive(&self, into: ViewMut<'_>) -> nix::Result<usize> {
        socket::receive(self.as_fd(), into)
    }

    /// As `receive`, of what has come, without waiting.
    fn receive_what_came(&self, into: ViewMut<'_>) -> nix::Result<usize> {
        socket::receive_what_came(self.as_fd(), into)
    }

    /// Receives what has come, without waiting; 0 at the stream's end.
    fn receive_now(&self, into: &mut [u8]) -> nix::Result<usize> {
        socket::receive_now(self.as_fd(), into)
    }

    /// Sends no more. `ENOTCONN`: there is nobody any more.
    fn end(&self) -> nix::Result<()>;

    /// Ends both directions, in the middle of whatever it is.
    fn shut(&self);

    /// A socket that sends without a copy (MSG_ZEROCOPY). An error where there is none.
    fn zero_copy(&self) -> nix::Result<std::os::fd::BorrowedFd<'_>> {
        Err(Errno::EOPNOTSUPP)
    }

    /// Whether the peer is on this machine.
    fn is_local(&self) -> bool {
        false
    }

    /// Keeps what waits to be sent to about so many bytes.
    fn limit_unsent(&self, _bytes: u32) -> nix::Result<()> {
        Ok(())
    }

    /// Has a wait for bytes end when so many have come.
    fn wake_at(&self, _bytes: usize) -> nix::Result<()> {
        Ok(())
    }

    /// Bytes that were sent and that the peer's machine has not acknowledged; 0 where that
    /// is unknown.
    fn unacknowledged(&self) -> usize {
        0
    }

    /// What the kernel tells of it; None where it has nothing to tell.
    fn network(&self) -> Option<Network> {
        None
    }
}
