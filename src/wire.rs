//! The wire format, versions 1 and 2: a stream header, then for every frame a
//! header and its payload. All integers are big-endian. See docs/wire.md.
//!
//! Decoding checks all that can be checked without knowing the other side's
//! limits; what it returns holds no size that is 0 or out of bounds.

use std::fmt;
use std::num::NonZeroU32;

use crate::buffer::Timestamp;
use crate::pixel_format::FourCc;

const STREAM_MAGIC: u32 = 0x5634_4C42;
const FRAME_MAGIC: u32 = 0x5652_464D;

/// Versions 1 and 2 mean the same on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// What older senders say.
    V1,
    /// What we send.
    V2,
}

impl Version {
    /// The number on the wire.
    pub fn number(self) -> u32 {
        match self {
            Version::V1 => 1,
            Version::V2 => 2,
        }
    }
}

/// What a stream consists of; sent once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamHeader {
    /// The wire version.
    pub version: Version,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// The pixel format.
    pub pixel_format: FourCc,
    /// Bytes: no frame has more.
    pub sizeimage: NonZeroU32,
    /// The sender's buffers.
    pub buffer_count: NonZeroU32,
}

/// What a frame is; sent before its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// The sender's buffer.
    pub index: u32,
    /// Bytes of payload that follow; at most the stream's `sizeimage`.
    pub bytesused: u32,
    /// `V4L2_BUF_FLAG_*`
    pub flags: u32,
    /// The driver's counter.
    pub sequence: u64,
    /// When it was captured.
    pub timestamp: Timestamp,
}

/// Bytes that are not this protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WireError {
    /// The stream doesn't start with `V4LB`.
    StreamMagic(u32),
    /// A frame doesn't start with `VRFM`.
    FrameMagic(u32),
    /// A version that we don't speak.
    Version(u32),
    /// `sizeimage` is 0.
    ZeroSizeimage,
    /// `buffer_count` is 0.
    ZeroBufferCount,
    /// A frame is bigger than the stream's header allows.
    Oversized {
        /// Bytes.
        bytesused: u32,
        /// Bytes.
        sizeimage: u32,
    },
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
                "the frame's header starts with {magic:#010x} instead of {FRAME_MAGIC:#010x} (VRFM)"
            ),
            WireError::Version(version) => {
                write!(f, "wire version {version} is not one of 1 and 2")
            }
            WireError::ZeroSizeimage => f.write_str("sizeimage is 0"),
            WireError::ZeroBufferCount => f.write_str("buffer_count is 0"),
            WireError::Oversized {
                bytesused,
                sizeimage,
            } => write!(
                f,
                "bytesused {bytesused} is more than the stream's sizeimage {sizeimage}"
            ),
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

/// Reads fields one after the other.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
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
}

impl StreamHeader {
    /// Bytes on the wire.
    pub const SIZE: usize = 28;

    /// As it goes on the wire.
    pub fn encode(&self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        let mut writer = Writer(&mut bytes);
        for field in [
            STREAM_MAGIC,
            self.version.number(),
            self.width,
            self.height,
            self.pixel_format.0,
            self.sizeimage.get(),
            self.buffer_count.get(),
        ] {
            writer.put(field.to_be_bytes());
        }
        bytes
    }

    /// From the wire.
    pub fn decode(bytes: &[u8; Self::SIZE]) -> Result<Self, WireError> {
        let mut reader = Reader(bytes);
        let magic = reader.u32();
        if magic != STREAM_MAGIC {
            return Err(WireError::StreamMagic(magic));
        }
        let version = match reader.u32() {
            1 => Version::V1,
            2 => Version::V2,
            other => return Err(WireError::Version(other)),
        };
        Ok(StreamHeader {
            version,
            width: reader.u32(),
            height: reader.u32(),
            pixel_format: FourCc(reader.u32()),
            sizeimage: NonZeroU32::new(reader.u32()).ok_or(WireError::ZeroSizeimage)?,
            buffer_count: NonZeroU32::new(reader.u32()).ok_or(WireError::ZeroBufferCount)?,
        })
    }

    /// Bytes that the sender's buffers have together.
    pub fn pool_bytes(&self) -> u64 {
        u64::from(self.sizeimage.get()) * u64::from(self.buffer_count.get())
    }
}

impl FrameHeader {
    /// Bytes on the wire.
    pub const SIZE: usize = 40;

    /// As it goes on the wire.
    pub fn encode(&self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        let mut writer = Writer(&mut bytes);
        for field in [FRAME_MAGIC, self.index, self.bytesused, self.flags] {
            writer.put(field.to_be_bytes());
        }
        for field in [
            self.sequence,
            self.timestamp.seconds,
            self.timestamp.microseconds,
        ] {
            writer.put(field.to_be_bytes());
        }
        bytes
    }

    /// From the wire, as a frame of `stream`.
    pub fn decode(bytes: &[u8; Self::SIZE], stream: &StreamHeader) -> Result<Self, WireError> {
        let mut reader = Reader(bytes);
        let magic = reader.u32();
        if magic != FRAME_MAGIC {
            return Err(WireError::FrameMagic(magic));
        }
        let header = FrameHeader {
            index: reader.u32(),
            bytesused: reader.u32(),
            flags: reader.u32(),
            sequence: reader.u64(),
            timestamp: Timestamp {
                seconds: reader.u64(),
                microseconds: reader.u64(),
            },
        };
        let sizeimage = stream.sizeimage.get();
        if header.bytesused > sizeimage {
            return Err(WireError::Oversized {
                bytesused: header.bytesused,
                sizeimage,
            });
        }
        Ok(header)
    }
}

#[cfg(test)]
mod tests;
