//! How a stream begins, and how its frames' headers look, in the version spoken.

use crate::base::error::{Error, ErrorKind, Result};
use crate::base::run::Run;
use crate::frame::field;
use crate::frame::pool::Lease;
use crate::frame::stream::Stream;
use crate::link::Connection;
use crate::measure::passage::Passage;
use crate::measure::verify::Inspection;
use crate::sender::Protocol;
use crate::session::control::Asking;
use crate::session::handshake;
use crate::wire::v3::{NextField, Unwritten};
use crate::wire::{Colorimetry, Description, Version, v2, v3};

/// What a receiver is told of a stream.
pub(crate) fn describe(stream: &Stream, zero_copy: bool, verify: bool) -> Result<Description> {
    let origin = &stream.origin;
    let capability = origin.capability.as_ref();
    let interval = origin.interval.and_then(|interval| {
        let denominator = interval.denominator.try_into().ok()?;
        Some((interval.numerator, denominator))
    });
    Ok(Description {
        width: stream.width,
        height: stream.height,
        pixel_format: stream.pixel_format,
        planes: stream.planes.clone(),
        buffers: stream.buffers,
        frame_interval: interval,
        field: origin.appearance.map(|it| it.field),
        colorimetry: origin.appearance.map(|it| Colorimetry {
            colorspace: it.colorspace,
            transfer: it.transfer,
            encoding: it.encoding,
            quantization: it.quantization,
        }),
        timestamp_flags: origin.timestamp_flags,
        memory: Some(stream.memory.name().to_owned()),
        heap: stream.heap.clone(),
        zero_copy: Some(zero_copy),
        verify,
        unwritten: verify,
        driver: capability.map(|it| it.driver.clone()),
        card: capability.map(|it| it.card.clone()),
        bus: capability.map(|it| it.bus_info.clone()),
        capabilities: capability.map(|it| it.capabilities),
        tool: Some(concat!("v4l-dmabuf ", env!("CARGO_PKG_VERSION")).to_owned()),
    })
}

/// What a greeting came to.
pub(super) enum Greeted {
    /// The receiver waits for frames; its control connection in version 3.
    By(Option<Asking>),
    /// A stop came.
    Stopped,
}

/// How a stream looks on the wire.
pub(super) enum Framing {
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
    pub(super) fn new(protocol: Protocol, description: &Description) -> Result<Self> {
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
        match protocol {
            Protocol::V3 => Ok(Framing::V3 {
                field: description.field,
            }),
            Protocol::V1 => by(Version::V1),
            Protocol::V2 => by(Version::V2),
        }
    }

    pub(super) fn version(&self) -> Version {
        match self {
            Framing::V2(version, _) => *version,
            Framing::V3 { .. } => Version::V3,
        }
    }

    pub(super) fn greet(
        &self,
        connection: &Connection,
        description: &Description,
        run: &mut Run<'_>,
    ) -> Result<Greeted> {
        match self {
            Framing::V2(version, header) => {
                let mut hello = version.preamble().to_vec();
                hello.extend_from_slice(&header.encode());
                connection.send_bytes(run, &hello)?;
                Ok(Greeted::By(None))
            }
            Framing::V3 { .. } => Ok(match handshake::offer(connection, description, run)? {
                Some(control) => Greeted::By(Some(control)),
                None => Greeted::Stopped,
            }),
        }
    }

    pub(super) fn header(
        &self,
        lease: &Lease,
        passage: &Passage,
        found: Option<&Inspection>,
    ) -> Box<[u8]> {
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
                    counter: passage.counter,
                    sequence: frame.sequence,
                    timestamp: frame.timestamp.nanoseconds(),
                    captured: passage.captured,
                    dequeued: passage.dequeued,
                    handed: passage.handed,
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
