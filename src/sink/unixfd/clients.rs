//! Who takes frames at the socket, and which frames each of them has.

use std::collections::BTreeMap;
use std::io::{ErrorKind as Io, IoSlice, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};

use super::message::{self, NewBuffer, Said, flags};
use crate::base::{Bell, Result, lock, poll_until, spawn};
use crate::frame::Lease;
use crate::measure::OnSocket;

/// How long to take nobody in once that has failed.
const REST: Duration = Duration::from_secs(1);

/// The clients. A thread takes them in and hears of what they release; frames are given to them
/// by the run, and no call on their sockets waits.
#[derive(Debug)]
pub(super) struct Clients(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Rings when no frame follows.
    ended: Bell,
    /// Frames that they may have together.
    most: usize,
    /// The message that tells what the frames are.
    caps: Vec<u8>,
}

#[derive(Debug, Default)]
struct State {
    clients: Vec<Client>,
    /// The frames that clients have, by the numbers that these know them by.
    held: BTreeMap<u64, Held>,
    next_frame: u64,
    counts: OnSocket,
    has_ended: bool,
}

#[derive(Debug)]
struct Client {
    number: u64,
    socket: Arc<UnixStream>,
    /// The sequence number of the last frame that it got.
    last: Option<u64>,
    /// What it sent of a message that is not whole yet.
    said: Vec<u8>,
}

#[derive(Debug)]
struct Held {
    lease: Lease,
    by: Vec<u64>,
}

/// A frame on its way to clients.
pub(super) struct Offer<'a> {
    pub(super) lease: &'a Lease,
    /// What they are told of it; its number is yet to be given.
    pub(super) told: NewBuffer,
    /// Its memories' descriptors.
    pub(super) fds: Vec<BorrowedFd<'a>>,
}

impl Clients {
    /// Begins to take clients in, who may have `most` frames together.
    pub(super) fn start(listener: Arc<UnixListener>, most: usize, caps: &str) -> Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            ended: Bell::new()?,
            most: most.max(1),
            caps: message::caps(caps),
        });
        let own = Arc::clone(&shared);
        spawn("unixfd", move || own.attend(&listener))?;
        Ok(Clients(shared))
    }

    /// Whether anybody is there. If nobody is, a frame is nobody's.
    pub(super) fn are_there(&self) -> bool {
        let mut state = lock(&self.0.state);
        let are_there = !state.clients.is_empty();
        state.counts.unclaimed += u64::from(!are_there);
        are_there
    }

    /// A frame that no client gets.
    pub(super) fn drop_one(&self) {
        lock(&self.0.state).counts.drops += 1;
    }

    /// Gives a frame to those who have room: each may have as many as any other.
    pub(super) fn give(&self, offer: Offer<'_>) {
        let Offer {
            lease,
            mut told,
            fds,
        } = offer;
        let mut state = lock(&self.0.state);
        let state = &mut *state;
        told.id = state.next_frame;
        let share = (self.0.most / state.clients.len().max(1)).max(1);
        let mut by = Vec::new();
        if state.held.len() < self.0.most {
            let its = told.flags;
            let sequence = lease.frame().sequence;
            for client in &mut state.clients {
                if client.has(&state.held) >= share {
                    continue;
                }
                let follows = client.last.and_then(|last| last.checked_add(1)) == Some(sequence);
                told.flags = its | if follows { 0 } else { flags::DISCONT };
                match client.send(&told.encode(), &fds) {
                    Ok(()) => {
                        client.last = Some(sequence);
                        by.push(client.number);
                    }
                    // One that reads nothing, or is gone: the thread hears of the latter.
                    Err(errno) => log::debug!("a frame for client {}: {errno}", client.number),
                }
            }
        }
        if by.is_empty() {
            state.counts.drops += 1;
            return;
        }
        state.next_frame += 1;
        state.counts.given += 1;
        let lease = lease.clone();
        state.held.insert(told.id, Held { lease, by });
    }

    pub(super) fn counts(&self) -> OnSocket {
        lock(&self.0.state).counts
    }

    /// Tells them that no frame follows.
    pub(super) fn finish(&self) {
        let state = lock(&self.0.state);
        for client in &state.clients {
            if let Err(errno) = client.send(&message::end_of_stream(), &[]) {
                log::debug!("the end for client {}: {errno}", client.number);
            }
        }
    }
}

impl Drop for Clients {
    /// The sockets are closed, and who still has a frame keeps its memory and no buffer.
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        state.has_ended = true;
        state.clients.clear();
        let held = std::mem::take(&mut state.held);
        drop(state);
        drop(held);
        self.0.ended.ring();
    }
}

impl Client {
    /// How many frames it has.
    fn has(&self, held: &BTreeMap<u64, Held>) -> usize {
        let its = held.values().filter(|it| it.by.contains(&self.number));
        its.count()
    }

