//! What a frame's colours mean, in GStreamer's words.
//!
//! Source: the kernel's "Colorspaces", and GStreamer's GstVideoColorimetry.

use crate::frame::Colorimetry;
use crate::videodev2 as sys;

/// GStreamer's `range:matrix:transfer:primaries`, in its numbers; what a driver leaves open is
/// what the kernel's `V4L2_MAP_*_DEFAULT` say. None where nothing is told.
pub(super) fn colorimetry(told: Colorimetry, is_rgb: bool) -> Option<String> {
    let space = told.colorspace;
    if told == Colorimetry::default() {
        return None;
    }
    let transfer = match told.transfer {
        sys::V4L2_XFER_FUNC_709 => 5,
        sys::V4L2_XFER_FUNC_SRGB => 7,
        sys::V4L2_XFER_FUNC_OPRGB => 12,
        sys::V4L2_XFER_FUNC_SMPTE240M => 6,
        sys::V4L2_XFER_FUNC_NONE => 1,
        sys::V4L2_XFER_FUNC_SMPTE2084 => 14,
        sys::V4L2_XFER_FUNC_DEFAULT => match space {
            sys::V4L2_COLORSPACE_SRGB | sys::V4L2_COLORSPACE_JPEG => 7,
            sys::V4L2_COLORSPACE_OPRGB => 12,
            sys::V4L2_COLORSPACE_SMPTE240M => 6,
            sys::V4L2_COLORSPACE_RAW => 1,
            sys::V4L2_COLORSPACE_DEFAULT | sys::V4L2_COLORSPACE_DCI_P3 => 0,
            _ => 5,
        },
        _ => 0,
    };
    let matrix = match told.encoding {
        _ if is_rgb => 1,
        sys::V4L2_YCBCR_ENC_601 | sys::V4L2_YCBCR_ENC_XV601 => 4,
        sys::V4L2_YCBCR_ENC_709 | sys::V4L2_YCBCR_ENC_XV709 => 3,
        sys::V4L2_YCBCR_ENC_BT2020 => 6,
        sys::V4L2_YCBCR_ENC_SMPTE240M => 5,
        sys::V4L2_YCBCR_ENC_DEFAULT => match space {
            sys::V4L2_COLORSPACE_REC709 | sys::V4L2_COLORSPACE_DCI_P3 => 3,
            sys::V4L2_COLORSPACE_BT2020 => 6,
            sys::V4L2_COLORSPACE_SMPTE240M => 5,
            sys::V4L2_COLORSPACE_DEFAULT | sys::V4L2_COLORSPACE_RAW => 0,
            _ => 4,
        },
        _ => 0,
    };
    let range = match told.quantization {
        sys::V4L2_QUANTIZATION_FULL_RANGE => 1,
        sys::V4L2_QUANTIZATION_LIM_RANGE => 2,
        _ if space == sys::V4L2_COLORSPACE_DEFAULT => 0,
        _ if is_rgb || space == sys::V4L2_COLORSPACE_JPEG => 1,
        _ => 2,
    };
    let primaries = match space {
        sys::V4L2_COLORSPACE_REC709 | sys::V4L2_COLORSPACE_SRGB | sys::V4L2_COLORSPACE_JPEG => 1,
        sys::V4L2_COLORSPACE_470_SYSTEM_M => 2,
        sys::V4L2_COLORSPACE_470_SYSTEM_BG => 3,
        sys::V4L2_COLORSPACE_SMPTE170M => 4,
        sys::V4L2_COLORSPACE_SMPTE240M => 5,
        sys::V4L2_COLORSPACE_BT2020 => 7,
        sys::V4L2_COLORSPACE_OPRGB => 8,
        sys::V4L2_COLORSPACE_DCI_P3 => 10,
        _ => 0,
    };
    Some(format!("{range}:{matrix}:{transfer}:{primaries}"))
}
