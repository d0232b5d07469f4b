//! A stream in GStreamer's words: its caps, and the layout that they imply.
//!
//! Without a GstVideoMeta a reader takes rows to lie as `gst_video_info_set_format` lays them:
//! rows of a multiple of four bytes, and planes one behind the other.

use std::num::NonZeroU32;

use super::colorimetry::colorimetry;
use crate::frame::{FourCc, Layout, Rows};
use crate::videodev2 as sys;
use crate::wire::Description;

/// GStreamer's caps for a V4L2 format.
enum Caps {
    /// `video/x-raw` of this format.
    Raw(&'static str),
    /// Eight bits a pixel, in this order of colours.
    Bayer(&'static str),
    /// Compressed.
    Media(&'static str),
}

/// Source: GStreamer's documentation of its raw video formats, and the kernel's "Image Formats".
const FORMATS: &[(&str, Caps)] = {
    use Caps::{Bayer, Media, Raw};
    &[
        ("YUYV", Raw("YUY2")),
        ("UYVY", Raw("UYVY")),
        ("YVYU", Raw("YVYU")),
        ("VYUY", Raw("VYUY")),
        ("NV12", Raw("NV12")),
        ("NM12", Raw("NV12")),
        ("NV21", Raw("NV21")),
        ("NM21", Raw("NV21")),
        ("NV16", Raw("NV16")),
        ("NM16", Raw("NV16")),
        ("NV61", Raw("NV61")),
        ("NM61", Raw("NV61")),
        ("NV24", Raw("NV24")),
        ("P010", Raw("P010_10LE")),
        ("P012", Raw("P012_LE")),
        ("YU12", Raw("I420")),
        ("YM12", Raw("I420")),
        ("YV12", Raw("YV12")),
        ("YM21", Raw("YV12")),
        ("422P", Raw("Y42B")),
        ("YM16", Raw("Y42B")),
        ("411P", Raw("Y41B")),
        ("YM24", Raw("Y444")),
        ("GREY", Raw("GRAY8")),
        ("Y16 ", Raw("GRAY16_LE")),
        ("Y16 -BE", Raw("GRAY16_BE")),
        ("RGB3", Raw("RGB")),
        ("BGR3", Raw("BGR")),
        ("RGBP", Raw("RGB16")),
        ("XR15", Raw("RGB15")),
        ("BGR4", Raw("BGRx")),
        ("XR24", Raw("BGRx")),
        ("AR24", Raw("BGRA")),
        ("RGB4", Raw("xRGB")),
        ("BX24", Raw("xRGB")),
        ("BA24", Raw("ARGB")),
        ("XB24", Raw("RGBx")),
        ("AB24", Raw("RGBA")),
        ("RX24", Raw("xBGR")),
        ("RA24", Raw("ABGR")),
        ("BA81", Bayer("bggr")),
        ("GBRG", Bayer("gbrg")),
        ("GRBG", Bayer("grbg")),
        ("RGGB", Bayer("rggb")),
        ("MJPG", Media("image/jpeg")),
        ("JPEG", Media("image/jpeg")),
        (
            "H264",
            Media("video/x-h264, stream-format=(string)byte-stream, alignment=(string)au"),
        ),
        (
            "HEVC",
            Media("video/x-h265, stream-format=(string)byte-stream, alignment=(string)au"),
        ),
        ("VP80", Media("video/x-vp8")),
        ("VP90", Media("video/x-vp9")),
    ]
};

/// A stream, as clients are told of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Media {
    /// What its frames are.
    pub(super) caps: String,
    /// Bytes that a frame has in each memory plane; None of compressed ones, which have what
    /// they need.
    pub(super) sizes: Option<Vec<usize>>,
    /// Nanoseconds from frame to frame, if it has a rate.
    pub(super) duration: Option<u64>,
    /// Which of a frame's fields is the earlier one, if it has two.
    pub(super) fields: Option<TopFirst>,
}

/// Whether the top field is the earlier one.
pub(super) type TopFirst = bool;

impl Media {
    /// Of a stream. The error says why clients can't be told of it.
    pub(super) fn of(stream: &Description) -> Result<Self, String> {
        let name = stream.pixel_format.to_string();
        let mut formats = FORMATS.iter();
        let found = formats.find(|(format, _)| *format == name);
        let (_, of) = found.ok_or_else(|| format!("GStreamer has no name for {name}"))?;
        let fields = fields(stream.field)?;
        let mode = match fields {
            None => "interlace-mode=(string)progressive".to_owned(),
            Some(true) => interleaved("top-field-first"),
            Some(false) => interleaved("bottom-field-first"),
        };
        let mut parts = match of {
            Caps::Raw(format) => vec![
                format!("video/x-raw, format=(string){format}"),
                mode,
                "pixel-aspect-ratio=(fraction)1/1".to_owned(),
            ],
            Caps::Bayer(order) => vec![format!("video/x-bayer, format=(string){order}")],
            Caps::Media(media) => vec![(*media).to_owned()],
        };
        parts.push(format!("width=(int){}", stream.width));
        parts.push(format!("height=(int){}", stream.height));
        // An interval of no time is no rate.
        let interval = stream.frame_interval.filter(|(of, _)| *of > 0);
        parts.push(format!("framerate=(fraction){}", rate(interval)));
        if let Caps::Raw(name_in_caps) = of {
            let is_rgb = name_in_caps.contains("RGB") || name_in_caps.contains("BGR");
            let colours = stream.colorimetry.and_then(|it| colorimetry(it, is_rgb));
            parts.extend(colours.map(|it| format!("colorimetry=(string){it}")));
        }
        let duration = interval.map(|(of, a)| u64::from(of) * 1_000_000_000 / u64::from(a.get()));
        Ok(Media {
            caps: parts.join(", "),
            sizes: sizes(stream)?,
            duration,
            fields,
        })
    }
}

fn interleaved(order: &str) -> String {
    format!("interlace-mode=(string)interleaved, field-order=(string){order}")
}

fn fields(field: Option<u32>) -> Result<Option<TopFirst>, String> {
    match field {
        None | Some(sys::V4L2_FIELD_ANY | sys::V4L2_FIELD_NONE) => Ok(None),
        // Of plain "interlaced" the order depends on the TV standard: 625 lines begin at the top.
        Some(sys::V4L2_FIELD_INTERLACED | sys::V4L2_FIELD_INTERLACED_TB) => Ok(Some(true)),
        Some(sys::V4L2_FIELD_INTERLACED_BT) => Ok(Some(false)),
        Some(other) => Err(format!(
            "its fields ({}) lie as caps can't say",
            crate::frame::field::name(other)
        )),
    }
}

/// Frames a second as a fraction; 0/1 is GStreamer's word for a rate that varies.
fn rate(interval: Option<(u32, NonZeroU32)>) -> String {
    let varies = "0/1".to_owned();
    let Some((of, a)) = interval else {
        return varies;
    };
    let (mut larger, mut divisor) = (of, a.get());
    while larger % divisor != 0 {
        (larger, divisor) = (divisor, larger % divisor);
    }
    // GStreamer's fractions are of 31 bits.
    match (
        i32::try_from(a.get() / divisor),
        i32::try_from(of / divisor),
    ) {
        (Ok(frames), Ok(seconds)) => format!("{frames}/{seconds}"),
        _ => varies,
    }
}

/// Bytes of each memory plane, where frames lie as the caps imply.
fn sizes(stream: &Description) -> Result<Option<Vec<usize>>, String> {
    let Description {
        width,
        height,
        pixel_format,
        planes,
        ..
    } = stream;
    let memory = match Layout::new(*width, *height, *pixel_format, planes) {
        Layout::Rows(memory) => memory,
        Layout::Varies => return Ok(None),
        Layout::Unknown | Layout::Scattered => {
            return Err(format!("the layout of {pixel_format} frames is not known"));
        }
    };
    let is_planar = memory.iter().map(Vec::len).sum::<usize>() > 1;
    if is_planar && (width % 2 != 0 || height % 2 != 0) {
        return Err(format!(
            "GStreamer has more chroma samples in {width}x{height} {pixel_format} frames"
        ));
    }
    let mut sizes = Vec::with_capacity(memory.len());
    for rows in &memory {
        let mut size = 0_u64;
        for plane in rows {
            size = laid_as_implied(plane, size, *width, *pixel_format)?;
        }
        let size = usize::try_from(size).map_err(|_| "frames are too large".to_owned())?;
        sizes.push(size);
    }
    Ok(Some(sizes))
}

/// The end of a colour plane that begins at `start`, if it lies as the caps imply.
fn laid_as_implied(plane: &Rows, start: u64, width: u32, format: FourCc) -> Result<u64, String> {
    let implied = plane.bytes.next_multiple_of(4);
    if plane.stride != implied {
        return Err(format!(
            "its rows have {} bytes, and those of {width} pixels of {format} have {implied} in \
             GStreamer",
            plane.stride
        ));
    }
    if plane.start != start {
        return Err(format!(
            "there is a gap of bytes between the planes of {format}"
        ));
    }
    Ok(start.saturating_add(implied.saturating_mul(plane.count)))
}

#[cfg(test)]
mod tests;
