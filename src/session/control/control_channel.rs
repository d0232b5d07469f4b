//! The control connection's socket, and the thread that listens to it.
//!
//! A thread of its own, because a clock reading that waits until a frame is copied
//! tells nothing.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags};
use socket2::Socket;

use super::conversation::{Channel, Conversation, Handler};
use crate::base::{
    Bell, Error, ErrorKind, Monotonic, OnStop, Result, Run, lock, poll_until, spawn,
};
use crate::wire::WireError;

/// Bytes that may wait for a peer that doesn't read.
const MOST_WAITING: usize = 64 * 1024;

/// How long an acknowledgement may wait for others. A packet for each costs a third of the
/// rate that the smallest frames reach.
pub(super) const GATHER: Duration = Duration::from_micros(200);
/// How long it may wait at most, if none follows. The thread wakes so often for it.
pub(super) const MOST_HELD: Duration = Duration::from_millis(1);

/// What is still to be sent.
#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    /// When something was last sent.
    sent: Option<Instant>,
    /// When the thread sends what is there, if acknowledgements wait.
    due: Option<Instant>,
}

impl Waiting {
    fn push(&mut self, message: &[u8]) -> bool {
        let has_room = self.bytes.len() + message.len() <= MOST_WAITING;
        if has_room {
            self.bytes.extend_from_slice(message);
        }
        has_room
    }
}

/// The connection, as both the thread and the run use it.
pub(super) struct ControlChannel {
    socket: Socket,
    waiting: Mutex<Waiting>,
    /// Wakes the thread.
    waker: Bell,
    /// Wakes whoever waits for something to come.
    news: Bell,
    closing: AtomicBool,
}

impl Channel for ControlChannel {
    fn post(&self, message: &[u8]) -> bool {
        let mut waiting = lock(&self.waiting);
        let has_room = waiting.push(message);
        self.flush(&mut waiting);
        has_room
    }

    fn tell(&self) {
        self.news.ring();
    }

    fn is_closing(&self) -> bool {
        self.closing.load(Ordering::SeqCst)
    }

    fn now(&self) -> Monotonic {
        Monotonic::now()
    }
}

impl ControlChannel {
    /// Sends a message with those that follow it closely.
    pub fn post_soon(&self, message: &[u8]) {
        let mut waiting = lock(&self.waiting);
        waiting.push(message);
        let now = Instant::now();
        if waiting.sent.is_none_or(|sent| now >= sent + GATHER) {
            self.flush(&mut waiting);
        } else if waiting.due.is_none() {
            waiting.due = Some(now + MOST_HELD);
            self.waker.ring();
        }
    }

    fn flush(&self, waiting: &mut Waiting) {
        while !waiting.bytes.is_empty() {
            waiting.sent = Some(Instant::now());
            match (&self.socket).write(&waiting.bytes) {
                Ok(written) => {
                    waiting.bytes.drain(..written);
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                // No room now, or no peer any more, which the thread will notice.
                Err(_) => return,
            }
        }
    }

    fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
        self.waker.ring();
    }

    fn listen(&self, conversation: &mut Conversation<impl Handler>) -> Result<()> {
        let mut bytes = [0; 4096];
        let failed = |what: &str| Error::new(ErrorKind::System, what.to_owned());
        let wrong = |error: WireError| {
            Error::new(ErrorKind::Protocol, "understand the control connection")
                .cause(error.to_string())
        };
        loop {
            let now = Monotonic::now();
            let left = conversation.due(self).map(|due| due.since(now));
            let due = left.map(|left| Instant::now() + left);
            let mut waiting = lock(&self.waiting);
            if waiting.due.is_none_or(|due| due <= Instant::now()) {
                waiting.due = None;
                self.flush(&mut waiting);
            }
            let held = waiting.due;
            let mut events = PollFlags::POLLIN;
            events.set(
                PollFlags::POLLOUT,
                held.is_none() && !waiting.bytes.is_empty(),
            );
            drop(waiting);
            let due = due.into_iter().chain(held).min();
            let mut polled = [
                PollFd::new(self.socket.as_fd(), events),
                self.waker.poll_fd(),
            ];
            poll_until(&mut polled, due).map_err(|errno| failed("wait (ppoll)").errno(errno))?;
            let [_, waker] = &polled;
            if waker.any().unwrap_or(true) {
                self.waker.hush();
            }
            match (&self.socket).read(&mut bytes) {
                Ok(0) => return Ok(()),
                Ok(count) => {
                    // After the read: what has come, came before this.
                    let at = Monotonic::now();
                    let bytes = bytes.get(..count).unwrap_or_default();
                    conversation.came(self, bytes, at).map_err(wrong)?;
                }
                Err(error) => match error.kind() {
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::Interrupted => {}
                    _ => return Err(failed("read the control connection").io(&error)),
                },
            }
            if !conversation.go_on(self) {
                return Ok(());
            }
        }
    }
}

/// A control connection whose thread runs.
pub(super) struct Listening {
    pub(super) line: Arc<ControlChannel>,
    thread: Option<JoinHandle<()>>,
}

impl Listening {
    /// Starts the thread.
    pub fn start(socket: Socket, handler: impl Handler + 'static) -> Result<Self> {
        socket.set_nonblocking(true).map_err(|error| {
            Error::new(ErrorKind::System, "set up the control connection").io(&error)
        })?;
        let line = Arc::new(ControlChannel {
            socket,
            waiting: Mutex::default(),
            waker: Bell::new()?,
            news: Bell::new()?,
            closing: AtomicBool::new(false),
        });
        let own = Arc::clone(&line);
        let thread = spawn("control", move || {
            let mut conversation = Conversation::new(handler);
            if let Err(error) = own.listen(&mut conversation) {
                log::debug!("the control connection ended: {error}");
            }
            own.flush(&mut lock(&own.waiting));
            conversation.closed();
            // The peer may be gone already.
            let _ = own.socket.shutdown(std::net::Shutdown::Both);
            own.tell();
        })?;
        Ok(Listening {
            line,
            thread: Some(thread),
        })
    }

    /// Lets the thread end what it does.
    pub fn close(&self) {
        self.line.close();
    }

    /// Waits until `is_so`, or until `deadline`; says which.
    pub fn wait_until(
        &self,
        run: &mut Run<'_>,
        deadline: Instant,
        is_so: impl Fn() -> bool,
    ) -> Result<bool> {
        loop {
            self.line.news.hush();
            if is_so() {
                return Ok(true);
            }
            run.wait(&[self.line.news.poll_fd()], Some(deadline), OnStop::Finish)?;
            // Looked at rather than told by the wait: a peer that brings news without end would
            // never let it time out.
            if Instant::now() >= deadline {
                return Ok(is_so());
            }
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.line.close();
        // It may be closed already. The thread's read then ends, and with it the thread.
        let _ = self.line.socket.shutdown(std::net::Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            if thread.join().is_err() {
                log::error!("the control connection's thread failed");
            }
        }
    }
}
