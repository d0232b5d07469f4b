//! The codec: golden bytes, and whatever else may come.

use proptest::prelude::*;

use super::*;
use crate::wire::{Description, Version};

fn stream_headers() -> impl Strategy<Value = StreamHeader> {
    (any::<(u32, u32, u32)>(), 1..=u32::MAX, 1..=u32::MAX).prop_map(
        |((width, height, format), sizeimage, buffer_count)| StreamHeader {
            width,
            height,
            pixel_format: FourCc(format),
            sizeimage: NonZeroU32::new(sizeimage).unwrap(),
            buffer_count: NonZeroU32::new(buffer_count).unwrap(),
        },
    )
}

fn frame_headers() -> impl Strategy<Value = FrameHeader> {
    any::<(u32, u32, u32, u64, u64, u64)>().prop_map(
        |(index, bytesused, flags, sequence, seconds, microseconds)| FrameHeader {
            index,
            bytesused,
            flags,
            sequence,
            timestamp: Timestamp {
                seconds,
                microseconds,
            },
        },
    )
}

proptest! {
    #[test]
    fn a_stream_header_survives_the_wire(header in stream_headers()) {
        prop_assert_eq!(StreamHeader::decode(&header.encode()), Ok(header));
    }

    #[test]
    fn a_frame_header_survives_the_wire_unless_it_is_too_big(
        header in frame_headers(), stream in stream_headers()
    ) {
        let sizeimage = stream.sizeimage.get();
        let expected = if header.bytesused <= sizeimage {
            Ok(header)
        } else {
            Err(WireError::Oversized { bytesused: header.bytesused, sizeimage })
        };
        prop_assert_eq!(FrameHeader::decode(&header.encode(), sizeimage), expected);
    }

    #[test]
    fn any_bytes_decode_to_what_encodes_to_them_or_to_an_error(
        bytes in any::<[u8; StreamHeader::SIZE]>()
    ) {
        if let Ok(header) = StreamHeader::decode(&bytes) {
            prop_assert_eq!(header.encode(), bytes);
        }
    }

    #[test]
    fn any_bytes_of_a_frame_decode_within_the_stream_s_limits(
        mut bytes in any::<[u8; FrameHeader::SIZE]>(), magic in any::<bool>(),
        stream in stream_headers()
    ) {
        if magic {
            bytes[..4].copy_from_slice(b"VRFM");
        }
        if let Ok(header) = FrameHeader::decode(&bytes, stream.sizeimage.get()) {
            prop_assert!(header.bytesused <= stream.sizeimage.get());
            prop_assert_eq!(header.encode(), bytes);
        }
    }
}

fn stream() -> StreamHeader {
    StreamHeader {
        width: 1280,
        height: 720,
        pixel_format: "YUYV".parse().unwrap(),
        sizeimage: NonZeroU32::new(1_843_200).unwrap(),
        buffer_count: NonZeroU32::new(4).unwrap(),
    }
}

#[test]
fn the_stream_header_s_bytes_are_the_contract_s() {
    let preamble = [0x56, 0x34, 0x4c, 0x42, 0, 0, 0, 2];
    assert_eq!(Version::V2.preamble(), preamble);
    let golden = [
        0, 0, 0x05, 0, 0, 0, 0x02, 0xd0, 0x56, 0x59, 0x55, 0x59, 0, 0x1c, 0x20, 0, 0, 0, 0, 4,
    ];
    assert_eq!(stream().encode(), golden);
}

#[test]
fn the_frame_header_s_bytes_are_the_contract_s() {
    let header = FrameHeader {
        index: 3,
        bytesused: 0x0010_2030,
        flags: 0x2001,
        sequence: 0x0102_0304_0506_0708,
        timestamp: Timestamp {
            seconds: 0x1112_1314_1516_1718,
            microseconds: 0x000f_423f,
        },
    };
    let golden = [
        0x56, 0x52, 0x46, 0x4d, 0, 0, 0, 3, 0, 0x10, 0x20, 0x30, 0, 0, 0x20, 0x01, 1, 2, 3, 4, 5,
        6, 7, 8, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0, 0, 0, 0, 0, 0x0f, 0x42, 0x3f,
    ];
    assert_eq!(header.encode(), golden);
    assert_eq!(FrameHeader::decode(&golden, 1_843_200), Ok(header));
}

#[test]
fn each_fault_of_a_stream_header_has_its_name() {
    let with = |offset: usize, value: u32| {
        let mut bytes = stream().encode();
        bytes[offset..offset + 4].copy_from_slice(&value.to_be_bytes());
        StreamHeader::decode(&bytes).unwrap_err()
    };
    assert_eq!(with(12, 0), WireError::ZeroSizeimage);
    assert_eq!(with(16, 0), WireError::ZeroBufferCount);
    assert_eq!(
        Version::of_preamble(b"GET / HT"),
        Err(WireError::StreamMagic(0x4745_5420))
    );
    for (number, expected) in [
        (0, Err(WireError::Version(0))),
        (1, Ok(Version::V1)),
        (2, Ok(Version::V2)),
        (3, Ok(Version::V3)),
        (4, Err(WireError::Version(4))),
    ] {
        let mut preamble = Version::V2.preamble();
        preamble[7] = number;
        assert_eq!(Version::of_preamble(&preamble), expected);
    }
}

#[test]
fn the_pool_s_size_does_not_overflow() {
    let header = StreamHeader {
        sizeimage: NonZeroU32::MAX,
        buffer_count: NonZeroU32::MAX,
        ..stream()
    };
    assert_eq!(
        Description::from(header).pool_bytes(),
        0xffff_fffe_0000_0001
    );
}
