//! What a buffer holds before the driver gets it, so that what it never wrote shows.
//!
//! A word in every page, a different one each time, and where the driver has to write
//! pixels: a page that still holds its word was not written, whatever the driver says. A
//! word a page costs next to nothing beside a checksum, and drivers leave whole pages or
//! nothing. Where rows are padded they may leave the padding as well, and nothing is wrong
//! then.

use std::sync::Arc;

use crate::frame::{Layout, Rows};
use crate::memory::ViewMut;

/// Bytes of a page: there is a word in each at most.
pub const PAGE: usize = 4096;

/// Bytes of a word.
const WORD: usize = 8;

type Word = [u8; WORD];

/// Where the words are in a stream's buffers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Places {
    /// The first place in each page that is pixels alone, by each memory plane's rows.
    Pixels(Vec<Vec<Rows>>),
    /// The beginning of each page: all bytes that a compressed frame has are written.
    Pages,
    /// The beginning of each page, of which nobody knows whether it is padding.
    Anywhere,
}

impl Places {
    /// In buffers for frames that lie like this in memory.
    pub fn new(layout: Layout) -> Self {
        match layout {
            Layout::Rows(planes) => Places::Pixels(planes),
            Layout::Varies => Places::Pages,
            Layout::Unknown | Layout::Scattered => Places::Anywhere,
        }
    }

    /// Whether a frame that lacks a part of its pages lacks something.
    pub fn tell_parts(&self) -> bool {
        !matches!(self, Places::Anywhere)
    }

    /// Where in a plane its page's word is; None if it has none.
    fn place(&self, plane: usize, page: usize) -> Option<usize> {
        let begin = page.checked_mul(PAGE)?;
        let Places::Pixels(planes) = self else {
            return Some(begin);
        };
        let rows = planes.get(plane)?.iter();
        rows.filter_map(|rows| first_within(rows, begin)).min()
    }

    /// Whether a driver that puts its frame `offset` bytes behind the plane's beginning
    /// writes all of the word at `place`.
    fn is_written(&self, plane: usize, place: usize, offset: usize) -> bool {
        let Places::Pixels(planes) = self else {
            return true;
        };
        let place = place.checked_sub(offset);
        let rows = planes.get(plane).map_or(&[][..], Vec::as_slice);
        place.is_some_and(|place| rows.iter().any(|rows| holds_word(rows, place as u64)))
    }
}

/// The first place at or behind `begin` and within its page that has room for a word in a row.
fn first_within(rows: &Rows, begin: usize) -> Option<usize> {
    let from = (begin as u64).saturating_sub(rows.start);
    // A row of so many bytes has a stride.
    let row = Some(from).filter(|_| rows.bytes >= WORD as u64)? / rows.stride;
    let begin_of = |row: u64| row.checked_mul(rows.stride)?.checked_add(rows.start);
    let here = begin_of(row)?.max(begin as u64);
    let next = begin_of(row.checked_add(1)?)?;
    let end = begin.checked_add(PAGE - WORD)? as u64;
    let mut places = [here, next].into_iter();
    let place = places.find(|place| holds_word(rows, *place))?;
    (place <= end).then(|| usize::try_from(place).ok())?
}

/// Whether the word at `place` lies wholly in a row.
fn holds_word(rows: &Rows, place: u64) -> bool {
    let Some(from) = place.checked_sub(rows.start) else {
        return false;
    };
    match (from.checked_div(rows.stride), from.checked_rem(rows.stride)) {
        (Some(row), Some(column)) => {
            row < rows.count && column.saturating_add(WORD as u64) <= rows.bytes
        }
        _ => false,
    }
}

/// What a buffer is filled with before the driver does.
#[derive(Debug, Clone)]
pub struct Poison {
    seed: u64,
    places: Arc<Places>,
}

impl Poison {
    /// One that no frame holds but by a chance of 2^-64.
    pub fn new(places: &Arc<Places>) -> Self {
        Poison {
            // Without entropy a fixed word has to do.
            seed: getrandom::u64().unwrap_or(0x9e37_79b9_7f4a_7c15),
            places: Arc::clone(places),
        }
    }

    /// Where its words are.
    pub fn places(&self) -> &Places {
        &self.places
    }

    fn word(&self, page: usize) -> Word {
        self.seed
            .wrapping_add((page as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15))
            .to_ne_bytes()
    }

    /// Writes the words into a plane.
    pub fn write(&self, plane: usize, mut view: ViewMut<'_>) {
        for page in 0..view.length().div_ceil(PAGE) {
            let place = self.places.place(plane, page);
            if let Some(mut rest) = place.and_then(|place| view.skip(place)) {
                rest.copy_from(&self.word(page));
            }
        }
    }

    /// Whether a page still has its word. `bytes` are those of the plane from `at` on, a page
    /// or a part of it, and the frame's first byte is at `offset`. None if there is no word,
    /// or none that the driver had to write over.
    pub fn is_left(&self, plane: usize, at: usize, bytes: &[u8], offset: usize) -> Option<bool> {
        let page = at / PAGE;
        let place = self.places.place(plane, page)?;
        let found: &Word = bytes.get(place.checked_sub(at)?..)?.first_chunk()?;
        let is_written = self.places.is_written(plane, place, offset);
        is_written.then(|| *found == self.word(page))
    }
}

#[cfg(test)]
mod tests;
