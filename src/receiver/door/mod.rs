//! The door: it keeps the listener for as long as the run goes, hears everybody who
//! connects, several at once, and lets in the first who offers a stream and that stream's
//! control connection. All others are turned away, and nothing of the run is theirs.
//!
//! It has a thread of its own, so that it goes on beside the frames and costs them nothing.

mod caller;
mod keeper;
mod turned_away;

use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::poll::PollFd;
use socket2::Socket;

use self::keeper::Keeper;
use crate::base::{Bell, Error, ErrorKind, OnStop, Result, Run, Woken, lock, spawn};
use crate::link::{Connection, Listener};
use crate::wire::{Description, Version, v3::STREAM_ID_SIZE, v3::StreamId};

/// A stream that is offered: on what, how, and what it is.
type Offer = (Connection, Version, Description);

/// What the thread tells the run.
enum News {
    /// The first stream that is offered, or why it is none.
    Offer(Result<Box<Offer>>),
    /// The control connection of the stream that was let in.
    Bound(Socket),
    /// The listener is broken.
    Failed(Error),
}

/// What the thread and the run share.
struct Shared {
    /// The name that a control connection has to know; None while none is waited for.
    wanted: Mutex<Option<StreamId>>,
    /// Wakes the thread, whose end it then is.
    closing: Bell,
    /// Wakes the run.
    news: Bell,
}

impl Shared {
    fn wanted(&self) -> MutexGuard<'_, Option<StreamId>> {
        lock(&self.wanted)
    }
}

/// The thread's way to the run.
struct Teller {
    shared: Arc<Shared>,
    news: Sender<News>,
}

impl Teller {
    fn tell(&self, news: News) {
        // The run has ended if nobody hears it.
        let _ = self.news.send(news);
        self.shared.news.ring();
    }
}

/// The door, open.
pub(super) struct Door {
    shared: Arc<Shared>,
    news: Receiver<News>,
    thread: Option<JoinHandle<()>>,
}

impl Door {
    /// Hears who connects from now on. A caller has `greeting` to say what it wants, and
    /// who is let in may be silent for `peer_timeout`.
    pub(super) fn open(
        listener: Listener,
        greeting: Duration,
        peer_timeout: Duration,
    ) -> Result<Self> {
        let shared = Arc::new(Shared {
            wanted: Mutex::new(None),
            closing: Bell::new()?,
            news: Bell::new()?,
        });
        let (sender, news) = channel();
        let teller = Teller {
            shared: Arc::clone(&shared),
            news: sender,
        };
        let keeper = Keeper::new(listener, greeting, peer_timeout, teller);
        let thread = spawn("door", move || keeper.keep())?;
        Ok(Door {
            shared,
            news,
            thread: Some(thread),
        })
    }

    /// Waits for the first stream that is offered. An error if what is offered is none.
    pub(super) fn offer(&self, run: &mut Run<'_>) -> Result<Offer> {
        loop {
            if run.wait(&[self.poll_fd()], None, OnStop::End)? == Woken::Stopped {
                return Err(Error::stopped());
            }
            match self.next()? {
                Some(News::Offer(offer)) => return offer.map(|offer| *offer),
                Some(News::Failed(error)) => return Err(error),
                Some(News::Bound(_)) | None => {}
            }
        }
    }

    /// Makes a name for the stream that was let in: who knows it is its control connection.
    pub(super) fn name_stream(&self) -> Result<StreamId> {
        let mut id: StreamId = [0; STREAM_ID_SIZE];
        getrandom::fill(&mut id).map_err(|error| {
            Error::new(ErrorKind::System, "get random bytes").cause(error.to_string())
        })?;
        *self.shared.wanted() = Some(id);
        Ok(id)
    }

    /// Waits for the control connection of the stream that was let in, until `deadline`.
    pub(super) fn control(
        &self,
        connection: &Connection,
        deadline: Instant,
        run: &mut Run<'_>,
    ) -> Result<Socket> {
        let missing = |cause: &str| {
            connection
                .error(ErrorKind::PeerLost, "open a control connection with")
                .cause(cause)
                .next("the sender's own output says why")
        };
        loop {
            let polled = [self.poll_fd(), connection.poll_hang_up()];
            let woken = run.wait(&polled, Some(deadline), OnStop::End)?;
            if woken == Woken::Stopped {
                return Err(Error::stopped());
            }
            match self.next()? {
                Some(News::Bound(control)) => return Ok(control),
                Some(News::Failed(error)) => return Err(error),
                // It lets in one stream.
                Some(News::Offer(_)) | None => {}
            }
            if Instant::now() >= deadline {
                return Err(missing("the sender did not open it"));
            }
            // Once it is bound it may send all that it has and hang up: news of that is on
            // its way.
            let hung_up = matches!(woken, Woken::Ready(events) if events.last().is_some_and(|on| !on.is_empty()));
            if hung_up && self.shared.wanted().is_some() {
                return Err(missing("the sender went away"));
            }
        }
    }

    fn poll_fd(&self) -> PollFd<'_> {
        self.shared.news.poll_fd()
    }

    fn next(&self) -> Result<Option<News>> {
        match self.news.try_recv() {
            Ok(news) => return Ok(Some(news)),
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => {
                return Err(Error::new(ErrorKind::System, "wait for a sender")
                    .cause("the thread that listens has ended"));
            }
        }
        self.shared.news.hush();
        Ok(self.news.try_recv().ok())
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.shared.closing.ring();
        if let Some(thread) = self.thread.take() {
            if thread.join().is_err() {
                log::error!("the thread that listens failed");
            }
        }
    }
}
