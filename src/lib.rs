//! Captures video from a V4L2 device into DMABUFs, sends the frames over TCP,
//! and rebuilds them in DMABUFs at the other end.
//!
//! The way of a frame, each module knowing only those before it:
//!
//! | module | is |
//! |---|---|
//! | [`v4l2`] | the ioctls, a safe function each |
//! | [`memory`] | planes of DMABUF memory, heaps to take them from, CPU access to them |
//! | [`buffer`] | a frame buffer, owned by the state that it is in |
//! | [`queue`] | the driver's queue of buffers |
//! | [`device`], [`camera`] | a capture device: negotiated, and with its memory chosen |
//! | [`test_source`] | frames without a device |
//! | [`wire`] | the bytes between sender and receiver |
//! | [`connection`] | the TCP connection that they travel on |
//! | [`control`], [`handshake`] | the other connection, beside it, and how a stream is agreed on |
//! | [`intake`] | which of a source's frames to send, if not all can be |
//! | [`transmitter`] | frames onto it, without a copy where that can be had |
//! | [`sender`] | from a [`source`], by an intake, to a transmitter |
//! | [`receiver`] | from a connection into buffers, and into a [`dump`] |
//!
//! What is measured on the way:
//!
//! | module | is |
//! |---|---|
//! | [`monotonic`], [`capture_clock`], [`clock_sync`] | times; whose clock timestamps are of; what the two sides' clocks differ by |
//! | [`passage`], [`ledger`], [`records`] | the way of one frame, of all of them, and a file of that |
//! | [`poison`], [`verify`] | whether a frame is what was captured |
//! | [`sequence`], [`stages`], [`one_way`], [`series`], [`samples`] | what was lost, and how long things took |
//! | [`report`], [`accounting`] | what came of a run, and whether it adds up |
//! | [`report_file`] | where a result is written |
//!
//! [`probe`] tries what works with a device, [`ffmpeg`] tells how to look at a dump. Beside all of it stand [`run`] (stopping, observing,
//! waiting), [`blocking`] (calls that can't be waited for otherwise), [`background`] and [`output`]
//! (files written beside a run), [`error`], and [`text`] (what others wrote). The Python bindings are a layer on top that nothing here knows of.

pub mod accounting;
pub mod background;
pub mod blocking;
pub mod buffer;
pub mod camera;
pub mod capture_clock;
pub mod clock_sync;
pub mod completeness;
pub mod connection;
pub mod control;
pub mod device;
pub mod dump;
pub mod error;
pub mod ffmpeg;
pub mod field;
pub mod handshake;
pub mod hung;
pub mod hypervisor;
pub mod intake;
mod io;
pub mod layout;
pub mod ledger;
pub mod memory;
pub mod monotonic;
pub mod network;
pub mod one_way;
pub mod output;
pub mod passage;
pub mod pixel_format;
pub mod poison;
pub mod probe;
#[cfg(feature = "python")]
mod python;
pub mod queue;
pub mod receiver;
pub mod records;
pub mod report;
pub mod report_file;
pub mod run;
pub mod samples;
pub mod sender;
pub mod sequence;
pub mod series;
pub mod source;
pub mod stages;
pub mod test_source;
pub mod text;
pub mod transmitter;
pub mod v4l2;
pub mod verify;
pub mod wire;

pub use error::{Error, ErrorKind, Result};
