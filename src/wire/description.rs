//! What a stream is, for those who receive it: a JSON object, so that it tells
//! itself to people and programs alike. Fields that a receiver doesn't know are
//! passed over.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use super::WireError;
use super::v2::StreamHeader;
use crate::frame::{Appearance, Colorimetry, FourCc, MAX_PLANES, PlaneLayout, Stream, field};

/// Bytes of a description at most.
pub const MAX_DESCRIPTION: usize = 64 * 1024;

/// Bytes of a frame at most, headers aside: message lengths have 32 bits.
const MAX_FRAME: u64 = u32::MAX as u64 - 4096;

/// A stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// The V4L2 fourcc's number.
    pub pixel_format: FourCc,
    /// The layout of each memory plane, one to eight.
    pub planes: Vec<PlaneLayout>,
    /// The sender's buffers.
    pub buffers: NonZeroU32,
    /// Seconds from frame to frame as a fraction, as the driver granted.
    pub frame_interval: Option<(u32, NonZeroU32)>,
    /// `enum v4l2_field`
    pub field: Option<u32>,
    /// What the colours mean, as the driver tells it.
    pub colorimetry: Option<Colorimetry>,
    /// `V4L2_BUF_FLAG_TIMESTAMP_*` and `V4L2_BUF_FLAG_TSTAMP_SRC_*` of the buffers.
    pub timestamp_flags: Option<u32>,
    /// The memory that the sender captures into: `dmabuf`, `mmap` or `memfd`.
    pub memory: Option<String>,
    /// The heap that it is from.
    pub heap: Option<String>,
    /// Whether frames leave without a copy.
    pub zero_copy: Option<bool>,
    /// Whether frames carry checksums.
    #[serde(default)]
    pub verify: bool,
    /// Whether UNWRITTEN messages tell of frames that the driver did not write.
    #[serde(default)]
    pub unwritten: bool,
    /// The driver's name.
    pub driver: Option<String>,
    /// The device's name.
    pub card: Option<String>,
    /// Where the device sits.
    pub bus: Option<String>,
    /// What the device can do: `V4L2_CAP_*`.
    pub capabilities: Option<u32>,
    /// What sends, and its version.
    pub tool: Option<String>,
}

impl Description {
    /// How rows and colours are to be understood; None where the sender doesn't tell.
    pub fn appearance(&self) -> Option<Appearance> {
        Some(Appearance {
            field: self.field.unwrap_or(field::UNKNOWN),
            colours: self.colorimetry?,
        })
    }

    /// Of a stream that frames are sent of: whether without a copy, and whether verified.
    pub fn of(stream: &Stream, zero_copy: bool, verify: bool) -> Self {
        let origin = &stream.origin;
        let capability = origin.capability.as_ref();
        let interval = origin.interval.and_then(|interval| {
            let denominator = interval.denominator.try_into().ok()?;
            Some((interval.numerator, denominator))
        });
        Description {
            width: stream.width,
            height: stream.height,
            pixel_format: stream.pixel_format,
            planes: stream.planes.clone(),
            buffers: stream.buffers,
            frame_interval: interval,
            field: origin.appearance.map(|it| it.field),
            colorimetry: origin.appearance.map(|it| it.colours),
            timestamp_flags: origin.timestamp_flags,
            memory: Some(stream.memory.as_ref().to_owned()),
            heap: stream.heap.clone(),
            zero_copy: Some(zero_copy),
            verify,
            unwritten: verify,
            driver: capability.map(|it| it.driver.clone()),
            card: capability.map(|it| it.card.clone()),
            bus: capability.map(|it| it.bus_info.clone()),
            capabilities: capability.map(|it| it.capabilities),
            tool: Some(concat!("v4l-dmabuf ", env!("CARGO_PKG_VERSION")).to_owned()),
        }
    }

    /// As it goes on the wire.
    pub fn encode(&self) -> Result<Vec<u8>, WireError> {
        serde_json::to_vec(self).map_err(|error| WireError::Description(error.to_string()))
    }

    /// From the wire.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let description: Description = serde_json::from_slice(bytes)
            .map_err(|error| WireError::Description(error.to_string()))?;
        if description.width == 0 || description.height == 0 {
            return Err(WireError::ZeroExtent);
        }
        let planes = description.planes.len();
        if planes == 0 || planes > MAX_PLANES {
            let why = format!("it has {planes} planes, and frames have 1 to {MAX_PLANES}");
            return Err(WireError::Description(why));
        }
        if description.frame_bytes() > MAX_FRAME {
            let why = format!("frames of {} bytes", description.frame_bytes());
            return Err(WireError::Description(why));
        }
        Ok(description)
    }

    /// Bytes that a frame has at most.
    pub fn frame_bytes(&self) -> u64 {
        let sizes = self.planes.iter().map(|plane| plane.sizeimage.get());
        sizes.map(u64::from).sum()
    }

    /// Whether each buffer has one field of a frame.
    pub fn alternates(&self) -> bool {
        self.field == Some(field::ALTERNATE)
    }

    /// Buffers that come while one frame does.
    pub fn buffers_a_frame(&self) -> f64 {
        if self.alternates() { 2.0 } else { 1.0 }
    }

    /// Bytes that the sender's buffers have together.
    pub fn pool_bytes(&self) -> u64 {
        self.frame_bytes()
            .saturating_mul(u64::from(self.buffers.get()))
    }

    /// As versions 1 and 2 tell it; None if there is more than one plane.
    pub fn to_v2(&self) -> Option<StreamHeader> {
        match self.planes.as_slice() {
            [plane] => Some(StreamHeader {
                width: self.width,
                height: self.height,
                pixel_format: self.pixel_format,
                sizeimage: plane.sizeimage,
                buffer_count: self.buffers,
            }),
            _ => None,
        }
    }
}

impl From<StreamHeader> for Description {
    fn from(header: StreamHeader) -> Self {
        Description {
            width: header.width,
            height: header.height,
            pixel_format: header.pixel_format,
            planes: vec![PlaneLayout {
                sizeimage: header.sizeimage,
                bytesperline: None,
            }],
            buffers: header.buffer_count,
            frame_interval: None,
            field: None,
            colorimetry: None,
            timestamp_flags: None,
            memory: None,
            heap: None,
            zero_copy: None,
            verify: false,
            unwritten: false,
            driver: None,
            card: None,
            bus: None,
            capabilities: None,
            tool: None,
        }
    }
}
