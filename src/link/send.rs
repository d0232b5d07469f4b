//! Sending: whole pieces, whatever goes on meanwhile.

use std::os::fd::AsFd;
use std::time::Instant;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};

use super::Connection;
use super::in_flight::InFlight;
use super::socket::Gather;
use crate::base::{OnStop, Result, Run, WaitsFor, Woken};

/// A way to send something, piece by piece.
pub(super) trait Send {
    /// Sends what follows the first `sent` bytes; says how many more that were.
    fn step(&mut self, sent: usize) -> nix::Result<usize>;
    /// Something happened on the socket.
    fn woken(&mut self) -> Result<()> {
        Ok(())
    }
}

/// What goes on while a frame waits for room on the connection.
pub trait Meanwhile {
    /// What else to wait for.
    fn waits_for(&self) -> Option<WaitsFor<'_>>;
    /// Called after each wait. What fails here is to be told later: a frame that is half out
    /// goes on.
    fn look(&mut self);
}

/// Nothing does.
pub struct Nothing;

impl Meanwhile for Nothing {
    fn waits_for(&self) -> Option<WaitsFor<'_>> {
        None
    }

    fn look(&mut self) {}
}

struct CopyingSend<'a> {
    connection: &'a Connection,
    /// What was sent without a copy before.
    in_flight: Option<&'a mut InFlight>,
    what: Gather<'a>,
    /// Whether nothing goes on meanwhile: the wait for room is the kernel's then.
    is_alone: bool,
}

impl Send for CopyingSend<'_> {
    fn step(&mut self, sent: usize) -> nix::Result<usize> {
        if self.is_alone {
            self.connection.transport.send(&self.what, sent)
        } else {
            self.connection.transport.send_now(&self.what, sent)
        }
    }

    fn woken(&mut self) -> Result<()> {
        match &mut self.in_flight {
            None => Ok(()),
            Some(in_flight) => self.connection.reap(in_flight),
        }
    }
}

impl Connection {
    /// Sends `bytes`.
    pub fn send_bytes(&self, run: &mut Run<'_>, bytes: &[u8]) -> Result<()> {
        self.send(run, Gather::of(bytes), None, &mut Nothing)
    }

    /// Sends a header and its payload, in one call if the socket has room.
    /// Not ended by a stop: half a frame is worth nothing. `in_flight` are frames that were
    /// sent without a copy before.
    pub fn send(
        &self,
        run: &mut Run<'_>,
        what: Gather<'_>,
        in_flight: Option<&mut InFlight>,
        meanwhile: &mut dyn Meanwhile,
    ) -> Result<()> {
        let total = what.length();
        let mut job = CopyingSend {
            connection: self,
            in_flight,
            what,
            is_alone: meanwhile.waits_for().is_none(),
        };
        self.send_all(run, total, &mut job, meanwhile)
    }

    pub(super) fn send_all(
        &self,
        run: &mut Run<'_>,
        total: usize,
        job: &mut dyn Send,
        meanwhile: &mut dyn Meanwhile,
    ) -> Result<()> {
        let mut sent = 0;
        let mut other_failed = false;
        let mut progress = self.progress();
        // What is taken byte by byte after a stop has no more time than what is not.
        let mut last = None;
        while sent < total {
            if run.is_stopped() {
                let last = *last.get_or_insert_with(|| self.give_up_at());
                if Instant::now() >= last {
                    return Err(self.stalled());
                }
            }
            match job.step(sent) {
                Ok(bytes) => {
                    sent += bytes;
                    progress = self.progress();
                    run.tick()?;
                }
                Err(Errno::EAGAIN) => {
                    let room = PollFd::new(self.transport.as_fd(), PollFlags::POLLOUT);
                    let other = meanwhile.waits_for().filter(|_| !other_failed);
                    let (other, due) = other.map(WaitsFor::poll).unzip();
                    let other = other.into_iter().flatten();
                    let polled: Vec<PollFd<'_>> = [room].into_iter().chain(other).collect();
                    let due: Option<Instant> = due.flatten();
                    let until = [Some(progress.due()), due, last]
                        .into_iter()
                        .flatten()
                        .min();
                    if let Woken::Ready(events) = run.wait(&polled, until, OnStop::Finish)? {
                        // It would end every wait from now on. Whoever waits for
                        // it alone, after this frame, tells what it means.
                        let failure = PollFlags::POLLERR | PollFlags::POLLHUP | PollFlags::POLLNVAL;
                        other_failed |= events.iter().skip(1).any(|on| on.intersects(failure));
                    }
                    if progress.is_over(self) {
                        return Err(self.stalled());
                    }
                    job.woken()?;
                    meanwhile.look();
                }
                Err(Errno::EINTR) => run.tick()?,
                Err(errno) => return Err(self.lost(errno)),
            }
        }
        Ok(())
    }
}
