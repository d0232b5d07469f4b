//! A look at a DMABUF's memory from beside whoever owns it: what the CPU sees of what a device
//! writes, and what a device gets of what the CPU writes, with DMA_BUF_IOCTL_SYNC and without.

use std::hint::black_box;
use std::ops::Range;

use super::{Plane, View, ViewMut};
use crate::base::Result;

/// Bytes that CPUs cache as one, or a part of it.
const LINE: usize = 64;
/// So many bytes stay in a CPU's caches while a device writes a frame.
const MOST: usize = 128 << 10;
/// More than the caches of machines have whose devices don't look into them.
const CACHES: usize = 64 << 20;

/// What the CPU writes to be known again: each line of a mark is another's nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark(pub u64);

impl Mark {
    fn line(self, index: usize) -> [u8; LINE] {
        let mut line = [0; LINE];
        for (word, at) in line.chunks_exact_mut(8).zip(0_u64..) {
            // SplitMix64, by Steele, Lea and Flood: it tells neighbors apart.
            let seed = (self.0 << 32 | index as u64) * 8 + at;
            let mut z = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            word.copy_from_slice(&(z ^ (z >> 31)).to_le_bytes());
        }
        line
    }

    /// Writes it into memory's first lines.
    pub fn write(self, memory: &mut ViewMut<'_>) {
        let lines = memory.length().min(MOST) / LINE;
        let bytes: Vec<u8> = (0..lines).flat_map(|index| self.line(index)).collect();
        memory.copy_from(&bytes);
    }

    /// How many of memory's first lines hold it, and how many there are.
    pub fn count(self, memory: &View<'_>) -> (usize, usize) {
        self.count_from(0, memory)
    }

    fn count_from(self, first: usize, memory: &View<'_>) -> (usize, usize) {
        let mut bytes = vec![0; memory.length().min(MOST) / LINE * LINE];
        memory.copy_to(&mut bytes);
        let lines = (first..).zip(bytes.chunks_exact(LINE));
        let held = lines.filter(|(index, line)| **line == self.line(*index));
        (held.count(), bytes.len() / LINE)
    }
}

/// Whether an access of the CPU's is told to the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sync {
    /// By DMA_BUF_IOCTL_SYNC, as has to be.
    Told,
    /// Not at all.
    Untold,
}

/// A second mapping of a DMABUF.
#[derive(Debug)]
pub struct Witness(Plane);

impl Witness {
    /// Of a plane's DMABUF. None if it is none, or can't be mapped twice.
    pub fn of(plane: &Plane) -> Option<Self> {
        let dmabuf = plane.dmabuf()?.try_clone_to_owned().ok()?;
        Plane::of_dmabuf(dmabuf, plane.length()).ok().map(Witness)
    }

    /// Writes a mark into the first lines, and reads them: they are in the CPU's caches then.
    pub fn write(&mut self, mark: Mark, sync: Sync) -> Result<()> {
        if sync == Sync::Told {
            self.0.begin_write()?;
        }
        let length = self.0.length();
        if let Some(mut view) = self.0.mapping.view_mut(0, length) {
            mark.write(&mut view);
        }
        if sync == Sync::Told {
            self.0.end_write()?;
        }
        self.look(mark, 0..length, Sync::Untold)?;
        Ok(())
    }

    /// How many of the marked lines in a range of bytes hold a mark, and how many there are.
    pub fn look(&self, mark: Mark, range: Range<usize>, sync: Sync) -> Result<(usize, usize)> {
        let first = range.start.div_ceil(LINE);
        let end = range.end.min(MOST).max(first * LINE);
        if sync == Sync::Told {
            self.0.begin_read()?;
        }
        let view = self.0.view(first * LINE, end - first * LINE);
        let counted = view.map(|view| mark.count_from(first, &view));
        if sync == Sync::Told {
            self.0.end_read()?;
        }
        counted
    }
}

/// Has the CPU's caches hold other memory than what they held.
pub fn displace_caches() {
    let mut other = vec![1_u8; CACHES];
    for byte in other.iter_mut().step_by(LINE) {
        *byte = byte.wrapping_add(1);
    }
    black_box(&other);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{Heap, HeapName};

    #[test]
    fn a_mark_is_known_again_line_by_line_and_is_no_other() {
        let heap = Heap::open(&HeapName::Memfd).unwrap();
        let mut plane = heap.allocate(4 * LINE).unwrap();
        let mark = Mark(1);
        mark.write(&mut plane.mapping.view_mut(0, 4 * LINE).unwrap());
        let mut view = plane.mapping.view_mut(LINE, LINE).unwrap();
        view.copy_from(&[0; LINE]);
        let view = plane.view(0, 4 * LINE).unwrap();
        assert_eq!(
            mark.count(&view),
            (3, 4),
            "the mark is in three lines of four"
        );
        assert_eq!(Mark(2).count(&view), (0, 4), "another mark is in none");
        let later = plane.view(2 * LINE, 2 * LINE).unwrap();
        assert_eq!(
            mark.count_from(2, &later),
            (2, 2),
            "lines know where they are"
        );
    }
}
