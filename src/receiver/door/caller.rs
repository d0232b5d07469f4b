//! Somebody who has connected, and has not said yet what it wants.

use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};
use socket2::Socket;

use crate::link::socket;
use crate::wire::{Greeting, STREAM_MAGIC, Said, WireError};

/// How long one that was refused may take to read that.
const FAREWELL: Duration = Duration::from_secs(1);

/// A caller.
pub(super) struct Caller {
    pub(super) socket: Socket,
    pub(super) address: SocketAddr,
    /// Until when it has to have said what it wants, or to be gone.
    pub(super) deadline: Instant,
    manner: Manner,
}

enum Manner {
    /// It is heard.
    Speaks(Greeting),
    /// It was refused: what it still says is read, since closing a socket before that
    /// resets the connection, and the refusal may be lost with it.
    Leaves,
}

/// What came of listening to a caller.
pub(super) enum Heard {
    /// Nothing yet.
    Nothing,
    /// All that there is to say.
    All(Said),
    /// It is a stranger, for this reason.
    Stranger(String),
    /// One that was refused is gone.
    Gone,
}

impl Caller {
    pub(super) fn new(socket: Socket, address: SocketAddr, deadline: Instant) -> Self {
        Caller {
            socket,
            address,
            deadline,
            manner: Manner::Speaks(Greeting::default()),
        }
    }

    pub(super) fn poll_fd(&self) -> PollFd<'_> {
        PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)
    }

    /// Bytes that it has said.
    pub(super) fn taken(&self) -> usize {
        match &self.manner {
            Manner::Speaks(greeting) => greeting.taken(),
            Manner::Leaves => 0,
        }
    }

    /// Whether it is still to say what it wants.
    pub(super) fn speaks(&self) -> bool {
        matches!(self.manner, Manner::Speaks(_))
    }

    /// Reads once what has come.
    pub(super) fn hear(&mut self) -> Heard {
        let Manner::Speaks(greeting) = &mut self.manner else {
            return match socket::receive_now(self.socket.as_fd(), &mut [0; 4096]) {
                Ok(1..) | Err(Errno::EAGAIN | Errno::EINTR) => Heard::Nothing,
                _ => Heard::Gone,
            };
        };
        let taken = greeting.taken();
        match socket::receive_now(self.socket.as_fd(), greeting.room()) {
            Ok(0) => Heard::Stranger(format!(
                "it closed the connection after {taken} bytes that describe no stream"
            )),
            Ok(count) => match greeting.came(count) {
                Ok(None) => Heard::Nothing,
                Ok(Some(said)) => Heard::All(said),
                Err(error) => Heard::Stranger(stranger(&error)),
            },
            Err(Errno::EAGAIN | Errno::EINTR) => Heard::Nothing,
            Err(errno) => Heard::Stranger(format!(
                "its connection broke after {taken} bytes that describe no stream: {}",
                errno.desc()
            )),
        }
    }

    /// Sends a message that is small beside a new socket's room. Whether it went whole.
    pub(super) fn say(&self, message: &[u8]) -> bool {
        let what = socket::Gather::of(message);
        socket::send_now(self.socket.as_fd(), &what, 0) == Ok(message.len())
    }

    /// Says farewell: it has been refused, and gets a moment to read that.
    pub(super) fn leave(mut self, now: Instant) -> Self {
        // It may be gone already.
        let _ = self.socket.shutdown(std::net::Shutdown::Write);
        self.manner = Manner::Leaves;
        self.deadline = now + FAREWELL;
        self
    }
}

fn stranger(error: &WireError) -> String {
    match error {
        WireError::StreamMagic(magic) => format!(
            "it is no sender of this protocol: it began with \"{}\" instead of \"{}\"",
            magic.to_be_bytes().escape_ascii(),
            STREAM_MAGIC.to_be_bytes().escape_ascii()
        ),
        other => format!("it offers no stream: {other}"),
    }
}
