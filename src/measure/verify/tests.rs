use super::*;
use crate::frame::{Frame, Layout, Lease, Payload, Pool, Rows, buffer::tests::frame};
use crate::memory::{Heap, HeapName};

const LENGTH: usize = 3 * PAGE + 100;

fn free() -> Free {
    let heap = Heap::open(&HeapName::Memfd).unwrap();
    Free::new(0, vec![heap.allocate(LENGTH).unwrap()])
}

fn poisoned(free: Free) -> Free {
    poison(free, &Arc::new(Places::Pages)).unwrap()
}

/// A frame that a driver wrote `bytes` of, from `offset` on.
fn captured(mut free: Free, offset: usize, bytes: &[u8]) -> Lease {
    write(&mut free, offset, bytes);
    lend(free, frame(LENGTH))
}

fn lend(free: Free, frame: Frame) -> Lease {
    Pool::new(Vec::new()).unwrap().lend(free, frame)
}

fn write(free: &mut Free, offset: usize, bytes: &[u8]) {
    for plane in free.planes_mut() {
        let mut access = plane.write().unwrap();
        let mut view = access.view_mut(offset, bytes.len()).unwrap();
        view.copy_from(bytes);
        access.end().unwrap();
    }
}

/// The buffer of a frame that was captured and is let go of.
fn used(mut free: Free, bytes: &[u8]) -> Free {
    write(&mut free, 0, bytes);
    let pool = Pool::new(Vec::new()).unwrap();
    drop(pool.lend(free, frame(LENGTH)));
    pool.take().expect("no lease is left")
}

fn look(lease: &Lease) -> Verified {
    let mut verified = Verified::default();
    verified.look(lease, None).unwrap();
    verified
}

#[test]
fn what_the_driver_left_unwritten_is_told() {
    let pixels = [7; LENGTH];
    let whole = captured(poisoned(free()), 0, &pixels);
    assert_eq!(look(&whole).unwritten + look(&whole).partly_written, 0);

    let nothing = captured(poisoned(free()), 0, &[]);
    assert_eq!(look(&nothing).unwritten, 1);

    let part = captured(poisoned(free()), 0, &pixels[..PAGE]);
    let found = look(&part);
    assert_eq!((found.unwritten, found.partly_written), (0, 1));
}

#[test]
fn padding_that_a_driver_does_not_write_is_no_fault() {
    // Rows of 3,000 bytes, a page from one to the next, and room behind the last.
    let rows = Rows {
        start: 0,
        stride: PAGE as u64,
        bytes: 3000,
        count: 3,
    };
    let places = Arc::new(Places::new(Layout::Rows(vec![vec![rows]])));
    let fresh = || poison(free(), &places).unwrap();
    let mut padded = fresh();
    for row in 0..3 {
        write(&mut padded, row * PAGE, &[7; 3000]);
    }
    let whole = lend(padded, frame(LENGTH));
    assert_eq!(inspect(&whole).unwrap().unwritten, None);
    // A row that is not written is one.
    let part = captured(fresh(), 0, &[7; 3000]);
    assert_eq!(inspect(&part).unwrap().unwritten, Some(Unwritten::Part));
    let nothing = captured(fresh(), 3000, &[7; 1000]);
    assert_eq!(inspect(&nothing).unwrap().unwritten, Some(Unwritten::All));
}

#[test]
fn of_a_format_that_nobody_knows_only_nothing_at_all_is_a_fault() {
    for layout in [Layout::Unknown, Layout::Scattered] {
        let places = Arc::new(Places::new(layout));
        let part = captured(poison(free(), &places).unwrap(), 0, &[7; PAGE]);
        assert_eq!(inspect(&part).unwrap().unwritten, None);
        let nothing = captured(poison(free(), &places).unwrap(), 0, &[]);
        assert_eq!(inspect(&nothing).unwrap().unwritten, Some(Unwritten::All));
    }
}

#[test]
fn what_the_driver_flags_itself_is_not_found_out() {
    let mut told = frame(LENGTH);
    told.flags = crate::frame::flags::BUF_FLAG_ERROR;
    let flagged = lend(poisoned(free()), told);
    assert_eq!(inspect(&flagged).unwrap().unwritten, None);
}

#[test]
fn a_frame_that_stays_from_the_round_before_is_told() {
    let first = used(poisoned(free()), &[7; LENGTH]);
    let second = captured(poisoned(first), 0, &[]);
    assert_eq!(look(&second).unwritten, 1);
}

#[test]
fn memory_that_was_not_poisoned_is_never_called_unwritten() {
    let found = inspect(&captured(free(), 0, &[])).unwrap();
    assert_eq!(found.unwritten, None);
    // Nor is what was poisoned before an earlier frame.
    let reused = used(poisoned(free()), &[1]);
    assert_eq!(inspect(&captured(reused, 0, &[])).unwrap().unwritten, None);
}

#[test]
fn zero_and_repeated_frames_are_named() {
    let mut verified = Verified::default();
    for (value, zero, repeated) in [(0, 1, 0), (0, 2, 1), (5, 2, 1), (6, 2, 1), (6, 2, 2)] {
        let lease = captured(free(), 0, &[value; LENGTH]);
        verified.look(&lease, None).unwrap();
        assert_eq!((verified.zero, verified.repeated), (zero, repeated));
    }
    assert_eq!(verified.frames, 5);
}

#[test]
fn one_wrong_bit_anywhere_spoils_a_frame() {
    let expected = inspect(&captured(free(), 0, &[3; LENGTH]))
        .unwrap()
        .checksum;
    for at in [0, 1, PAGE - 1, PAGE, LENGTH - 1] {
        let mut bytes = [3; LENGTH];
        bytes[at] ^= 0x10;
        let mut verified = Verified::default();
        verified
            .look(&captured(free(), 0, &bytes), Some(expected))
            .unwrap();
        assert_eq!(verified.spoiled, 1, "at {at}");
    }
    let mut verified = Verified::default();
    verified
        .look(&captured(free(), 0, &[3; LENGTH]), Some(expected))
        .unwrap();
    assert_eq!(verified.spoiled, 0);
}

#[test]
fn the_checksum_is_xxh3_of_the_payload_alone() {
    let bytes: Vec<u8> = (0..LENGTH).map(|n| (n % 251) as u8).collect();
    let mut told = frame(LENGTH);
    told.payloads = vec![Payload {
        offset: 5,
        length: 2 * PAGE,
    }];
    let mut free = free();
    write(&mut free, 0, &bytes);
    let checksum = inspect(&lend(free, told)).unwrap().checksum;
    let expected = xxhash_rust::xxh3::xxh3_64(&bytes[5..5 + 2 * PAGE]);
    assert_eq!(checksum, Checksum::Xxh3(expected));
}
