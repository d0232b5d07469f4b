//! Who listens for browsers.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::connection::{Waited, wait};
use super::viewers::{Shown, Viewers};
use crate::base::{Result, Run, lock, spawn};
use crate::link::{Accepted, Listener};

/// How long to wait where the kernel has no descriptor or memory for a connection.
const NO_ROOM: Duration = Duration::from_millis(100);

/// The page of a run. It is made before the run, so that the stream has a buffer for it.
pub struct View {
    viewers: Arc<Viewers>,
    local: SocketAddr,
    accepting: Mutex<Option<JoinHandle<()>>>,
}

impl View {
    /// Listens at an address of this machine, at any free port for port 0.
    pub fn listen(run: &mut Run<'_>, host: &str, port: u16, shown: Shown) -> Result<Self> {
        let listener = Listener::bind(run, host, port)
            .map_err(|error| error.next("choose another address or port (--view)"))?;
        let local = listener.local();
        let viewers = Arc::new(Viewers::new(host, shown)?);
        let own = Arc::clone(&viewers);
        let accepting = spawn("view", move || accept(&listener, &own))?;
        Ok(View {
            viewers,
            local,
            accepting: Mutex::new(Some(accepting)),
        })
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.local.port()
    }

    /// Whether this machine alone reaches it.
    pub fn is_local(&self) -> bool {
        self.local.ip().to_canonical().is_loopback()
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
fn accept(listener: &Listener, viewers: &Arc<Viewers>) {
    loop {
        let due = viewers.pictures.look_again();
        let fds = [listener.poll_fd(), viewers.pictures.poll_fd()];
        if wait(&fds, due, &viewers.over) == Waited::Over {
            return;
        }
        match listener.accept() {
            Ok(Accepted::Peer(socket, _)) => viewers.serve(socket.into()),
            Ok(Accepted::Nobody) => {}
            Ok(Accepted::NoRoom(errno)) => {
                log::debug!("accept a connection for the page: {errno}");
                wait(&[], Some(Instant::now() + NO_ROOM), &viewers.over);
            }
            Err(error) => {
                log::error!("the page is shown to nobody any more: {error}");
                return;
            }
        }
    }
}
