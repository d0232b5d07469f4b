//! The TCP connection that a stream travels on.
//!
//! Every wait is the run's, so a stop, an interrupt and a peer that has gone silent are
//! noticed wherever the loop is. Two are the kernel's, for a payload's next bytes and for
//! room for them where nothing else goes on, and no longer than a tick; each other call
//! says by itself that it doesn't wait.

mod connect;
mod in_flight;
mod listen;
pub mod network;
mod progress;
mod receive;
pub mod socket;
mod zero_copy;

use std::cell::Cell;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};
use socket2::{Domain, Protocol, Socket, Type};

use crate::base::blocking::Blocking;
use crate::base::error::{Error, ErrorKind, Result};
use crate::base::run::{OnStop, Run, TICK, WaitsFor, Woken};
use crate::link::network::Network;
use socket::Gather;

pub use connect::{connect, connect_to};
pub use in_flight::{Header, InFlight};
pub use listen::{Accepted, Listener};
pub use progress::Progress;
pub use receive::Received;

/// A connected peer.
#[derive(Debug)]
pub struct Connection {
    socket: Socket,
    peer: String,
    /// Where the peer is.
    address: SocketAddr,
    /// Whether the peer is on this machine.
    is_local: bool,
    /// How long the peer may be silent, or take nothing.
    patience: Duration,
    /// Bytes that have to come before a wait for them ends (SO_RCVLOWAT).
    low_water: Cell<usize>,
}

