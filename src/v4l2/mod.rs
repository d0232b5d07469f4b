//! The V4L2 ioctls: one safe function each, over plain types of our own.
//!
//! This layer knows no policy. It tells the errnos that are no errors apart
//! (`Dequeued::NotReady`, `Dequeued::LastBuffer`) and hands every other one
//! back as it is. Source: the kernel's "Linux Media Userspace API", part V4L2.

#![allow(unsafe_code)]

mod buffers;
pub mod device;
mod format;
mod ioctl;
pub mod output_queue;
pub mod queue;
mod selection;
mod source;

use std::mem;

use nix::errno::Errno;

pub use buffers::{
    BufferState, Dequeued, DequeuedBuffer, MemoryType, PlaneInfo, PlaneToQueue, PlaneUsed, Sent,
    dqbuf, expbuf, qbuf, query_state, querybuf, reqbufs, streamoff, streamon,
};
pub use format::{
    Format, PlaneFormat, enum_formats, get_interval, min_buffers, querycap, set_format,
    set_interval, set_output_format,
};
pub use ioctl::Ioctl;
pub use selection::{Rectangle, Target, get_selection, set_selection};
pub use source::{Timings, has_source_changed, query_timings, subscribe_source_change};

use crate::frame::Capability;
use crate::videodev2 as sys;

/// Which way frames go through a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Out of it, to a program.
    Capture,
    /// Into it, from a program.
    Output,
}

/// Which of the APIs for video buffers a device speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BufType {
    /// `V4L2_BUF_TYPE_VIDEO_CAPTURE`
    Capture,
    /// `V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE`
    CaptureMplane,
    /// `V4L2_BUF_TYPE_VIDEO_OUTPUT`
    Output,
    /// `V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE`
    OutputMplane,
}

impl BufType {
    /// The API to use with a node, single-planar first; None if frames don't go that way.
    pub fn of_node(capability: &Capability, direction: Direction) -> Option<BufType> {
        let apis = match direction {
            Direction::Capture => [
                (sys::V4L2_CAP_VIDEO_CAPTURE, BufType::Capture),
                (sys::V4L2_CAP_VIDEO_CAPTURE_MPLANE, BufType::CaptureMplane),
            ],
            Direction::Output => [
                (sys::V4L2_CAP_VIDEO_OUTPUT, BufType::Output),
                (sys::V4L2_CAP_VIDEO_OUTPUT_MPLANE, BufType::OutputMplane),
            ],
        };
        let mut apis = apis.into_iter();
        apis.find(|(flag, _)| capability.capabilities & flag != 0)
            .map(|(_, api)| api)
    }

    /// As `of_node`, of a node that has both queues: what goes in comes out converted.
    pub fn of_m2m(capability: &Capability, direction: Direction) -> Option<BufType> {
        let (single, mplane) = match direction {
            Direction::Capture => (BufType::Capture, BufType::CaptureMplane),
            Direction::Output => (BufType::Output, BufType::OutputMplane),
        };
        let has = |flag| capability.capabilities & flag != 0;
        if has(sys::V4L2_CAP_VIDEO_M2M) {
            Some(single)
        } else {
            has(sys::V4L2_CAP_VIDEO_M2M_MPLANE).then_some(mplane)
        }
    }

    fn is_mplane(self) -> bool {
        matches!(self, BufType::CaptureMplane | BufType::OutputMplane)
    }

    fn number(self) -> u32 {
        match self {
            BufType::Capture => sys::V4L2_BUF_TYPE_VIDEO_CAPTURE,
            BufType::CaptureMplane => sys::V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE,
            BufType::Output => sys::V4L2_BUF_TYPE_VIDEO_OUTPUT,
            BufType::OutputMplane => sys::V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE,
        }
    }
}

/// Restarts a call that a signal interrupted: ioctl(2) is not restarted by nix.
fn retry<T>(mut call: impl FnMut() -> nix::Result<T>) -> nix::Result<T> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            result => return result,
        }
    }
}

/// A V4L2 structure with every byte zero, as the API wants unused fields.
fn zeroed<T: Plain>() -> T {
    // SAFETY: whoever implements `Plain` guarantees that all-zero bytes are a value.
    unsafe { mem::zeroed() }
}

/// C structures for which all-zero bytes are a value.
///
/// # Safety
///
/// To be implemented for nothing but structures of integers, raw pointers, and
/// unions of these.
unsafe trait Plain: Copy {}
