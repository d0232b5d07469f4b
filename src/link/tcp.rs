//! TCP as a transport.

use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::errno::Errno;
use socket2::{Domain, Protocol, Socket, Type};

use super::connect::connect_to;
use super::network::Network;
use super::socket;
use super::transport::Transport;
use crate::base::{Result, Run, TICK};

/// A TCP connection.
#[derive(Debug)]
pub struct Tcp {
    socket: Socket,
    /// Where the peer is.
    address: SocketAddr,
    is_local: bool,
}

impl Tcp {
    /// Takes in a socket that is connected to `address`.
    pub fn new(socket: Socket, address: SocketAddr) -> std::io::Result<Self> {
        socket.set_nonblocking(false)?;
        socket.set_read_timeout(Some(TICK))?;
        socket.set_write_timeout(Some(TICK))?;
        socket.set_tcp_nodelay(true)?;
        let local = socket.local_addr()?.as_socket();
        Ok(Tcp {
            socket,
            address,
            is_local: local.is_some_and(|local| local.ip() == address.ip()),
        })
    }
}

impl AsFd for Tcp {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Transport for Tcp {
    fn peer(&self) -> String {
        self.address.to_string()
    }

    fn connect_again(
        &self,
        run: &mut Run<'_>,
        within: Duration,
        patience: Duration,
    ) -> Result<Box<dyn Transport>> {
        let again = connect_to(run, self.address, within, patience)?;
        Ok(Box::new(again))
    }

    fn into_socket(self: Box<Self>) -> Socket {
        self.socket
    }

    fn end(&self) -> nix::Result<()> {
        self.socket.shutdown(Shutdown::Write).map_err(errno)
    }

    fn shut(&self) {
        // It may be at its end already.
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    fn zero_copy(&self) -> nix::Result<BorrowedFd<'_>> {
        Ok(self.socket.as_fd())
    }

    fn is_local(&self) -> bool {
        self.is_local
    }

    fn limit_unsent(&self, bytes: u32) -> nix::Result<()> {
        self.socket.set_tcp_notsent_lowat(bytes).map_err(errno)
    }

    fn wake_at(&self, bytes: usize) -> nix::Result<()> {
        socket::wake_at(self.socket.as_fd(), bytes)
    }

    fn unacknowledged(&self) -> usize {
        socket::unacknowledged(self.socket.as_fd()).unwrap_or(0)
    }

    fn network(&self) -> Option<Network> {
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
}

fn errno(error: std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(0))
}

pub(super) fn tcp_socket(address: &SocketAddr) -> std::io::Result<Socket> {
    let domain = Domain::for_address(*address);
    Socket::new(domain, Type::STREAM.nonblocking(), Some(Protocol::TCP))
}
