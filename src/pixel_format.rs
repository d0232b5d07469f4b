//! Pixel formats: the fourcc, and what is known of the common ones.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind};

/// A V4L2 pixel format's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FourCc(pub u32);

/// The bit that V4L2 sets in a format's big-endian variant (`v4l2_fourcc_be`).
const BIG_ENDIAN: u32 = 1 << 31;

impl FromStr for FourCc {
    type Err = Error;

    /// Four printable ASCII characters, such as `YUYV` or `Y16 `; `-BE` may follow.
    fn from_str(text: &str) -> Result<Self, Error> {
        let (name, big_endian) = match text.strip_suffix("-BE") {
            Some(name) => (name, BIG_ENDIAN),
            None => (text, 0),
        };
        match <[u8; 4]>::try_from(name.as_bytes()) {
            Ok(bytes) if bytes.iter().all(|byte| matches!(byte, b' '..=b'~')) => {
                Ok(FourCc(u32::from_le_bytes(bytes) | big_endian))
            }
            _ => Err(
                Error::new(ErrorKind::Format, format!("use {text:?} as a pixel format"))
                    .cause("a pixel format is four characters")
                    .next("pad a shorter one with spaces, as in \"Y16 \""),
            ),
        }
    }
}

impl fmt::Display for FourCc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = (self.0 & !BIG_ENDIAN).to_le_bytes();
        if name.iter().all(|byte| matches!(byte, b' '..=b'~')) {
            f.write_str(&String::from_utf8_lossy(&name))?;
            if self.0 & BIG_ENDIAN != 0 {
                f.write_str("-BE")?;
            }
            Ok(())
        } else {
            write!(f, "{:#010x}", self.0)
        }
    }
}

