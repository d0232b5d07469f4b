//! A browser's connection: it waits for the browser, and no longer than for the view's end.

use std::io::{ErrorKind, IoSlice, Read};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::libc::MSG_NOSIGNAL;
use nix::poll::{PollFd, PollFlags};
use socket2::SockRef;

use super::request::Request;
use crate::base::{Bell, poll_until};

/// How long a browser may take for a question, or for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a browser may take to leave.
const PARTING: Duration = Duration::from_secs(1);

/// What a wait came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waited {
    /// A descriptor has an event.
    Ready,
    /// The time is up.
    TimedOut,
    /// The view has ended.
    Over,
}

/// Waits for an event on `fds`, until a time, or until the view ends.
pub fn wait(fds: &[PollFd<'_>], until: Option<Instant>, over: &Bell) -> Waited {
    let mut polled = fds.to_vec();
    polled.push(over.poll_fd());
    loop {
        let polled_well = poll_until(&mut polled, until).is_ok();
        let mut events = polled.iter().rev().map(|fd| fd.any().unwrap_or(true));
        // No error comes but by a bug: nothing is to go round and round for that.
        if !polled_well || events.next() == Some(true) {
            return Waited::Over;
        }
        if events.any(|event| event) {
            return Waited::Ready;
        }
        if until.is_some_and(|until| until <= Instant::now()) {
            return Waited::TimedOut;
        }
    }
}

/// A browser's connection.
#[derive(Debug)]
pub struct Connection<'a> {
    stream: TcpStream,
    /// What is not asked yet.
    received: Vec<u8>,
    over: &'a Bell,
}

impl<'a> Connection<'a> {
    /// With a socket that was accepted.
    pub fn new(stream: TcpStream, over: &'a Bell) -> std::io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Connection {
            stream,
            received: Vec::new(),
            over,
        })
    }

    /// The next request; None if there is none, because the browser has left or takes too long,
    /// or the view has ended.
    pub fn next(&mut self, host: &str) -> Option<Request> {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(request) = self.first(host) {
                self.received.drain(..request.length);
                return Some(request);
            }
            // First of all: a browser that asks on and on is to hear of the end as well.
            self.wait(PollFlags::POLLIN, until)?;
            let mut piece = [0; 4096];
            match self.stream.read(&mut piece) {
                Ok(0) => return None,
                Ok(length) => self.received.extend_from_slice(piece.get(..length)?),
                Err(error) => self.may_go_on(&error, PollFlags::POLLIN, until)?,
            }
        }
    }

    fn first(&self, host: &str) -> Option<Request> {
        if self.received.is_empty() {
            return None;
        }
        Request::of(&self.received, host)
    }

    /// Sends parts, one after the other; None if the browser has left or takes too long, or the
    /// view has ended.
    pub fn send(&self, parts: &[&[u8]]) -> Option<()> {
        let until = Instant::now() + PATIENCE;
        let mut slices: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
        let mut left = slices.as_mut_slice();
        IoSlice::advance_slices(&mut left, 0);
        while !left.is_empty() {
            // A browser that has left is to raise no signal.
            match SockRef::from(&self.stream).send_vectored_with_flags(left, MSG_NOSIGNAL) {
                Ok(0) => return None,
                Ok(sent) => IoSlice::advance_slices(&mut left, sent),
                Err(error) => self.may_go_on(&error, PollFlags::POLLOUT, until)?,
            }
        }
        Some(())
    }

    /// Ends it. What the browser still says is read and forgotten for a moment: where the kernel
    /// has unread bytes at the close it resets the connection, and the answer is lost with it.
    pub fn part(mut self) {
        let until = Instant::now() + PARTING;
        let mut piece = [0; 4096];
        if self.stream.shutdown(Shutdown::Write).is_err() {
            return;
        }
        while self.wait(PollFlags::POLLIN, until).is_some()
            && matches!(self.stream.read(&mut piece), Ok(1..))
        {}
    }

    /// Waits until what would have waited goes on; None if it does not.
    fn may_go_on(&self, error: &std::io::Error, events: PollFlags, until: Instant) -> Option<()> {
        match error.kind() {
            ErrorKind::Interrupted => Some(()),
            ErrorKind::WouldBlock => self.wait(events, until),
            _ => None,
        }
    }

    fn wait(&self, events: PollFlags, until: Instant) -> Option<()> {
        let fds = [PollFd::new(self.stream.as_fd(), events)];
        let waited = wait(&fds, Some(until), self.over);
        (waited == Waited::Ready).then_some(())
    }
}
