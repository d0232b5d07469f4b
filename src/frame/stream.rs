//! What the frames of a run are, as the driver grants it.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use crate::frame::FourCc;
use crate::memory::MemoryUsed;
use crate::videodev2 as sys;

/// What the frames of a run are, and the memory that they are in.
#[derive(Debug, Clone)]
pub struct Stream {
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// The pixel format.
    pub pixel_format: FourCc,
    /// The layout of each memory plane.
    pub planes: Vec<PlaneLayout>,
    /// This side's buffers.
    pub buffers: NonZeroU32,
    /// The memory that is used.
    pub memory: MemoryUsed,
    /// The heap that it is from; None for a driver's own memory.
    pub heap: Option<String>,
    /// Bytes a second at which the CPU reads this memory; None if it is not known.
    pub read_rate: Option<f64>,
    /// What a driver tells of it.
    pub origin: Origin,
}

/// What a driver tells of a stream.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    /// From frame to frame; None where there is no rate.
    pub interval: Option<Interval>,
    /// How rows and colours are to be understood.
    pub appearance: Option<Appearance>,
    /// What the buffers' flags say of timestamps.
    pub timestamp_flags: Option<u32>,
    /// Who tells it.
    pub capability: Option<Capability>,
}

impl Stream {
    /// Bytes that a frame has at most.
    pub fn frame_bytes(&self) -> u64 {
        let sizes = self.planes.iter().map(|plane| plane.sizeimage.get());
        sizes.map(u64::from).sum()
    }
}

/// The layout of a memory plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaneLayout {
    /// Bytes: no frame has more in this plane.
    pub sizeimage: NonZeroU32,
    /// Bytes from a row to the next; None where that is unknown, 0 for compressed formats.
    pub bytesperline: Option<u32>,
}

/// How a frame's rows and colours are to be understood, in V4L2's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Appearance {
    /// `enum v4l2_field`
    pub field: u32,
    /// The colours.
    pub colours: Colorimetry,
}

/// `enum v4l2_colorspace` and what goes with it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Colorimetry {
    /// `enum v4l2_colorspace`
    pub colorspace: u32,
    /// `enum v4l2_xfer_func`
    pub transfer: u32,
    /// `enum v4l2_ycbcr_encoding`, or of HSV.
    pub encoding: u32,
    /// `enum v4l2_quantization`
    pub quantization: u32,
}

/// A frame interval in seconds, as a fraction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval {
    /// Seconds, times `denominator`.
    pub numerator: u32,
    /// Never 0 in what a driver grants; a driver that says so has no rate.
    pub denominator: u32,
}

impl Interval {
    /// The interval of so many frames a second, to a thousandth of a frame.
    pub fn of_rate(fps: f64) -> Self {
        let thousandths = (fps * 1000.0).round().clamp(1.0, f64::from(u32::MAX));
        Interval {
            numerator: 1000,
            denominator: thousandths as u32,
        }
    }

    /// Frames a second; None for an interval that has no rate.
    pub fn rate(self) -> Option<f64> {
        (self.numerator != 0 && self.denominator != 0)
            .then(|| f64::from(self.denominator) / f64::from(self.numerator))
    }
}

/// What VIDIOC_QUERYCAP tells.
#[derive(Debug, Clone)]
pub struct Capability {
    /// The driver's name, such as `vivid` or `uvcvideo`.
    pub driver: String,
    /// The device's name.
    pub card: String,
    /// Where the device sits.
    pub bus_info: String,
    /// The capabilities of this node (`device_caps` where the driver has them).
    pub capabilities: u32,
}

impl Capability {
    /// Whether what is before the node is set by way of the Media Controller.
    pub fn has_media_controller(&self) -> bool {
        self.capabilities & sys::V4L2_CAP_IO_MC != 0
    }

    /// Whether the node has streaming I/O (REQBUFS and what follows).
    pub fn can_stream(&self) -> bool {
        self.capabilities & sys::V4L2_CAP_STREAMING != 0
    }
}
