//! Whether a frame is what was captured: a checksum over its buffer, and what the
//! buffer held before.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use xxhash_rust::xxh3::Xxh3;

use crate::buffer::{Filled, Free};
use crate::error::Result;
use crate::poison::{PAGE, Poison};
use crate::wire::v3::Checksum;

/// Poisons a buffer's memory.
pub fn poison(mut free: Free) -> Result<Free> {
    let poison = Poison::new();
    for plane in free.planes() {
        let access = plane.write()?;
        poison.write(access.view(0, plane.length())?);
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
    /// Pages that the driver did not write; 0 where nothing was poisoned.
    pub unwritten: u64,
    /// Pages that were poisoned.
    pub poisoned: u64,
}

/// Looks at all of a frame's bytes.
pub fn inspect(filled: &Filled) -> Result<Inspection> {
    let mut hash = Xxh3::new();
    let mut is_zero = true;
    let (mut unwritten, mut poisoned) = (0, 0);
    for (plane, payload) in filled.planes() {
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
            if let Some(poison) = filled.poison().filter(|_| at % PAGE == 0) {
                let word = poison.word(at / PAGE);
                if let Some(found) = piece.first_chunk::<8>() {
                    poisoned += 1;
                    unwritten += u64::from(*found == word);
                }
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
        unwritten,
        poisoned,
    })
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
    pub fn look(&mut self, filled: &Filled, expected: Option<Checksum>) -> Result<Inspection> {
        let begun = cpu_time();
        let found = inspect(filled)?;
        self.cpu += cpu_time().saturating_sub(begun);
        self.frames += 1;
        self.zero += u64::from(found.is_zero);
        self.repeated += u64::from(self.last.replace(found.checksum) == Some(found.checksum));
        self.spoiled += u64::from(expected.is_some_and(|expected| expected != found.checksum));
        match found.unwritten {
            0 => {}
            some if some == found.poisoned => self.unwritten += 1,
            _ => self.partly_written += 1,
        }
        Ok(found)
    }
}

/// This thread's CPU time.
fn cpu_time() -> Duration {
    // As for CLOCK_MONOTONIC, every Linux has this clock.
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

#[cfg(test)]
mod tests;
