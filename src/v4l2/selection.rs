//! Which part of a picture a device shows, and where: G_SELECTION, S_SELECTION.

use std::os::fd::{AsRawFd, BorrowedFd};

use super::{BufType, Plain, retry, zeroed};
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
pub enum Target {
    /// `V4L2_SEL_TGT_CROP`: for an output device, the part of a frame that is shown.
    Crop,
    /// `V4L2_SEL_TGT_COMPOSE`: for an output device, where on its display.
    Compose,
    /// `V4L2_SEL_TGT_COMPOSE_DEFAULT`: where that is unless something else is asked for.
    ComposeDefault,
}

impl Target {
    fn number(self) -> u32 {
        match self {
            Target::Crop => sys::V4L2_SEL_TGT_CROP,
            Target::Compose => sys::V4L2_SEL_TGT_COMPOSE,
            Target::ComposeDefault => sys::V4L2_SEL_TGT_COMPOSE_DEFAULT,
        }
    }
}

fn selection(buf_type: BufType, target: Target) -> sys::v4l2_selection {
    let mut selection: sys::v4l2_selection = zeroed();
    // The kernel wants the single-planar number, whichever API the node speaks.
    selection.type_ = match buf_type {
        BufType::CaptureMplane => BufType::Capture.number(),
        BufType::OutputMplane => BufType::Output.number(),
        single => single.number(),
    };
    selection.target = target.number();
    selection
}

fn rectangle(selection: &sys::v4l2_selection) -> Rectangle {
    let it = selection.r;
    Rectangle {
        left: it.left,
        top: it.top,
        width: it.width,
        height: it.height,
    }
}

/// VIDIOC_G_SELECTION. ENOTTY, EINVAL, ENODATA: the device has none.
pub fn get_selection(
    fd: BorrowedFd<'_>,
    buf_type: BufType,
    target: Target,
) -> nix::Result<Rectangle> {
    let mut selection = selection(buf_type, target);
    // SAFETY: the request number fits the structure, which outlives the call.
    retry(|| unsafe { raw::g_selection(fd.as_raw_fd(), &mut selection) })?;
    Ok(rectangle(&selection))
}

/// VIDIOC_S_SELECTION: answers with what was granted. ENOTTY, EINVAL, ENODATA: the device has none.
pub fn set_selection(
    fd: BorrowedFd<'_>,
    buf_type: BufType,
    target: Target,
    wanted: Rectangle,
) -> nix::Result<Rectangle> {
    let mut selection = selection(buf_type, target);
    selection.r.left = wanted.left;
    selection.r.top = wanted.top;
    selection.r.width = wanted.width;
    selection.r.height = wanted.height;
    // SAFETY: the request number fits the structure, which outlives the call.
    retry(|| unsafe { raw::s_selection(fd.as_raw_fd(), &mut selection) })?;
    Ok(rectangle(&selection))
}
