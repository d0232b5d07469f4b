//! Frames for tests.

use super::*;

/// A frame of so many bytes, and nothing else to it.
pub(crate) fn frame(length: usize) -> Frame {
    Frame {
        sequence: 0,
        flags: 0,
        field: 0,
        timestamp: Timestamp::default(),
        payloads: vec![Payload { offset: 0, length }],
        taken: Monotonic::now(),
    }
}
