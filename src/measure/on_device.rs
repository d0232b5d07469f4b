//! What an output device did with a stream's frames.

use std::time::Duration;

use crate::memory::MemoryUsed;

/// Frames of an output device: received = shown + failed + drops + left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnDevice {
    /// Whose memory it takes them from: those that they came in, or its driver's own.
    pub memory: MemoryUsed,
    /// Why they are copied, if they are.
    pub reason: Option<String>,
    /// Frames that it gave back.
    pub shown: u64,
    /// Frames that it gave back with an error.
    pub failed: u64,
    /// Frames that it had no time for, or that were empty.
    pub drops: u64,
    /// Frames that it had, or that waited for it, when the stream was over.
    pub left: u64,
    /// What its thread took of a CPU: ioctls, and copies.
    pub cpu: Duration,
}

impl OnDevice {
    /// Frames that it accounts for.
    pub fn frames(&self) -> u64 {
        self.shown + self.failed + self.drops + self.left
    }
}
