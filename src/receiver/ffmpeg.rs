//! How ffplay and ffmpeg read a dump.
//!
//! ffmpeg reads raw video without any padding. A frame that is padded is read as a larger
//! picture that has its samples at the same places, and cropped; where there is no such
//! picture there is no command, rather than one that shows something else.

use crate::frame::{Chroma, PAIRED, PlaneLayout, Shape};
use crate::wire::Description;

/// The options that make ffplay and ffmpeg read a dump.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FfmpegOptions {
    /// What goes before `-i DUMP`.
    pub input: String,
    /// What goes after it; may be empty.
    pub filter: String,
    /// What has to be so, where the description doesn't tell.
    pub condition: Option<String>,
}

impl FfmpegOptions {
    /// For a stream whose frames are of the described size. The error says why there are none.
    pub fn new(stream: &Description) -> Result<Self, String> {
        let format = stream.pixel_format;
        let (shape, name) = format
            .in_ffmpeg()
            .ok_or_else(|| format!("ffmpeg knows no way to read {format}"))?;
        let (pixels, bits, chroma) = match shape {
            Shape::Varies => {
                return Ok(FfmpegOptions {
                    input: format!("-f {name}"),
                    filter: String::new(),
                    condition: None,
                });
            }
            Shape::Packed(bits) if format.is_one_of(&PAIRED) => (2, 2 * bits, None),
            Shape::Packed(bits) => (1, bits, None),
            Shape::Planar(bytes, chroma, _) => (1, 8 * bytes, Some(chroma)),
        };
        let components = Components {
            pixels,
            bits: bits.into(),
            chroma,
        };
        let (width, height, condition) = components
            .picture(stream)
            .map_err(|why| format!("no ffplay command shows these frames of {format}: {why}"))?;
        let mut filters = Vec::new();
        if (width, height) != (u128::from(stream.width), u128::from(stream.height)) {
            // Without `exact` odd sizes are rounded down to whole chroma samples.
            let is_odd = (stream.width | stream.height) % 2 == 1;
            let exact = if is_odd { ":exact=1" } else { "" };
            let size = format!("{}:{}", stream.width, stream.height);
            filters.push(format!("crop={size}:0:0{exact}"));
        }
        // ffmpeg has no name for V before U in planes of their own.
        if format.is_one_of(&[b"YV12", b"YM21"]) {
            filters.push("swapuv".to_owned());
        }
        Ok(FfmpegOptions {
            input: format!("-f rawvideo -pixel_format {name} -video_size {width}x{height}"),
            filter: match filters.as_slice() {
                [] => String::new(),
                filters => format!(" -vf {}", filters.join(",")),
            },
            condition,
        })
    }
}

/// The rows of a component plane: where the first begins, and bytes from each to the next.
/// In 128 bits nothing that a peer describes overflows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rows {
    start: u128,
    stride: u128,
}

/// The component planes of a raw format.
struct Components {
    /// Pixels of the first plane that can't be separated, and their bits.
    pixels: u128,
    bits: u128,
    chroma: Option<Chroma>,
}

impl Components {
    /// As ffmpeg lays a picture out, and its bytes.
    fn in_ffmpeg(&self, width: u128, height: u128) -> (Vec<Rows>, u128) {
        let stride = width.div_ceil(self.pixels) * self.bits / 8;
        let mut planes = vec![Rows { start: 0, stride }];
        let mut end = stride * height;
        if let Some(chroma) = self.chroma {
            let together = u128::from(chroma.samples) * self.bits / 8;
            let stride = width.div_ceil(u128::from(chroma.across)) * together;
            for _ in 0..chroma.planes {
                planes.push(Rows { start: end, stride });
                end += stride * height.div_ceil(u128::from(chroma.down));
            }
        }
        (planes, end)
    }

