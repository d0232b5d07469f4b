//! A connection's stream: its description, and then its frames, one after the other.

use std::time::{Duration, Instant};

use nix::errno::Errno;

use crate::base::{Error, ErrorKind, Monotonic, Result, Run};
use crate::frame::{Frame, Free, Lease, Payload, Pool, Timestamp, field};
use crate::link::{Connection, Received};
use crate::measure::Measuring;
use crate::session::control::Life;
use crate::wire::{
    Description, Version, WireError, v2, v3::End, v3::FrameHeader, v3::MESSAGE_HEADER_SIZE,
    v3::MessageHeader, v3::NextField, v3::Unwritten, v3::kind,
};

/// How long the sender's totals may take to come after the last frame that is wanted.
const END_PATIENCE: Duration = Duration::from_millis(200);

/// An error about what the peer sent, or did not.
fn peer_error(kind: ErrorKind, connection: &Connection, what: &str) -> Error {
    let error = connection.error(kind, format_args!("receive {what} from"));
    match kind {
        ErrorKind::PeerTimeout => error
            .errno(Errno::ETIMEDOUT)
            .next("see whether the sender still runs; --peer-timeout sets how long to wait"),
        _ => error,
    }
}

fn wrong(connection: &Connection, what: &str, error: &WireError) -> Error {
    peer_error(ErrorKind::Protocol, connection, what).cause(error.to_string())
}

/// What comes next of a stream.
pub(super) enum Arrival {
    /// A frame, and what version 3 tells of it.
    Frame(Box<(Lease, Option<Told>)>),
    /// The end, with the sender's totals in version 3.
    End(Option<End>),
    /// A stop.
    Stopped,
}

/// What version 3 tells of a frame.
pub(super) struct Told {
    pub(super) header: FrameHeader,
    /// What the driver left unwritten, as the sender has seen.
    pub(super) unwritten: Option<Unwritten>,
}

/// A stream that comes.
pub(super) struct Incoming<'a> {
    pub(super) measured: &'a Measuring,
    pub(super) pool: Pool,
    pub(super) connection: &'a Connection,
    pub(super) version: Version,
    pub(super) description: &'a Description,
    /// The sender's signs of life in version 3.
    pub(super) life: Option<Life>,
}

