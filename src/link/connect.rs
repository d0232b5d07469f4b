//! The sender's way to a connection.

use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};

use super::connection::Connection;
use super::resolve::{resolve, resolve_error};
use super::tcp::{Tcp, tcp_socket};
use crate::base::{Error, ErrorKind, OnStop, Result, Run, Woken};

/// How long to leave a host alone that does not answer.
const PAUSE: Duration = Duration::from_millis(200);

/// Connects to the first address of `host` that answers, which it is tried to for a time: whoever
/// is to listen there may not yet. From then on the peer may take nothing for `patience`.
pub fn connect(
    run: &mut Run<'_>,
    host: &str,
    port: u16,
    (within, patience): (Duration, Duration),
) -> Result<Connection> {
    // What is longer than the clock goes is for ever.
    let until = Instant::now().checked_add(within);
    let mut has_told = false;
    loop {
        let again = Instant::now() + PAUSE;
        match try_each(run, host, port, patience) {
            Err(error)
                if matches!(error.kind(), ErrorKind::Connect | ErrorKind::Address)
                    && until.is_none_or(|until| again < until) =>
            {
                if !std::mem::replace(&mut has_told, true) {
                    log::info!("waiting for a receiver: {error}");
                }
                if run.wait(&[], Some(again), OnStop::End)? == Woken::Stopped {
                    return Err(Error::stopped());
                }
            }
            tried => return tried,
        }
    }
}

fn try_each(run: &mut Run<'_>, host: &str, port: u16, patience: Duration) -> Result<Connection> {
    let mut failure = resolve_error(host);
    for address in resolve(run, host, port)? {
        match connect_to(run, address, patience, patience) {
            Ok(tcp) => return Ok(Connection::new(tcp, patience)),
            Err(error) if error.kind() != ErrorKind::Connect => return Err(error),
            Err(error) => {
                log::debug!("{error}");
                failure = error;
            }
        }
    }
    Err(failure)
}

/// Connects to `address` within a time. From then on the peer may take
/// nothing for `patience`.
pub(super) fn connect_to(
    run: &mut Run<'_>,
    address: SocketAddr,
    within: Duration,
    patience: Duration,
) -> Result<Tcp> {
    let failed = |error: &std::io::Error| connect_error(address, error);
    let socket = tcp_socket(&address).map_err(|error| failed(&error))?;
    match socket.connect(&address.into()) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(Errno::EINPROGRESS as i32) => {
            let polled = [PollFd::new(socket.as_fd(), PollFlags::POLLOUT)];
            match run.wait(&polled, Some(Instant::now() + within), OnStop::End)? {
                Woken::Ready(_) => {
                    if let Some(error) = socket.take_error().map_err(|error| failed(&error))? {
                        return Err(failed(&error));
                    }
                }
                Woken::TimedOut => return Err(failed(&Errno::ETIMEDOUT.into())),
                Woken::Stopped => return Err(Error::stopped()),
            }
        }
        Err(error) => return Err(failed(&error)),
    }
    socket
        .set_tcp_user_timeout(Some(patience))
        .and_then(|()| Tcp::new(socket, address))
        .map_err(|error| failed(&error))
}

fn connect_error(address: SocketAddr, error: &std::io::Error) -> Error {
    let next = match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ECONNREFUSED) => {
            "nothing listens there: start the receiver first, and check address and port"
        }
        Some(Errno::ETIMEDOUT) => {
            "nothing answers there: check the address, the route and firewalls"
        }
        Some(Errno::ENETUNREACH | Errno::EHOSTUNREACH) => {
            "check the address, and that the network is up (ip route)"
        }
        _ => "check the address and the network",
    };
    Error::about(ErrorKind::Connect, "connect to", address)
        .io(error)
        .next(next)
}