    /// As V4L2 lays a frame out whose first plane has rows of `stride` bytes, and its bytes.
    /// In one memory plane the chroma follows the luma, with rows in proportion.
    fn in_v4l2(
        &self,
        memory: &[PlaneLayout],
        stride: u128,
        height: u128,
    ) -> Result<(Vec<Rows>, u128), String> {
        let mut planes = vec![Rows { start: 0, stride }];
        let mut end = stride * height;
        let mut start = memory.first().map_or(0, bytes);
        let components = 1 + self.chroma.map_or(0, |chroma| chroma.planes as usize);
        if memory.len() != 1 && memory.len() != components {
            let planes = memory.len();
            return Err(format!(
                "they are in {planes} planes, not 1 or {components}"
            ));
        }
        let Some(chroma) = self.chroma else {
            return Ok((planes, end));
        };
        let scaled = stride * u128::from(chroma.samples);
        let across = u128::from(chroma.across);
        let rows = height.div_ceil(u128::from(chroma.down));
        for index in 1..components {
            let own = memory.get(index);
            let stride = match own.and_then(row_bytes) {
                Some(stride) => stride,
                None if scaled % across == 0 => scaled / across,
                None => return Err(format!("rows of {stride} bytes don't divide by {across}")),
            };
            if let Some(own) = own {
                end = start;
                start += bytes(own);
            }
            planes.push(Rows { start: end, stride });
            end += stride * rows;
        }
        Ok((planes, end))
    }

    /// Width and height of the picture that has all samples where the frame has them, and on what
    /// condition it has.
    fn picture(&self, stream: &Description) -> Result<(u128, u128, Option<String>), String> {
        let (width, height) = (u128::from(stream.width), u128::from(stream.height));
        let total = u128::from(stream.frame_bytes());
        let (tight, tight_bytes) = self.in_ffmpeg(width, height);
        let tight_stride = tight.first().map_or(0, |plane| plane.stride);
        let told = stream.planes.first().and_then(row_bytes);
        let (stride, guessed) = match (told, stream.planes.as_slice()) {
            (Some(stride), _) => (stride, false),
            (None, [_]) if tight_bytes != total => {
                // Rows that fill the frame: height and padding are in proportion.
                let wider = total * tight_stride / tight_bytes.max(1);
                let fills = self
                    .in_v4l2(&stream.planes, wider, height)
                    .is_ok_and(|(_, bytes)| bytes == total);
                let whole = wider * 8 % self.bits == 0;
                if fills && whole && wider > tight_stride {
                    (wider, true)
                } else {
                    (tight_stride, false)
                }
            }
            (None, _) => (tight_stride, false),
        };
        if stride < tight_stride {
            return Err(format!("rows of {stride} bytes don't hold {width} pixels"));
        }
        let wide = stride * 8 / self.bits * self.pixels;
        // An odd last pixel has half a pair to itself.
        let is_tight = stride == tight_stride;
        let read_width = if is_tight { width } else { wide };
        let (frame, frame_bytes) = self.in_v4l2(&stream.planes, stride, height)?;
        let (read, read_bytes) = self.in_ffmpeg(read_width, height);
        if read.first() != frame.first() {
            return Err(format!("rows of {stride} bytes are not of whole pixels"));
        }
        if read != frame || read_bytes != frame_bytes {
            return Err("the planes are padded each in its own way".to_owned());
        }
        if frame_bytes > total {
            return Err(format!(
                "they have {total} bytes, where {frame_bytes} are needed"
            ));
        }
        let left = total - frame_bytes;
        if left > 0 && self.chroma.is_none() && told.is_some() && left % stride == 0 {
            return Ok((read_width, height + left / stride, None));
        }
        let condition = if left > 0 {
            Some(format!("if frames have {frame_bytes} bytes, not {total}"))
        } else {
            guessed.then(|| format!("if rows are padded to {stride} bytes"))
        };
        Ok((read_width, height, condition))
    }
}

fn bytes(plane: &PlaneLayout) -> u128 {
    u128::from(plane.sizeimage.get())
}

/// Bytes from row to row, where they are told.
fn row_bytes(plane: &PlaneLayout) -> Option<u128> {
    plane
        .bytesperline
        .filter(|stride| *stride > 0)
        .map(u128::from)
}

#[cfg(test)]
mod tests;
