//! What a buffer holds before the driver gets it, so that what it never wrote shows.
//!
//! A word at the beginning of every page, a different one each time: a page that
//! still holds its word was not written, whatever the driver says. A word a page
//! costs next to nothing beside a checksum, and drivers leave whole pages or nothing.

use crate::memory::View;

/// Bytes from one word to the next.
pub const PAGE: usize = 4096;

/// What fills the beginning of a page before the driver does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Poison(u64);

impl Poison {
    /// One that no frame holds but by a chance of 2^-64.
    pub fn new() -> Self {
        // Without entropy a fixed word has to do.
        Poison(getrandom::u64().unwrap_or(0x9e37_79b9_7f4a_7c15))
    }

    /// The word of a page.
    pub fn word(self, page: usize) -> [u8; 8] {
        self.0
            .wrapping_add((page as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15))
            .to_ne_bytes()
    }

    /// Writes the words into a plane.
    pub fn write(self, view: View<'_>) {
        for (page, start) in (0..view.length()).step_by(PAGE).enumerate() {
            if let Some(rest) = view.skip(start) {
                rest.copy_from(&self.word(page));
            }
        }
    }
}

impl Default for Poison {
    fn default() -> Self {
        Poison::new()
    }
}
