//! What a run did, for the summary, for progress and for scripts.

use std::time::Instant;

use crate::buffer::Frame;
use crate::sequence::Sequence;
use crate::stages::Stages;

/// The result of a run, or its state so far.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Frames that were sent or received whole.
    pub frames: u64,
    /// Their payload bytes.
    pub bytes: u64,
    /// Of these frames, those that the driver flagged as possibly corrupt.
    pub error_frames: u64,
    /// The frames' sequence numbers.
    pub sequence: Sequence,
    /// What the frames are; None before that is known.
    pub stream: Option<Stream>,
    /// Frames that a sender dropped because the network was slow.
    pub sender_drops: u64,
    /// How a sender's frames left.
    pub zero_copy: ZeroCopy,
    /// How long the stages of frames' ways took.
    pub stages: Stages,
    /// Whether a stop ended the run.
    pub stopped: bool,
    span: Option<(Instant, Instant)>,
}

/// How a sender's frames left: without a copy, and if not, why.
#[derive(Debug, Clone, Default)]
pub struct ZeroCopy {
    /// Whether sending without a copy was chosen, and why or why not; None before
    /// it was looked into, and for a receiver.
    pub chosen: Option<(bool, String)>,
    /// Frames handed to the network without a copy.
    pub frames: u64,
    /// Of these, frames of which a part had to be copied (ENOBUFS).
    pub fell_back: u64,
    /// Times that the source had no buffer left because the network was slow.
    pub waits_for_network: u64,
    /// Times that the source had no buffer left though everything was sent and
    /// acknowledged, because the kernel's completions were late.
    pub waits_for_completion: u64,
}

/// What the frames of a run are, and the memory that they are in.
#[derive(Debug, Clone)]
pub struct Stream {
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// The pixel format.
    pub pixel_format: crate::pixel_format::FourCc,
    /// Bytes: no frame has more.
    pub sizeimage: u32,
    /// This side's buffers.
    pub buffers: u32,
    /// The memory that is used.
    pub memory: MemoryUsed,
    /// The heap that it is from; None for a driver's own memory.
    pub heap: Option<String>,
}

/// The memory that frames are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemoryUsed {
    /// DMABUFs from a heap, imported by the driver where there is one.
    DmaBuf,
    /// The driver's own buffers.
    Mmap,
    /// Plain shared memory.
    Memfd,
}

impl MemoryUsed {
    /// `dmabuf`, `mmap` or `memfd`
    pub fn name(self) -> &'static str {
        match self {
            MemoryUsed::DmaBuf => "dmabuf",
            MemoryUsed::Mmap => "mmap",
            MemoryUsed::Memfd => "memfd",
        }
    }
}

impl Report {
    /// Takes note of a frame that came, whatever becomes of it.
    pub fn saw(&mut self, frame: &Frame) {
        self.stages.took(frame.taken);
        if let Some(why) = self.sequence.take(frame.sequence) {
            log::warn!("drops can't be counted: {why}");
        }
    }

    /// Counts a frame that has gone all its way.
    pub fn count(&mut self, frame: &Frame) {
        self.frames += 1;
        self.bytes += frame.bytes();
        self.error_frames += u64::from(frame.has_error());
        let now = Instant::now();
        self.span = Some((self.span.map_or(now, |(first, _)| first), now));
    }

    /// Seconds from the first frame's end to the last one's.
    pub fn seconds(&self) -> f64 {
        self.span
            .map_or(0.0, |(first, last)| (last - first).as_secs_f64())
    }

    /// Frames a second between the first and the last; None for fewer than two.
    pub fn fps(&self) -> Option<f64> {
        let seconds = self.seconds();
        (self.frames > 1 && seconds > 0.0).then(|| (self.frames - 1) as f64 / seconds)
    }
}
