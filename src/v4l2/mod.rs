//! A V4L2 device, and its queues of buffers.
//!
//! The ioctls are one safe method of the device each, over plain types of our own, and know no
//! policy: they tell the errnos that are no errors apart (`Dequeued::NotReady`,
//! `Dequeued::LastBuffer`) and hand every other one back as it is. Source: the kernel's "Linux Media Userspace API", part V4L2.

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

pub use buffers::{
    BufferState, Dequeued, DequeuedBuffer, MemoryType, PlaneInfo, PlaneToQueue, PlaneUsed, Sent,
};
pub use format::{Format, PlaneFormat};
pub use ioctl::Ioctl;

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
#[repr(u32)]
pub enum BufType {
    /// Out of the device, single-planar.
    Capture = sys::V4L2_BUF_TYPE_VIDEO_CAPTURE,
    /// Out of it, multi-planar.
    CaptureMplane = sys::V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE,
    /// Into it, single-planar.
    Output = sys::V4L2_BUF_TYPE_VIDEO_OUTPUT,
    /// Into it, multi-planar.
    OutputMplane = sys::V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE,
}

impl BufType {
    /// The API to use with a node, single-planar first; None if frames don't go that way.
    pub fn of_node(capability: &Capability, direction: Direction) -> Option<BufType> {
        let flags = match direction {
            Direction::Capture => [
                sys::V4L2_CAP_VIDEO_CAPTURE,
                sys::V4L2_CAP_VIDEO_CAPTURE_MPLANE,
            ],
            Direction::Output => [
                sys::V4L2_CAP_VIDEO_OUTPUT,
                sys::V4L2_CAP_VIDEO_OUTPUT_MPLANE,
            ],
        };
        BufType::of(capability, flags, direction)
    }

    /// As `of_node`, of a node that has both queues: what goes in comes out converted.
    pub fn of_m2m(capability: &Capability, direction: Direction) -> Option<BufType> {
        let flags = [sys::V4L2_CAP_VIDEO_M2M, sys::V4L2_CAP_VIDEO_M2M_MPLANE];
        BufType::of(capability, flags, direction)
    }

    fn of(capability: &Capability, flags: [u32; 2], direction: Direction) -> Option<BufType> {
        let apis = match direction {
            Direction::Capture => [BufType::Capture, BufType::CaptureMplane],
            Direction::Output => [BufType::Output, BufType::OutputMplane],
        };
        let mut apis = flags.into_iter().zip(apis);
        apis.find(|(flag, _)| capability.capabilities & flag != 0)
            .map(|(_, api)| api)
    }

    fn is_mplane(self) -> bool {
        matches!(self, BufType::CaptureMplane | BufType::OutputMplane)
    }

    fn is_capture(self) -> bool {
        matches!(self, BufType::Capture | BufType::CaptureMplane)
    }

    fn number(self) -> u32 {
        self as u32
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
