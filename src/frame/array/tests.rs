//! Each element of an array is the byte that the format has there.

use std::num::NonZeroU32;

use super::*;
use crate::frame::Origin;
use crate::memory::MemoryUsed;

/// A stream of planes of such sizes and strides.
fn stream(format: &str, size: (u32, u32), planes: &[(u32, Option<u32>)]) -> Stream {
    let plane = |(sizeimage, bytesperline): &(u32, Option<u32>)| PlaneLayout {
        sizeimage: (*sizeimage).try_into().unwrap(),
        bytesperline: *bytesperline,
    };
    Stream {
        width: size.0,
        height: size.1,
        pixel_format: format.parse().unwrap(),
        planes: planes.iter().map(plane).collect(),
        buffers: NonZeroU32::MIN,
        memory: MemoryUsed::Memfd,
        heap: None,
        read_rate: None,
        origin: Origin::default(),
    }
}

fn of(format: &str, size: (u32, u32), planes: &[(u32, Option<u32>)]) -> Result<Array, String> {
    let payloads: Vec<usize> = planes.iter().map(|(size, _)| *size as usize).collect();
    array(&stream(format, size, planes), &payloads)
}

fn shapes(format: &str, size: (u32, u32), planes: &[(u32, Option<u32>)]) -> Vec<Vec<usize>> {
    let payloads: Vec<usize> = planes.iter().map(|(size, _)| *size as usize).collect();
    let arrays = arrays(&stream(format, size, planes), &payloads).unwrap();
    arrays.into_iter().map(|array| array.shape).collect()
}

#[test]
fn a_pixel_s_bytes_are_channels_and_its_words_are_elements() {
    for (format, bytes, shape, item) in [
        ("YUYV", 2, vec![4, 6, 2], Item::U8),
        ("VYUY", 2, vec![4, 6, 2], Item::U8),
        ("RGB3", 3, vec![4, 6, 3], Item::U8),
        ("XR24", 4, vec![4, 6, 4], Item::U8),
        ("GREY", 1, vec![4, 6], Item::U8),
        ("BA81", 1, vec![4, 6], Item::U8),
        ("Y16 ", 2, vec![4, 6], Item::U16Little),
        ("Y16 -BE", 2, vec![4, 6], Item::U16Big),
        ("BG12", 2, vec![4, 6], Item::U16Little),
        ("RGBR", 2, vec![4, 6], Item::U16Big),
    ] {
        let size = 6 * 4 * bytes;
        let array = of(format, (6, 4), &[(size, Some(6 * bytes))]).unwrap();
        assert_eq!((array.shape, array.item), (shape, item), "{format}");
    }
}

#[test]
fn rows_are_as_far_apart_as_the_driver_says() {
    let array = of("YUYV", (6, 4), &[(4 * 16, Some(16))]).unwrap();
    assert_eq!(array.strides, [16, 2, 1]);
}

#[test]
fn an_unknown_distance_is_known_where_there_is_no_room_for_another() {
    assert!(of("YUYV", (6, 4), &[(48, None)]).is_ok());
    let error = of("YUYV", (6, 4), &[(64, None)]).unwrap_err();
    assert!(error.contains("unknown"), "{error}");
}

#[test]
fn a_short_frame_is_no_array_and_its_last_row_s_padding_is_not_missed() {
    let padded = stream("GREY", (6, 4), &[(32, Some(8))]);
    assert!(array(&padded, &[30]).is_ok());
    let error = array(&padded, &[29]).unwrap_err();
    assert!(
        error.contains("29 bytes") && error.contains("30"),
        "{error}"
    );
}

#[test]
fn nv12_is_one_array_and_two_with_rows_of_one_distance() {
    let padded = [(8 * 6, Some(8))];
    let whole = of("NV12", (6, 4), &padded).unwrap();
    assert_eq!((whole.shape, whole.strides), (vec![6, 6], vec![8, 1]));
    assert_eq!(shapes("NV12", (6, 4), &padded), [vec![4, 6], vec![2, 3, 2]]);
    let wide = of("P010", (6, 4), &[(72, Some(12))]).unwrap();
    assert_eq!((wide.shape, wide.item), (vec![6, 6], Item::U16Little));
}

#[test]
fn planes_in_memory_of_their_own_are_no_single_array() {
    let planes = [(24, Some(6)), (12, Some(6))];
    let error = of("NM12", (6, 4), &planes).unwrap_err();
    assert!(error.contains("arrays()"), "{error}");
    assert_eq!(shapes("NM12", (6, 4), &planes), [vec![4, 6], vec![2, 3, 2]]);
    let stream = stream("NM12", (6, 4), &planes);
    let second = arrays(&stream, &[24, 12]).unwrap().remove(1);
    assert_eq!((second.plane, second.offset), (1, 0));
}

#[test]
fn yu12_is_one_array_only_where_it_is_not_padded() {
    let tight = [(36, Some(6))];
    assert_eq!(of("YU12", (6, 4), &tight).unwrap().shape, [6, 6]);
    assert_eq!(
        shapes("YU12", (6, 4), &tight),
        [vec![4, 6], vec![2, 3], vec![2, 3]]
    );
    let error = of("YU12", (6, 4), &[(48, Some(8))]).unwrap_err();
    assert!(error.contains("arrays()"), "{error}");
}

#[test]
fn what_is_compressed_or_unknown_is_its_bytes() {
    for format in ["MJPG", "ABCD", "pBAA"] {
        let array = array(&stream(format, (64, 48), &[(9000, Some(0))]), &[123]).unwrap();
        assert_eq!(
            (array.shape, array.strides),
            (vec![123], vec![1]),
            "{format}"
        );
    }
}

proptest::proptest! {
    /// Whatever is described, no array leaves the payload.
    #[test]
    fn no_array_leaves_its_payload(
        format in proptest::sample::select(vec!["YUYV", "NV12", "NM12", "YU12", "411P", "P010", "RGB3", "MJPG"]),
        size in (1_u32..70, 1_u32..70),
        planes in proptest::collection::vec((1_u32..20_000, proptest::option::of(0_u32..300)), 1..4),
        short in 0_usize..64,
    ) {
        let stream = stream(format, size, &planes);
        let payloads: Vec<usize> = planes
            .iter()
            .map(|(size, _)| (*size as usize).saturating_sub(short))
            .collect();
        let all = arrays(&stream, &payloads).unwrap_or_default();
        for array in all.into_iter().chain(array(&stream, &payloads)) {
            let steps = array.shape.iter().zip(&array.strides);
            let last: usize = steps.map(|(count, stride)| count.saturating_sub(1) * stride).sum();
            let is_empty = array.shape.contains(&0);
            let end = array.offset + last + array.item.bytes();
            proptest::prop_assert!(is_empty || end <= payloads[array.plane], "{array:?} of {payloads:?}");
        }
    }
}
