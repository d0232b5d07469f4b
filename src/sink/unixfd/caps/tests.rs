use std::num::NonZeroU32;

use super::*;
use crate::frame::PlaneLayout;

fn stream(format: &str, size: (u32, u32), planes: &[(u32, u32)]) -> Description {
    let plane = |(sizeimage, bytesperline): &(u32, u32)| PlaneLayout {
        sizeimage: NonZeroU32::new(*sizeimage).unwrap(),
        bytesperline: Some(*bytesperline),
    };
    let planes: Vec<PlaneLayout> = planes.iter().map(plane).collect();
    let told = serde_json::json!({
        "width": size.0,
        "height": size.1,
        "pixel_format": format.parse::<FourCc>().unwrap(),
        "planes": planes,
        "buffers": 4,
        "frame_interval": [1001, 30000],
        "field": sys::V4L2_FIELD_NONE,
    });
    serde_json::from_value(told).unwrap()
}

fn coloured(format: &str, colorspace: u32) -> String {
    let mut stream = stream(format, (64, 48), &[(64 * 48 * 4, 0)]);
    stream.colorimetry = Some(crate::frame::Colorimetry {
        colorspace,
        ..Default::default()
    });
    let caps = Media::of(&stream).unwrap().caps;
    let told = caps.split_once("colorimetry=(string)");
    told.map_or(String::new(), |(_, colours)| colours.to_owned())
}

#[test]
fn caps_have_format_size_rate_and_rows() {
    let media = Media::of(&stream("NV12", (1280, 720), &[(1_382_400, 1280)])).unwrap();
    assert_eq!(
        media.caps,
        "video/x-raw, format=(string)NV12, interlace-mode=(string)progressive, \
         pixel-aspect-ratio=(fraction)1/1, width=(int)1280, height=(int)720, \
         framerate=(fraction)30000/1001"
    );
    assert_eq!(media.sizes, Some(vec![1_382_400]));
    assert_eq!(media.duration, Some(33_366_666));
    let media = Media::of(&stream("MJPG", (640, 480), &[(100_000, 0)])).unwrap();
    assert_eq!(
        media.caps,
        "image/jpeg, width=(int)640, height=(int)480, framerate=(fraction)30000/1001"
    );
    assert_eq!(media.sizes, None);
}

#[test]
fn a_frame_has_the_bytes_that_its_caps_imply_whatever_its_buffer_has() {
    let two = stream(
        "NM12",
        (64, 48),
        &[(64 * 48 + 512, 64), (64 * 24 + 512, 64)],
    );
    assert_eq!(Media::of(&two).unwrap().sizes, Some(vec![64 * 48, 64 * 24]));
    let padded = stream("YUYV", (64, 48), &[(64 * 48 * 2 + 4096, 128)]);
    assert_eq!(Media::of(&padded).unwrap().sizes, Some(vec![64 * 48 * 2]));
    // A stride that is not told is that of rows without padding.
    let untold = stream("GREY", (64, 48), &[(64 * 48, 0)]);
    assert_eq!(Media::of(&untold).unwrap().sizes, Some(vec![64 * 48]));
}

#[test]
fn what_caps_cannot_say_is_refused_with_the_reason() {
    for (stream, why) in [
        (
            stream("YUYV", (1366, 768), &[(2752 * 768, 2752)]),
            "its rows have 2752 bytes, and those of 1366 pixels of YUYV have 2732 in GStreamer",
        ),
        (
            stream("RGB3", (642, 480), &[(1926 * 480, 1926)]),
            "its rows have 1926 bytes, and those of 642 pixels of RGB3 have 1928",
        ),
        (
            stream("NV12", (63, 48), &[(64 * 48 * 2, 64)]),
            "more chroma samples in 63x48",
        ),
        (
            stream("pBAA", (64, 48), &[(80 * 48, 80)]),
            "GStreamer has no name for pBAA",
        ),
        (
            stream("NV12", (64, 48), &[(64 * 48, 64), (64 * 24, 64)]),
            "the layout of NV12 frames is not known",
        ),
    ] {
        let told = Media::of(&stream).unwrap_err();
        assert!(told.contains(why), "{told:?} is to say {why:?}");
    }
    let mut fields = stream("YUYV", (64, 48), &[(64 * 48 * 2, 128)]);
    fields.field = Some(crate::frame::field::ALTERNATE);
    assert!(Media::of(&fields).unwrap_err().contains("alternate"));
    fields.field = Some(sys::V4L2_FIELD_INTERLACED_BT);
    let media = Media::of(&fields).unwrap();
    assert!(
        media
            .caps
            .contains("interleaved, field-order=(string)bottom-field-first")
    );
}

#[test]
fn colours_are_those_that_v4l2_means() {
    let rec709 = sys::V4L2_COLORSPACE_REC709;
    // GStreamer's own names of these are bt709 and sRGB.
    assert_eq!(coloured("YUYV", rec709), "2:3:5:1");
    let srgb = sys::V4L2_COLORSPACE_SRGB;
    assert_eq!(coloured("XR24", srgb), "1:1:7:1");
    assert_eq!(coloured("YUYV", srgb), "2:4:7:1");
    let bt2020 = sys::V4L2_COLORSPACE_BT2020;
    assert_eq!(coloured("YUYV", bt2020), "2:6:5:7");
    assert_eq!(coloured("YUYV", 0), "", "nothing is told of nothing");
}

#[test]
fn a_rate_that_nobody_tells_is_one_that_varies() {
    let mut stream = stream("GREY", (64, 48), &[(64 * 48, 64)]);
    stream.frame_interval = None;
    let media = Media::of(&stream).unwrap();
    assert!(
        media.caps.ends_with("framerate=(fraction)0/1"),
        "{}",
        media.caps
    );
    assert_eq!(media.duration, None);
}
