//! The bytes between sender and receiver: see docs/wire.md. All integers are
//! big-endian.
//!
//! Every connection begins with a [`preamble`](VERSION_OFFSET): four bytes of magic
//! and four of version. What follows is [`v2`]'s for versions 1 and 2, which are the
//! C reference's, and [`v3`]'s for version 3, whose stream is told by a
//! [`Description`].
//!
//! Decoding checks all that can be checked without knowing the other side's limits;
//! what it returns holds no size that is 0 or out of bounds.

mod assembler;
mod description;
mod greeting;
pub mod v2;
pub mod v3;

use serde::Deserialize;
use strum::FromRepr;

pub use assembler::Assembler;
pub use description::Description;
pub use greeting::{Greeting, Said};

/// `V4LB`: how every connection begins.
pub const STREAM_MAGIC: u32 = 0x5634_4C42;

/// Bytes of magic and version.
pub const PREAMBLE_SIZE: usize = 8;

/// Where in the preamble the version is.
pub const VERSION_OFFSET: usize = 4;

/// What to speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, FromRepr)]
#[serde(try_from = "u32")]
#[repr(u32)]
pub enum Version {
    /// What older senders say; it means the same as version 2.
    V1 = 1,
    /// The C reference's.
    V2,
    /// Ours.
    V3,
}

impl Version {
    /// The number on the wire.
    pub fn number(self) -> u32 {
        self as u32
    }

    /// As a connection begins with it.
    pub fn preamble(self) -> [u8; PREAMBLE_SIZE] {
        let mut bytes = [0; PREAMBLE_SIZE];
        let mut writer = Writer(&mut bytes);
        writer.put(STREAM_MAGIC.to_be_bytes());
        writer.put(self.number().to_be_bytes());
        bytes
    }

    /// From the beginning of a connection.
    pub fn of_preamble(bytes: &[u8; PREAMBLE_SIZE]) -> Result<Self, WireError> {
        let mut reader = Reader(bytes);
        match reader.u32() {
            STREAM_MAGIC => reader.u32().try_into(),
            magic => Err(WireError::StreamMagic(magic)),
        }
    }
}

impl TryFrom<u32> for Version {
    type Error = WireError;

    /// From the number on the wire.
    fn try_from(number: u32) -> Result<Self, WireError> {
        Version::from_repr(number).ok_or(WireError::Version(number))
    }
}

/// Bytes that are not this protocol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The stream doesn't start with `V4LB`.
    #[error("the stream starts with {0:#010x} instead of {expected:#010x} (V4LB)", expected = STREAM_MAGIC)]
    StreamMagic(u32),
    /// A frame doesn't start with `VRFM`.
    #[error("the frame's header starts with {0:#010x} instead of {expected:#010x} (VRFM)", expected = v2::FRAME_MAGIC)]
    FrameMagic(u32),
    /// A version that we don't speak.
    #[error("wire version {0} is not one of 1, 2 and 3")]
    Version(u32),
    /// A frame is the grants of its memory, as the C reference's `sender_zc` sends them.
    #[error(
        "it sends grants of its memory instead of frames (VHND), as the C reference's sender_zc \
         does, which only receiver_zc takes"
    )]
    Grants,
    /// The width or the height is 0.
    #[error("the width or the height is 0")]
    ZeroExtent,
    /// `sizeimage` is 0.
    #[error("sizeimage is 0")]
    ZeroSizeimage,
    /// `buffer_count` is 0.
    #[error("buffer_count is 0")]
    ZeroBufferCount,
    /// A frame, or a plane of it, is bigger than the stream allows.
    #[error("bytesused {bytesused} is more than the stream's sizeimage {sizeimage}")]
    Oversized {
        /// Bytes.
        bytesused: u32,
        /// Bytes.
        sizeimage: u32,
    },
    /// The description of the stream can't be understood, for this reason.
    #[error("the description of the stream is unusable: {0}")]
    Description(String),
    /// A message came where it has no place.
    #[error("a message of type {kind} came instead of {expected}")]
    Unexpected {
        /// The message's type.
        kind: u32,
        /// What should have come.
        expected: &'static str,
    },
    /// A message's length can't be.
    #[error("a message of type {kind} can't have {length} bytes")]
    Length {
        /// The message's type.
        kind: u32,
        /// Bytes.
        length: u32,
    },
    /// A frame has more or fewer planes than the stream.
    #[error("a frame of {frame} planes came in a stream of {stream}")]
    Planes {
        /// The frame's.
        frame: u32,
        /// The stream's.
        stream: usize,
    },
    /// A checksum of a kind that we don't know.
    #[error("checksums of kind {0} are unknown")]
    ChecksumKind(u32),
}

/// Writes fields one after the other.
struct Writer<'a>(&'a mut [u8]);

impl Writer<'_> {
    fn put<const N: usize>(&mut self, field: [u8; N]) {
        if let Some((head, rest)) = std::mem::take(&mut self.0).split_first_chunk_mut() {
            *head = field;
            self.0 = rest;
        }
    }
}

/// Reads fields one after the other; 0 where there are no more bytes.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        match self.0.split_first_chunk() {
            Some((head, rest)) => {
                self.0 = rest;
                *head
            }
            None => [0; N],
        }
    }

    fn u32(&mut self) -> u32 {
        u32::from_be_bytes(self.take())
    }

    fn u64(&mut self) -> u64 {
        u64::from_be_bytes(self.take())
    }

    fn rest(self) -> &'a [u8] {
        self.0
    }
}
