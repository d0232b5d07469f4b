//! Version 3: messages, each behind a header that tells its type and length, so
//! that a receiver can pass over those that it doesn't know.
//!
//! The data connection carries the description, the frames and the end; the
//! control connection carries clock readings, acknowledgements and the result, so
//! that none of these waits behind a frame. Times are nanoseconds of
//! CLOCK_MONOTONIC, each side's own; 0 is unknown.

mod control;
mod next_frame;

use super::{Description, Reader, WireError, Writer};
use crate::frame::MAX_PLANES;

pub use control::{Ack, Answered, Outcome, Ping, Pong};
pub use next_frame::{NextField, Unwritten};

/// Bytes of a message's header.
pub const MESSAGE_HEADER_SIZE: usize = 8;

/// Bytes of a message other than a frame at most.
pub const MAX_MESSAGE: u32 = super::description::MAX_DESCRIPTION as u32;

/// Bytes of a text within a message at most.
const MAX_TEXT: usize = 1024;

/// Bytes of a frame's header before its planes' sizes.
const FRAME_FIXED_SIZE: usize = 72;

/// Bytes of the names that bind a control connection to its stream.
pub const STREAM_ID_SIZE: usize = 16;

/// The name of a stream, which nobody else can guess.
pub type StreamId = [u8; STREAM_ID_SIZE];

/// The types of messages.
pub mod kind {
    /// Sender: what the stream is.
    pub const STREAM: u32 = 1;
    /// Receiver: it will take it; the name to bind a control connection with.
    pub const ACCEPT: u32 = 2;
    /// Receiver: it will not, and why.
    pub const REFUSE: u32 = 3;
    /// Sender, first on a control connection: the stream's name.
    pub const BIND: u32 = 4;
    /// Receiver: the control connection is the stream's.
    pub const BOUND: u32 = 5;
    /// Sender: a frame.
    pub const FRAME: u32 = 16;
    /// Sender: there are no more, and its totals.
    pub const END: u32 = 17;
    /// Sender: which field the next frame is.
    pub const FIELD: u32 = 18;
    /// Sender: the driver did not write the next frame, or not whole.
    pub const UNWRITTEN: u32 = 19;
    /// Sender, control: a clock reading.
    pub const PING: u32 = 32;
    /// Receiver, control: the answer.
    pub const PONG: u32 = 33;
    /// Receiver, control: a frame has come.
    pub const ACK: u32 = 34;
    /// Receiver, control: it has ended, and its totals.
    pub const RESULT: u32 = 35;
    /// Receiver, control: it takes nothing now because of whoever takes its frames.
    pub const BUSY: u32 = 36;
}

/// A message's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageHeader {
    /// One of `kind`, or a type of a later time.
    pub kind: u32,
    /// Bytes that follow.
    pub length: u32,
}

impl MessageHeader {
    /// As it goes on the wire.
    pub fn encode(&self) -> [u8; MESSAGE_HEADER_SIZE] {
        let mut bytes = [0; MESSAGE_HEADER_SIZE];
        let mut writer = Writer(&mut bytes);
        writer.put(self.kind.to_be_bytes());
        writer.put(self.length.to_be_bytes());
        bytes
    }

    /// From the wire. Whatever is no frame is bounded.
    pub fn decode(bytes: &[u8; MESSAGE_HEADER_SIZE]) -> Result<Self, WireError> {
        let mut reader = Reader(bytes);
        let header = MessageHeader {
            kind: reader.u32(),
            length: reader.u32(),
        };
        match header {
            MessageHeader { kind, length } if kind != kind::FRAME && length > MAX_MESSAGE => {
                Err(WireError::Length { kind, length })
            }
            header => Ok(header),
        }
    }
}

/// A whole message: its header, and `body`.
pub fn message(kind: u32, body: &[u8]) -> Vec<u8> {
    let header = MessageHeader {
        kind,
        length: body.len() as u32,
    };
    [&header.encode(), body].concat()
}

/// A text that a peer sent, escaped, and not too long.
pub fn text(bytes: &[u8]) -> String {
    let bytes = bytes.get(..MAX_TEXT).unwrap_or(bytes);
    // What stands for the bytes may be longer than they were.
    cut(&crate::base::text::of_bytes(bytes)).to_owned()
}

/// A text's bytes, cut to what a message may have.
pub fn text_bytes(text: &str) -> &[u8] {
    cut(text).as_bytes()
}

fn cut(text: &str) -> &str {
    if text.len() <= MAX_TEXT {
        return text;
    }
    // Between two characters.
    let whole = (0..=MAX_TEXT).rev().find_map(|end| text.get(..end));
    whole.unwrap_or_default()
}

/// Fields of 64 bits, one after the other, and a text.
fn fields(values: &[u64], text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(values.len() * 8 + text.len());
    for value in values {
        bytes.extend_from_slice(&value.to_be_bytes());
    }
    bytes.extend_from_slice(text_bytes(text));
    bytes
}

fn read_fields<const N: usize>(kind: u32, body: &[u8]) -> Result<([u64; N], String), WireError> {
    if body.len() < N * 8 {
        return Err(WireError::Length {
            kind,
            length: body.len() as u32,
        });
    }
    let mut reader = Reader(body);
    let mut values = [0; N];
    values.fill_with(|| reader.u64());
    Ok((values, text(reader.rest())))
}

/// A frame's checksum, over all of its planes' bytes in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checksum {
    /// XXH3, 64 bits, seed 0.
    Xxh3(u64),
}

