//! What comes into a device: SUBSCRIBE_EVENT, DQEVENT, QUERY_DV_TIMINGS.

use super::{Ioctl, Plain, device::Device, zeroed};
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

impl Device {
    /// Asks the driver to tell when the source changes, by VIDIOC_SUBSCRIBE_EVENT of
    /// V4L2_EVENT_SOURCE_CHANGE. Most have nothing to tell.
    pub fn watch_source(&self) -> bool {
        let mut subscription: sys::v4l2_event_subscription = zeroed();
        subscription.type_ = sys::V4L2_EVENT_SOURCE_CHANGE;
        // SAFETY: the request number fits the structure, which outlives the call.
        let call = |fd| unsafe { raw::subscribe(fd, &subscription) };
        self.node().ioctl(Ioctl::SubscribeEvent, call).is_ok()
    }

    /// Whether the driver has told of another source since the last look, by VIDIOC_DQEVENT.
    pub fn has_source_changed(&self) -> bool {
        let mut event: sys::v4l2_event = zeroed();
        // SAFETY: the request number fits the structure, which outlives the call.
        let call = |fd| unsafe { raw::dqevent(fd, &mut event) };
        let told = self.node().ioctl(Ioctl::Dqevent, call).is_ok();
        // No other event is subscribed to.
        told && event.type_ == sys::V4L2_EVENT_SOURCE_CHANGE
    }

    /// VIDIOC_QUERY_DV_TIMINGS: the signal that comes in now. ENOLINK: none; ENOLCK: an unstable
    /// one; ERANGE: one that the device can't take.
    pub(super) fn query_timings(&self) -> nix::Result<Timings> {
        let mut timings: sys::v4l2_dv_timings = zeroed();
        // SAFETY: the request number fits the structure, which outlives the call.
        let call = |fd| unsafe { raw::query_timings(fd, &mut timings) };
        self.node().ioctl(Ioctl::QueryDvTimings, call)?;
        // SAFETY: every bit pattern is a value of its integers.
        let bt = unsafe { timings.__bindgen_anon_1.bt };
        let sum = |parts: &[u32]| -> f64 { parts.iter().copied().map(f64::from).sum() };
        let columns = [bt.width, bt.hfrontporch, bt.hsync, bt.hbackporch];
        let mut rows = sum(&[bt.height, bt.vfrontporch, bt.vsync, bt.vbackporch]);
        let interlaced = { bt.interlaced } == sys::V4L2_DV_INTERLACED;
        if interlaced {
            rows += sum(&[bt.il_vfrontporch, bt.il_vsync, bt.il_vbackporch]);
        }
        Ok(Timings {
            width: bt.width,
            height: bt.height,
            interlaced,
            rate: { bt.pixelclock } as f64 / (sum(&columns) * rows).max(1.0),
        })
    }
}