impl Incoming<'_> {
    /// Takes what comes next, a frame into `free`.
    pub(super) fn next(&self, free: Free, run: &mut Run<'_>) -> Result<Arrival> {
        match self.version {
            Version::V1 | Version::V2 => self.next_v2(free, run),
            Version::V3 => self.next_v3(free, run),
        }
    }

    /// The sender's totals, if they come at once: it has been told nothing of this
    /// side's having enough, and may have more.
    pub(super) fn end(&self, run: &mut Run<'_>) -> Result<Option<End>> {
        let deadline = Instant::now() + END_PATIENCE;
        let mut header = [0; MESSAGE_HEADER_SIZE];
        let connection = self.connection;
        if connection.receive_by(run, &mut header, deadline)? != Received::All {
            return Ok(None);
        }
        let header = MessageHeader::decode(&header).map_err(|error| self.wrong(&error))?;
        if header.kind != kind::END {
            return Ok(None);
        }
        let mut body = vec![0; header.length as usize];
        if connection.receive_by(run, &mut body, deadline)? != Received::All {
            return Ok(None);
        }
        End::decode(&body)
            .map(Some)
            .map_err(|error| self.wrong(&error))
    }

    fn next_v2(&self, mut free: Free, run: &mut Run<'_>) -> Result<Arrival> {
        let mut bytes = [0; v2::FrameHeader::SIZE];
        // The other flow's headers may be shorter, and more comes only when we answer: the
        // first frame's magic is looked at alone.
        let is_first = self.measured.borrow().frames == 0;
        let ahead = if is_first { 4 } else { 0 };
        let (magic, rest) = bytes.split_at_mut(ahead);
        for (part, before) in [(magic, 0), (rest, ahead)] {
            match self.connection.receive_bytes(run, part)? {
                Received::All => {}
                Received::Stopped => return Ok(Arrival::Stopped),
                Received::Closed(0) if before == 0 => return Ok(Arrival::End(None)),
                early => self.check(early.after(before), "header", v2::FrameHeader::SIZE)?,
            }
            if let Some(magic) = part.first_chunk().filter(|_| before == 0) {
                v2::FrameHeader::check_magic(*magic).map_err(|error| self.wrong(&error))?;
            }
        }
        let sizeimage = self.description.planes.first();
        let sizeimage = sizeimage.map_or(0, |plane| plane.sizeimage.get());
        let header =
            v2::FrameHeader::decode(&bytes, sizeimage).map_err(|error| self.wrong(&error))?;
        let taken = Monotonic::now();
        let lengths = [header.bytesused];
        self.receive_payload(&mut free, &lengths, run)?;
        let frame = Frame {
            sequence: header.sequence,
            flags: header.flags,
            field: field::UNKNOWN,
            timestamp: header.timestamp,
            payloads: payloads(&lengths),
            taken,
        };
        let lease = self.pool.lend(free, frame);
        Ok(Arrival::Frame(Box::new((lease, None))))
    }

    fn next_v3(&self, mut free: Free, run: &mut Run<'_>) -> Result<Arrival> {
        let described = self.description.field;
        // An alternating stream's description doesn't tell which one a frame is.
        let described = described.filter(|_| !self.description.alternates());
        let mut field = described.unwrap_or(field::UNKNOWN);
        let mut unwritten = None;
        let header = loop {
            let mut bytes = [0; MESSAGE_HEADER_SIZE];
            match self.connection.receive_bytes(run, &mut bytes)? {
                Received::All => {}
                Received::Stopped => return Ok(Arrival::Stopped),
                // Its source is silent, and it is not.
                Received::Silent(0) if self.is_alive() => continue,
                early => self.check(early, "header", MESSAGE_HEADER_SIZE)?,
            }
            let header = MessageHeader::decode(&bytes).map_err(|error| self.wrong(&error))?;
            if header.kind == kind::FRAME {
                break header;
            }
            let mut body = vec![0; header.length as usize];
            match self.connection.receive_bytes(run, &mut body)? {
                Received::Stopped => return Ok(Arrival::Stopped),
                received => self.check(received, "message", body.len())?,
            }
            let wrong = |error| self.wrong(&error);
            match header.kind {
                kind::END => {
                    let end = End::decode(&body).map_err(wrong)?;
                    return Ok(Arrival::End(Some(end)));
                }
                kind::UNWRITTEN => unwritten = Some(Unwritten::decode(&body).map_err(wrong)?),
                kind::FIELD => NextField(field) = NextField::decode(&body).map_err(wrong)?,
                // Of a later time: passed over.
                _ => {}
            }
        };
        let mut room = [0; FrameHeader::LONGEST_BODY];
        let planes = self.description.planes.len();
        let (body, _) = room.split_at_mut(FrameHeader::body_bytes(planes));
        self.fill(run, body, "header")?;
        let header = FrameHeader::decode(header.length, body, self.description)
            .map_err(|error| self.wrong(&error))?;
        let taken = Monotonic::now();
        self.receive_payload(&mut free, &header.planes, run)?;
        let frame = Frame {
            sequence: header.sequence,
            flags: header.flags,
            field,
            timestamp: Timestamp::of_nanoseconds(header.timestamp),
            payloads: payloads(&header.planes),
            taken,
        };
        let told = Told { header, unwritten };
        let lease = self.pool.lend(free, frame);
        Ok(Arrival::Frame(Box::new((lease, Some(told)))))
    }

    /// Whether the sender has shown that it lives, within the time that it may be silent.
    fn is_alive(&self) -> bool {
        let last = self.life.as_ref().and_then(Life::last);
        last.is_some_and(|last| last.elapsed() < self.connection.patience())
    }

    fn fill(&self, run: &mut Run<'_>, bytes: &mut [u8], part: &str) -> Result<()> {
        // Begun, and so not ended by a stop: half a frame is worth nothing.
        let received = self.connection.receive_rest(run, bytes)?;
        self.check(received, part, bytes.len())
    }

    fn receive_payload(&self, free: &mut Free, lengths: &[u32], run: &mut Run<'_>) -> Result<()> {
        let total: usize = lengths.iter().map(|length| *length as usize).sum();
        let mut before = 0;
        for (plane, length) in free.planes_mut().iter_mut().zip(lengths) {
            let length = *length as usize;
            let mut access = plane.write()?;
            let received = self
                .connection
                .receive_view(run, access.view_mut(0, length)?)?;
            access.end()?;
            self.check(received.after(before), "payload", total)?;
            before += length;
        }
        Ok(())
    }

    fn what(&self) -> String {
        format!("frame {}", self.measured.borrow().frames + 1)
    }

    fn wrong(&self, error: &WireError) -> Error {
        wrong(self.connection, &self.what(), error).next(match error {
            WireError::Grants => "use the reference's sender, or v4l-dmabuf-sender",
            _ => "the sender is at fault, or bytes were lost on the way",
        })
    }

    /// An error if a part of a frame did not come whole.
    fn check(&self, received: Received, part: &str, size: usize) -> Result<()> {
        let whole = self.measured.borrow().frames;
        let what = self.what();
        let missing = |count: usize| {
            let count = size - count;
            format!(
                "{count} of the {size} bytes of the {part} of {what} are missing, {whole} frames \
                 arrived whole"
            )
        };
        match received {
            Received::All | Received::Stopped => Ok(()),
            Received::Closed(count) => {
                Err(peer_error(ErrorKind::Truncated, self.connection, &what)
                    .cause(format!("the stream ended early: {}", missing(count)))
                    .next("the sender's own output says why"))
            }
            Received::Silent(count) => {
                Err(peer_error(ErrorKind::PeerTimeout, self.connection, &what)
                    .cause(format!("the sender fell silent: {}", missing(count))))
            }
        }
    }
}

fn payloads(lengths: &[u32]) -> Vec<Payload> {
    lengths
        .iter()
        .map(|length| Payload {
            offset: 0,
            length: *length as usize,
        })
        .collect()
}
