//! A frame buffer, owned by the state that it is in, and what is known of its frame.
//!
//! `Free` may be given to the driver or written to. A queued buffer is its queue's (see
//! `queue`), and one that holds a frame is owned by the frame's leases (see `pool`). Each
//! change of state consumes the old one, so a buffer can't be queued twice, nor queued while
//! somebody reads its frame.

use std::time::Duration;

use crate::base::{Monotonic, Result};
use crate::frame::Poison;
use crate::memory::{Heap, Pages, Plane};

/// The memory of one frame, bound to its number in the pool for good: the
/// driver keeps an import cached for as long as an index brings the same DMABUF.
#[derive(Debug)]
pub(crate) struct Buffer {
    pub(crate) index: u32,
    pub(crate) planes: Vec<Plane>,
    /// What it was filled with before it was given away, if it was.
    pub(crate) poison: Option<Poison>,
}

/// A buffer that holds no frame.
#[derive(Debug)]
pub struct Free(pub(crate) Buffer);

impl Free {
    /// Takes memory in as buffer `index` of a pool.
    pub fn new(index: u32, planes: Vec<Plane>) -> Self {
        Free(Buffer {
            index,
            planes,
            poison: None,
        })
    }

    /// As `new`, of planes of such sizes, in bytes, from a heap.
    pub fn allocate(
        index: u32,
        heap: &Heap,
        pages: Pages,
        sizes: impl IntoIterator<Item = u32>,
    ) -> Result<Self> {
        let sizes = sizes.into_iter();
        let planes = sizes.map(|size| heap.allocate_in(size as usize, pages));
        Ok(Free::new(index, planes.collect::<Result<_>>()?))
    }

    /// Its number in the pool.
    pub fn index(&self) -> u32 {
        self.0.index
    }

    /// Its memory.
    pub fn planes(&self) -> &[Plane] {
        &self.0.planes
    }

    /// Its memory, to write to.
    pub fn planes_mut(&mut self) -> &mut [Plane] {
        &mut self.0.planes
    }

    /// Notes what its memory was filled with.
    pub fn set_poison(&mut self, poison: Poison) {
        self.0.poison = Some(poison);
    }
}

/// What is known of a frame beside its pixels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The driver's counter; not to be relied on, see `sequence`.
    pub sequence: u64,
    /// `V4L2_BUF_FLAG_*`
    pub flags: u32,
    /// `enum v4l2_field`: which rows it has.
    pub field: u32,
    /// When it was captured, by the clock that the flags name.
    pub timestamp: Timestamp,
    /// A range a plane.
    pub payloads: Vec<Payload>,
    /// When this side took it: dequeued it, or had received its header.
    pub taken: Monotonic,
}

impl Frame {
    /// Whether the driver flags it as possibly corrupt.
    pub fn has_error(&self) -> bool {
        self.flags & crate::frame::flags::BUF_FLAG_ERROR != 0
    }

    /// How old it was when it was taken, by a timestamp of CLOCK_MONOTONIC.
    pub fn monotonic_age(&self) -> Duration {
        self.taken
            .since(Monotonic::of_nanoseconds(self.timestamp.nanoseconds()))
    }

    /// Bytes of all planes.
    pub fn bytes(&self) -> u64 {
        self.payloads
            .iter()
            .map(|payload| payload.length as u64)
            .sum()
    }
}

/// A time as V4L2 tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Timestamp {
    /// Seconds.
    pub seconds: u64,
    /// Microseconds within the second.
    pub microseconds: u64,
}

impl Timestamp {
    /// In nanoseconds, which end in 584 years.
    pub fn nanoseconds(self) -> u64 {
        let seconds = self.seconds.saturating_mul(1_000_000_000);
        seconds.saturating_add(self.microseconds.saturating_mul(1000))
    }

    /// From nanoseconds.
    pub fn of_nanoseconds(nanoseconds: u64) -> Self {
        Timestamp {
            seconds: nanoseconds / 1_000_000_000,
            microseconds: nanoseconds % 1_000_000_000 / 1000,
        }
    }
}

/// The bytes of a plane that a frame uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Payload {
    /// Bytes before it.
    pub offset: usize,
    /// Bytes.
    pub length: usize,
}

#[cfg(test)]
pub(crate) mod tests;
