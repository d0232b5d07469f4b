//! Where frames go: a sink takes a frame, keeps a lease of it for as long as it needs, and
//! tells when it is done.

pub mod audience;
pub mod consumer;
pub mod dump;
pub mod latest;
pub mod network;
pub mod output_device;
pub mod unixfd;
pub mod view;

use std::time::Duration;

use nix::poll::PollFd;

use crate::base::{Monotonic, Result, Run};
use crate::frame::{Lease, Timestamp};
use crate::link::Meanwhile;
use crate::measure::{FrameRecord, Inspection, OnDevice, OnSocket, Stage};

/// A frame that is put into sinks.
#[derive(Debug, Clone, Copy)]
pub struct Passing<'a> {
    /// Its pixels.
    pub lease: &'a Lease,
    /// Its way so far.
    pub record: &'a FrameRecord,
    /// What a look at its pixels found, if there was one.
    pub found: Option<&'a Inspection>,
    /// When it was captured, by this machine's CLOCK_MONOTONIC; None where that is unknown.
    pub timestamp: Option<Timestamp>,
}

/// What a sink does with a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It has done with it all that it does.
    Done,
    /// It keeps a lease, and `done` tells when it lets go.
    Kept,
    /// It had no room, and its policy is to slow nobody.
    Dropped,
}

/// What a sink does with frames that it has no room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// It keeps them all: the stream is slowed when its buffers are all kept.
    Wait,
    /// It keeps so many at most, and drops what comes meanwhile.
    Drop(usize),
}

/// What a sink lets go of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Done {
    /// The frame's counter in its record.
    pub counter: u64,
    /// When it was done.
    pub at: Monotonic,
    /// What the sink did with it, and how long that took; None of a frame that it gave up.
    pub took: Option<(Stage, Duration)>,
}

/// What became of a sink's frames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// It dropped so many, and had the others.
    Dropped(u64),
    /// An output device had them.
    OnDevice(OnDevice),
    /// Clients at a socket had them.
    OnSocket(OnSocket),
}

/// Where frames go.
pub trait Sink {
    /// Takes a frame. Where it waits, `meanwhile` goes on.
    fn put(
        &mut self,
        frame: Passing<'_>,
        meanwhile: &mut dyn Meanwhile,
        run: &mut Run<'_>,
    ) -> Result<Fate>;

    /// The next frame that it was keeping and has let go of; None if there is none yet.
    fn done(&mut self) -> Result<Option<Done>>;

    /// What became of its frames so far.
    fn told(&self) -> Told {
        Told::Dropped(0)
    }

    /// What has an event once `done` has something to tell.
    fn poll_fd(&self) -> Option<PollFd<'_>>;

    /// Takes no more frames, and waits until it is done with those that it keeps. What of
    /// them it then still keeps, it has given up.
    fn finish(&mut self, run: &mut Run<'_>) -> Result<()>;
}
