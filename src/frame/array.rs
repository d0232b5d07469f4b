//! A frame as arrays: where an element of a picture lies in its memory planes.
//!
//! The shapes are those that OpenCV has for a format. What a frame does not wholly have is no
//! array: the bytes behind a short payload are an older frame's.

use crate::frame::{Chroma, FourCc, Layout, PAIRED, PlaneLayout, Rows, Shape, Stream};

/// What an element is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item {
    /// A byte.
    U8,
    /// Two bytes, the lower one first.
    U16Little,
    /// Two bytes, the higher one first.
    U16Big,
}

impl Item {
    /// Bytes.
    pub fn bytes(self) -> usize {
        match self {
            Item::U8 => 1,
            Item::U16Little | Item::U16Big => 2,
        }
    }
}

/// Elements that lie in a plane's payload at regular distances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Array {
    /// The memory plane.
    pub plane: usize,
    /// Bytes of its payload before the first element.
    pub offset: usize,
    /// How many elements, dimension by dimension: rows first.
    pub shape: Vec<usize>,
    /// Bytes from one element to the next, dimension by dimension.
    pub strides: Vec<usize>,
    /// What an element is.
    pub item: Item,
}

/// Formats of two bytes a pixel, the higher one first.
const BIG_ENDIAN: [&[u8; 4]; 2] = [b"RGBR", b"RGBQ"];

/// How the samples of a format are seen.
enum Samples {
    /// So many bytes a pixel, as channels of a byte each.
    Channels(usize),
    /// One element a pixel.
    Single(Item),
    /// Luma and chroma, in planes.
    Planes(Item, Chroma),
    /// None that have a regular place.
    Bytes,
}

fn samples(format: FourCc) -> Samples {
    let big = format.is_big_endian() || format.is_one_of(&BIG_ENDIAN);
    let wide = if big { Item::U16Big } else { Item::U16Little };
    match format.shape() {
        Some(Shape::Packed(16)) if format.is_one_of(&PAIRED) => Samples::Channels(2),
        Some(Shape::Packed(8)) => Samples::Single(Item::U8),
        Some(Shape::Packed(16)) => Samples::Single(wide),
        Some(Shape::Packed(24)) => Samples::Channels(3),
        Some(Shape::Packed(32)) => Samples::Channels(4),
        Some(Shape::Planar(1, chroma, _)) => Samples::Planes(Item::U8, chroma),
        Some(Shape::Planar(_, chroma, _)) => Samples::Planes(wide, chroma),
        Some(Shape::Packed(_) | Shape::Varies) | None => Samples::Bytes,
    }
}

/// A frame's arrays, one a colour plane; `payloads` are the bytes of each memory plane. The error
/// says what is missing.
pub fn arrays(stream: &Stream, payloads: &[usize]) -> Result<Vec<Array>, String> {
    let samples = samples(stream.pixel_format);
    let memory = match layout(stream)? {
        Layout::Rows(memory) if !matches!(samples, Samples::Bytes) => memory,
        Layout::Scattered => {
            return Err(format!(
                "{} frames do not have {} memory planes",
                stream.pixel_format,
                stream.planes.len()
            ));
        }
        _ => return Ok(as_bytes(payloads)),
    };
    let width = stream.width as usize;
    let mut arrays = Vec::new();
    for (plane, rows) in memory.iter().enumerate() {
        let has = payloads.get(plane).copied().unwrap_or(0);
        for rows in rows {
            check(rows, plane, has)?;
            let is_luma = arrays.is_empty();
            let (item, across, channels) = match &samples {
                Samples::Channels(channels) => (Item::U8, width, Some(*channels)),
                Samples::Single(item) => (*item, width, None),
                Samples::Planes(item, _) if is_luma => (*item, width, None),
                Samples::Planes(item, chroma) => {
                    let channels = Some(chroma.samples as usize).filter(|count| *count > 1);
                    (*item, width / chroma.across as usize, channels)
                }
                Samples::Bytes => continue,
            };
            arrays.push(of_rows(rows, plane, item, across, channels));
        }
    }
    Ok(arrays)
}

