//! The formats: what their pixels are made of, and what ffmpeg calls them.
//!
//! Source: the kernel's "Image Formats" and ffmpeg's libavutil/pixfmt.h. Tiled formats are not
//! here: nothing is said of these rather than something wrong.

use crate::frame::pixel_format::BIG_ENDIAN;

/// What a pixel is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// So many bits.
    Packed(u32),
    /// Bytes of a luma sample, the chroma, and whether planes have memory of their own.
    Planar(u32, Chroma, bool),
    /// Compressed: a frame has as many bytes as it needs.
    Varies,
}

impl Shape {
    /// Bits a pixel; None where they vary.
    pub(super) fn bits(self) -> Option<u32> {
        match self {
            Shape::Packed(bits) => Some(bits),
            Shape::Planar(bytes, chroma, _) => {
                let luma = 8 * bytes;
                let shared = chroma.across * chroma.down;
                Some(luma + luma * chroma.planes * chroma.samples / shared)
            }
            Shape::Varies => None,
        }
    }
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

/// Formats of two bytes a pixel, of which the second is shared with the pixel beside it.
pub(crate) const PAIRED: [&[u8; 4]; 4] = [b"YUYV", b"UYVY", b"YVYU", b"VYUY"];

/// Those that ffmpeg has a name for: of the pixels, or of the demuxer of a byte stream.
pub(super) const KNOWN: &[(&[u8; 4], u32, Shape, &str)] = {
    use Shape::{Packed, Planar, Varies};
    &[
        (b"YUYV", 0, Packed(16), "yuyv422"),
        (b"UYVY", 0, Packed(16), "uyvy422"),
        (b"YVYU", 0, Packed(16), "yvyu422"),
        (b"NV12", 0, Planar(1, interleaved(2, 2), false), "nv12"),
        (b"NV21", 0, Planar(1, interleaved(2, 2), false), "nv21"),
        (b"NV16", 0, Planar(1, interleaved(2, 1), false), "nv16"),
        (b"NV24", 0, Planar(1, interleaved(1, 1), false), "nv24"),
        (b"NV42", 0, Planar(1, interleaved(1, 1), false), "nv42"),
        (b"P010", 0, Planar(2, interleaved(2, 2), false), "p010le"),
        (b"P012", 0, Planar(2, interleaved(2, 2), false), "p012le"),
        (b"YU12", 0, Planar(1, apart(2, 2), false), "yuv420p"),
        (b"YV12", 0, Planar(1, apart(2, 2), false), "yuv420p"),
        (b"422P", 0, Planar(1, apart(2, 1), false), "yuv422p"),
        (b"411P", 0, Planar(1, apart(4, 1), false), "yuv411p"),
        (b"RGB3", 0, Packed(24), "rgb24"),
        (b"BGR3", 0, Packed(24), "bgr24"),
        (b"RGB4", 0, Packed(32), "0rgb"),
        (b"BA24", 0, Packed(32), "argb"),
        (b"BX24", 0, Packed(32), "0rgb"),
        (b"BGR4", 0, Packed(32), "bgr0"),
        (b"AR24", 0, Packed(32), "bgra"),
        (b"XR24", 0, Packed(32), "bgr0"),
        (b"AB24", 0, Packed(32), "rgba"),
        (b"XB24", 0, Packed(32), "rgb0"),
        (b"RA24", 0, Packed(32), "abgr"),
        (b"RX24", 0, Packed(32), "0bgr"),
        (b"RGBP", 0, Packed(16), "rgb565le"),
        (b"RGBR", 0, Packed(16), "rgb565be"),
        (b"RGBO", 0, Packed(16), "rgb555le"),
        (b"AR15", 0, Packed(16), "rgb555le"),
        (b"XR15", 0, Packed(16), "rgb555le"),
        (b"R444", 0, Packed(16), "rgb444le"),
        (b"AR12", 0, Packed(16), "rgb444le"),
        (b"XR12", 0, Packed(16), "rgb444le"),
        (b"GREY", 0, Packed(8), "gray"),
        (b"Y10 ", 0, Packed(16), "gray10le"),
        (b"Y12 ", 0, Packed(16), "gray12le"),
        (b"Y16 ", 0, Packed(16), "gray16le"),
        (b"Y16 ", BIG_ENDIAN, Packed(16), "gray16be"),
        (b"BA81", 0, Packed(8), "bayer_bggr8"),
        (b"GBRG", 0, Packed(8), "bayer_gbrg8"),
        (b"GRBG", 0, Packed(8), "bayer_grbg8"),
        (b"RGGB", 0, Packed(8), "bayer_rggb8"),
        (b"BYR2", 0, Packed(16), "bayer_bggr16le"),
        (b"GB16", 0, Packed(16), "bayer_gbrg16le"),
        (b"GR16", 0, Packed(16), "bayer_grbg16le"),
        (b"RG16", 0, Packed(16), "bayer_rggb16le"),
        (b"MJPG", 0, Varies, "mjpeg"),
        (b"JPEG", 0, Varies, "mjpeg"),
        (b"H264", 0, Varies, "h264"),
        (b"HEVC", 0, Varies, "hevc"),
        (b"MPG2", 0, Varies, "mpegvideo"),
        (b"MPG4", 0, Varies, "m4v"),
    ]
};

/// Those that it has none for.
pub(super) const OTHERS: &[(Shape, &[&[u8; 4]])] = {
    use Shape::{Packed, Planar, Varies};
    &[
        (
            Packed(16),
            &[
                b"VYUY", b"RGBQ", b"Y444", b"YUVO", b"YUVP", b"Y14 ", b"Z16 ", b"BG10", b"GB10",
                b"BA10", b"RG10", b"BG12", b"GB12", b"BA12", b"RG12", b"BG14", b"GB14", b"GR14",
                b"RG14",
            ],
        ),
        (Packed(8), &[b"RGB1", b"Y04 ", b"Y06 "]),
        (Packed(18), &[b"BGRH"]),
        (Packed(24), &[b"YUV3", b"HSV3"]),
        (
            Packed(32),
            &[
                b"YUV4", b"AYUV", b"XYUV", b"VUYA", b"VUYX", b"YUVA", b"YUVX", b"HSV4",
            ],
        ),
        (Packed(10), &[b"Y10P", b"pBAA", b"pGAA", b"pgAA", b"pRAA"]),
        (Packed(12), &[b"Y12P", b"pBCC", b"pGCC", b"pgCC", b"pRCC"]),
        (Packed(14), &[b"Y14P"]),
        (Planar(1, interleaved(2, 1), false), &[b"NV61"]),
        (Planar(1, apart(4, 4), false), &[b"YUV9", b"YVU9"]),
        (Planar(1, interleaved(2, 1), true), &[b"NM61"]),
        (Planar(1, apart(2, 1), true), &[b"YM61"]),
        (Planar(1, apart(1, 1), true), &[b"YM24", b"YM42"]),
        (
            Varies,
            &[
                b"H265", b"AVC1", b"MPEG", b"MPG1", b"H263", b"XVID", b"VC1G", b"VC1L", b"VP80",
                b"VP90", b"AV1F", b"FWHT", b"dvsd",
            ],
        ),
    ]
};

/// Formats whose planes lie in memory of their own each, and otherwise as the second.
pub(super) const SEPARATE: &[(&[u8; 4], &[u8; 4])] = &[
    (b"NM12", b"NV12"),
    (b"NM21", b"NV21"),
    (b"NM16", b"NV16"),
    (b"YM12", b"YU12"),
    (b"YM21", b"YV12"),
    (b"YM16", b"422P"),
];
