//! A frame as a small picture in RGB, for people: every so manieth row and pixel of it.

use crate::base::{Error, ErrorKind, Result};
use crate::frame::array::{Array, Item, arrays};
use crate::frame::{FourCc, Lease, Shape, Stream};

mod ycbcr;

use ycbcr::Matrix;

/// A picture: rows of pixels from the top, three bytes each: red, green, blue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// The pixels.
    pub rgb: Vec<u8>,
}

/// Where the parts of a pixel are.
#[derive(Debug, Clone, Copy)]
enum Pixels {
    /// One sample, of which so many bits are of no use at the top.
    Grey(u32),
    /// Red, green and blue in bytes.
    Rgb([usize; 3]),
    /// Two pixels in four bytes: the first luma's place, and those of U and V.
    Paired(usize, [usize; 2]),
    /// Luma and chroma in planes of their own; whether V comes first.
    Planar(bool),
}

const GREY: &[(&[u8; 4], u32)] = &[
    (b"GREY", 0),
    (b"BA81", 0),
    (b"GBRG", 0),
    (b"GRBG", 0),
    (b"RGGB", 0),
    (b"Y10 ", 6),
    (b"Y12 ", 4),
    (b"Y14 ", 2),
    (b"Y16 ", 0),
    (b"Z16 ", 0),
    (b"BG10", 6),
    (b"GB10", 6),
    (b"BA10", 6),
    (b"RG10", 6),
    (b"BG12", 4),
    (b"GB12", 4),
    (b"BA12", 4),
    (b"RG12", 4),
    (b"BG14", 2),
    (b"GB14", 2),
    (b"GR14", 2),
    (b"RG14", 2),
    (b"BYR2", 0),
    (b"GB16", 0),
    (b"GR16", 0),
    (b"RG16", 0),
];

const RGB: &[(&[u8; 4], [usize; 3])] = &[
    (b"RGB3", [0, 1, 2]),
    (b"BGR3", [2, 1, 0]),
    (b"RGB4", [1, 2, 3]),
    (b"BA24", [1, 2, 3]),
    (b"BX24", [1, 2, 3]),
    (b"BGR4", [2, 1, 0]),
    (b"AR24", [2, 1, 0]),
    (b"XR24", [2, 1, 0]),
    (b"AB24", [0, 1, 2]),
    (b"XB24", [0, 1, 2]),
    (b"RA24", [3, 2, 1]),
    (b"RX24", [3, 2, 1]),
];

const PAIRED: &[(&[u8; 4], usize, [usize; 2])] = &[
    (b"YUYV", 0, [1, 3]),
    (b"YVYU", 0, [3, 1]),
    (b"UYVY", 1, [0, 2]),
    (b"VYUY", 1, [2, 0]),
];

/// Planar formats whose V comes before U.
const V_FIRST: &[&[u8; 4]] = &[
    b"NV21", b"NV61", b"NV42", b"NM21", b"NM61", b"YV12", b"YM21", b"YM61", b"YM42", b"YVU9",
];

fn pixels(format: FourCc) -> Option<Pixels> {
    let little = FourCc(format.0 & !(1 << 31));
    let is = |name: &[u8; 4]| u32::from_le_bytes(*name) == little.0;
    if let Some((_, bits)) = GREY.iter().find(|(name, _)| is(name)) {
        return Some(Pixels::Grey(*bits));
    }
    if let Some((_, places)) = RGB.iter().find(|(name, _)| is(name)) {
        return Some(Pixels::Rgb(*places));
    }
    if let Some((_, luma, chroma)) = PAIRED.iter().find(|(name, ..)| is(name)) {
        return Some(Pixels::Paired(*luma, *chroma));
    }
    let is_planar = matches!(little.shape(), Some(Shape::Planar(..)));
    is_planar.then(|| Pixels::Planar(V_FIRST.iter().any(|name| is(name))))
}

/// The picture of a frame, `most` pixels wide at most, in the memory of `rgb`, another's. The CPU's
/// access is begun and ended.
///
/// An error of kind `Format` if the format is none that is known here, or the frame is short.
pub fn picture(lease: &Lease, stream: &Stream, most: u32, mut rgb: Vec<u8>) -> Result<Picture> {
    let failed = |cause: String| {
        Error::new(ErrorKind::Format, "show a frame")
            .cause(cause)
            .next("take the whole frame, and show it by other means")
    };
    let format = stream.pixel_format;
    let pixels = pixels(format).ok_or_else(|| failed(format!("{format} is not shown here")))?;
    let lengths: Vec<usize> = lease.frame().payloads.iter().map(|it| it.length).collect();
    let arrays = arrays(stream, &lengths).map_err(failed)?;
    let step = stream.width.div_ceil(most.max(1)).max(1);
    let (width, height) = ((stream.width / step).max(1), (stream.height / step).max(1));
    let mut accesses = Vec::new();
    for (plane, payload) in lease.planes() {
        accesses.push((plane.read()?, payload));
    }
    let matrix = Matrix::of(stream.origin.appearance.unwrap_or_default().colours);
    let across = width as usize * 3;
    rgb.resize(across * height as usize, 0);
    let mut rows = vec![Vec::new(); arrays.len()];
    let mut words = vec![0; width as usize];
    for (y, drawn) in (0..).zip(rgb.chunks_exact_mut(across)) {
        for (row, array) in rows.iter_mut().zip(&arrays) {
            let (access, payload) = accesses
                .get(array.plane)
                .ok_or_else(|| failed("it has no such plane".to_owned()))?;
            let down = rows_that_share(&arrays, array);
            let (at, bytes) = place(array, (y * step) as usize / down);
            row.resize(bytes, 0);
            access.view(payload.offset + at, bytes)?.copy_to(row);
        }
        draw(
            drawn,
            step as usize,
            (pixels, matrix),
            (&arrays, &rows),
            &mut words,
        );
    }
    for (access, _) in accesses {
        access.end()?;
    }
    Ok(Picture { width, height, rgb })
}

