//! A frame buffer, owned by the state that it is in.
//!
//! `Free` may be given to the driver or written to, `Filled` holds a frame, and
//! `InFlight` one that the network refers to. A queued buffer is none of these:
//! the queue owns it (see `queue`). Each change of state consumes the old one, so
//! a buffer can't be queued twice, nor queued while its frame is still being sent.

use std::mem::ManuallyDrop;
use std::time::Duration;

use crate::error::Result;
use crate::memory::{Plane, View};
use crate::monotonic::Monotonic;
use crate::poison::Poison;

/// The memory of one frame, bound to its number in the pool for good: the
/// driver keeps an import cached for as long as an index brings the same DMABUF.
#[derive(Debug)]
pub(crate) struct Buffer {
    pub(crate) index: u32,
    pub(crate) planes: Vec<Plane>,
    /// What it was filled with before it was given away, if it was.
    poison: Option<Poison>,
}

impl Buffer {
    /// Whatever it was filled with is gone.
    fn used(self) -> Self {
        Buffer {
            poison: None,
            ..self
        }
    }
}

/// A buffer that holds nothing of worth.
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

    /// Its number in the pool.
    pub fn index(&self) -> u32 {
        self.0.index
    }

    /// Its memory, to write to.
    pub fn planes(&self) -> &[Plane] {
        &self.0.planes
    }

    /// Notes what its memory was filled with.
    pub fn set_poison(&mut self, poison: Poison) {
        self.0.poison = Some(poison);
    }

    /// Declares it filled with a frame.
    pub fn filled(self, frame: Frame) -> Filled {
        Filled {
            buffer: self.0,
            frame,
        }
    }
}

/// A buffer that holds a frame.
#[derive(Debug)]
pub struct Filled {
    buffer: Buffer,
    frame: Frame,
}

impl Filled {
    /// Its number in the pool.
    pub fn index(&self) -> u32 {
        self.buffer.index
    }

    /// What is known of the frame.
    pub fn frame(&self) -> &Frame {
        &self.frame
    }

    /// What its memory was filled with before the frame came.
    pub fn poison(&self) -> Option<Poison> {
        self.buffer.poison
    }

    /// Each plane's memory, and the range of it that the frame uses.
    pub fn planes(&self) -> impl Iterator<Item = (&Plane, Payload)> {
        self.buffer
            .planes
            .iter()
            .zip(self.frame.payloads.iter().copied())
    }

    /// Gives the frame up.
    pub fn release(self) -> Free {
        Free(self.buffer.used())
    }

    /// Hands it to the network without a copy. From here only the kernel's word
    /// brings it back.
    pub fn take_off(self, departure: Departure) -> Result<InFlight> {
        for plane in &self.buffer.planes {
            plane.begin_read()?;
        }
        Ok(InFlight {
            buffer: self.buffer,
            frame: self.frame,
            departure: ManuallyDrop::new(departure),
            calls: Vec::new(),
            sent: None,
        })
    }
}

/// What a frame leaves with.
#[derive(Debug)]
pub struct Departure {
    /// Frames that left before it.
    pub counter: u64,
    /// On the heap, for the network refers to it as well.
    pub header: Box<[u8]>,
}

/// A buffer whose bytes the network still refers to. There is no other way out
/// of this state than `land`, which asks for what the kernel has completed: a
/// buffer in flight can't be queued, since a `Free` is what the queue takes.
#[derive(Debug)]
pub struct InFlight {
    buffer: Buffer,
    frame: Frame,
    /// Never given back before it has landed: the kernel refers to the pages of its
    /// header, and to a receiver that falls silent and takes them later, from a heap that
    /// has gone on being used, it would send whatever lies there then.
    departure: ManuallyDrop<Departure>,
    /// The numbers of the calls that refer to it and are not completed.
    calls: Vec<u32>,
    /// When its last byte was handed over.
    sent: Option<Monotonic>,
}

/// What the kernel says that it is done with: the calls from `first` to `last`,
/// counted in 32 bits that wrap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Completion {
    /// The first call.
    pub first: u32,
    /// The last call, itself included.
    pub last: u32,
    /// Whether the kernel copied the bytes after all.
    pub copied: bool,
}

impl Completion {
    fn covers(&self, call: u32) -> bool {
        call.wrapping_sub(self.first) <= self.last.wrapping_sub(self.first)
    }
}

impl InFlight {
    /// Its header's bytes.
    pub fn header(&self) -> &[u8] {
        &self.departure.header
    }

    /// Frames that left before it.
    pub fn counter(&self) -> u64 {
        self.departure.counter
    }

    /// Its payload, a range a plane.
    pub fn payloads(&self) -> Result<Vec<View<'_>>> {
        let planes = self.buffer.planes.iter().zip(&self.frame.payloads);
        planes
            .map(|(plane, payload)| plane.view(payload.offset, payload.length))
            .collect()
    }

    /// Bytes of header and payload.
    pub fn bytes(&self) -> Result<usize> {
        let payloads = self.payloads()?;
        let bytes: usize = payloads.iter().map(|payload| payload.length()).sum();
        Ok(self.header().len() + bytes)
    }

    /// Notes that call number `call` refers to it.
    pub fn refer(&mut self, call: u32) {
        self.calls.push(call);
    }

    /// Notes that no further call will refer to it.
    pub fn sent_whole(&mut self) {
        self.sent = Some(Monotonic::now());
    }

    /// When its last byte was handed over; None before that.
    pub fn sent(&self) -> Option<Monotonic> {
        self.sent
    }

    /// Takes the kernel's word for some of its calls.
    pub fn complete(&mut self, completion: &Completion) {
        self.calls.retain(|call| !completion.covers(*call));
    }

    /// Gives the buffer back if the kernel is done with every byte of it, else
    /// stays in flight.
    #[allow(clippy::result_large_err)] // It is moved once a frame.
    pub fn land(self) -> std::result::Result<Free, InFlight> {
        let is_referred_to = !self.calls.is_empty();
        #[cfg(test)]
        let is_referred_to = is_referred_to && !tests::LANDS_EARLY.get();
        if is_referred_to || self.sent.is_none() {
            return Err(self);
        }
        for plane in &self.buffer.planes {
            if let Err(error) = plane.end_read() {
                log::error!("{error}");
            }
        }
        drop(ManuallyDrop::into_inner(self.departure));
        Ok(Free(self.buffer.used()))
    }
}

/// What is known of a frame beside its pixels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The driver's counter; not to be relied on, see `sequence`.
    pub sequence: u64,
    /// `V4L2_BUF_FLAG_*`
    pub flags: u32,
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
        self.flags & crate::v4l2::BUF_FLAG_ERROR != 0
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Payload {
    /// Bytes before it.
    pub offset: usize,
    /// Bytes.
    pub length: usize,
}

#[cfg(test)]
pub(crate) mod tests;
