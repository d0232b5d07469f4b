//! Copies from and to memory that a device or a peer may write meanwhile.
//!
//! An ordinary copy promises the compiler that nobody else writes there: it may leave the
//! copy out, or repeat it and expect the same bytes. Each access here is volatile instead,
//! so it happens once, as written. A copy may be half old and half new, and every bit
//! pattern is a value of the types that are read.

#![allow(unsafe_code)]

/// What is accessed at once: as much as every CPU of the kind has a register for, so that
/// these copies are as fast as memcpy(3).
#[cfg(target_arch = "x86_64")]
type Word = std::arch::x86_64::__m128i;
#[cfg(target_arch = "aarch64")]
type Word = std::arch::aarch64::uint8x16_t;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
type Word = usize;

/// Words on their way at a time: a CPU has several accesses under way.
const WORDS: usize = 4;

/// Copies from shared memory.
///
/// # Safety
///
/// `from` is mapped for reading for the length of `to`, and no memory that Rust knows of.
pub(super) unsafe fn read(from: *const u8, to: &mut [u8]) {
    let head = from.align_offset(align_of::<Word>()).min(to.len());
    let (first, rest) = to.split_at_mut(head);
    // SAFETY: the caller says that `from` is mapped for all bytes of `to`, whose parts are
    // walked in order. Words begin at their alignment: `head` bytes before them, and words.
    unsafe {
        let from = read_bytes(from, first);
        let (from, rest) = read_words::<WORDS>(from, rest);
        let (from, rest) = read_words::<1>(from, rest);
        read_bytes(from, rest);
    }
}

/// Copies to shared memory.
///
/// # Safety
///
/// `to` is mapped for writing for the length of `from`, and no memory that Rust knows of.
pub(super) unsafe fn write(to: *mut u8, from: &[u8]) {
    let head = to.align_offset(align_of::<Word>()).min(from.len());
    let (first, rest) = from.split_at(head);
    // SAFETY: as in `read`, the other way round.
    unsafe {
        let to = write_bytes(to, first);
        let (to, rest) = write_words::<WORDS>(to, rest);
        let (to, rest) = write_words::<1>(to, rest);
        write_bytes(to, rest);
    }
}

/// Reads `N` words at a time; gives where the next byte is, and what they didn't fill.
///
/// # Safety
///
/// As for `read`, and `from` is aligned.
#[inline(always)]
unsafe fn read_words<const N: usize>(mut from: *const u8, to: &mut [u8]) -> (*const u8, &mut [u8]) {
    let mut lines = to.chunks_exact_mut(size_of::<[Word; N]>());
    for line in &mut lines {
        // SAFETY: the caller says that there are as many bytes as `to` takes, and `line` is
        // as long as the array.
        unsafe {
            let word = from.cast::<Word>();
            let words: [Word; N] = std::array::from_fn(|i| word.add(i).read_volatile());
            line.as_mut_ptr().cast::<[Word; N]>().write_unaligned(words);
            from = from.add(line.len());
        }
    }
    (from, lines.into_remainder())
}

/// Writes `N` words at a time; gives where the next byte goes, and what is left over.
///
/// # Safety
///
/// As for `write`, and `to` is aligned.
#[inline(always)]
unsafe fn write_words<const N: usize>(mut to: *mut u8, from: &[u8]) -> (*mut u8, &[u8]) {
    let lines = from.chunks_exact(size_of::<[Word; N]>());
    let rest = lines.remainder();
    for line in lines {
        // SAFETY: the caller says that there is room for all of `from`, and `line` is as
        // long as the array.
        unsafe {
            let words = line.as_ptr().cast::<[Word; N]>().read_unaligned();
            for (i, word) in words.into_iter().enumerate() {
                to.cast::<Word>().add(i).write_volatile(word);
            }
            to = to.add(line.len());
        }
    }
    (to, rest)
}

/// Reads bytes one by one; gives where the next one is.
///
/// # Safety
///
/// As for `read`.
unsafe fn read_bytes(mut from: *const u8, to: &mut [u8]) -> *const u8 {
    for byte in to {
        // SAFETY: the caller says that there are as many as `to` takes.
        unsafe {
            *byte = from.read_volatile();
            from = from.add(1);
        }
    }
    from
}

/// Writes bytes one by one; gives where the next one goes.
///
/// # Safety
///
/// As for `write`.
unsafe fn write_bytes(mut to: *mut u8, from: &[u8]) -> *mut u8 {
    for byte in from {
        // SAFETY: the caller says that there is room for all of `from`.
        unsafe {
            to.write_volatile(*byte);
            to = to.add(1);
        }
    }
    to
}
