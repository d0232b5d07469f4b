//! How a stream and its frames look on the wire, in the version that is spoken.

use crate::base::{Error, ErrorKind, Result};
use crate::frame::field;
use crate::sink::Passing;
use crate::wire::{Description, Version, v2, v3, v3::NextField, v3::Unwritten};

/// How a stream looks on the wire.
#[derive(Debug)]
pub enum Framing {
    /// As the C reference takes it, by version 1 or 2.
    V2(Version, v2::StreamHeader),
    /// As we do.
    V3 {
        /// What the description says of each frame's field.
        field: Option<u32>,
    },
}

impl Framing {
    /// An error if a stream can't be told in a version.
    pub fn new(version: Version, description: &Description) -> Result<Self> {
        let by = |version: Version| {
            let header = description.to_v2().ok_or_else(|| {
                let planes = description.planes.len();
                let (number, format) = (version.number(), description.pixel_format);
                Error::new(
                    ErrorKind::Format,
                    format!("send {format} by wire version {number}"),
                )
                .cause(format!(
                    "it has {planes} memory planes, and version {number} carries one"
                ))
                .next("use --protocol 3, or a format of one memory plane")
            })?;
            Ok(Framing::V2(version, header))
        };
        match version {
            Version::V1 | Version::V2 => by(version),
            Version::V3 => Ok(Framing::V3 {
                field: description.field,
            }),
        }
    }

    /// The version that is spoken.
    pub fn version(&self) -> Version {
        match self {
            Framing::V2(version, _) => *version,
            Framing::V3 { .. } => Version::V3,
        }
    }

    pub(super) fn header(&self, passing: Passing<'_>) -> Box<[u8]> {
        let (lease, record, found) = (passing.lease, passing.record, passing.found);
        let frame = lease.frame();
        match self {
            Framing::V2(..) => Box::new(
                v2::FrameHeader {
                    index: lease.index(),
                    // A payload fits its plane, and planes are sized in 32 bits.
                    bytesused: frame.bytes() as u32,
                    flags: frame.flags,
                    sequence: frame.sequence,
                    timestamp: frame.timestamp,
                }
                .encode(),
            ),
            Framing::V3 { field } => {
                let is_told = frame.field == field::UNKNOWN || *field == Some(frame.field);
                let unwritten = found.and_then(|found| found.unwritten);
                let mut bytes = unwritten.map_or_else(Vec::new, Unwritten::encode);
                let header = v3::FrameHeader {
                    counter: record.counter,
                    sequence: frame.sequence,
                    timestamp: frame.timestamp.nanoseconds(),
                    captured: record.captured,
                    dequeued: record.dequeued,
                    handed: record.handed,
                    flags: frame.flags,
                    index: lease.index(),
                    checksum: found.map(|found| found.checksum),
                    // As above.
                    planes: frame.payloads.iter().map(|it| it.length as u32).collect(),
                };
                if !is_told {
                    bytes.append(&mut NextField(frame.field).encode());
                }
                bytes.append(&mut header.encode());
                bytes.into_boxed_slice()
            }
        }
    }
}
