//! Bounds of mappings and views.

use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::memfd::{MFdFlags, memfd_create};
use proptest::prelude::*;

use super::*;

const LENGTH: usize = 8192;

fn mapping() -> Mapping {
    let memfd = memfd_create(c"test", MFdFlags::MFD_CLOEXEC).unwrap();
    nix::unistd::ftruncate(&memfd, LENGTH as i64).unwrap();
    Mapping::new(memfd.as_fd(), LENGTH, 0).unwrap()
}

proptest! {
    #[test]
    fn a_view_is_had_exactly_if_it_lies_inside(
        offset in prop_oneof![0..2 * LENGTH, any::<usize>()],
        length in prop_oneof![0..2 * LENGTH, any::<usize>()],
    ) {
        let mapping = mapping();
        let inside = offset.checked_add(length).is_some_and(|end| end <= LENGTH);
        let view = mapping.view(offset, length);
        prop_assert_eq!(view.map(|view| view.length()), inside.then_some(length));
    }

    #[test]
    fn bytes_come_back_from_where_they_went(
        offset in prop_oneof![0..100usize, 0..LENGTH],
        bytes in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..200),
            proptest::collection::vec(any::<u8>(), 0..LENGTH),
        ],
        skipped in 0..20usize,
    ) {
        let mut mapping = mapping();
        let mut whole = mapping.view_mut(0, LENGTH).unwrap();
        prop_assert_eq!(whole.copy_from(&[0xA5; LENGTH]), LENGTH);
        let mut view = mapping.view_mut(offset, LENGTH - offset).unwrap();
        let written = view.copy_from(&bytes);
        let whole = mapping.view(0, LENGTH).unwrap();
        let view = mapping.view(offset, LENGTH - offset).unwrap();
        prop_assert_eq!(written, bytes.len().min(LENGTH - offset));
        // As long as the memory, to show what lies around, and aligned otherwise than it.
        let mut read = vec![0; skipped + LENGTH];
        prop_assert_eq!(whole.copy_to(&mut read[skipped..]), LENGTH);
        let read = &read[skipped..];
        prop_assert_eq!(&read[offset..offset + written], &bytes[..written]);
        prop_assert!(read[..offset].iter().all(|byte| *byte == 0xA5));
        prop_assert!(read[offset + written..].iter().all(|byte| *byte == 0xA5));
        let mut read = vec![0x5A; written + skipped];
        prop_assert_eq!(view.first(written).unwrap().copy_to(&mut read[..]), written);
        prop_assert_eq!(&read[..written], &bytes[..written]);
        prop_assert!(read[written..].iter().all(|byte| *byte == 0x5A));
    }
}

#[test]
fn each_copy_looks_anew_at_what_another_writes() {
    let memfd = memfd_create(c"test", MFdFlags::MFD_CLOEXEC).unwrap();
    nix::unistd::ftruncate(&memfd, LENGTH as i64).unwrap();
    let ours = Mapping::new(memfd.as_fd(), LENGTH, 0).unwrap();
    let mut theirs = Mapping::new(memfd.as_fd(), LENGTH, 0).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let done = &done;
        scope.spawn(move || {
            let mut view = theirs.view_mut(0, LENGTH).unwrap();
            for turn in 0.. {
                view.copy_from(&[turn as u8 % 2; LENGTH]);
                if done.load(Ordering::Relaxed) {
                    return;
                }
            }
        });
        let view = ours.view(0, LENGTH).unwrap();
        let (mut seen, mut strange) = ([false; 2], 0);
        let begun = Instant::now();
        let mut read = [0; LENGTH];
        while seen != [true; 2] && begun.elapsed() < Duration::from_secs(20) {
            view.copy_to(&mut read);
            for byte in read {
                match seen.get_mut(usize::from(byte)) {
                    Some(seen) => *seen = true,
                    None => strange += 1,
                }
            }
        }
        done.store(true, Ordering::Relaxed);
        assert_eq!(seen, [true; 2], "what another wrote was never seen");
        assert_eq!(strange, 0, "bytes that nobody wrote");
    });
}

#[test]
fn a_mapping_of_nothing_is_refused() {
    let memfd = memfd_create(c"test", MFdFlags::MFD_CLOEXEC).unwrap();
    assert_eq!(
        Mapping::new(memfd.as_fd(), 0, 0).unwrap_err(),
        Errno::EINVAL
    );
}

#[test]
fn skipping_and_cutting_stay_inside() {
    let mapping = mapping();
    let view = mapping.view(10, 20).unwrap();
    assert_eq!(view.skip(20).map(|view| view.length()), Some(0));
    assert!(view.skip(21).is_none());
    assert!(view.first(21).is_none());
    assert_eq!(view.first(5).map(|view| view.length()), Some(5));
}
