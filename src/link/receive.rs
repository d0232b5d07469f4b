//! Receiving: whole pieces, waited for.

use std::time::Instant;

use nix::errno::Errno;

use super::Connection;
use crate::base::{Error, ErrorKind, OnStop, Result, Run, TICK, Woken};
use crate::memory::ViewMut;

/// Bytes of a payload that a receiver waits for at a time if the sender is on the same
/// machine, where it is the sender's time that waking the receiver for each packet takes.
/// Of another machine's payload it waits for all: until the mark is reached the kernel
/// acknowledges each packet at once, which between two guests cost a tenth of the frames.
const PIECE: usize = 256 * 1024;

/// Bytes that a sender on the same machine sends as one packet.
const SMALL: usize = 64 * 1024;

/// What a receive brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// All that was asked for.
    All,
    /// The peer closed after so many bytes of it.
    Closed(usize),
    /// A stop came before all of it had.
    Stopped,
    /// The time was up after so many bytes of it.
    Silent(usize),
}

impl Received {
    /// What it is for the whole that this was a part of, `before` bytes of which had come.
    #[must_use]
    pub fn after(self, before: usize) -> Self {
        match self {
            Received::Closed(count) => Received::Closed(before + count),
            Received::Silent(count) => Received::Silent(before + count),
            other => other,
        }
    }
}

impl Connection {
    /// Fills `bytes`, which must arrive whole by `deadline`.
    pub fn receive_by(
        &self,
        run: &mut Run<'_>,
        bytes: &mut [u8],
        deadline: Instant,
    ) -> Result<Received> {
        self.fill(run, bytes, OnStop::End, Some(deadline))
    }

    /// Fills `bytes`. A stop ends it, whatever has come by then.
    pub fn receive_bytes(&self, run: &mut Run<'_>, bytes: &mut [u8]) -> Result<Received> {
        self.fill(run, bytes, OnStop::End, None)
    }

    /// Fills `bytes`, what lies before them having come. A stop doesn't end it, but what
    /// then trickles in has no more time than a silent peer.
    pub fn receive_rest(&self, run: &mut Run<'_>, bytes: &mut [u8]) -> Result<Received> {
        self.fill(run, bytes, OnStop::Finish, None)
    }

    fn fill(
        &self,
        run: &mut Run<'_>,
        bytes: &mut [u8],
        on_stop: OnStop,
        by: Option<Instant>,
    ) -> Result<Received> {
        self.receive(
            run,
            bytes.len(),
            (on_stop, by),
            |_| None,
            |received| {
                let rest = bytes.get_mut(received..).unwrap_or_default();
                self.transport.receive_now(rest)
            },
        )
    }

    /// As `receive_rest`, straight from the socket into `view`.
    pub fn receive_view(&self, run: &mut Run<'_>, mut view: ViewMut<'_>) -> Result<Received> {
        let total = view.length();
        let is_local = self.transport.is_local();
        // A recv(2) that waits takes what there is first. What comes then may be less than the
        // mark, and nobody is woken by it before the next frame's bytes, unless enough of this one
        // follow: its end is waited for by poll(2), which takes nothing.
        let is_end = |received: usize| is_local && total - received < 2 * PIECE;
        // What is small has mostly come with what was read before it.
        let ahead = |received: usize| {
            let is_there = received == 0 && total <= SMALL;
            (is_end(received) && !is_there).then(|| (total - received).min(PIECE))
        };
        self.receive(run, total, (OnStop::Finish, None), ahead, |received| {
            let mut next = view.skip(received).ok_or(Errno::EINVAL)?;
            if is_end(received) {
                return self.transport.receive_what_came(next.at_most(PIECE));
            }
            if is_local {
                self.wake_at(PIECE)?;
                return self.transport.receive(next.at_most(PIECE));
            }
            self.transport.receive(next)
        })
    }

    fn wake_at(&self, bytes: usize) -> nix::Result<()> {
        if self.low_water.replace(bytes) != bytes {
            self.transport.wake_at(bytes)?;
        }
        Ok(())
    }

    /// Receives `total` bytes piece by piece, and waits before each, for a tick at most, until as
    /// many have come as `ahead` says of the bytes that were received.
    fn receive(
        &self,
        run: &mut Run<'_>,
        total: usize,
        (on_stop, by): (OnStop, Option<Instant>),
        ahead: impl Fn(usize) -> Option<usize>,
        mut receive: impl FnMut(usize) -> nix::Result<usize>,
    ) -> Result<Received> {
        // Before the first byte, too: of a peer that sends piece after whole piece, none is
        // waited for.
        if on_stop == OnStop::End && run.is_stopped() {
            return Ok(Received::Stopped);
        }
        if by.is_some_and(|by| Instant::now() >= by) {
            return Ok(Received::Silent(0));
        }
        let mut received = 0;
        // Whatever comes meanwhile, it ends then.
        let mut last = by;
        let mut deadline = last.unwrap_or_else(|| self.give_up_at());
        while received < total {
            if let Some(bytes) = ahead(received) {
                self.wake_at(bytes).map_err(|errno| self.broken(errno))?;
                // No longer than a tick: what a slow peer has sent by then is progress.
                let tick = deadline.min(Instant::now() + TICK);
                if run.wait(&[self.poll_fd(false)], Some(tick), on_stop)? == Woken::Stopped {
                    return Ok(Received::Stopped);
                }
            }
            match receive(received) {
                Ok(0) => return Ok(Received::Closed(received)),
                Ok(bytes) => {
                    received += bytes;
                    run.tick()?;
                    if received == total {
                        break;
                    }
                    // Looked at here as well: a peer that talks on and on is never waited for.
                    if run.is_stopped() {
                        if on_stop == OnStop::End {
                            return Ok(Received::Stopped);
                        }
                        last.get_or_insert_with(|| self.give_up_at());
                    }
                    deadline = match last {
                        Some(last) if Instant::now() >= last => {
                            return Ok(Received::Silent(received));
                        }
                        Some(last) => last,
                        None => self.give_up_at(),
                    };
                }
                Err(Errno::EAGAIN) => {
                    self.wake_at(1).map_err(|errno| self.broken(errno))?;
                    match run.wait(&[self.poll_fd(false)], Some(deadline), on_stop)? {
                        Woken::Ready(_) => {}
                        Woken::TimedOut => return Ok(Received::Silent(received)),
                        Woken::Stopped => return Ok(Received::Stopped),
                    }
                }
                Err(Errno::EINTR) => run.tick()?,
                // A reset peer has closed, less politely.
                Err(Errno::ECONNRESET | Errno::ETIMEDOUT) => {
                    return Ok(Received::Closed(received));
                }
                Err(errno) => return Err(self.broken(errno)),
            }
        }
        Ok(Received::All)
    }

    fn broken(&self, errno: Errno) -> Error {
        self.error(ErrorKind::PeerLost, "receive from").errno(errno)
    }
}
