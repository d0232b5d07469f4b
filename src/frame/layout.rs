//! Where a frame's rows lie in its memory planes, as V4L2 lays raw formats out.
//!
//! Source: the kernel's "Image Formats". A format that isn't listed here is unknown, tiled
//! ones above all: nothing is said of it rather than something wrong.

use std::num::NonZeroU32;

use crate::frame::{Chroma, FourCc, Known, PlaneLayout};

/// Rows of the same length, one below the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rows {
    /// Bytes of the memory plane before the first.
    pub start: u64,
    /// Bytes from the beginning of one to the next.
    pub stride: u64,
    /// Bytes of each, its padding aside.
    pub bytes: u64,
    /// How many.
    pub count: u64,
}

impl Rows {
    /// Bytes up to the last row's end, whose padding nobody needs.
    pub fn end(&self) -> u64 {
        let Some(before) = self.count.checked_sub(1) else {
            return self.start;
        };
        let before = before.saturating_mul(self.stride);
        self.start.saturating_add(before).saturating_add(self.bytes)
    }
}

/// How a stream's frames lie in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layout {
    /// The format is not known.
    Unknown,
    /// Compressed: a frame has as many bytes as it needs.
    Varies,
    /// Raw: the rows in each memory plane.
    Rows(Vec<Vec<Rows>>),
    /// Raw, in another number of memory planes than its format has.
    Scattered,
}

/// What a pixel is made of.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape {
    /// So many bits.
    Packed(u32),
    /// Bytes of a luma sample, the chroma, and whether planes have memory of their own.
    Planar(u32, Chroma, bool),
    Varies,
}

const fn chroma(planes: u32, samples: u32, across: u32, down: u32) -> Chroma {
    Chroma {
        planes,
        samples,
        across,
        down,
    }
}

/// Formats that ffmpeg has no name for, or only in one memory plane.
const OTHERS: &[(&[u8; 4], Shape)] = {
    use Shape::{Packed, Planar, Varies};
    &[
        (b"VYUY", Packed(16)),
        (b"RGB1", Packed(8)),
        (b"RGBQ", Packed(16)),
        (b"BGRH", Packed(18)),
        (b"Y444", Packed(16)),
        (b"YUVO", Packed(16)),
        (b"YUVP", Packed(16)),
        (b"YUV3", Packed(24)),
        (b"YUV4", Packed(32)),
        (b"AYUV", Packed(32)),
        (b"XYUV", Packed(32)),
        (b"VUYA", Packed(32)),
        (b"VUYX", Packed(32)),
        (b"YUVA", Packed(32)),
        (b"YUVX", Packed(32)),
        (b"HSV3", Packed(24)),
        (b"HSV4", Packed(32)),
        (b"Y04 ", Packed(8)),
        (b"Y06 ", Packed(8)),
        (b"Y14 ", Packed(16)),
        (b"Z16 ", Packed(16)),
        (b"Y10P", Packed(10)),
        (b"Y12P", Packed(12)),
        (b"Y14P", Packed(14)),
        (b"BG10", Packed(16)),
        (b"GB10", Packed(16)),
        (b"BA10", Packed(16)),
        (b"RG10", Packed(16)),
        (b"BG12", Packed(16)),
        (b"GB12", Packed(16)),
        (b"BA12", Packed(16)),
        (b"RG12", Packed(16)),
        (b"BG14", Packed(16)),
        (b"GB14", Packed(16)),
        (b"GR14", Packed(16)),
        (b"RG14", Packed(16)),
        (b"pBAA", Packed(10)),
        (b"pGAA", Packed(10)),
        (b"pgAA", Packed(10)),
        (b"pRAA", Packed(10)),
        (b"pBCC", Packed(12)),
        (b"pGCC", Packed(12)),
        (b"pgCC", Packed(12)),
        (b"pRCC", Packed(12)),
        (b"NV61", Planar(1, chroma(1, 2, 2, 1), false)),
        (b"YUV9", Planar(1, chroma(2, 1, 4, 4), false)),
        (b"YVU9", Planar(1, chroma(2, 1, 4, 4), false)),
        (b"NM61", Planar(1, chroma(1, 2, 2, 1), true)),
        (b"YM61", Planar(1, chroma(2, 1, 2, 1), true)),
        (b"YM24", Planar(1, chroma(2, 1, 1, 1), true)),
        (b"YM42", Planar(1, chroma(2, 1, 1, 1), true)),
        (b"H265", Varies),
        (b"AVC1", Varies),
        (b"MPEG", Varies),
        (b"MPG1", Varies),
        (b"H263", Varies),
        (b"XVID", Varies),
        (b"VC1G", Varies),
        (b"VC1L", Varies),
        (b"VP80", Varies),
        (b"VP90", Varies),
        (b"AV1F", Varies),
        (b"FWHT", Varies),
        (b"dvsd", Varies),
    ]
};

