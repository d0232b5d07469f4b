//! Who listens for browsers.

use std::net::{IpAddr, TcpListener};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags};

use super::connection::{Waited, wait};
use super::viewers::{Shown, Viewers};
use crate::base::{Error, ErrorKind, Result, lock, spawn};

/// How long to wait where the kernel has no descriptor or memory for a connection.
const NO_ROOM: Duration = Duration::from_millis(100);

/// The page of a run. It is made before the run, so that the stream has a buffer for it.
pub struct View {
    viewers: Arc<Viewers>,
    address: IpAddr,
    port: u16,
    accepting: Mutex<Option<JoinHandle<()>>>,
}

impl View {
    /// Listens at an address of this machine; at any free port for port 0.
    pub fn listen(host: &str, port: u16, shown: Shown) -> Result<Self> {
        let address = match host.contains(':') {
            true => format!("[{host}]:{port}"),
            false => format!("{host}:{port}"),
        };
        let failed = |error: std::io::Error| {
            Error::new(ErrorKind::Address, format!("show the stream at {address}"))
                .object(&address)
                .io(&error)
                .next("choose another address or port (--view)")
        };
        let listener = TcpListener::bind((host, port)).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        let viewers = Arc::new(Viewers::new(host, shown)?);
        let own = Arc::clone(&viewers);
        let accepting = spawn("view", move || accept(&listener, &own))?;
        Ok(View {
            viewers,
            address: bound.ip().to_canonical(),
            port: bound.port(),
            accepting: Mutex::new(Some(accepting)),
        })
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether this machine alone reaches it.
    pub fn is_local(&self) -> bool {
        self.address.is_loopback()
    }

    /// Tells viewers the final figures, for which it waits so long, and leaves off.
    pub fn end(&self, last: String, patience: Duration) {
        self.viewers.tell(last, patience);
        self.leave_off();
    }

    fn leave_off(&self) {
        self.viewers.end();
        if let Some(accepting) = lock(&self.accepting).take() {
            // Then the port is free. It ends at once; if it panicked, that was said.
            let _ = accepting.join();
        }
    }
}

impl Drop for View {
    fn drop(&mut self) {
        self.leave_off();
    }
}

/// Takes connections until the view's end, and sees to it that nothing is held for nobody.
fn accept(listener: &TcpListener, viewers: &Arc<Viewers>) {
    loop {
        let due = viewers.pictures.look_again();
        let fds = [
            PollFd::new(listener.as_fd(), PollFlags::POLLIN),
            viewers.pictures.poll_fd(),
        ];
        if wait(&fds, due, &viewers.over) == Waited::Over {
            return;
        }
        match listener.accept() {
            Ok((stream, _)) => viewers.serve(stream),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => {
                log::debug!("accept a connection for the page: {error}");
                wait(&[], Some(Instant::now() + NO_ROOM), &viewers.over);
            }
        }
    }
}
