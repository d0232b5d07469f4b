//! Frames for other processes: their DMABUFs, by the protocol of GStreamer's `unixfdsrc`.
//!
//! A client has a frame until it says that it is done with it, or leaves. It waits for nobody and
//! nobody for it: a frame for which it has no room is dropped, and so is the stream never slowed.

mod caps;
mod clients;
mod colorimetry;
mod message;
mod socket;

use std::sync::Arc;

use nix::poll::PollFd;

use self::caps::Media;
use self::clients::{Clients, Offer};
use self::message::{Memory, NewBuffer, UNKNOWN, flags};
pub use self::socket::OpenSocket;
use crate::base::{Error, ErrorKind, Result, Run};
use crate::link::Meanwhile;
use crate::sink::consumer::Common;
use crate::sink::{Done, Fate, Passing, Sink, Told};
use crate::wire::Description;

/// Frames that clients may have together: one that is shown, one that follows, and two on their
/// way through a pipeline.
pub const HOLDS: u32 = 4;

/// Buffers that are left to the stream where none are reserved for clients.
const KEPT_BACK: usize = 2;

/// A socket, and what will be told at it.
#[derive(Debug)]
pub struct Ready {
    socket: OpenSocket,
    media: Media,
}

impl OpenSocket {
    /// Finds out how a stream is told to clients. An error if it can't be.
    pub fn prepare(self, stream: &Description) -> Result<Ready> {
        let media = Media::of(stream).map_err(|why| {
            let (width, height) = (stream.width, stream.height);
            let format = stream.pixel_format;
            let what = format!("give {width}x{height} {format} frames to unixfdsrc (--unixfd)");
            Error::new(ErrorKind::Format, what)
                .cause(why)
                .next("send another format, or a width whose rows are not padded")
        })?;
        Ok(Ready {
            socket: self,
            media,
        })
    }
}

/// The sink.
pub struct UnixFd {
    clients: Clients,
    media: Media,
    common: Arc<Common>,
    /// Goes with its path.
    _socket: OpenSocket,
}

impl UnixFd {
    /// Begins to give frames away: of the stream that `common` tells of, which has `beyond`
    /// buffers more than it was to have.
    pub fn begin(ready: Ready, common: Arc<Common>, beyond: u32) -> Result<Self> {
        let Ready { socket, media } = ready;
        let most = HOLDS.saturating_add(beyond) as usize;
        Ok(UnixFd {
            clients: Clients::start(Arc::clone(&socket.listener), most, &media.caps)?,
            media,
            common,
            _socket: socket,
        })
    }

    /// What clients are told of a frame, and where it is; None of one that has too few bytes.
    fn offer<'a>(&self, frame: &Passing<'a>) -> Result<Option<Offer<'a>>> {
        let its = frame.lease.frame();
        let captured = frame.timestamp.map(|it| it.nanoseconds());
        let fields = match self.media.fields {
            None => 0,
            Some(true) => flags::INTERLACED | flags::TOP_FIELD_FIRST,
            Some(false) => flags::INTERLACED,
        };
        let mut told = NewBuffer {
            id: 0,
            pts: captured.unwrap_or(its.taken.nanoseconds()),
            duration: self.media.duration.unwrap_or(UNKNOWN),
            offset: frame.record.counter,
            flags: fields | if its.has_error() { flags::CORRUPTED } else { 0 },
            is_dmabuf: true,
            memories: Vec::new(),
        };
        let mut fds = Vec::new();
        for (number, (plane, payload)) in frame.lease.planes().enumerate() {
            let size = match &self.media.sizes {
                None => payload.length,
                Some(sizes) => sizes.get(number).copied().unwrap_or(usize::MAX),
            };
            if size > payload.length || payload.length == 0 {
                return Ok(None);
            }
            let failed = |error: Error| error.next("use another heap (-e)");
            let cannot = || Error::new(ErrorKind::Heap, "give a frame's memory to unixfdsrc");
            let shared = plane
                .share()
                .map_err(|errno| failed(cannot().errno(errno)))?;
            let (fd, is_dmabuf) =
                shared.ok_or_else(|| failed(cannot().cause("it has no descriptor")))?;
            told.is_dmabuf &= is_dmabuf;
            told.memories.push(Memory {
                size: size as u64,
                offset: payload.offset as u64,
            });
            fds.push(fd);
        }
        Ok(Some(Offer {
            lease: frame.lease,
            told,
            fds,
        }))
    }
}

impl Sink for UnixFd {
    fn put(
        &mut self,
        frame: Passing<'_>,
        _meanwhile: &mut dyn Meanwhile,
        _run: &mut Run<'_>,
    ) -> Result<Fate> {
        if !self.clients.are_there() {
            return Ok(Fate::Done);
        }
        let may_have = self.common.has_reserve || self.common.can_spare(KEPT_BACK - 1);
        match self.offer(&frame)?.filter(|_| may_have) {
            Some(offer) => self.clients.give(offer),
            None => self.clients.drop_one(),
        }
        Ok(Fate::Done)
    }

    /// Clients that still have frames keep nobody waiting.
    fn done(&mut self) -> Result<Option<Done>> {
        Ok(None)
    }

    fn told(&self) -> Told {
        Told::OnSocket(self.clients.counts())
    }

    fn poll_fd(&self) -> Option<PollFd<'_>> {
        None
    }

    fn finish(&mut self, _run: &mut Run<'_>) -> Result<()> {
        self.clients.finish();
        Ok(())
    }
}