/// A way to send something, piece by piece.
trait Send {
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
struct Nothing;

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
            socket::send(self.connection.socket.as_fd(), &self.what, sent)
        } else {
            socket::send_now(self.connection.socket.as_fd(), &self.what, sent)
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
    /// Takes in a socket that is connected to `address`.
    pub fn new(socket: Socket, address: SocketAddr, patience: Duration) -> std::io::Result<Self> {
        socket.set_nonblocking(false)?;
        socket.set_read_timeout(Some(TICK))?;
        socket.set_write_timeout(Some(TICK))?;
        socket.set_tcp_nodelay(true)?;
        let local = socket.local_addr()?.as_socket();
        Ok(Connection {
            socket,
            peer: address.to_string(),
            address,
            is_local: local.is_some_and(|local| local.ip() == address.ip()),
            patience,
            low_water: Cell::new(1),
        })
    }

    /// The peer's address.
    pub fn peer(&self) -> &str {
        &self.peer
    }

    /// Where the peer is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Gives the socket to those who do without the run's waits.
    pub fn into_socket(self) -> Socket {
        self.socket
    }

    /// What the kernel tells of it; None once it has nothing to tell.
    pub fn network(&self) -> Option<Network> {
        let local = self.socket.local_addr().ok()?.as_socket()?;
        let info = socket::tcp_info(self.socket.as_fd()).ok()?;
        Some(Network {
            local: local.ip().to_canonical(),
            peer: self.address.ip().to_canonical(),
            tcp: vec![
                ("rtt", info.tcpi_rtt.into()),
                ("rttvar", info.tcpi_rttvar.into()),
                ("min_rtt", info.tcpi_min_rtt.into()),
                ("snd_mss", info.tcpi_snd_mss.into()),
                ("rcv_mss", info.tcpi_rcv_mss.into()),
                ("pmtu", info.tcpi_pmtu.into()),
                ("snd_cwnd", info.tcpi_snd_cwnd.into()),
                ("total_retrans", info.tcpi_total_retrans.into()),
                ("delivery_rate", info.tcpi_delivery_rate),
                ("busy_time", info.tcpi_busy_time),
                ("rwnd_limited", info.tcpi_rwnd_limited),
                ("sndbuf_limited", info.tcpi_sndbuf_limited),
            ],
        })
    }

    /// For a wait for the peer's hanging up (see `check`) beside another wait, and
    /// for room to send if `for_room`.
    pub fn poll_fd(&self, for_room: bool) -> PollFd<'_> {
        let mut events = PollFlags::POLLIN;
        events.set(PollFlags::POLLOUT, for_room);
        PollFd::new(self.socket.as_fd(), events)
    }

    /// For a wait for the peer's hanging up, whatever it says before that.
    pub fn poll_hang_up(&self) -> PollFd<'_> {
        let hang_up = PollFlags::from_bits_retain(nix::libc::POLLRDHUP);
        PollFd::new(self.socket.as_fd(), hang_up)
    }

    /// Sends `bytes`.
    pub fn send_bytes(&self, run: &mut Run<'_>, bytes: &[u8]) -> Result<()> {
        let what = Gather {
            header: bytes,
            payloads: &[],
        };
        self.send(run, what, None, &mut Nothing)
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

    fn send_all(
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
                    let room = PollFd::new(self.socket.as_fd(), PollFlags::POLLOUT);
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

    /// Keeps what waits in the socket to about `bytes`, so that frames wait where
    /// they can still be dropped.
    pub fn limit_unsent(&self, bytes: u32) -> Result<()> {
        self.socket.set_tcp_notsent_lowat(bytes).map_err(|error| {
            Error::new(ErrorKind::System, "limit what waits (TCP_NOTSENT_LOWAT)").io(&error)
        })
    }

    /// When to give the peer up if nothing moves from now on.
    pub fn give_up_at(&self) -> Instant {
        Instant::now() + self.patience
    }

    /// To be asked whether the peer takes anything from now on.
    pub fn progress(&self) -> Progress {
        Progress::new(self.patience)
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
        socket::unacknowledged(self.socket.as_fd()).unwrap_or(0)
    }

    /// What a readable socket means to a sender: the receiver hung up, or it speaks. What it
    /// says is passed over where it `may_speak`; elsewhere it is no receiver.
    pub fn check(&self, may_speak: bool) -> Result<()> {
        match socket::receive_now(self.socket.as_fd(), &mut [0; 4096]) {
            Ok(0) => Err(self.lost_to("the receiver closed the connection")),
            Ok(_) if may_speak => Ok(()),
            Ok(_) => Err(
                Error::new(ErrorKind::Protocol, format!("send to {}", self.peer))
                    .object(&self.peer)
                    .cause("it answered, which a receiver of versions 1 and 2 never does")
                    .next("check address and port"),
            ),
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(()),
            Err(errno) => Err(self.lost(errno)),
        }
    }

    /// Ends both directions, in the middle of whatever it is.
    pub fn shut(&self) {
        // It may be at its end already.
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
    }

    /// Ends the stream and waits until the receiver has taken all of it, which
    /// it shows by closing its side. `in_flight` are frames that were sent without a copy.
    pub fn finish(&self, run: &mut Run<'_>, mut in_flight: Option<&mut InFlight>) -> Result<()> {
        if let Err(error) = self.socket.shutdown(std::net::Shutdown::Write) {
            return Err(self.lost(Errno::from_raw(error.raw_os_error().unwrap_or(0))));
        }
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
            match socket::receive_now(self.socket.as_fd(), &mut [0; 4096]) {
                Ok(0) => return Ok(()),
                Ok(_) | Err(Errno::EAGAIN | Errno::EINTR) => {}
                Err(errno) => return Err(self.lost(errno)),
            }
        }
    }

    fn timeout(&self, what: &str) -> Error {
        Error::new(ErrorKind::PeerTimeout, format!("send to {}", self.peer))
            .object(&self.peer)
            .errno(Errno::ETIMEDOUT)
            .cause(format!("{what} for {} s", self.patience.as_secs_f64()))
            .next("see whether it still runs; --peer-timeout sets how long to wait")
    }

    fn lost(&self, errno: Errno) -> Error {
        if errno == Errno::ETIMEDOUT {
            return self.timeout("the receiver acknowledged nothing");
        }
        self.lost_to("the receiver went away before the stream's end")
            .errno(errno)
    }

    fn lost_to(&self, what: &str) -> Error {
        Error::new(ErrorKind::PeerLost, format!("send to {}", self.peer))
            .object(&self.peer)
            .errno(Errno::EPIPE)
            .cause(what)
            .next("its own output says why")
    }
}

/// The addresses of `host`, which may be a literal or a name; None on a stop.
fn resolve(run: &mut Run<'_>, host: &str, port: u16) -> Result<Option<Vec<SocketAddr>>> {
    let wanted = host.to_owned();
    let lookup = Blocking::start(format!("getaddrinfo(3) of {host}"), move || {
        (wanted.as_str(), port)
            .to_socket_addrs()
            .map(Vec::from_iter)
    })?;
    let Some(resolved) = run.wait_for(lookup, OnStop::End)? else {
        return Ok(None);
    };
    match resolved {
        Ok(addresses) if !addresses.is_empty() => Ok(Some(addresses)),
        Ok(_) => Err(resolve_error(host).cause("the name has no address")),
        Err(error) => Err(resolve_error(host).io(&error)),
    }
}

fn resolve_error(host: &str) -> Error {
    Error::new(ErrorKind::Address, format!("resolve the address {host:?}"))
        .object(host)
        .next("give an IPv4 or IPv6 address, or a name that resolves here")
}

fn tcp_socket(address: &SocketAddr) -> std::io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(*address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

#[cfg(test)]
pub(crate) use in_flight::tests::COMPLETES_EARLY;
#[cfg(test)]
mod tests;
