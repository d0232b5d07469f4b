//! A connected peer: how long it may be silent, what it means that it hangs up, and how a
//! stream ends.

use std::cell::{Cell, OnceCell};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};
use socket2::Socket;

use super::busy::Busy;
use super::in_flight::InFlight;
use super::network::Network;
use super::progress::Progress;
use super::transport::Transport;
use crate::base::{Error, ErrorKind, OnStop, Result, Run};

/// A connected peer.
#[derive(Debug)]
pub struct Connection {
    pub(super) transport: Box<dyn Transport>,
    peer: String,
    /// How long the peer may be silent, or take nothing.
    pub(super) patience: Duration,
    /// What the peer says of itself elsewhere, if anybody hears that.
    busy: OnceCell<(Busy, Arc<OwnedFd>)>,
    /// Bytes that have to come before a wait for them ends (SO_RCVLOWAT).
    pub(super) low_water: Cell<usize>,
}

impl Connection {
    /// On a transport whose peer may be silent, or take nothing, for `patience`.
    pub fn new(transport: impl Transport + 'static, patience: Duration) -> Self {
        Connection::on(Box::new(transport), patience)
    }

    fn on(transport: Box<dyn Transport>, patience: Duration) -> Self {
        Connection {
            peer: transport.peer(),
            transport,
            patience,
            busy: OnceCell::new(),
            low_water: Cell::new(1),
        }
    }

    /// A second connection to the same peer, within a time.
    pub fn connect_again(&self, run: &mut Run<'_>, within: Duration) -> Result<Self> {
        let again = self.transport.connect_again(run, within, self.patience)?;
        Ok(Connection::on(again, self.patience))
    }

    /// An error of what is done with the peer, as in `send to`.
    pub fn error(&self, kind: ErrorKind, what: impl std::fmt::Display) -> Error {
        Error::about(kind, what, &self.peer)
    }

    /// The peer's address.
    pub fn peer(&self) -> &str {
        &self.peer
    }

    /// Gives the socket to those who do without the run's waits.
    pub fn into_socket(self) -> Socket {
        self.transport.into_socket()
    }

    /// What the kernel tells of it; None once it has nothing to tell.
    pub fn network(&self) -> Option<Network> {
        self.transport.network()
    }

    /// For a wait for the peer's hanging up (see `check`) beside another wait, and
    /// for room to send if `for_room`.
    pub fn poll_fd(&self, for_room: bool) -> PollFd<'_> {
        let mut events = PollFlags::POLLIN;
        events.set(PollFlags::POLLOUT, for_room);
        PollFd::new(self.transport.as_fd(), events)
    }

    /// For a wait for the peer's hanging up, whatever it says before that.
    pub fn poll_hang_up(&self) -> PollFd<'_> {
        let hang_up = PollFlags::from_bits_retain(nix::libc::POLLRDHUP);
        PollFd::new(self.transport.as_fd(), hang_up)
    }

    /// Keeps what waits in the socket to about `bytes`, so that frames wait where
    /// they can still be dropped.
    pub fn limit_unsent(&self, bytes: u32) -> Result<()> {
        self.transport.limit_unsent(bytes).map_err(|errno| {
            Error::new(ErrorKind::System, "limit what waits (TCP_NOTSENT_LOWAT)").errno(errno)
        })
    }

    /// When to give the peer up if nothing moves from now on.
    pub fn give_up_at(&self) -> Instant {
        Instant::now() + self.patience
    }

    /// To be asked whether the peer takes anything from now on.
    pub fn progress(&self) -> Progress {
        if let Some((busy, _)) = self.busy.get() {
            busy.is_over(self.patience);
        }
        Progress::new(self.patience)
    }

    /// Where to note that the peer says why it takes nothing.
    pub fn busy(&self) -> Result<Busy> {
        if let Some((busy, _)) = self.busy.get() {
            return Ok(busy.clone());
        }
        let socket = self.transport.as_fd().try_clone_to_owned();
        let socket = socket.map_err(|error| {
            Error::new(ErrorKind::System, "duplicate the connection's descriptor").io(&error)
        })?;
        let socket = Arc::new(socket);
        let busy = Busy::of(&socket);
        Ok(self.busy.get_or_init(|| (busy, socket)).0.clone())
    }

    /// When the peer last said why it takes nothing.
    pub(super) fn last_busy(&self) -> Option<Instant> {
        self.busy.get().and_then(|(busy, _)| busy.last())
    }

    /// How long the peer may be silent, or take nothing.
    pub fn patience(&self) -> Duration {
        self.patience
    }

    /// The error that it is when nothing has moved until then.
    pub fn stalled(&self) -> Error {
        self.timeout("the receiver took nothing")
    }

    /// Bytes that were sent and that the receiver's machine has not acknowledged.
    pub fn unacknowledged(&self) -> usize {
        self.transport.unacknowledged()
    }

    /// What a readable socket means to a sender: the receiver hung up, or it speaks. What it
    /// says is passed over where it `may_speak`; elsewhere it is no receiver.
    pub fn check(&self, may_speak: bool) -> Result<()> {
        match self.transport.receive_now(&mut [0; 4096]) {
            Ok(0) => Err(self.lost_to("the receiver closed the connection")),
            Ok(_) if may_speak => Ok(()),
            Ok(_) => Err(self
                .error(ErrorKind::Protocol, "send to")
                .cause("it answered, which a receiver of versions 1 and 2 never does")
                .next("check address and port")),
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(()),
            Err(errno) => Err(self.lost(errno)),
        }
    }

    /// Ends both directions, in the middle of whatever it is.
    pub fn shut(&self) {
        self.transport.shut();
    }

    /// Ends the stream and waits until the receiver has taken all of it, which
    /// it shows by closing its side. `in_flight` are frames that were sent without a copy.
    pub fn finish(&self, run: &mut Run<'_>, mut in_flight: Option<&mut InFlight>) -> Result<()> {
        self.transport.end().map_err(|errno| self.lost(errno))?;
        let mut progress = self.progress();
        loop {
            run.wait(&[self.poll_fd(false)], Some(progress.due()), OnStop::Finish)?;
            // Looked at rather than told by the wait: a peer that talks on and
            // on would never let it time out.
            if progress.is_over(self) {
                return Err(self.timeout("the receiver did not end the stream"));
            }
            // Unread, a completion would end every wait.
            if let Some(in_flight) = &mut in_flight {
                self.reap(in_flight)?;
            }
            match self.transport.receive_now(&mut [0; 4096]) {
                Ok(0) => return Ok(()),
                Ok(_) | Err(Errno::EAGAIN | Errno::EINTR) => {}
                Err(errno) => return Err(self.lost(errno)),
            }
        }
    }

    fn timeout(&self, what: &str) -> Error {
        self.error(ErrorKind::PeerTimeout, "send to")
            .errno(Errno::ETIMEDOUT)
            .cause(format!("{what} for {} s", self.patience.as_secs_f64()))
            .next("see whether it still runs; --peer-timeout sets how long to wait")
    }

    pub(super) fn lost(&self, errno: Errno) -> Error {
        if errno == Errno::ETIMEDOUT {
            return self.timeout("the receiver acknowledged nothing");
        }
        self.lost_to("the receiver went away before the stream's end")
            .errno(errno)
    }

    fn lost_to(&self, what: &str) -> Error {
        self.error(ErrorKind::PeerLost, "send to")
            .errno(Errno::EPIPE)
            .cause(what)
            .next("its own output says why")
    }
}
