use std::num::NonZeroU32;

use proptest::prelude::*;

use super::*;
use crate::base::Monotonic;
use crate::frame::{FourCc, PlaneLayout, Timestamp};

fn stream(name: &str, (width, height): (u32, u32), planes: &[(u32, Option<u32>)]) -> Completeness {
    of(name.parse().unwrap(), (width, height), planes)
}

fn of(format: FourCc, (width, height): (u32, u32), planes: &[(u32, Option<u32>)]) -> Completeness {
    let planes: Vec<PlaneLayout> = planes
        .iter()
        .map(|&(sizeimage, bytesperline)| PlaneLayout {
            sizeimage: NonZeroU32::new(sizeimage).unwrap(),
            bytesperline,
        })
        .collect();
    let text = serde_json::json!({
        "width": width, "height": height, "pixel_format": format, "planes": planes, "buffers": 1,
    });
    Completeness::new(&serde_json::from_value(text).unwrap())
}

fn frame(flags: u32, lengths: &[usize]) -> Frame {
    let payload = |&length| Payload { offset: 0, length };
    Frame {
        sequence: 0,
        flags,
        field: 0,
        timestamp: Timestamp::default(),
        payloads: lengths.iter().map(payload).collect(),
        taken: Monotonic::now(),
    }
}

fn short(plane: usize, has: u64, needs: u64) -> Option<Lack> {
    Some(Lack::Short { plane, has, needs })
}

#[test]
fn padding_counts_except_the_last_row_s() {
    let padded = stream("YUYV", (60, 48), &[(160 * 52, Some(160))]);
    assert_eq!(padded.lack(&frame(0, &[160 * 47 + 120])), None);
    let has = 160 * 47 + 119;
    assert_eq!(
        padded.lack(&frame(0, &[has as usize])),
        short(0, has, has + 1)
    );
    // As versions 1 and 2 have it: the tight size judges.
    for stride in [None, Some(0)] {
        let tight = stream("YUYV", (60, 48), &[(160 * 52, stride)]);
        assert_eq!(tight.lack(&frame(0, &[120 * 48])), None);
        assert_eq!(tight.lack(&frame(0, &[5759])), short(0, 5759, 5760));
    }
}

#[test]
fn chroma_counts_in_one_memory_plane_and_in_several() {
    let joined = stream("NV12", (60, 48), &[(64 * 72, Some(64))]);
    assert_eq!(joined.lack(&frame(0, &[64 * 71 + 60])), None);
    assert_eq!(
        joined.lack(&frame(0, &[64 * 71 + 59])),
        short(0, 4603, 4604)
    );
    let thirds = stream("YU12", (60, 48), &[(64 * 72, Some(64))]);
    assert_eq!(thirds.lack(&frame(0, &[64 * 72 - 2])), None);
    assert_eq!(thirds.lack(&frame(0, &[64 * 72 - 3])), short(0, 4605, 4606));
    let planes = [(64 * 48, Some(64)), (64 * 24, Some(64))];
    let separate = stream("NM12", (60, 48), &planes);
    assert_eq!(separate.lack(&frame(0, &[64 * 48, 64 * 24])), None);
    assert_eq!(
        separate.lack(&frame(0, &[64 * 48, 0])),
        short(1, 0, 64 * 23 + 60)
    );
    let (has, needs) = (1, 2);
    assert_eq!(
        separate.lack(&frame(0, &[64 * 48])),
        Some(Lack::Planes { has, needs })
    );
}

#[test]
fn an_empty_frame_is_none_unless_the_driver_says_why() {
    for name in ["YUYV", "MJPG"] {
        let stream = stream(name, (60, 48), &[(5760, None)]);
        assert_eq!(stream.lack(&frame(0, &[0])), Some(Lack::Empty), "{name}");
        assert_eq!(stream.lack(&frame(BUF_FLAG_ERROR, &[0])), None, "{name}");
        assert_eq!(stream.lack(&frame(BUF_FLAG_LAST, &[0])), None, "{name}");
    }
    // The last frame of a raw stream is as long as the others.
    let raw = stream("YUYV", (60, 48), &[(5760, None)]);
    assert_eq!(raw.lack(&frame(BUF_FLAG_LAST, &[1])), short(0, 1, 5760));
    assert_eq!(raw.lack(&frame(BUF_FLAG_ERROR, &[1])), None);
}

#[test]
fn compressed_frames_vary_and_unknown_formats_are_not_judged() {
    let compressed = stream("MJPG", (60, 48), &[(5760, Some(0))]);
    assert_eq!(compressed.lack(&frame(0, &[1])), None);
    for (name, planes) in [("ABCD", 1), ("ABCD", 2), ("YUYV", 2)] {
        let unknown = stream(name, (60, 48), &vec![(5760, Some(120)); planes]);
        assert_eq!(
            unknown.lack(&frame(0, &vec![0; planes])),
            None,
            "{name} in {planes}"
        );
    }
}

proptest! {
    #[test]
    fn a_tight_frame_of_any_raw_format_and_size_is_whole(width in 1..5000_u32, height in 1..5000_u32) {
        for format in FourCc::known_raw() {
            let size = format.frame_size(width, height).unwrap();
            // Some drivers round the memory up to pages, and the payload not.
            for sizeimage in [size, size.next_multiple_of(4096)] {
                let stream = of(format, (width, height), &[(sizeimage, None)]);
                prop_assert_eq!(stream.lack(&frame(0, &[size as usize])), None, "{}", format);
            }
        }
    }

    #[test]
    fn a_frame_of_even_size_lacks_whatever_its_last_byte_is(width in 1..600_u32, height in 1..600_u32) {
        let (width, height) = (4 * width, 4 * height);
        for format in FourCc::known_raw() {
            let size = format.frame_size(width, height).unwrap();
            let stream = of(format, (width, height), &[(size, None)]);
            let lack = stream.lack(&frame(0, &[size as usize - 1]));
            prop_assert!(matches!(lack, Some(Lack::Short { .. })), "{format}: {lack:?}");
        }
    }

    #[test]
    fn nothing_that_a_peer_describes_overflows(
        name in "YUYV|NV12|NV24|P010|YU12|RGB4|NM12|YM24|MJPG|ABCD|Y10P",
        size in (1..=u32::MAX, 1..=u32::MAX),
        planes in proptest::collection::vec((1..=u32::MAX, proptest::option::of(any::<u32>())), 1..=8),
        flags in any::<u32>(),
        lengths in proptest::collection::vec(any::<u32>(), 0..=8),
    ) {
        let lengths: Vec<usize> = lengths.iter().map(|length| *length as usize).collect();
        let _ = stream(&name, size, &planes).lack(&frame(flags, &lengths));
    }
}
