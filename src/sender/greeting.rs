//! How a stream begins: what the receiver is told of it, and how it agrees.

use crate::base::{Result, Run};
use crate::frame::Stream;
use crate::link::Connection;
use crate::session::{control::SenderEnd, handshake};
use crate::sink::network::Framing;
use crate::wire::{Colorimetry, Description};

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
    By(Option<SenderEnd>),
    /// A stop came.
    Stopped,
}

/// Tells the receiver what comes.
pub(super) fn greet(
    framing: &Framing,
    connection: &Connection,
    description: &Description,
    run: &mut Run<'_>,
) -> Result<Greeted> {
    match framing {
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
