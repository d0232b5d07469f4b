//! Bounds of mappings and views.

use std::os::fd::AsFd;

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
        offset in 0..LENGTH, bytes in proptest::collection::vec(any::<u8>(), 0..LENGTH)
    ) {
        let mapping = mapping();
        let view = mapping.view(offset, LENGTH - offset).unwrap();
        let written = view.copy_from(&bytes);
        prop_assert_eq!(written, bytes.len().min(LENGTH - offset));
        let mut read = vec![0; written];
        prop_assert_eq!(view.copy_to(&mut read), written);
        prop_assert_eq!(&read[..], &bytes[..written]);
    }
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
