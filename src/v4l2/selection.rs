//! Which part of a picture a device shows, and where: G_SELECTION, S_SELECTION.

use super::{BufType, Ioctl, Plain, device::Device, zeroed};
use crate::videodev2 as sys;

mod raw {
    use crate::videodev2 as sys;

    nix::ioctl_readwrite!(g_selection, b'V', 94, sys::v4l2_selection);
    nix::ioctl_readwrite!(s_selection, b'V', 95, sys::v4l2_selection);
}

// SAFETY: integers.
unsafe impl Plain for sys::v4l2_selection {}

/// A rectangle of pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rectangle {
    /// Pixels from the left.
    pub left: i32,
    /// Pixels from the top.
    pub top: i32,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
}

/// Which rectangle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Target {
    /// For an output device, the part of a frame that is shown.
    Crop = sys::V4L2_SEL_TGT_CROP,
    /// For an output device, where on its display.
    Compose = sys::V4L2_SEL_TGT_COMPOSE,
    /// Where that is unless something else is asked for.
    ComposeDefault = sys::V4L2_SEL_TGT_COMPOSE_DEFAULT,
}

impl Device {
    fn selection(&self, target: Target) -> sys::v4l2_selection {
        let mut selection: sys::v4l2_selection = zeroed();
        // The kernel wants the single-planar number, whichever API the node speaks.
        selection.type_ = match self.buf_type() {
            BufType::CaptureMplane => BufType::Capture.number(),
            BufType::OutputMplane => BufType::Output.number(),
            single => single.number(),
        };
        selection.target = target as u32;
        selection
    }

    /// VIDIOC_G_SELECTION. EINVAL, ENOTTY: the device has no such rectangle.
    pub(super) fn get_selection(&self, target: Target) -> nix::Result<Rectangle> {
        let mut selection = self.selection(target);
        // SAFETY: the request number fits the structure, which outlives the call.
        let call = |fd| unsafe { raw::g_selection(fd, &mut selection) };
        self.node().ioctl(Ioctl::GSelection, call)?;
        let it = selection.r;
        Ok(Rectangle {
            left: it.left,
            top: it.top,
            width: it.width,
            height: it.height,
        })
    }

    /// VIDIOC_S_SELECTION. The driver may set another than was wanted.
    pub(super) fn set_selection(&self, target: Target, wanted: Rectangle) -> nix::Result<()> {
        let mut selection = self.selection(target);
        selection.r.left = wanted.left;
        selection.r.top = wanted.top;
        selection.r.width = wanted.width;
        selection.r.height = wanted.height;
        // SAFETY: the request number fits the structure, which outlives the call.
        let call = |fd| unsafe { raw::s_selection(fd, &mut selection) };
        self.node().ioctl(Ioctl::SSelection, call)
    }
}
