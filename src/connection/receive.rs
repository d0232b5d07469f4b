//! Receiving: whole pieces, waited for.

use std::io::Read;
use std::os::fd::AsFd;
use std::time::Instant;

use nix::errno::Errno;
use socket2::Socket;

use super::Connection;
use crate::error::{Error, ErrorKind, Result};
use crate::io;
use crate::memory::View;
use crate::run::{OnStop, Run, Woken};

/// What a receive brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// All that was asked for.
    All,
    /// The peer closed after so many bytes of it.
    Closed(usize),
    /// A stop came before the first byte of it.
    Stopped,
    /// The peer was silent for too long after so many bytes of it.
    Silent(usize),
}

impl Connection {
    /// Fills `bytes`, which must arrive whole by `deadline`.
    pub fn receive_by(
        &self,
        run: &mut Run<'_>,
        bytes: &mut [u8],
        deadline: Instant,
    ) -> Result<Received> {
        self.receive(run, bytes.len(), OnStop::End, Some(deadline), |received| {
            read(&self.socket, bytes, received)
        })
    }

    /// Fills `bytes`. A stop ends it while none has come.
    pub fn receive_bytes(&self, run: &mut Run<'_>, bytes: &mut [u8]) -> Result<Received> {
        self.receive(run, bytes.len(), OnStop::End, None, |received| {
            read(&self.socket, bytes, received)
        })
    }

    /// Fills `bytes`, what lies before them having come. Not ended by a stop.
    pub fn receive_rest(&self, run: &mut Run<'_>, bytes: &mut [u8]) -> Result<Received> {
        self.receive(run, bytes.len(), OnStop::Finish, None, |received| {
            read(&self.socket, bytes, received)
        })
    }

    /// Fills `view`, straight from the socket. Not ended by a stop.
    pub fn receive_view(&self, run: &mut Run<'_>, view: View<'_>) -> Result<Received> {
        self.receive(run, view.length(), OnStop::Finish, None, |received| {
            let rest = view.skip(received).ok_or(Errno::EINVAL)?;
            io::receive(self.socket.as_fd(), rest)
        })
    }

    fn receive(
        &self,
        run: &mut Run<'_>,
        total: usize,
        on_stop: OnStop,
        by: Option<Instant>,
        mut receive: impl FnMut(usize) -> nix::Result<usize>,
    ) -> Result<Received> {
        let mut received = 0;
        let mut deadline = by.unwrap_or_else(|| self.give_up_at());
        while received < total {
            match receive(received) {
                Ok(0) => return Ok(Received::Closed(received)),
                Ok(bytes) => {
                    received += bytes;
                    deadline = by.unwrap_or_else(|| self.give_up_at());
                }
                Err(Errno::EAGAIN) => {
                    let on_stop = if received > 0 {
                        OnStop::Finish
                    } else {
                        on_stop
                    };
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
                Err(errno) => {
                    return Err(Error::new(
                        ErrorKind::PeerLost,
                        format!("receive from {}", self.peer),
                    )
                    .object(&self.peer)
                    .errno(errno));
                }
            }
        }
        Ok(Received::All)
    }
}

fn read(mut socket: &Socket, bytes: &mut [u8], received: usize) -> nix::Result<usize> {
    let rest = bytes.get_mut(received..).unwrap_or_default();
    socket
        .read(rest)
        .map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)))
}
