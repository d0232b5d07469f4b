//! Where a frame's rows lie in its memory planes, as V4L2 lays raw formats out.
//!
//! Source: the kernel's "Image Formats".

use std::num::NonZeroU32;

use crate::frame::{FourCc, PlaneLayout, formats::Shape};

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

/// Whether frames of a format have as many bytes as they need.
pub fn is_compressed(format: FourCc) -> bool {
    matches!(format.shape(), Some(Shape::Varies))
}

/// Bytes of each memory plane of an unpadded frame. None for compressed and unknown formats, and
/// for sizes that overflow.
pub fn plane_sizes(width: u32, height: u32, format: FourCc) -> Option<Vec<NonZeroU32>> {
    if let Some(size) = format.frame_size(width, height) {
        return Some(vec![NonZeroU32::new(size)?]);
    }
    let Some(Shape::Planar(bytes, chroma, true)) = format.shape() else {
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
        match (format.shape(), planes) {
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
