//! Y'CbCr as RGB, some pixels at a time.

use crate::frame::Colorimetry;
use crate::videodev2 as sys;

/// How Y'CbCr becomes RGB: in 65,536ths.
#[derive(Debug, Clone, Copy)]
pub(super) struct Matrix {
    black: i32,
    luma: i32,
    red_v: i32,
    green_u: i32,
    green_v: i32,
    blue_u: i32,
}

impl Matrix {
    /// As the colorimetry says; BT.601 in its limited range where nobody tells.
    pub fn of(colours: Colorimetry) -> Self {
        let colorspace = colours.colorspace;
        let is_709 = match colours.encoding {
            sys::V4L2_YCBCR_ENC_709 => true,
            sys::V4L2_YCBCR_ENC_DEFAULT => colorspace == sys::V4L2_COLORSPACE_REC709,
            _ => false,
        };
        let is_full = match colours.quantization {
            sys::V4L2_QUANTIZATION_FULL_RANGE => true,
            sys::V4L2_QUANTIZATION_DEFAULT => colorspace == sys::V4L2_COLORSPACE_JPEG,
            _ => false,
        };
        // Kr and Kb of the standards; the limited range has 219 steps of luma and 224 of chroma.
        let (red, blue) = if is_709 {
            (0.2126, 0.0722)
        } else {
            (0.299, 0.114)
        };
        let (luma, chroma) = if is_full {
            (1.0, 1.0)
        } else {
            (255.0 / 219.0, 255.0 / 224.0)
        };
        let green = 1.0 - red - blue;
        let fixed = |value: f64| (value * 65_536.0).round() as i32;
        Matrix {
            black: if is_full { 0 } else { 16 },
            luma: fixed(luma),
            red_v: fixed(2.0 * (1.0 - red) * chroma),
            green_u: fixed(2.0 * (1.0 - blue) * blue / green * chroma),
            green_v: fixed(2.0 * (1.0 - red) * red / green * chroma),
            blue_u: fixed(2.0 * (1.0 - blue) * chroma),
        }
    }

    /// Converts pixels of a row: samples of Y', Cb and Cr in a word each, each from a bit on.
    // Words of a row are converted several at a time by the compiler: with bytes from here and there
    // it was one by one, in twice the time.
    pub fn convert(self, words: &[u32], [luma, u, v]: [u32; 3], row: &mut [u8]) {
        for (word, pixel) in words.iter().zip(row.chunks_exact_mut(3)) {
            let sample = |from: u32| (word >> from) as u8;
            pixel.copy_from_slice(&self.rgb(sample(luma), sample(u), sample(v)));
        }
    }

    #[inline]
    fn rgb(self, luma: u8, u: u8, v: u8) -> [u8; 3] {
        let y = (i32::from(luma) - self.black) * self.luma;
        let (u, v) = (i32::from(u) - 128, i32::from(v) - 128);
        let byte = |value: i32| ((value + 32_768) >> 16).clamp(0, 255) as u8;
        [
            byte(y + self.red_v * v),
            byte(y - self.green_u * u - self.green_v * v),
            byte(y + self.blue_u * u),
        ]
    }
}

#[cfg(test)]
mod tests;
