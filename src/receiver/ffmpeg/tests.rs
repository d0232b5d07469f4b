//! What is printed shows the picture: each of its samples is read from where the frame has it.

use proptest::prelude::*;

use super::*;
use crate::wire::v2::StreamHeader;

fn stream(format: &str, (width, height): (u32, u32), planes: &[(u32, Option<u32>)]) -> Description {
    let bytes = planes[0].0;
    let header = StreamHeader {
        width,
        height,
        pixel_format: format.parse().unwrap(),
        sizeimage: bytes.try_into().unwrap(),
        buffer_count: 4.try_into().unwrap(),
    };
    let plane = |(sizeimage, bytesperline): &(u32, Option<u32>)| PlaneLayout {
        sizeimage: (*sizeimage).try_into().unwrap(),
        bytesperline: *bytesperline,
    };
    Description {
        planes: planes.iter().map(plane).collect(),
        ..Description::from(header)
    }
}

/// What is printed, with its condition first.
fn printed(format: &str, size: (u32, u32), planes: &[(u32, Option<u32>)]) -> String {
    match FfmpegOptions::new(&stream(format, size, planes)) {
        Ok(options) => {
            let condition = options.condition.map_or(String::new(), |c| c + ": ");
            format!("{condition}{} -i X{}", options.input, options.filter)
        }
        Err(why) => why,
    }
}

#[test]
fn tight_frames_are_read_as_they_are() {
    assert_eq!(
        printed("YUYV", (640, 480), &[(614_400, None)]),
        "-f rawvideo -pixel_format yuyv422 -video_size 640x480 -i X"
    );
    assert_eq!(
        printed("YV12", (640, 480), &[(460_800, Some(640))]),
        "-f rawvideo -pixel_format yuv420p -video_size 640x480 -i X -vf swapuv"
    );
    assert_eq!(
        printed("MJPG", (640, 480), &[(614_400, Some(0))]),
        "-f mjpeg -i X"
    );
    assert_eq!(
        printed("XXXX", (640, 480), &[(614_400, None)]),
        "ffmpeg knows no way to read XXXX"
    );
}

#[test]
fn padded_rows_are_read_and_cropped() {
    assert_eq!(
        printed("NV12", (600, 480), &[(460_800, Some(640))]),
        "-f rawvideo -pixel_format nv12 -video_size 640x480 -i X -vf crop=600:480:0:0"
    );
    assert_eq!(
        printed("YV12", (600, 480), &[(460_800, Some(640))]),
        "-f rawvideo -pixel_format yuv420p -video_size 640x480 -i X -vf crop=600:480:0:0,swapuv"
    );
    assert_eq!(
        printed("YUYV", (600, 480), &[(1280 * 500, Some(1280))]),
        "-f rawvideo -pixel_format yuyv422 -video_size 640x500 -i X -vf crop=600:480:0:0"
    );
}

#[test]
fn planes_in_memory_of_their_own_are_read_as_one_picture() {
    assert_eq!(
        printed(
            "NM12",
            (600, 480),
            &[(307_200, Some(640)), (153_600, Some(640))]
        ),
        "-f rawvideo -pixel_format nv12 -video_size 640x480 -i X -vf crop=600:480:0:0"
    );
    assert_eq!(
        printed(
            "YM12",
            (600, 480),
            &[
                (307_200, Some(640)),
                (76_800, Some(320)),
                (76_800, Some(320))
            ]
        ),
        "-f rawvideo -pixel_format yuv420p -video_size 640x480 -i X -vf crop=600:480:0:0"
    );
}

#[test]
fn what_no_command_shows_is_said() {
    for (format, size, planes, why) in [
        (
            "NM12",
            (600, 480),
            vec![(307_200, Some(640)), (245_760, Some(1024))],
            "the planes are padded each in its own way",
        ),
        (
            "NM12",
            (640, 480),
            vec![(311_296, Some(640)), (155_648, Some(640))],
            "the planes are padded each in its own way",
        ),
        (
            "RGB3",
            (600, 480),
            vec![(1856 * 480, Some(1856))],
            "rows of 1856 bytes are not of whole pixels",
        ),
        (
            "YU12",
            (600, 480),
            vec![(641 * 720, Some(641))],
            "rows of 641 bytes don't divide by 2",
        ),
        (
            "NV12",
            (640, 480),
            vec![(460_800, Some(600))],
            "rows of 600 bytes don't hold 640 pixels",
        ),
        (
            "NV12",
            (640, 480),
            vec![(460_799, Some(640))],
            "they have 460799 bytes, where 460800 are needed",
        ),
        (
            "NV12",
            (640, 480),
            vec![(1, None), (1, None), (1, None)],
            "they are in 3 planes, not 1 or 2",
        ),
    ] {
        assert_eq!(
            printed(format, size, &planes),
            format!("no ffplay command shows these frames of {format}: {why}")
        );
    }
}

#[test]
fn what_the_description_leaves_open_is_said() {
    assert_eq!(
        printed("NV12", (600, 480), &[(460_800, None)]),
        "if rows are padded to 640 bytes: \
         -f rawvideo -pixel_format nv12 -video_size 640x480 -i X -vf crop=600:480:0:0"
    );
    assert_eq!(
        printed("YUYV", (640, 480), &[(614_401, None)]),
        "if frames have 614400 bytes, not 614401: \
         -f rawvideo -pixel_format yuyv422 -video_size 640x480 -i X"
    );
    assert_eq!(
        printed("NV12", (640, 480), &[(466_944, Some(640))]),
        "if frames have 460800 bytes, not 466944: \
         -f rawvideo -pixel_format nv12 -video_size 640x480 -i X"
    );
}