/// How a dump of a format is read: ffmpeg's name for it, and bits a pixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    /// One plane of whole pixels.
    Packed(&'static str, u32),
    /// Several planes in one memory plane.
    Planar(&'static str, u32),
    /// As `Planar`, with U and V the other way round.
    PlanarSwapped(&'static str, u32),
    /// A byte stream that the demuxer of this name splits into frames.
    Stream(&'static str),
}

/// Source: the kernel's "Image Formats" and ffmpeg's libavutil/pixfmt.h.
const KNOWN: &[(&[u8; 4], u32, Known)] = {
    use Known::{Packed, Planar, PlanarSwapped, Stream};
    &[
        (b"YUYV", 0, Packed("yuyv422", 16)),
        (b"UYVY", 0, Packed("uyvy422", 16)),
        (b"YVYU", 0, Packed("yvyu422", 16)),
        (b"NV12", 0, Planar("nv12", 12)),
        (b"NV21", 0, Planar("nv21", 12)),
        (b"NV16", 0, Planar("nv16", 16)),
        (b"NV24", 0, Planar("nv24", 24)),
        (b"NV42", 0, Planar("nv42", 24)),
        (b"P010", 0, Planar("p010le", 24)),
        (b"P012", 0, Planar("p012le", 24)),
        (b"YU12", 0, Planar("yuv420p", 12)),
        (b"YV12", 0, PlanarSwapped("yuv420p", 12)),
        (b"422P", 0, Planar("yuv422p", 16)),
        (b"411P", 0, Planar("yuv411p", 12)),
        (b"RGB3", 0, Packed("rgb24", 24)),
        (b"BGR3", 0, Packed("bgr24", 24)),
        (b"RGB4", 0, Packed("0rgb", 32)),
        (b"BA24", 0, Packed("argb", 32)),
        (b"BX24", 0, Packed("0rgb", 32)),
        (b"BGR4", 0, Packed("bgr0", 32)),
        (b"AR24", 0, Packed("bgra", 32)),
        (b"XR24", 0, Packed("bgr0", 32)),
        (b"AB24", 0, Packed("rgba", 32)),
        (b"XB24", 0, Packed("rgb0", 32)),
        (b"RA24", 0, Packed("abgr", 32)),
        (b"RX24", 0, Packed("0bgr", 32)),
        (b"RGBP", 0, Packed("rgb565le", 16)),
        (b"RGBR", 0, Packed("rgb565be", 16)),
        (b"RGBO", 0, Packed("rgb555le", 16)),
        (b"AR15", 0, Packed("rgb555le", 16)),
        (b"XR15", 0, Packed("rgb555le", 16)),
        (b"R444", 0, Packed("rgb444le", 16)),
        (b"AR12", 0, Packed("rgb444le", 16)),
        (b"XR12", 0, Packed("rgb444le", 16)),
        (b"GREY", 0, Packed("gray", 8)),
        (b"Y10 ", 0, Packed("gray10le", 16)),
        (b"Y12 ", 0, Packed("gray12le", 16)),
        (b"Y16 ", 0, Packed("gray16le", 16)),
        (b"Y16 ", BIG_ENDIAN, Packed("gray16be", 16)),
        (b"BA81", 0, Packed("bayer_bggr8", 8)),
        (b"GBRG", 0, Packed("bayer_gbrg8", 8)),
        (b"GRBG", 0, Packed("bayer_grbg8", 8)),
        (b"RGGB", 0, Packed("bayer_rggb8", 8)),
        (b"BYR2", 0, Packed("bayer_bggr16le", 16)),
        (b"GB16", 0, Packed("bayer_gbrg16le", 16)),
        (b"GR16", 0, Packed("bayer_grbg16le", 16)),
        (b"RG16", 0, Packed("bayer_rggb16le", 16)),
        (b"MJPG", 0, Stream("mjpeg")),
        (b"JPEG", 0, Stream("mjpeg")),
        (b"H264", 0, Stream("h264")),
        (b"HEVC", 0, Stream("hevc")),
        (b"MPG2", 0, Stream("mpegvideo")),
        (b"MPG4", 0, Stream("m4v")),
    ]
};

impl FourCc {
    fn known(self) -> Option<Known> {
        KNOWN
            .iter()
            .find(|(name, flags, _)| u32::from_le_bytes(**name) | flags == self.0)
            .map(|(_, _, known)| *known)
    }

    /// Bytes of an unpadded frame; None for compressed and unknown formats, and
    /// for sizes that overflow.
    pub fn frame_size(self, width: u32, height: u32) -> Option<u32> {
        match self.known()? {
            Known::Packed(_, bits) | Known::Planar(_, bits) | Known::PlanarSwapped(_, bits) => {
                let bits = u64::from(width)
                    .checked_mul(u64::from(height))?
                    .checked_mul(u64::from(bits))?;
                u32::try_from(bits.div_ceil(8)).ok()
            }
            Known::Stream(_) => None,
        }
    }

    /// The raw formats that `frame_size` knows.
    pub fn known_raw() -> impl Iterator<Item = FourCc> {
        KNOWN
            .iter()
            .filter(|(_, _, known)| !matches!(known, Known::Stream(_)))
            .map(|(name, flags, _)| FourCc(u32::from_le_bytes(**name) | flags))
    }
}

/// The options that make ffplay and ffmpeg read a dump.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FfmpegOptions {
    /// What goes before `-i DUMP`.
    pub input: String,
    /// What goes after it; may be empty.
    pub filter: String,
}

impl FfmpegOptions {
    /// None for a format that ffmpeg doesn't know. Where `sizeimage` tells of
    /// padded rows in a packed format, the padding is read and cropped.
    pub fn new(format: FourCc, width: u32, height: u32, sizeimage: u32) -> Option<Self> {
        let mut filters = Vec::new();
        let mut read_width = width;
        let name = match format.known()? {
            Known::Stream(name) => {
                return Some(FfmpegOptions {
                    input: format!("-f {name}"),
                    filter: String::new(),
                });
            }
            Known::Packed(name, bits) => {
                if let Some(padded) = padded_width(width, height, sizeimage, bits) {
                    read_width = padded;
                    filters.push(format!("crop={width}:{height}:0:0"));
                }
                name
            }
            Known::Planar(name, _) => name,
            Known::PlanarSwapped(name, _) => {
                filters.push("swapuv".to_owned());
                name
            }
        };
        Some(FfmpegOptions {
            input: format!("-f rawvideo -pixel_format {name} -video_size {read_width}x{height}"),
            filter: if filters.is_empty() {
                String::new()
            } else {
                format!(" -vf {}", filters.join(","))
            },
        })
    }
}

/// Pixels a row, if the frame is wider than its pixels need and made of whole
/// rows of whole pixels.
fn padded_width(width: u32, height: u32, sizeimage: u32, bits: u32) -> Option<u32> {
    let row = sizeimage.checked_div(height)?;
    let pixels = row.checked_mul(8)? / bits;
    let whole = row * height == sizeimage && pixels * bits == row * 8;
    (whole && pixels > width).then_some(pixels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive() {
        for name in ["YUYV", "Y16 ", "Y16 -BE", "NV12"] {
            let format: FourCc = name.parse().unwrap();
            assert_eq!(format.to_string(), name);
        }
        assert_eq!("YUYV".parse::<FourCc>().unwrap(), FourCc(0x5659_5559));
        for name in ["", "YUY", "YUYVX", "Y\u{fc}Y", "YUY\n"] {
            assert!(name.parse::<FourCc>().is_err(), "{name:?} was taken");
        }
        assert_eq!(FourCc(1).to_string(), "0x00000001");
    }

    fn options(name: &str, width: u32, height: u32, sizeimage: u32) -> String {
        FfmpegOptions::new(name.parse().unwrap(), width, height, sizeimage)
            .map(|options| format!("{} -i X{}", options.input, options.filter))
            .unwrap_or_default()
    }

    #[test]
    fn ffmpeg_is_told_what_the_dump_is() {
        assert_eq!(
            options("YUYV", 640, 480, 614_400),
            "-f rawvideo -pixel_format yuyv422 -video_size 640x480 -i X"
        );
        assert_eq!(
            options("YV12", 640, 480, 460_800),
            "-f rawvideo -pixel_format yuv420p -video_size 640x480 -i X -vf swapuv"
        );
        assert_eq!(options("MJPG", 640, 480, 614_400), "-f mjpeg -i X");
        assert_eq!(options("XXXX", 640, 480, 614_400), "");
    }

    #[test]
    fn padded_rows_are_cropped() {
        assert_eq!(
            options("YUYV", 600, 480, 614_400),
            "-f rawvideo -pixel_format yuyv422 -video_size 640x480 -i X -vf crop=600:480:0:0"
        );
        assert_eq!(
            options("YUYV", 600, 480, 614_401),
            "-f rawvideo -pixel_format yuyv422 -video_size 600x480 -i X"
        );
        assert_eq!(
            options("GREY", 0, 0, 10),
            "-f rawvideo -pixel_format gray -video_size 0x0 -i X"
        );
    }

    #[test]
    fn sizes_that_overflow_are_unknown() {
        let format: FourCc = "RGB4".parse().unwrap();
        assert_eq!(format.frame_size(u32::MAX, u32::MAX), None);
        assert_eq!(format.frame_size(2, 3), Some(24));
        assert_eq!("NV12".parse::<FourCc>().unwrap().frame_size(2, 2), Some(6));
    }
}
