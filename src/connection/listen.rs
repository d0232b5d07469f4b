//! The receiver's way to a connection.

use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};
use socket2::Socket;

use super::{Connection, resolve, resolve_error, tcp_socket};
use crate::error::{Error, ErrorKind, Result};
use crate::run::{OnStop, Run, Woken};

/// A bound address that waits for a sender.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    address: String,
}

impl Listener {
    /// Binds the first address of `host`; None on a stop. `::` takes IPv4 as well.
    pub fn bind(run: &mut Run<'_>, host: &str, port: u16) -> Result<Option<Self>> {
        let Some(addresses) = resolve(run, host, port)? else {
            return Ok(None);
        };
        let mut failure = resolve_error(host);
        for address in addresses {
            match bind_to(address) {
                Ok(socket) => {
                    return Ok(Some(Listener {
                        socket,
                        address: address.to_string(),
                    }));
                }
                Err(error) => failure = listen_error(address, &error),
            }
        }
        Err(failure)
    }

    /// Where it listens.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// For a wait for a peer beside another wait: see `accept`.
    pub fn poll_fd(&self) -> PollFd<'_> {
        PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)
    }

    /// Waits for a peer; None on a stop.
    pub fn wait(&self, run: &mut Run<'_>, patience: Duration) -> Result<Option<Connection>> {
        loop {
            if run.wait(&[self.poll_fd()], None, OnStop::End)? == Woken::Stopped {
                return Ok(None);
            }
            if let Some(connection) = self.accept(patience)? {
                return Ok(Some(connection));
            }
        }
    }

    /// Takes a peer that has come; None if it is gone again.
    pub fn accept(&self, patience: Duration) -> Result<Option<Connection>> {
        let failed = |error: std::io::Error| {
            Error::new(
                ErrorKind::Address,
                format!("accept a connection on {}", self.address),
            )
            .object(&self.address)
            .io(&error)
        };
        let (socket, address) = match self.socket.accept() {
            Ok(accepted) => accepted,
            // The peer is gone again, or a signal came: wait for the next.
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::WouldBlock
                        | std::io::ErrorKind::Interrupted
                        | std::io::ErrorKind::ConnectionAborted
                ) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(failed(error)),
        };
        let address = address
            .as_socket()
            .ok_or_else(|| failed(std::io::Error::from(Errno::EAFNOSUPPORT)))?;
        Connection::new(socket, address, patience)
            .map(Some)
            .map_err(failed)
    }
}

fn bind_to(address: SocketAddr) -> std::io::Result<Socket> {
    let socket = tcp_socket(&address)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    // A stream's second connection may come before its first is taken.
    socket.listen(4)?;
    Ok(socket)
}

fn listen_error(address: SocketAddr, error: &std::io::Error) -> Error {
    let next = match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EADDRINUSE) => "another program listens there: stop it or use another port",
        Some(Errno::EADDRNOTAVAIL) => "the address is not this machine's: see ip address",
        Some(Errno::EACCES) => "ports below 1024 are root's: use a higher one",
        _ => "check address and port",
    };
    Error::new(ErrorKind::Address, format!("listen on {address}"))
        .object(address.to_string())
        .io(error)
        .next(next)
}
