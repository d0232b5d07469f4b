//! What V4L2 says of a buffer in numbers. Source: the kernel's "Linux Media Userspace API",
//! struct v4l2_buffer.

use crate::videodev2 as sys;

/// The most memory planes that a frame can have (`VIDEO_MAX_PLANES`).
pub const MAX_PLANES: usize = sys::VIDEO_MAX_PLANES as usize;

/// `V4L2_BUF_FLAG_ERROR`: the frame may be corrupt, streaming goes on.
pub const BUF_FLAG_ERROR: u32 = sys::V4L2_BUF_FLAG_ERROR;

/// `V4L2_BUF_FLAG_LAST`: the stream ends with this buffer.
pub const BUF_FLAG_LAST: u32 = sys::V4L2_BUF_FLAG_LAST;

/// `V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC`: the timestamp is of CLOCK_MONOTONIC.
pub const BUF_FLAG_TIMESTAMP_MONOTONIC: u32 = sys::V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;

/// `V4L2_BUF_FLAG_TIMESTAMP_COPY`: the timestamp is that of another buffer.
pub const BUF_FLAG_TIMESTAMP_COPY: u32 = sys::V4L2_BUF_FLAG_TIMESTAMP_COPY;

/// `V4L2_BUF_FLAG_TIMESTAMP_MASK`: what a frame's flags say of its timestamp.
pub const BUF_FLAG_TIMESTAMP_MASK: u32 = sys::V4L2_BUF_FLAG_TIMESTAMP_MASK;

/// The clock that a frame's flags name.
pub fn clock(flags: u32) -> &'static str {
    match flags & BUF_FLAG_TIMESTAMP_MASK {
        BUF_FLAG_TIMESTAMP_MONOTONIC => "monotonic",
        BUF_FLAG_TIMESTAMP_COPY => "copy",
        _ => "unknown",
    }
}

/// `V4L2_BUF_FLAG_TSTAMP_SRC_MASK`: what a frame's flags say of the timestamp's moment.
pub const BUF_FLAG_TSTAMP_SRC_MASK: u32 = sys::V4L2_BUF_FLAG_TSTAMP_SRC_MASK;
