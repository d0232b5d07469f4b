//! Whether a frame is what was captured: a checksum over its buffer, and what the
//! buffer held before.

use std::sync::Arc;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use xxhash_rust::xxh3::Xxh3;

use crate::base::Result;
use crate::frame::{Free, Lease, PAGE, Places, Poison};
use crate::wire::{v3::Checksum, v3::Unwritten};

/// Poisons a buffer's memory in these places.
pub fn poison(mut free: Free, places: &Arc<Places>) -> Result<Free> {
    let poison = Poison::new(places);
    for (number, plane) in free.planes_mut().iter_mut().enumerate() {
        let length = plane.length();
        let mut access = plane.write()?;
        poison.write(number, access.view_mut(0, length)?);
        access.end()?;
    }
    free.set_poison(poison);
    Ok(free)
}

/// What a look at a frame's bytes found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inspection {
    /// Over all of its planes in order.
    pub checksum: Checksum,
    /// Whether every byte is 0.
    pub is_zero: bool,
    /// What the driver left unwritten, if anything shows it.
    pub unwritten: Option<Unwritten>,
}

/// Looks at all of a frame's bytes.
pub fn inspect(lease: &Lease) -> Result<Inspection> {
    let mut hash = Xxh3::new();
    let mut is_zero = true;
    let (mut left, mut looked_at) = (0_u64, 0_u64);
    for (number, (plane, payload)) in lease.planes().enumerate() {
        let access = plane.read()?;
        // Memory that others may write is never lent as a slice: it goes by way of a
        // page of our own, which stays in the CPU's first cache.
        let mut bytes = [0; PAGE];
        let (mut at, end) = (payload.offset, payload.offset + payload.length);
        while at < end {
            // Up to the next page of the plane, where the next poison word is.
            let next = (at / PAGE + 1) * PAGE;
            let length = next.min(end) - at;
            access.view(at, length)?.copy_to(&mut bytes);
            let piece = bytes.get(..length).unwrap_or_default();
            let poison = lease.poison();
            if let Some(is_left) =
                poison.and_then(|it| it.is_left(number, at, piece, payload.offset))
            {
                looked_at += 1;
                left += u64::from(is_left);
            }
            is_zero = is_zero && piece.iter().all(|byte| *byte == 0);
            hash.update(piece);
            at += length;
        }
        access.end()?;
    }
    Ok(Inspection {
        checksum: Checksum::Xxh3(hash.digest()),
        is_zero,
        unwritten: unwritten(lease, left, looked_at),
    })
}

/// What it means that poison is `left` in so many of the pages that were `looked_at`.
fn unwritten(lease: &Lease, left: u64, looked_at: u64) -> Option<Unwritten> {
    let tell_parts = lease.poison()?.places().tell_parts();
    match left {
        0 => None,
        // The driver says so itself.
        _ if lease.frame().has_error() => None,
        left if left == looked_at => Some(Unwritten::All),
        _ => tell_parts.then_some(Unwritten::Part),
    }
}

/// What the looks at a run's frames found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verified {
    /// Frames that were looked at.
    pub frames: u64,
    /// Frames of which the driver wrote nothing.
    pub unwritten: u64,
    /// Frames of which it wrote a part.
    pub partly_written: u64,
    /// Frames whose every byte is 0.
    pub zero: u64,
    /// Frames with the very bytes of the frame before.
    pub repeated: u64,
    /// Frames whose checksum was not the sender's.
    pub spoiled: u64,
    /// CPU time that it took.
    pub cpu: Duration,
    last: Option<Checksum>,
}

impl Verified {
    /// Looks at a frame, whose checksum `expected` is, if anything is.
    pub fn look(&mut self, lease: &Lease, expected: Option<Checksum>) -> Result<Inspection> {
        let begun = cpu_time();
        let found = inspect(lease)?;
        self.cpu += cpu_time().saturating_sub(begun);
        self.frames += 1;
        self.zero += u64::from(found.is_zero);
        self.repeated += u64::from(self.last.replace(found.checksum) == Some(found.checksum));
        self.spoiled += u64::from(expected.is_some_and(|expected| expected != found.checksum));
        self.note(found.unwritten);
        Ok(found)
    }

    /// Frames that the driver did not write, or not whole.
    pub fn not_whole(&self) -> u64 {
        self.unwritten + self.partly_written
    }

    /// Counts what the driver left unwritten of a frame.
    pub fn note(&mut self, unwritten: Option<Unwritten>) {
        match unwritten {
            None => {}
            Some(Unwritten::All) => self.unwritten += 1,
            Some(Unwritten::Part) => self.partly_written += 1,
        }
    }
}

/// This thread's CPU time.
fn cpu_time() -> Duration {
    // As for CLOCK_MONOTONIC, every Linux has this clock.
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

#[cfg(test)]
mod tests;