/// A frame as one array. The error says why it is none.
pub fn array(stream: &Stream, payloads: &[usize]) -> Result<Array, String> {
    let mut all = arrays(stream, payloads)?;
    let Samples::Planes(item, _) = samples(stream.pixel_format) else {
        return match all.len() {
            1 => Ok(all.remove(0)),
            planes => Err(in_several(stream, planes)),
        };
    };
    let Layout::Rows(memory) = layout(stream)? else {
        return Err(in_several(stream, all.len()));
    };
    let ([rows], [luma, ..]) = (memory.as_slice(), all.as_slice()) else {
        return Err(in_several(stream, all.len()));
    };
    let width = stream.width as usize;
    let across = width * item.bytes();
    let is_alike = rows.windows(2).all(|pair| match pair {
        [one, next] => {
            let follows = one
                .start
                .saturating_add(one.stride.saturating_mul(one.count));
            next.start == follows && next.stride == one.stride && next.bytes == one.bytes
        }
        _ => false,
    });
    let has_gaps = rows.iter().any(|rows| rows.stride != rows.bytes);
    let bytes: u64 = rows.iter().map(|rows| rows.bytes * rows.count).sum();
    let bytes = usize::try_from(bytes).map_err(|_| in_several(stream, all.len()))?;
    if !(is_alike || !has_gaps && bytes % across == 0) {
        return Err(format!(
            "the planes of a {}x{} {} frame have rows of other lengths or distances each: arrays() \
             gives them one by one",
            stream.width, stream.height, stream.pixel_format
        ));
    }
    Ok(Array {
        shape: vec![bytes / across, width],
        ..luma.clone()
    })
}

fn in_several(stream: &Stream, planes: usize) -> String {
    format!(
        "a {} frame lies in {planes} planes: arrays() gives them one by one",
        stream.pixel_format
    )
}

/// How the stream's frames lie in memory. What a stride is that nobody told is known only if the
/// frame has room for no other.
fn layout(stream: &Stream) -> Result<Layout, String> {
    let (width, height) = (stream.width, stream.height);
    let layout = Layout::new(width, height, stream.pixel_format, &stream.planes);
    let Layout::Rows(memory) = &layout else {
        return Ok(layout);
    };
    for (
        rows,
        PlaneLayout {
            sizeimage,
            bytesperline,
        },
    ) in memory.iter().zip(&stream.planes)
    {
        let end = rows.last().map_or(0, Rows::end);
        if bytesperline.is_none() && end != u64::from(sizeimage.get()) {
            return Err(format!(
                "the distance of its rows is unknown: {width}x{height} {} frames of {sizeimage} \
                 bytes are padded, and nobody tells how",
                stream.pixel_format
            ));
        }
    }
    Ok(layout)
}

fn check(rows: &Rows, plane: usize, has: usize) -> Result<(), String> {
    if rows.end() <= has as u64 {
        return Ok(());
    }
    Err(format!(
        "the frame is short: plane {plane} has {has} bytes, and its rows end at {}",
        rows.end()
    ))
}

fn as_bytes(payloads: &[usize]) -> Vec<Array> {
    let plane = |(plane, length): (usize, &usize)| Array {
        plane,
        offset: 0,
        shape: vec![*length],
        strides: vec![1],
        item: Item::U8,
    };
    payloads.iter().enumerate().map(plane).collect()
}

fn of_rows(rows: &Rows, plane: usize, item: Item, across: usize, channels: Option<usize>) -> Array {
    let pixel = item.bytes() * channels.unwrap_or(1);
    // Within a payload, as `check` has seen.
    let mut shape = vec![rows.count as usize, across];
    let mut strides = vec![rows.stride as usize, pixel];
    if let Some(channels) = channels {
        shape.push(channels);
        strides.push(item.bytes());
    }
    Array {
        plane,
        offset: rows.start as usize,
        shape,
        strides,
        item,
    }
}

#[cfg(test)]
mod tests;
