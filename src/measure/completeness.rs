//! Whether a frame is whole, by what its stream's format, size and strides say.

use crate::frame::{BUF_FLAG_ERROR, BUF_FLAG_LAST, Frame, Layout, Payload, Rows};
use crate::wire::Description;

/// What a stream's whole frames have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completeness {
    /// Memory planes.
    planes: usize,
    needs: Needs,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Needs {
    /// Nothing is known of the format.
    Anything,
    /// Compressed: some bytes.
    Something,
    /// Raw: so many bytes of each plane at least.
    Bytes(Vec<u64>),
}

/// What a frame lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Lack {
    /// It has no bytes.
    #[error("it is empty")]
    Empty,
    /// It has fewer bytes of a plane than its rows take.
    #[error("plane {plane} has {has} bytes, and its rows take {needs}")]
    Short {
        /// Planes before it.
        plane: usize,
        /// Bytes.
        has: u64,
        /// Bytes.
        needs: u64,
    },
    /// It has another number of planes than its stream.
    #[error("it has {has} planes, and its stream {needs}")]
    Planes {
        /// The frame's.
        has: usize,
        /// The stream's.
        needs: usize,
    },
}

impl Completeness {
    /// Of the frames of such a stream.
    pub fn new(stream: &Description) -> Self {
        let (width, height) = (stream.width, stream.height);
        Completeness {
            planes: stream.planes.len(),
            needs: match Layout::new(width, height, stream.pixel_format, &stream.planes) {
                // Nobody knows which rows are in which plane.
                Layout::Unknown | Layout::Scattered => Needs::Anything,
                Layout::Varies => Needs::Something,
                Layout::Rows(memory) => Needs::Bytes(memory.iter().map(|rows| end(rows)).collect()),
            },
        }
    }

    /// What a frame lacks; None if it is whole, and if the driver says that it is corrupt.
    pub fn lack(&self, frame: &Frame) -> Option<Lack> {
        if frame.flags & BUF_FLAG_ERROR != 0 {
            return None;
        }
        if let Needs::Anything = self.needs {
            return None;
        }
        let has = frame.payloads.len();
        if has != self.planes {
            let needs = self.planes;
            return Some(Lack::Planes { has, needs });
        }
        if frame.payloads.iter().all(|payload| payload.length == 0) {
            let is_end = frame.flags & BUF_FLAG_LAST != 0;
            return (!is_end).then_some(Lack::Empty);
        }
        let Needs::Bytes(needs) = &self.needs else {
            return None;
        };
        let has = frame
            .payloads
            .iter()
            .map(|&Payload { length, .. }| length as u64);
        let mut planes = has.zip(needs).enumerate();
        planes.find_map(|(plane, (has, &needs))| {
            (has < needs).then_some(Lack::Short { plane, has, needs })
        })
    }
}

/// Bytes of a memory plane up to its last row's end.
fn end(rows: &[Rows]) -> u64 {
    rows.iter().map(Rows::end).max().unwrap_or(0)
}

#[cfg(test)]
mod tests;
