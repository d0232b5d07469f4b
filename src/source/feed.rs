//! A program as the source: it fills free buffers, or passes on frames that it has from elsewhere.
//!
//! What the first frame is decides what the stream is: a buffer that is asked for makes it what
//! the settings say, and a frame that is passed on makes it what that frame's stream is.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, MutexGuard};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};

use crate::base::{Bell, Error, ErrorKind, OnStop, Result, Run, WaitsFor, Woken, lock};
use crate::frame::{Free, Lease, Pool, Stream};
use crate::memory;
use crate::source::buffers::{Buffers, program_sizes};
use crate::source::{Next, Source, camera::Capture};

/// The program's end, and the source's: a clone is the same one.
#[derive(Debug, Clone)]
pub struct Feed(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Rings at the run: there is something to do.
    bell: Bell,
    /// Rings at the program: there are buffers, or the run is over.
    news: Bell,
}

#[derive(Debug, Default)]
struct State {
    /// What the program gave and the run has not taken.
    queue: VecDeque<Lease>,
    /// Whether the program has asked for a buffer to fill.
    wants_buffers: bool,
    /// What the stream of the first frame is that was passed on.
    passed_on: Option<Stream>,
    /// What the run's frames are, once it is open.
    open: Option<Opened>,
    /// Whether the program gives no more.
    is_finished: bool,
    /// Whether the run takes no more.
    is_over: bool,
}

/// A run's buffers.
#[derive(Debug, Clone)]
struct Opened {
    stream: Arc<Stream>,
    pool: Pool,
}

/// What there is for a program that wants to fill a buffer.
#[derive(Debug)]
pub enum Room {
    /// A buffer of such a stream.
    Buffer(Free, Arc<Stream>),
    /// None is free yet.
    Nothing,
    /// The run is over.
    Over,
}

/// What became of a frame that was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Given {
    /// It will be sent, unless the run ends or its policy drops it.
    Taken,
    /// The run is over.
    Over,
}

