//! Captures video from a V4L2 device into DMABUFs, sends the frames over TCP,
//! and rebuilds them in DMABUFs at the other end.
//!
//! The wings, from the ground up; each knows only those above it in this list, and a test
//! holds that:
//!
//! | wing | is |
//! |---|---|
//! | [`videodev2`] | V4L2's structures and constants, generated |
//! | [`base`] | errors, time, waits, and calls that can't be waited for |
//! | [`memory`] | planes of DMABUF memory, heaps to take them from, CPU access to them |
//! | [`frame`] | a frame's layout, its metadata, and its buffer, owned by the state that it is in |
//! | [`v4l2`] | the ioctls, a safe function each; a device, and its queue of buffers |
//! | [`wire`] | the bytes between sender and receiver |
//! | [`link`] | what the bytes travel on |
//! | [`measure`] | what is measured of a run |
//! | [`report`] | what came of a run, and whether it adds up |
//! | [`session`] | how a stream is agreed on, and what the sides tell each other beside it |
//! | [`source`] | where frames come from: a camera, or a test pattern |
//! | [`sink`] | where frames go: the network, a dump, a device, other programs |
//! | [`capture`], [`sender`], [`receiver`] | the pipelines: without a network, and its two ends |
//! | [`probe`] | what works with a device, and which displays import frames |
//!
//! The Python bindings are a layer on top that nothing here knows of.

pub mod base;
pub mod capture;
pub mod frame;
pub mod link;
pub mod measure;
pub mod memory;
pub mod probe;
#[cfg(feature = "python")]
mod python;
pub mod receiver;
pub mod report;
pub mod sender;
pub mod session;
pub mod sink;
pub mod source;
pub mod v4l2;
pub mod videodev2;
pub mod wire;

pub use base::error::{Error, ErrorKind, Result};
