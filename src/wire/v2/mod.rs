//! Versions 1 and 2, which mean the same: a stream header, then for every frame a
//! header and its payload, in one direction only.

use std::num::NonZeroU32;

use super::{PREAMBLE_SIZE, Reader, WireError, Writer};
use crate::frame::{FourCc, Timestamp};

/// `VRFM`: how every frame begins.
pub const FRAME_MAGIC: u32 = 0x5652_464D;

/// `VHND`: how every frame begins in the C reference's other flow, whose streams begin as
/// ours do.
pub const GRANTS_MAGIC: u32 = 0x5648_4E44;

/// What a stream consists of; sent once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamHeader {
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

impl StreamHeader {
    /// Bytes on the wire, after the preamble.
    pub const SIZE: usize = 28 - PREAMBLE_SIZE;

    /// As it goes on the wire, after the preamble.
    pub fn encode(&self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        let mut writer = Writer(&mut bytes);
        for field in [
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
        let header = StreamHeader {
            width: reader.u32(),
            height: reader.u32(),
            pixel_format: FourCc(reader.u32()),
            sizeimage: NonZeroU32::new(reader.u32()).ok_or(WireError::ZeroSizeimage)?,
            buffer_count: NonZeroU32::new(reader.u32()).ok_or(WireError::ZeroBufferCount)?,
        };
        if header.width == 0 || header.height == 0 {
            return Err(WireError::ZeroExtent);
        }
        Ok(header)
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

    /// An error unless a frame begins so.
    pub fn check_magic(bytes: [u8; 4]) -> Result<(), WireError> {
        match u32::from_be_bytes(bytes) {
            FRAME_MAGIC => Ok(()),
            GRANTS_MAGIC => Err(WireError::Grants),
            magic => Err(WireError::FrameMagic(magic)),
        }
    }

    /// From the wire, as a frame of a stream with `sizeimage`.
    pub fn decode(bytes: &[u8; Self::SIZE], sizeimage: u32) -> Result<Self, WireError> {
        let mut reader = Reader(bytes);
        Self::check_magic(reader.take())?;
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
