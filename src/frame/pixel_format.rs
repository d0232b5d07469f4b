//! Pixel formats: the fourcc, and what is known by it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::base::{Error, ErrorKind};
use crate::frame::formats::{self, Shape};

/// A V4L2 pixel format's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FourCc(pub u32);

/// The bit that V4L2 sets in a format's big-endian variant (`v4l2_fourcc_be`).
pub(super) const BIG_ENDIAN: u32 = 1 << 31;

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
        if !name.iter().all(|byte| matches!(byte, b' '..=b'~')) {
            return write!(f, "{:#010x}", self.0);
        }
        let variant = if self.is_big_endian() { "-BE" } else { "" };
        write!(f, "{}{variant}", String::from_utf8_lossy(&name))
    }
}

impl FourCc {
    /// The little-endian format of this name.
    const fn of(name: &[u8; 4]) -> Self {
        FourCc(u32::from_le_bytes(*name))
    }

    /// Whether it is the big-endian variant of another.
    pub fn is_big_endian(self) -> bool {
        self.0 & BIG_ENDIAN != 0
    }

    pub(crate) fn is_one_of(self, names: &[&[u8; 4]]) -> bool {
        names.iter().any(|name| FourCc::of(name) == self)
    }

    /// What its pixels are made of; None for formats that are not known.
    pub(crate) fn shape(self) -> Option<Shape> {
        let (joined, is_apart) = self.joined();
        match joined.known() {
            Some((Shape::Planar(bytes, chroma, _), _)) => {
                Some(Shape::Planar(bytes, chroma, is_apart))
            }
            Some((shape, _)) => Some(shape),
            None => formats::OTHERS
                .iter()
                .find(|(_, names)| self.is_one_of(names))
                .map(|(shape, _)| *shape),
        }
    }

    /// As `shape`, with ffmpeg's name for it, if it has one.
    pub(crate) fn in_ffmpeg(self) -> Option<(Shape, &'static str)> {
        self.joined().0.known()
    }

    /// The format with its planes in one memory plane, and whether that is another one.
    fn joined(self) -> (Self, bool) {
        let mut separate = formats::SEPARATE.iter();
        match separate.find(|(name, _)| FourCc::of(name) == self) {
            Some((_, joined)) => (FourCc::of(joined), true),
            None => (self, false),
        }
    }

    fn known(self) -> Option<(Shape, &'static str)> {
        let mut known = formats::KNOWN.iter();
        known
            .find(|(name, flags, ..)| FourCc::of(name).0 | flags == self.0)
            .map(|(_, _, shape, name)| (*shape, *name))
    }

    /// Bytes of an unpadded frame; None for compressed and unknown formats, for those of several
    /// memory planes, and for sizes that overflow.
    pub fn frame_size(self, width: u32, height: u32) -> Option<u32> {
        let (shape, _) = self.known()?;
        let bits = u64::from(width)
            .checked_mul(u64::from(height))?
            .checked_mul(u64::from(shape.bits()?))?;
        u32::try_from(bits.div_ceil(8)).ok()
    }

    /// The raw formats that `frame_size` knows.
    pub fn known_raw() -> impl Iterator<Item = FourCc> {
        let known = formats::KNOWN.iter();
        known
            .filter(|(_, _, shape, _)| !matches!(shape, Shape::Varies))
            .map(|(name, flags, ..)| FourCc(FourCc::of(name).0 | flags))
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