impl Feed {
    /// With nothing in it.
    pub fn new() -> Result<Self> {
        Ok(Feed(Arc::new(Shared {
            state: Mutex::default(),
            bell: Bell::new()?,
            news: Bell::new()?,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.0.state)
    }

    /// A free buffer, without waiting.
    pub fn take(&self) -> Room {
        let mut state = self.lock();
        if state.is_over {
            return Room::Over;
        }
        // To be hushed before the look.
        self.0.news.hush();
        let Some(opened) = &state.open else {
            if !state.wants_buffers {
                state.wants_buffers = true;
                self.0.bell.ring();
            }
            return Room::Nothing;
        };
        match opened.pool.take() {
            Some(free) => Room::Buffer(free, Arc::clone(&opened.stream)),
            None => Room::Nothing,
        }
    }

    /// Waits, for a time at most, until `take` may have something.
    pub fn wait(&self, patience: std::time::Duration) {
        let pool = self.lock().open.as_ref().map(|opened| opened.pool.clone());
        let mut polled = vec![PollFd::new(self.0.news.as_fd(), PollFlags::POLLIN)];
        polled.extend(
            pool.as_ref()
                .map(|pool| PollFd::new(pool.bell(), PollFlags::POLLIN)),
        );
        // EINTR: whoever asks looks at what came.
        let _ = nix::poll::ppoll(&mut polled, Some(patience.into()), None);
    }

    /// Gives a buffer back that was not filled.
    pub fn give_back(&self, free: Free) {
        if let Some(opened) = &self.lock().open {
            opened.pool.give(free);
        }
    }

    /// Lends out a buffer that was filled. None once the run is over.
    pub fn lend(&self, free: Free, frame: crate::frame::Frame) -> Option<Lease> {
        let state = self.lock();
        state.open.as_ref().map(|it| it.pool.lend(free, frame))
    }

    /// Gives a frame that was filled here, or one of another stream, which is passed on as it is.
    ///
    /// An error of kind `Format` if it is not what the stream's frames are.
    pub fn give(&self, lease: Lease, of: &Stream) -> Result<Given> {
        let mut state = self.lock();
        if state.is_over || state.is_finished {
            return Ok(Given::Over);
        }
        let ours = state.open.as_ref().map(|it| &*it.stream);
        match ours.or(state.passed_on.as_ref()) {
            Some(ours) => fits(of, ours)?,
            None if state.wants_buffers => {}
            None => state.passed_on = Some(of.clone()),
        }
        state.queue.push_back(lease);
        self.0.bell.ring();
        Ok(Given::Taken)
    }

    /// The program gives no more: the stream ends after what it gave.
    pub fn finish(&self) {
        self.lock().is_finished = true;
        self.0.bell.ring();
    }

    /// The run takes no more.
    pub fn end(&self) {
        let left = {
            let mut state = self.lock();
            state.is_over = true;
            state.open = None;
            self.0.news.ring();
            std::mem::take(&mut state.queue)
        };
        drop(left);
    }

    /// Opens it as a source, once the program has said by its first frame what the stream is.
    /// An error of kind `Stopped` on a stop, and if the program gives nothing.
    pub(super) fn open(&self, capture: &Capture, run: &mut Run<'_>) -> Result<FeedSource> {
        loop {
            let (passed_on, first, wants_buffers, is_finished) = {
                let state = self.lock();
                let (passed_on, first) = (state.passed_on.clone(), state.queue.front().cloned());
                (passed_on, first, state.wants_buffers, state.is_finished)
            };
            let source = match (passed_on, wants_buffers) {
                (Some(stream), _) => Some(FeedSource::passing_on(self, stream, first)?),
                (None, true) => Some(FeedSource::with_buffers(self, capture)?),
                (None, false) if is_finished => return Err(Error::stopped()),
                (None, false) => None,
            };
            if let Some(source) = source {
                self.lock().open = Some(Opened {
                    stream: Arc::new(source.stream.clone()),
                    pool: source.pool.clone(),
                });
                self.0.news.ring();
                return Ok(source);
            }
            let bell = PollFd::new(self.0.bell.as_fd(), PollFlags::POLLIN);
            if run.wait(&[bell], None, OnStop::End)? == Woken::Stopped {
                return Err(Error::stopped());
            }
            self.0.bell.hush();
        }
    }
}

/// Whether frames of one stream can be sent as those of another.
fn fits(frame: &Stream, stream: &Stream) -> Result<()> {
    let size = |it: &Stream| (it.width, it.height, it.pixel_format);
    if size(frame) == size(stream) && frame.planes == stream.planes {
        return Ok(());
    }
    let told = |it: &Stream| format!("{}x{} {}", it.width, it.height, it.pixel_format);
    Err(Error::new(ErrorKind::Format, "send a frame")
        .errno(Errno::EINVAL)
        .cause(format!(
            "it is {} of {} bytes, and the stream is {} of {} bytes",
            told(frame),
            frame.frame_bytes(),
            told(stream),
            stream.frame_bytes()
        ))
        .next("send it by a sender of its own"))
}

/// The source's end.
#[derive(Debug)]
pub(super) struct FeedSource {
    feed: Feed,
    stream: Stream,
    pool: Pool,
    can_pin: nix::Result<()>,
}

impl FeedSource {
    fn with_buffers(feed: &Feed, capture: &Capture) -> Result<Self> {
        let Buffers {
            free,
            stream,
            can_pin,
        } = Buffers::new(capture, &program_sizes(capture, "program")?, "program")?;
        Ok(FeedSource {
            feed: feed.clone(),
            stream,
            pool: Pool::new(free)?,
            can_pin,
        })
    }

    fn passing_on(feed: &Feed, stream: Stream, first: Option<Lease>) -> Result<Self> {
        let can_pin = first.map_or(Ok(()), |lease| {
            let mut planes = lease.planes();
            planes.try_for_each(|(plane, _)| memory::try_pin(plane))
        });
        Ok(FeedSource {
            feed: feed.clone(),
            stream,
            pool: Pool::new(Vec::new())?,
            can_pin,
        })
    }
}

impl Source for FeedSource {
    fn name(&self) -> String {
        "the program".to_owned()
    }

    fn stream(&self) -> &Stream {
        &self.stream
    }

    fn can_pin(&self) -> nix::Result<()> {
        self.can_pin
    }

    fn start(&mut self) -> Result<()> {
        Ok(())
    }

    fn next(&mut self) -> Result<Next> {
        self.feed.0.bell.hush();
        let mut state = self.feed.lock();
        Ok(match state.queue.pop_front() {
            Some(lease) => Next::Frame(lease),
            None if state.is_finished => Next::Ended,
            None => Next::NotReady,
        })
    }

    fn waits_for(&self) -> WaitsFor<'_> {
        let bell: BorrowedFd<'_> = self.feed.0.bell.as_fd();
        WaitsFor::Device { device: bell, bell }
    }

    fn pool(&self) -> &Pool {
        &self.pool
    }

    fn poll_error(&self) -> Error {
        Error::new(ErrorKind::System, "wait for the program's frames")
    }
}

impl Drop for FeedSource {
    fn drop(&mut self) {
        self.feed.end();
    }
}

#[cfg(test)]
mod tests;