pub(super) fn shape(format: FourCc) -> Option<Shape> {
    if let Some(known) = format.known_in_any_memory() {
        return Some(match known {
            Known::Packed(_, bits) => Shape::Packed(bits),
            Known::Paired(_) => Shape::Packed(16),
            Known::Planar(_, bytes, chroma) | Known::PlanarSwapped(_, bytes, chroma) => {
                Shape::Planar(bytes, chroma, format.is_in_separate_memory())
            }
            Known::Stream(_) => Shape::Varies,
        });
    }
    let mut others = OTHERS.iter();
    others
        .find(|(name, _)| u32::from_le_bytes(**name) == format.0)
        .map(|(_, shape)| *shape)
}

/// Whether frames of a format have as many bytes as they need.
pub fn is_compressed(format: FourCc) -> bool {
    matches!(shape(format), Some(Shape::Varies))
}

/// Bytes of each memory plane of an unpadded frame. None for compressed and unknown formats, and
/// for sizes that overflow.
pub fn plane_sizes(width: u32, height: u32, format: FourCc) -> Option<Vec<NonZeroU32>> {
    if let Some(size) = format.frame_size(width, height) {
        return Some(vec![NonZeroU32::new(size)?]);
    }
    let Some(Shape::Planar(bytes, chroma, true)) = shape(format) else {
        return None;
    };
    let (width, height) = (u64::from(width), u64::from(height));
    let plane = |across: u64, down: u64, samples: u32| {
        let row = (width / across).checked_mul(u64::from(bytes * samples))?;
        let size = row.checked_mul(height / down)?;
        NonZeroU32::new(u32::try_from(size).ok()?)
    };
    let luma = std::iter::once(plane(1, 1, 1));
    let (across, down) = (u64::from(chroma.across), u64::from(chroma.down));
    let chroma = (0..chroma.planes).map(|_| plane(across, down, chroma.samples));
    luma.chain(chroma).collect()
}

impl Layout {
    /// Of frames of a size, a format, and memory planes of such sizes and strides. Where the
    /// stride is unknown, or can't be, rows are not padded.
    ///
    /// Chroma samples that the picture has not wholly below them are left out: drivers differ
    /// in whether there are any. What a peer describes may be too much for 64 bits, and is then
    /// more than any frame has.
    pub fn new(width: u32, height: u32, format: FourCc, planes: &[PlaneLayout]) -> Self {
        let (width, height) = (u64::from(width), u64::from(height));
        let rows = |plane: &PlaneLayout, bytes: u64, count: u64| Rows {
            start: 0,
            stride: u64::from(plane.bytesperline.unwrap_or(0)).max(bytes),
            bytes,
            count,
        };
        match (shape(format), planes) {
            (None, _) => Layout::Unknown,
            (Some(Shape::Varies), _) => Layout::Varies,
            (Some(Shape::Packed(bits)), [plane]) => {
                let bytes = (width * u64::from(bits)).div_ceil(8);
                Layout::Rows(vec![vec![rows(plane, bytes, height)]])
            }
            (Some(Shape::Planar(bytes, chroma, apart)), [first, others @ ..])
                if others.len() == if apart { chroma.planes as usize } else { 0 } =>
            {
                let sample = u64::from(bytes);
                let luma = rows(first, width * sample, height);
                let samples = u64::from(chroma.samples);
                let bytes = width / u64::from(chroma.across) * sample * samples;
                let count = height / u64::from(chroma.down);
                if apart {
                    let others = others.iter().map(|plane| vec![rows(plane, bytes, count)]);
                    return Layout::Rows([vec![luma]].into_iter().chain(others).collect());
                }
                // In one memory plane rows are in proportion to those of the luma.
                let stride = (luma.stride * samples / u64::from(chroma.across)).max(bytes);
                let after_luma = luma.stride.saturating_mul(height);
                let each = stride.saturating_mul(count);
                let chroma = (0..u64::from(chroma.planes)).map(|index| Rows {
                    start: after_luma.saturating_add(each.saturating_mul(index)),
                    stride,
                    bytes,
                    count,
                });
                Layout::Rows(vec![[luma].into_iter().chain(chroma).collect()])
            }
            (Some(Shape::Packed(_) | Shape::Planar(..)), _) => Layout::Scattered,
        }
    }
}