/// A component plane: bytes of a unit, pixels and rows that share it.
type Component = (u64, u64, u64);

/// The formats tried, in one memory plane and in several, and ffmpeg's names for them.
const FORMATS: &[(&str, &str, &str, &[Component])] = &[
    ("YUYV", "", "yuyv422", &[(4, 2, 1)]),
    ("RGB3", "", "rgb24", &[(3, 1, 1)]),
    ("GREY", "", "gray", &[(1, 1, 1)]),
    ("NV12", "NM12", "nv12", &[(1, 1, 1), (2, 2, 2)]),
    ("NV16", "NM16", "nv16", &[(1, 1, 1), (2, 2, 1)]),
    ("NV24", "", "nv24", &[(1, 1, 1), (2, 1, 1)]),
    ("P010", "", "p010le", &[(2, 1, 1), (4, 2, 2)]),
    (
        "YU12",
        "YM12",
        "yuv420p",
        &[(1, 1, 1), (1, 2, 2), (1, 2, 2)],
    ),
    (
        "422P",
        "YM16",
        "yuv422p",
        &[(1, 1, 1), (1, 2, 1), (1, 2, 1)],
    ),
    ("411P", "", "yuv411p", &[(1, 1, 1), (1, 4, 1), (1, 4, 1)]),
];

/// Where a picture of ffmpeg's has each unit that the crop leaves, and the bytes of all.
fn read_by_ffmpeg(options: &FfmpegOptions, (width, height): (u64, u64)) -> (Vec<u64>, u64) {
    let words: Vec<&str> = options.input.split(' ').collect();
    let [_, _, _, name, _, size] = words[..] else {
        panic!("{}", options.input);
    };
    let (read_width, read_height) = size.split_once('x').unwrap();
    let (read_width, read_height): (u64, u64) =
        (read_width.parse().unwrap(), read_height.parse().unwrap());
    let crops = options
        .filter
        .contains(&format!("crop={width}:{height}:0:0"));
    assert_eq!(crops, (read_width, read_height) != (width, height));
    let components = FORMATS.iter().find(|(_, _, known, _)| *known == name);
    let mut places = Vec::new();
    let mut start = 0;
    for (bytes, across, down) in components.unwrap().3 {
        let stride = read_width.div_ceil(*across) * bytes;
        for y in 0..height.div_ceil(*down) {
            places.extend((0..width.div_ceil(*across)).map(|x| start + y * stride + x * bytes));
        }
        start += stride * read_height.div_ceil(*down);
    }
    (places, start)
}

proptest! {
    #[test]
    fn samples_are_read_from_where_the_frame_has_them(
        (format, units) in (0..FORMATS.len(), 1_u32..12),
        rows in 1_u32..9,
        is_split in any::<bool>(),
        padding in prop_oneof![Just(0), 0_u32..20],
        chroma_padding in prop_oneof![4 => Just(0), 1 => 0_u32..8],
        trailing in prop_oneof![2 => Just(0), 1 => 0_u32..80],
        luma_trailing in prop_oneof![4 => Just(0), 1 => 1_u32..40],
    ) {
        let (single, several, _, components) = FORMATS[format];
        let width = units * 4;
        let height = rows * 2;
        let stride = components[0].0 as u32 * width / components[0].1 as u32 + padding;
        let is_split = is_split && !several.is_empty();
        // As V4L2 says: the planes' places, by hand and without the code's own layout.
        let mut expected = Vec::new();
        let mut planes = Vec::new();
        let mut start = 0;
        for (index, (bytes, across, down)) in components.iter().enumerate() {
            let share = (*across as u32, *bytes as u32);
            let own = match index {
                0 => stride,
                _ => stride * share.1 / share.0 / components[0].0 as u32
                    + if is_split { chroma_padding } else { 0 },
            };
            if !is_split && index > 0 && (stride * share.1) % (share.0 * components[0].0 as u32) != 0 {
                return Ok(()); // What that means V4L2 doesn't say.
            }
            for y in 0..u64::from(height).div_ceil(*down) {
                let row = u64::from(start) + y * u64::from(own);
                expected.extend((0..u64::from(width).div_ceil(*across)).map(|x| row + x * bytes));
            }
            let mut size = own * height / *down as u32;
            if is_split && index == 0 {
                size += luma_trailing;
            }
            if index + 1 == components.len() {
                size += trailing;
            }
            start += size;
            planes.push((size, Some(own)));
        }
        if !is_split {
            planes = vec![(start, Some(stride))];
        }
        let name = if is_split { several } else { single };
        let described = stream(name, (width, height), &planes);
        match FfmpegOptions::new(&described) {
            Ok(options) => {
                let (places, bytes) = read_by_ffmpeg(&options, (width.into(), height.into()));
                prop_assert_eq!(places, expected, "{:?} of {:?}", options, planes);
                prop_assert_eq!(
                    bytes == u64::from(start), options.condition.is_none(), "{:?} of {:?}", options, planes
                );
            }
            // Only what is padded may be without a command.
            Err(why) => prop_assert!(
                padding + chroma_padding + luma_trailing > 0, "{} of {:?}", why, planes
            ),
        }
    }

    #[test]
    fn no_description_is_too_wild(
        format in prop_oneof![Just("NV12"), Just("YUYV"), Just("YM12"), Just("411P"), Just("RGB3")],
        width in 1..=u32::MAX,
        height in 1..=u32::MAX,
        planes in proptest::collection::vec((1..=u32::MAX, proptest::option::of(any::<u32>())), 1..=8),
    ) {
        let _ = FfmpegOptions::new(&stream(format, (width, height), &planes));
    }
}