/// Where a row begins, and its bytes.
fn place(array: &Array, row: usize) -> (usize, usize) {
    let count = array.shape.first().copied().unwrap_or(1);
    let row = row.min(count.saturating_sub(1));
    let stride = array.strides.first().copied().unwrap_or(0);
    let across: usize = array.shape.iter().skip(1).product();
    (array.offset + row * stride, across * array.item.bytes())
}

/// Rows of the picture that share one of an array.
fn rows_that_share(arrays: &[Array], array: &Array) -> usize {
    let rows = |array: &Array| array.shape.first().copied().unwrap_or(1).max(1);
    let luma = arrays.first().map_or(1, rows);
    (luma / rows(array)).max(1)
}

/// Draws a row of every so manieth pixel. What kind they are is found out once a row: pixel by
/// pixel that took longer than the rest. `words` has room for one of each.
fn draw(
    row: &mut [u8],
    step: usize,
    (pixels, matrix): (Pixels, Matrix),
    (arrays, rows): (&[Array], &[Vec<u8>]),
    words: &mut [u32],
) {
    let ([array, ..], [first, ..]) = (arrays, rows) else {
        return;
    };
    let item = array.item;
    let drawn = row.chunks_exact_mut(3).zip((0..).step_by(step));
    match pixels {
        Pixels::Grey(unused) => {
            for (pixel, x) in drawn {
                pixel.fill(sample(first, x, item, unused));
            }
        }
        Pixels::Rgb(parts) => {
            let channels = array.shape.get(2).copied().unwrap_or(1);
            for (pixel, x) in drawn {
                let part = |part: usize| byte(first, x * channels + part);
                pixel.copy_from_slice(&parts.map(part));
            }
        }
        Pixels::Paired(luma, [u, v]) if step % 2 == 0 => {
            for (word, pixels) in words.iter_mut().zip(first.chunks_exact(2 * step)) {
                if let [a, b, c, d, ..] = *pixels {
                    *word = u32::from_le_bytes([a, b, c, d]);
                }
            }
            matrix.convert(words, [luma, u, v].map(|place| 8 * place as u32), row);
        }
        Pixels::Paired(luma, [u, v]) => {
            for (word, x) in words.iter_mut().zip((0..).step_by(step)) {
                let pair = x / 2 * 4;
                let luma = byte(first, pair + x % 2 * 2 + luma);
                *word = word_of(luma, byte(first, pair + u), byte(first, pair + v));
            }
            matrix.convert(words, WORD, row);
        }
        Pixels::Planar(v_first) => {
            let width = |array: &Array| array.shape.get(1).copied().unwrap_or(1).max(1);
            let Some(chroma) = arrays.get(1) else { return };
            let (shared, last) = (width(array) / width(chroma), width(chroma) - 1);
            let shared = shared.max(1);
            let (one, other, between) = match rows {
                [_, one, other, ..] => (one, other, (1, 0)),
                [_, both] => (both, both, (2, 1)),
                _ => return,
            };
            for (word, x) in words.iter_mut().zip((0..).step_by(step)) {
                let at = (x / shared).min(last) * between.0;
                let one = sample(one, at, item, 0);
                let other = sample(other, at + between.1, item, 0);
                let (u, v) = if v_first { (other, one) } else { (one, other) };
                *word = word_of(sample(first, x, item, 0), u, v);
            }
            matrix.convert(words, WORD, row);
        }
    }
}

/// From what bit on a word has its samples, where it is made here.
const WORD: [u32; 3] = [0, 8, 16];

fn word_of(luma: u8, u: u8, v: u8) -> u32 {
    u32::from_le_bytes([luma, u, v, 0])
}

/// A byte of a row, which has it: rows are as long as their arrays say.
#[inline]
fn byte(row: &[u8], place: usize) -> u8 {
    row.get(place).copied().unwrap_or(0)
}

/// A sample's upper eight bits.
#[inline]
fn sample(row: &[u8], place: usize, item: Item, unused: u32) -> u8 {
    let (low, high) = match item {
        Item::U8 => return byte(row, place),
        Item::U16Little => (byte(row, 2 * place), byte(row, 2 * place + 1)),
        Item::U16Big => (byte(row, 2 * place + 1), byte(row, 2 * place)),
    };
    let value = u32::from(u16::from_be_bytes([high, low]));
    (value << unused >> 8).min(255) as u8
}
