//! Pixel formats: the fourcc, and how the common ones lie in memory.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::base::{Error, ErrorKind};

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

/// How a format lies in memory, and ffmpeg's name for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    /// One plane of whole pixels of so many bits.
    Packed(&'static str, u32),
    /// One plane of pairs of pixels in four bytes.
    Paired(&'static str),
    /// A plane of luma samples of so many bytes, and the chroma after it.
    Planar(&'static str, u32, Chroma),
    /// As `Planar`, with U and V the other way round.
    PlanarSwapped(&'static str, u32, Chroma),
    /// A byte stream that the demuxer of this name splits into frames.
    Stream(&'static str),
}

/// The planes that follow the luma plane, all alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chroma {
    /// One of both samples, or one each.
    pub planes: u32,
    /// Samples that lie together.
    pub samples: u32,
    /// Pixels that share them in a row.
    pub across: u32,
    /// Rows that share them.
    pub down: u32,
}

const fn interleaved(across: u32, down: u32) -> Chroma {
    Chroma {
        planes: 1,
        samples: 2,
        across,
        down,
    }
}

const fn apart(across: u32, down: u32) -> Chroma {
    Chroma {
        planes: 2,
        samples: 1,
        across,
        down,
    }
}

/// Source: the kernel's "Image Formats" and ffmpeg's libavutil/pixfmt.h.
const KNOWN: &[(&[u8; 4], u32, Known)] = {
    use Known::{Packed, Paired, Planar, PlanarSwapped, Stream};
    &[
        (b"YUYV", 0, Paired("yuyv422")),
        (b"UYVY", 0, Paired("uyvy422")),
        (b"YVYU", 0, Paired("yvyu422")),
        (b"NV12", 0, Planar("nv12", 1, interleaved(2, 2))),
        (b"NV21", 0, Planar("nv21", 1, interleaved(2, 2))),
        (b"NV16", 0, Planar("nv16", 1, interleaved(2, 1))),
        (b"NV24", 0, Planar("nv24", 1, interleaved(1, 1))),
        (b"NV42", 0, Planar("nv42", 1, interleaved(1, 1))),
        (b"P010", 0, Planar("p010le", 2, interleaved(2, 2))),
        (b"P012", 0, Planar("p012le", 2, interleaved(2, 2))),
        (b"YU12", 0, Planar("yuv420p", 1, apart(2, 2))),
        (b"YV12", 0, PlanarSwapped("yuv420p", 1, apart(2, 2))),
        (b"422P", 0, Planar("yuv422p", 1, apart(2, 1))),
        (b"411P", 0, Planar("yuv411p", 1, apart(4, 1))),
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

/// Formats whose planes lie in memory of their own each, and otherwise as the second.
const SEPARATE: &[(&[u8; 4], &[u8; 4])] = &[
    (b"NM12", b"NV12"),
    (b"NM21", b"NV21"),
    (b"NM16", b"NV16"),
    (b"YM12", b"YU12"),
    (b"YM21", b"YV12"),
    (b"YM16", b"422P"),
];

impl Known {
    /// Bits a pixel; None for a stream.
    fn bits(self) -> Option<u32> {
        match self {
            Known::Packed(_, bits) => Some(bits),
            Known::Paired(_) => Some(16),
            Known::Planar(_, bytes, chroma) | Known::PlanarSwapped(_, bytes, chroma) => {
                let luma = 8 * bytes;
                let shared = chroma.across * chroma.down;
                Some(luma + luma * chroma.planes * chroma.samples / shared)
            }
            Known::Stream(_) => None,
        }
    }
}

impl FourCc {
    /// As `known`, for formats in separate memory planes as well.
    pub(crate) fn known_in_any_memory(self) -> Option<Known> {
        SEPARATE
            .iter()
            .find(|(name, _)| u32::from_le_bytes(**name) == self.0)
            .map_or(self, |(_, joined)| FourCc(u32::from_le_bytes(**joined)))
            .known()
    }

    /// Whether it is the big-endian variant of another.
    pub fn is_big_endian(self) -> bool {
        self.0 & BIG_ENDIAN != 0
    }

    /// Whether its planes lie in memory of their own each.
    pub(crate) fn is_in_separate_memory(self) -> bool {
        let mut names = SEPARATE.iter().map(|(name, _)| u32::from_le_bytes(**name));
        names.any(|name| name == self.0)
    }

    fn known(self) -> Option<Known> {
        KNOWN
            .iter()
            .find(|(name, flags, _)| u32::from_le_bytes(**name) | flags == self.0)
            .map(|(_, _, known)| *known)
    }

    /// Bytes of an unpadded frame; None for compressed and unknown formats, and
    /// for sizes that overflow.
    pub fn frame_size(self, width: u32, height: u32) -> Option<u32> {
        let bits = u64::from(width)
            .checked_mul(u64::from(height))?
            .checked_mul(u64::from(self.known()?.bits()?))?;
        u32::try_from(bits.div_ceil(8)).ok()
    }

    /// The raw formats that `frame_size` knows.
    pub fn known_raw() -> impl Iterator<Item = FourCc> {
        KNOWN
            .iter()
            .filter(|(_, _, known)| !matches!(known, Known::Stream(_)))
            .map(|(name, flags, _)| FourCc(u32::from_le_bytes(**name) | flags))
    }
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

    #[test]
    fn sizes_that_overflow_are_unknown() {
        let format: FourCc = "RGB4".parse().unwrap();
        assert_eq!(format.frame_size(u32::MAX, u32::MAX), None);
        assert_eq!(format.frame_size(2, 3), Some(24));
        assert_eq!("NV12".parse::<FourCc>().unwrap().frame_size(2, 2), Some(6));
    }
}
