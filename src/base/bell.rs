//! What one thread wakes another one's wait with.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use nix::poll::{PollFd, PollFlags};
use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::base::{Error, ErrorKind, Result};

/// Rings from when it is rung, however often, until it is hushed.
#[derive(Debug)]
pub struct Bell(EventFd);

impl Bell {
    /// Silent yet.
    pub fn new() -> Result<Self> {
        EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)
            .map(Bell)
            .map_err(|errno| Error::new(ErrorKind::System, "make an eventfd").errno(errno))
    }

    /// Wakes who waits for it.
    pub fn ring(&self) {
        // EAGAIN, the only error, says that it rings.
        let _ = self.0.write(1);
    }

    /// Silences it. To be called before the look at what it rings for, so that what comes
    /// after the look wakes.
    pub fn hush(&self) {
        // EAGAIN says that it did not ring.
        let _ = self.0.read();
    }

    /// For a wait: readable while it rings.
    pub fn poll_fd(&self) -> PollFd<'_> {
        PollFd::new(self.as_fd(), PollFlags::POLLIN)
    }
}

/// Rings a bell when it is dropped, even by a panic: whoever waits for a thread is woken.
pub struct Ring(pub Arc<Bell>);

impl Drop for Ring {
    fn drop(&mut self) {
        self.0.ring();
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
