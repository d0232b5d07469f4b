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

use std::fmt;

use serde::Deserialize;

pub use assembler::Assembler;
pub use description::{Colorimetry, Description};
pub use greeting::{Greeting, Said};

/// `V4LB`: how every connection begins.
pub const STREAM_MAGIC: u32 = 0x5634_4C42;

/// Bytes of magic and version.
pub const PREAMBLE_SIZE: usize = 8;

/// Where in the preamble the version is.
pub const VERSION_OFFSET: usize = 4;

/// What to speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u32")]
pub enum Version {
    /// What older senders say; it means the same as version 2.
    V1,
    /// The C reference's.
    V2,
    /// Ours.
    V3,
}

impl Version {
    /// The number on the wire.
    pub fn number(self) -> u32 {
        match self {
            Version::V1 => 1,
            Version::V2 => 2,
            Version::V3 => 3,
        }
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
        match number {
            1 => Ok(Version::V1),
            2 => Ok(Version::V2),
            3 => Ok(Version::V3),
            other => Err(WireError::Version(other)),
        }
    }
}

/// Bytes that are not this protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WireError {
    /// The stream doesn't start with `V4LB`.
    StreamMagic(u32),
    /// A frame doesn't start with `VRFM`.
    FrameMagic(u32),
    /// A version that we don't speak.
    Version(u32),
    /// A frame is the grants of its memory, as the C reference's `sender_zc` sends them.
    Grants,
    /// The width or the height is 0.
    ZeroExtent,
    /// `sizeimage` is 0.
    ZeroSizeimage,
    /// `buffer_count` is 0.
    ZeroBufferCount,
    /// A frame, or a plane of it, is bigger than the stream allows.
    Oversized {
        /// Bytes.
        bytesused: u32,
        /// Bytes.
        sizeimage: u32,
    },
    /// The description of the stream can't be understood, for this reason.
    Description(String),
    /// A message came where it has no place.
    Unexpected {
        /// The message's type.
        kind: u32,
        /// What should have come.
        expected: &'static str,
    },
    /// A message's length can't be.
    Length {
        /// The message's type.
        kind: u32,
        /// Bytes.
        length: u32,
    },
    /// A frame has more or fewer planes than the stream.
    Planes {
        /// The frame's.
        frame: u32,
        /// The stream's.
        stream: usize,
    },
    /// A checksum of a kind that we don't know.
    ChecksumKind(u32),
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WireError::StreamMagic(magic) => write!(
                f,
                "the stream starts with {magic:#010x} instead of {STREAM_MAGIC:#010x} (V4LB)"
            ),
            WireError::FrameMagic(magic) => write!(
                f,
                "the frame's header starts with {magic:#010x} instead of {:#010x} (VRFM)",
                v2::FRAME_MAGIC
            ),
            WireError::Version(version) => {
                write!(f, "wire version {version} is not one of 1, 2 and 3")
            }
            WireError::Grants => f.write_str(
                "it sends grants of its memory instead of frames (VHND), as the C reference's \
                 sender_zc does, which only receiver_zc takes",
            ),
            WireError::ZeroExtent => f.write_str("the width or the height is 0"),
            WireError::ZeroSizeimage => f.write_str("sizeimage is 0"),
            WireError::ZeroBufferCount => f.write_str("buffer_count is 0"),
            WireError::Oversized {
                bytesused,
                sizeimage,
            } => write!(
                f,
                "bytesused {bytesused} is more than the stream's sizeimage {sizeimage}"
            ),
            WireError::Description(why) => {
                write!(f, "the description of the stream is unusable: {why}")
            }
            WireError::Unexpected { kind, expected } => {
                write!(f, "a message of type {kind} came instead of {expected}")
            }
            WireError::Length { kind, length } => {
                write!(f, "a message of type {kind} can't have {length} bytes")
            }
            WireError::Planes { frame, stream } => {
                write!(f, "a frame of {frame} planes came in a stream of {stream}")
            }
            WireError::ChecksumKind(kind) => write!(f, "checksums of kind {kind} are unknown"),
        }
    }
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
