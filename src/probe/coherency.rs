//! Whether the CPU sees what a device writes: with DMA_BUF_IOCTL_SYNC, and without.
//!
//! The CPU marks a buffer and has the mark in its caches, the device writes a frame over it, and
//! the CPU reads. Lines that hold the mark still are the caches', not the frame's: without SYNC
//! that is what cached memory is like; with SYNC it must not be, and is on some kernels
//! (raspberrypi/linux 6995: udmabuf on arm64 did the wrong cache operation). A device may leave
//! lines unwritten as well: these hold the mark when the caches hold something else, too.

use std::collections::HashMap;

use strum::AsRefStr;

use crate::base::Result;
use crate::frame::Lease;
use crate::memory::{Mark, MemoryUsed, Sync, Witness, displace_caches};
use crate::source::{Source, camera::Camera};

const MARK: Mark = Mark(1);

/// What SYNC is to a memory.
#[derive(Debug, Clone, PartialEq, Eq, AsRefStr)]
#[strum(serialize_all = "lowercase")]
pub enum Coherency {
    /// What one writes the other reads, with SYNC and without: as far as was seen.
    Coherent,
    /// It takes SYNC, as in memory that the CPU caches and the device does not look into.
    Cached,
    /// With SYNC, too, one reads what was there before: so many lines of so many.
    Lies(usize, usize),
    /// It could not be told, for this reason.
    Unknown(String),
}

impl Coherency {
    /// Why it lies, or is unknown.
    pub fn reason(&self) -> Option<String> {
        match self {
            Coherency::Coherent | Coherency::Cached => None,
            Coherency::Lies(lines, of) => Some(format!(
                "{lines} of {of} lines of 64 bytes were read as they had been before, in spite of \
                 DMA_BUF_IOCTL_SYNC"
            )),
            Coherency::Unknown(why) => Some(why.clone()),
        }
    }
}

/// A look at a device that writes into marked buffers.
#[derive(Debug)]
pub(super) struct Writes {
    /// Of buffers that no frame came in yet.
    marked: HashMap<u32, Witness>,
    lines: usize,
    /// Lines that held the mark without SYNC, with it, and when the caches held other memory.
    without: usize,
    with: usize,
    unwritten: usize,
}

impl Writes {
    /// Marks the buffers of a camera that has not been started. None if they are the driver's own,
    /// which sees to them at QBUF and DQBUF.
    pub(super) fn begin(camera: &Camera) -> Result<Option<Self>> {
        if camera.stream().memory != MemoryUsed::DmaBuf {
            return Ok(None);
        }
        let mut marked = camera.witnesses();
        for witness in marked.values_mut() {
            witness.write(MARK, Sync::Told)?;
        }
        Ok((!marked.is_empty()).then_some(Writes {
            marked,
            lines: 0,
            without: 0,
            with: 0,
            unwritten: 0,
        }))
    }

    /// Looks at a frame, if it is the first in its buffer.
    pub(super) fn look(&mut self, lease: &Lease) -> Result<()> {
        let (Some(witness), false) = (
            self.marked.remove(&lease.index()),
            lease.frame().has_error(),
        ) else {
            return Ok(());
        };
        let Some(payload) = lease.frame().payloads.first() else {
            return Ok(());
        };
        let range = payload.offset..payload.offset + payload.length;
        let (without, lines) = witness.look(MARK, range.clone(), Sync::Untold)?;
        let (with, _) = witness.look(MARK, range.clone(), Sync::Told)?;
        let mut unwritten = 0;
        if with > 0 {
            displace_caches();
            (unwritten, _) = witness.look(MARK, range.clone(), Sync::Told)?;
        }
        self.lines += lines;
        self.without += without;
        self.with += with;
        self.unwritten += unwritten;
        Ok(())
    }

    /// What was seen.
    pub(super) fn verdict(&self) -> Coherency {
        let Writes {
            lines,
            without,
            with,
            unwritten,
            ..
        } = *self;
        let written = lines - unwritten;
        if with > unwritten {
            Coherency::Lies(with - unwritten, written)
        } else if lines == 0 {
            Coherency::Unknown("no frame came in a buffer that was marked".to_owned())
        } else if unwritten > 0 {
            Coherency::Unknown(format!(
                "{unwritten} of {lines} lines of 64 bytes were never written: the device leaves \
                 them out, or what it writes does not arrive"
            ))
        } else if without > with {
            Coherency::Cached
        } else {
            Coherency::Coherent
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(lines: usize, without: usize, with: usize, unwritten: usize) -> Coherency {
        let writes = Writes {
            marked: HashMap::new(),
            lines,
            without,
            with,
            unwritten,
        };
        writes.verdict()
    }

    #[test]
    fn what_was_seen_is_told_apart() {
        assert_eq!(seen(8, 0, 0, 0), Coherency::Coherent, "the mark is gone");
        assert_eq!(seen(8, 3, 0, 0), Coherency::Cached, "it is gone after SYNC");
        assert_eq!(seen(8, 3, 2, 0), Coherency::Lies(2, 8), "it is there still");
        let partly = seen(8, 3, 2, 1);
        assert_eq!(partly, Coherency::Lies(1, 7), "a line was not written");
        for unknown in [seen(8, 2, 2, 2), seen(0, 0, 0, 0)] {
            assert_eq!(unknown.as_ref(), "unknown", "nothing tells: {unknown:?}");
            assert!(unknown.reason().is_some(), "an unknown has a reason");
        }
    }
}
