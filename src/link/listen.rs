//! The receiver's way to a connection.

use std::net::SocketAddr;
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};
use socket2::Socket;

use super::resolve::{resolve, resolve_error};
use super::tcp::tcp_socket;
use crate::base::{Error, ErrorKind, Result, Run};

/// What taking a peer came to.
#[derive(Debug)]
pub enum Accepted {
    /// Its socket, and where it is.
    Peer(Socket, SocketAddr),
    /// There is none, or it is gone again.
    Nobody,
    /// There may be one, and no descriptor or memory for it.
    NoRoom(Errno),
}

/// A bound address that waits for a sender.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    local: SocketAddr,
}

impl Listener {
    /// Binds the first address of `host`. `::` takes IPv4 as well.
    pub fn bind(run: &mut Run<'_>, host: &str, port: u16) -> Result<Self> {
        let mut failure = resolve_error(host);
        for address in resolve(run, host, port)? {
            match bind_to(address) {
                Ok((socket, local)) => return Ok(Listener { socket, local }),
                Err(error) => failure = listen_error(address, &error),
            }
        }
        Err(failure)
    }

    /// Where it listens; the port is the kernel's choice where 0 was asked for.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// For a wait for a peer: see `accept`.
    pub fn poll_fd(&self) -> PollFd<'_> {
        PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)
    }

    /// Takes a peer that has come, without waiting. An error if nobody can come any more.
    pub fn accept(&self) -> Result<Accepted> {
        let failed = |errno: Errno| {
            Error::about(ErrorKind::Address, "accept a connection on", self.local).errno(errno)
        };
        let error = match self.socket.accept() {
            Ok((socket, address)) => {
                // An acknowledgement is not to wait until another's packet is acknowledged, which
                // the peer's kernel puts off for 40 ms. It fails where the peer is gone again.
                if let Err(error) = socket.set_tcp_nodelay(true) {
                    log::debug!("{address:?}: {error}");
                }
                // Of an address family that was not listened on: nobody of ours.
                return Ok(address
                    .as_socket()
                    .map_or(Accepted::Nobody, |address| Accepted::Peer(socket, address)));
            }
            Err(error) => Errno::from_raw(error.raw_os_error().unwrap_or(0)),
        };
        match error {
            Errno::EBADF | Errno::EINVAL | Errno::ENOTSOCK | Errno::EOPNOTSUPP | Errno::EFAULT => {
                Err(failed(error))
            }
            Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM => {
                Ok(Accepted::NoRoom(error))
            }
            // The peer is gone again, or a signal came. Linux tells errors of the new
            // connection's network here as well: accept(2).
            _ => Ok(Accepted::Nobody),
        }
    }
}

fn bind_to(address: SocketAddr) -> std::io::Result<(Socket, SocketAddr)> {
    let socket = tcp_socket(&address)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    // Strangers may come before the run begins to hear them, and the sender behind them.
    socket.listen(128)?;
    let local = socket.local_addr()?.as_socket().unwrap_or(address);
    Ok((socket, local))
}

fn listen_error(address: SocketAddr, error: &std::io::Error) -> Error {
    let next = match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EADDRINUSE) => "another program listens there: stop it or use another port",
        Some(Errno::EADDRNOTAVAIL) => "the address is not this machine's: see ip address",
        Some(Errno::EACCES) => "ports below 1024 are root's: use a higher one",
        _ => "check address and port",
    };
    Error::about(ErrorKind::Address, "listen on", address)
        .io(error)
        .next(next)
}
