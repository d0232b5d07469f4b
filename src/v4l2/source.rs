//! What comes into a device: SUBSCRIBE_EVENT, DQEVENT, QUERY_DV_TIMINGS.

use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;

use super::{Plain, retry, zeroed};
use crate::videodev2 as sys;

mod raw {
    use crate::videodev2 as sys;

    nix::ioctl_read!(dqevent, b'V', 89, sys::v4l2_event);
    nix::ioctl_write_ptr!(subscribe, b'V', 90, sys::v4l2_event_subscription);
    nix::ioctl_read!(query_timings, b'V', 99, sys::v4l2_dv_timings);
}

// SAFETY: integers, a timespec, and a union of structures of integers.
unsafe impl Plain for sys::v4l2_event {}
// SAFETY: integers.
unsafe impl Plain for sys::v4l2_event_subscription {}
// SAFETY: an integer, and a union of structures of integers.
unsafe impl Plain for sys::v4l2_dv_timings {}

/// A digital video signal, as VIDIOC_QUERY_DV_TIMINGS finds it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Timings {
    /// Pixels.
    pub width: u32,
    /// Rows of a frame.
    pub height: u32,
    /// Whether frames come as two fields.
    pub interlaced: bool,
    /// Frames a second.
    pub rate: f64,
}

/// VIDIOC_SUBSCRIBE_EVENT of V4L2_EVENT_SOURCE_CHANGE. EINVAL: the device has none.
pub fn subscribe_source_change(fd: BorrowedFd<'_>) -> nix::Result<()> {
    let mut subscription: sys::v4l2_event_subscription = zeroed();
    subscription.type_ = sys::V4L2_EVENT_SOURCE_CHANGE;
    // SAFETY: the request number fits the structure, which outlives the call.
    retry(|| unsafe { raw::subscribe(fd.as_raw_fd(), &subscription) })?;
    Ok(())
}

/// VIDIOC_DQEVENT on a non-blocking fd: whether the source has changed since the last look.
pub fn has_source_changed(fd: BorrowedFd<'_>) -> nix::Result<bool> {
    let mut event: sys::v4l2_event = zeroed();
    // SAFETY: the request number fits the structure, which outlives the call.
    match retry(|| unsafe { raw::dqevent(fd.as_raw_fd(), &mut event) }) {
        // No other event is subscribed to.
        Ok(_) => Ok(event.type_ == sys::V4L2_EVENT_SOURCE_CHANGE),
        Err(Errno::ENOENT | Errno::EAGAIN) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// VIDIOC_QUERY_DV_TIMINGS: the signal that comes in now. ENOLINK: none; ENOLCK: an unstable
/// one; ERANGE: one that the device can't take.
pub fn query_timings(fd: BorrowedFd<'_>) -> nix::Result<Timings> {
    let mut timings: sys::v4l2_dv_timings = zeroed();
    // SAFETY: the request number fits the structure, which outlives the call.
    retry(|| unsafe { raw::query_timings(fd.as_raw_fd(), &mut timings) })?;
    // SAFETY: every bit pattern is a value of its integers.
    let bt = unsafe { timings.__bindgen_anon_1.bt };
    let sum = |parts: &[u32]| -> f64 { parts.iter().copied().map(f64::from).sum() };
    let columns = sum(&[{ bt.width }, { bt.hfrontporch }, { bt.hsync }, {
        bt.hbackporch
    }]);
    let mut rows = sum(&[{ bt.height }, { bt.vfrontporch }, { bt.vsync }, {
        bt.vbackporch
    }]);
    let interlaced = { bt.interlaced } == sys::V4L2_DV_INTERLACED;
    if interlaced {
        rows += sum(&[{ bt.il_vfrontporch }, { bt.il_vsync }, { bt.il_vbackporch }]);
    }
    Ok(Timings {
        width: bt.width,
        height: bt.height,
        interlaced,
        rate: { bt.pixelclock } as f64 / (columns * rows).max(1.0),
    })
}