    /// Sends a message whole, or not at all: the kernel does not split one as small as these.
    fn send(&self, message: &[u8], fds: &[BorrowedFd<'_>]) -> nix::Result<()> {
        let fds: Vec<RawFd> = fds.iter().map(AsRawFd::as_raw_fd).collect();
        let rights = [ControlMessage::ScmRights(&fds)];
        let rights = if fds.is_empty() { &[] } else { &rights[..] };
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        let pieces = [IoSlice::new(message)];
        let sent = sendmsg::<()>(self.socket.as_raw_fd(), &pieces, rights, flags, None)?;
        if sent == message.len() {
            Ok(())
        } else {
            Err(Errno::EMSGSIZE)
        }
    }

    /// Hears what it says. None: it is gone, or says what no client does.
    fn hear(&mut self) -> Option<Vec<u64>> {
        let mut bytes = [0; 4096];
        match (&*self.socket).read(&mut bytes) {
            Ok(0) => return None,
            Ok(count) => self.said.extend(bytes.get(..count)?),
            Err(error) if matches!(error.kind(), Io::WouldBlock | Io::Interrupted) => {}
            Err(_) => return None,
        }
        let mut released = Vec::new();
        loop {
            let (said, used) = message::next(&self.said);
            self.said.drain(..used);
            match said {
                Said::Released(id) => released.push(id),
                Said::Other => {}
                Said::Nothing => return Some(released),
                Said::Nonsense => return None,
            }
        }
    }
}

impl State {
    /// A client is done with a frame; whether it had it. The lease goes outside of the lock.
    fn release(&mut self, id: u64, client: u64, freed: &mut Vec<Lease>) -> bool {
        let Some(held) = self.held.get_mut(&id) else {
            return false;
        };
        let before = held.by.len();
        held.by.retain(|it| *it != client);
        let had = held.by.len() < before;
        if held.by.is_empty() {
            freed.extend(self.held.remove(&id).map(|held| held.lease));
        }
        had
    }

    /// A client is gone, and all that it had comes back.
    fn part_with(&mut self, client: u64, freed: &mut Vec<Lease>) {
        self.clients.retain(|it| it.number != client);
        let ids: Vec<u64> = self.held.keys().copied().collect();
        let had = ids
            .into_iter()
            .filter(|id| self.release(*id, client, freed));
        let had = had.count();
        log::info!("client {client} of --unixfd is gone; it had {had} frames");
    }
}

impl Shared {
    fn attend(&self, listener: &UnixListener) {
        let mut rests_until: Option<Instant> = None;
        loop {
            let clients: Vec<(u64, Arc<UnixStream>)> = {
                let state = lock(&self.state);
                if state.has_ended {
                    return;
                }
                let clients = state.clients.iter();
                clients
                    .map(|it| (it.number, Arc::clone(&it.socket)))
                    .collect()
            };
            rests_until = rests_until.filter(|until| *until > Instant::now());
            // Each is to have one frame at least.
            let has_room = clients.len() < self.most && rests_until.is_none();
            let readable = |fd| PollFd::new(fd, PollFlags::POLLIN);
            let mut polled = vec![self.ended.poll_fd()];
            polled.extend(clients.iter().map(|(_, socket)| readable(socket.as_fd())));
            polled.extend(has_room.then(|| readable(listener.as_fd())));
            if let Err(errno) = poll_until(&mut polled, rests_until) {
                log::error!("cannot wait for clients of --unixfd: {errno}");
                return;
            }
            let has_event = |it: &PollFd<'_>| it.revents().is_some_and(|it| !it.is_empty());
            let events: Vec<bool> = polled.iter().skip(1).map(has_event).collect();
            for ((number, _), _) in clients.iter().zip(&events).filter(|(_, event)| **event) {
                self.hear(*number);
            }
            if events.get(clients.len()) == Some(&true) {
                if let Err(error) = self.take_in(listener) {
                    log::warn!("cannot take in a client of --unixfd: {error}");
                    rests_until = Some(Instant::now() + REST);
                }
            }
        }
    }

    fn take_in(&self, listener: &UnixListener) -> std::io::Result<()> {
        let socket = match listener.accept() {
            Ok((socket, _)) => socket,
            Err(error) => {
                return match error.kind() {
                    Io::WouldBlock | Io::ConnectionAborted | Io::Interrupted => Ok(()),
                    _ => Err(error),
                };
            }
        };
        socket.set_nonblocking(true)?;
        let mut state = lock(&self.state);
        let client = Client {
            number: state.counts.clients + 1,
            socket: Arc::new(socket),
            last: None,
            said: Vec::new(),
        };
        if state.has_ended || client.send(&self.caps, &[]).is_err() {
            return Ok(());
        }
        log::info!("client {} of --unixfd", client.number);
        state.counts.clients += 1;
        state.clients.push(client);
        Ok(())
    }

    fn hear(&self, number: u64) {
        let mut freed = Vec::new();
        let mut state = lock(&self.state);
        let client = state.clients.iter_mut().find(|it| it.number == number);
        let Some(client) = client else { return };
        let released = client.hear();
        // One that releases what it doesn't have is confused, and its frames may be in use.
        let is_sound = released.is_some_and(|released| {
            let mut released = released.into_iter();
            released.all(|id| state.release(id, number, &mut freed))
        });
        if !is_sound {
            state.part_with(number, &mut freed);
        }
        drop(state);
        drop(freed);
    }
}