/// What a frame is; sent before its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameHeader {
    /// Frames that were sent before it.
    pub counter: u64,
    /// `v4l2_buffer.sequence`
    pub sequence: u64,
    /// `v4l2_buffer.timestamp`, whosever clock that is, in nanoseconds.
    pub timestamp: u64,
    /// That by the sender's CLOCK_MONOTONIC.
    pub captured: u64,
    /// When it was dequeued.
    pub dequeued: u64,
    /// When its first byte was handed to the socket.
    pub handed: u64,
    /// `v4l2_buffer.flags`
    pub flags: u32,
    /// The sender's buffer.
    pub index: u32,
    /// Of the payload, if the sender verifies.
    pub checksum: Option<Checksum>,
    /// Bytes of each plane.
    pub planes: Vec<u32>,
}

impl FrameHeader {
    /// Bytes of payload.
    pub fn bytes(&self) -> u64 {
        self.planes.iter().copied().map(u64::from).sum()
    }

    /// Bytes of a header with as many planes as a frame can have.
    pub const LONGEST_BODY: usize = Self::body_bytes(MAX_PLANES);

    /// Bytes of a header of `planes` planes, after the message's own header.
    pub const fn body_bytes(planes: usize) -> usize {
        FRAME_FIXED_SIZE + planes * 4
    }

    /// As it goes on the wire, the message's header included.
    pub fn encode(&self) -> Vec<u8> {
        let own = Self::body_bytes(self.planes.len());
        let header = MessageHeader {
            kind: kind::FRAME,
            // What a description allows fits.
            length: (own as u64 + self.bytes()) as u32,
        };
        let (checksum_kind, checksum) = match self.checksum {
            None => (0_u32, 0),
            Some(Checksum::Xxh3(sum)) => (1, sum),
        };
        let mut bytes = Vec::with_capacity(MESSAGE_HEADER_SIZE + own);
        bytes.extend_from_slice(&header.encode());
        for field in [
            self.counter,
            self.sequence,
            self.timestamp,
            self.captured,
            self.dequeued,
            self.handed,
        ] {
            bytes.extend_from_slice(&field.to_be_bytes());
        }
        bytes.extend_from_slice(&self.flags.to_be_bytes());
        bytes.extend_from_slice(&self.index.to_be_bytes());
        bytes.extend_from_slice(&checksum.to_be_bytes());
        bytes.extend_from_slice(&checksum_kind.to_be_bytes());
        bytes.extend_from_slice(&(self.planes.len() as u32).to_be_bytes());
        for plane in &self.planes {
            bytes.extend_from_slice(&plane.to_be_bytes());
        }
        bytes
    }

    /// From the wire, as a frame of `stream`: `length` is the message's, `body` the
    /// fixed part and the sizes of as many planes as the stream has.
    pub fn decode(length: u32, body: &[u8], stream: &Description) -> Result<Self, WireError> {
        let wrong_length = WireError::Length {
            kind: kind::FRAME,
            length,
        };
        if body.len() != Self::body_bytes(stream.planes.len()) {
            return Err(wrong_length);
        }
        let mut reader = Reader(body);
        let mut header = FrameHeader {
            counter: reader.u64(),
            sequence: reader.u64(),
            timestamp: reader.u64(),
            captured: reader.u64(),
            dequeued: reader.u64(),
            handed: reader.u64(),
            flags: reader.u32(),
            index: reader.u32(),
            checksum: None,
            planes: Vec::with_capacity(MAX_PLANES),
        };
        let checksum = reader.u64();
        header.checksum = match reader.u32() {
            0 => None,
            1 => Some(Checksum::Xxh3(checksum)),
            other => return Err(WireError::ChecksumKind(other)),
        };
        let planes = reader.u32();
        if planes as usize != stream.planes.len() {
            return Err(WireError::Planes {
                frame: planes,
                stream: stream.planes.len(),
            });
        }
        for plane in &stream.planes {
            let (bytesused, sizeimage) = (reader.u32(), plane.sizeimage.get());
            if bytesused > sizeimage {
                return Err(WireError::Oversized {
                    bytesused,
                    sizeimage,
                });
            }
            header.planes.push(bytesused);
        }
        if u64::from(length) != body.len() as u64 + header.bytes() {
            return Err(wrong_length);
        }
        Ok(header)
    }
}

/// A sender's last message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// Frames that the source gave.
    pub captured: u64,
    /// Frames that were sent whole.
    pub sent: u64,
    /// Frames that the source's numbers skip; None if they can't tell.
    pub driver_drops: Option<u64>,
    /// Frames that the sender dropped by its policy.
    pub sender_drops: u64,
    /// Frames that the source gave and that the run's end left unsent.
    pub left_over: u64,
    /// Why the sender failed; empty if it did not.
    pub failure: String,
}

/// Stands for a number that is unknown.
const UNKNOWN: u64 = u64::MAX;

impl End {
    /// As it goes on the wire, the message's header included.
    pub fn encode(&self) -> Vec<u8> {
        let values = [
            self.captured,
            self.sent,
            self.driver_drops.unwrap_or(UNKNOWN),
            self.sender_drops,
            self.left_over,
        ];
        message(kind::END, &fields(&values, &self.failure))
    }

    /// From the wire.
    pub fn decode(body: &[u8]) -> Result<Self, WireError> {
        let (values, failure) = read_fields(kind::END, body)?;
        let [captured, sent, driver_drops, sender_drops, left_over] = values;
        Ok(End {
            captured,
            sent,
            driver_drops: (driver_drops != UNKNOWN).then_some(driver_drops),
            sender_drops,
            left_over,
            failure,
        })
    }
}

#[cfg(test)]
mod tests;
