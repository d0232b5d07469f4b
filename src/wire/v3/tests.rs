//! The codec: golden bytes, and whatever else may come.

use std::num::NonZeroU32;

use proptest::prelude::*;

use super::*;
use crate::frame::PlaneLayout;
use crate::wire::{Assembler, v2};

fn stream(sizes: &[u32]) -> Description {
    let header = v2::StreamHeader {
        width: 4,
        height: 2,
        pixel_format: "NM12".parse().unwrap(),
        sizeimage: NonZeroU32::MIN,
        buffer_count: NonZeroU32::MIN,
    };
    Description {
        planes: sizes
            .iter()
            .map(|size| PlaneLayout {
                sizeimage: NonZeroU32::new(*size).unwrap(),
                bytesperline: Some(4),
            })
            .collect(),
        ..header.into()
    }
}

fn header(planes: Vec<u32>) -> FrameHeader {
    FrameHeader {
        counter: 1,
        sequence: 2,
        timestamp: 3,
        captured: 4,
        dequeued: 5,
        handed: 6,
        flags: 7,
        index: 8,
        checksum: Some(Checksum::Xxh3(9)),
        planes,
    }
}

/// What follows the message's header, decoded.
fn decode(bytes: &[u8], stream: &Description) -> Result<FrameHeader, WireError> {
    let (head, body) = bytes.split_first_chunk().unwrap();
    FrameHeader::decode(MessageHeader::decode(head)?.length, body, stream)
}

#[test]
fn the_bytes_are_those_of_the_document() {
    let golden = concat!(
        "00000010 00000068",
        "0000000000000001 0000000000000002 0000000000000003 0000000000000004",
        "0000000000000005 0000000000000006 00000007 00000008",
        "0000000000000009 00000001 00000002 00000010 00000008"
    );
    assert_eq!(hex(&header(vec![16, 8]).encode()), golden.replace(' ', ""));
    let end = End {
        captured: 10,
        sent: 7,
        driver_drops: None,
        sender_drops: 2,
        left_over: 1,
        failure: "why".to_owned(),
    };
    let golden = concat!(
        "00000011 0000002b 000000000000000a 0000000000000007 ffffffffffffffff",
        "0000000000000002 0000000000000001 776879"
    );
    assert_eq!(hex(&end.encode()), golden.replace(' ', ""));
    let golden = "00000012 00000008 0000000000000003";
    assert_eq!(hex(&NextField(3).encode()), golden.replace(' ', ""));
    let golden = "00000013 00000008 0000000000000002";
    assert_eq!(hex(&Unwritten::Part.encode()), golden.replace(' ', ""));
    let ack = Ack {
        counter: 1,
        header: 2,
        complete: 3,
        done: 4,
    };
    let golden = concat!(
        "00000022 00000020 0000000000000001 0000000000000002",
        "0000000000000003 0000000000000004"
    );
    assert_eq!(hex(&ack.encode()), golden.replace(' ', ""));
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn each_fault_of_a_frame_has_its_name() {
    let two = stream(&[16, 8]);
    let whole = header(vec![16, 8]).encode();
    assert_eq!(decode(&whole, &two), Ok(header(vec![16, 8])));
    let with = |offset: usize, value: u32| {
        let mut bytes = whole.clone();
        bytes[offset..offset + 4].copy_from_slice(&value.to_be_bytes());
        decode(&bytes, &two).unwrap_err()
    };
    let length = |length| WireError::Length {
        kind: kind::FRAME,
        length,
    };
    assert_eq!(with(4, 103), length(103));
    assert_eq!(with(4, u32::MAX), length(u32::MAX));
    assert_eq!(with(72, 2), WireError::ChecksumKind(2));
    let planes = WireError::Planes {
        frame: 3,
        stream: 2,
    };
    assert_eq!(with(76, 3), planes);
    let oversized = WireError::Oversized {
        bytesused: 17,
        sizeimage: 16,
    };
    assert_eq!(with(80, 17), oversized);
    assert!(decode(&whole, &stream(&[16])).is_err());
    assert!(decode(&whole[..whole.len() - 1], &two).is_err());
}

#[test]
fn what_a_peer_writes_into_a_text_does_not_reach_the_terminal() {
    assert_eq!(text(b"\x1b[2Jno\nroom\xff"), "\\x1b[2Jno\\x0aroom\u{fffd}");
    assert_eq!(text(&[b'x'; 5000]).len(), MAX_TEXT);
    // Each of these bytes is shown by three.
    assert_eq!(text(&[0xff; 5000]).len(), MAX_TEXT / 3 * 3);
    assert_eq!(text_bytes(&"\u{20ac}".repeat(5000)).len(), MAX_TEXT / 3 * 3);
}

#[test]
fn a_description_says_what_is_wrong_with_it() {
    let json = |planes: &str| {
        let text = format!(
            r#"{{"width":4,"height":2,"pixel_format":5,"buffers":1,"planes":{planes},"later":[1]}}"#
        );
        Description::decode(text.as_bytes()).map_err(|error| error.to_string())
    };
    let plane = |size: u32| format!(r#"{{"sizeimage":{size}}}"#);
    assert_eq!(json(&format!("[{}]", plane(7))).unwrap().frame_bytes(), 7);
    for (planes, named) in [
        ("[]".to_owned(), "0 planes"),
        (format!("[{}]", vec![plane(1); 9].join(",")), "9 planes"),
        (format!("[{}]", plane(0)), "nonzero"),
        (format!("[{},{}]", plane(u32::MAX), plane(1)), "frames of"),
        ("7".to_owned(), "invalid type"),
    ] {
        let told = json(&planes).unwrap_err();
        assert!(told.contains(named), "{told}");
    }
    assert!(Description::decode(&b"[".repeat(60_000)).is_err());
}

proptest! {
    #[test]
    fn a_frame_survives_the_wire(
        sizes in prop::collection::vec((1..1_000_000_u32, 0..100_u32), 1..=MAX_PLANES),
        fields in any::<[u64; 6]>(), flags in any::<u32>(), index in any::<u32>(),
        sum in any::<Option<u64>>(),
    ) {
        let stream = stream(&sizes.iter().map(|(size, _)| *size).collect::<Vec<u32>>());
        let [counter, sequence, timestamp, captured, dequeued, handed] = fields;
        let header = FrameHeader {
            counter, sequence, timestamp, captured, dequeued, handed, flags, index,
            checksum: sum.map(Checksum::Xxh3),
            planes: sizes.iter().map(|(size, percent)| size / 100 * percent).collect(),
        };
        prop_assert_eq!(decode(&header.encode(), &stream), Ok(header));
    }

    #[test]
    fn any_bytes_of_a_frame_decode_within_the_stream_s_limits(
        mut bytes in prop::collection::vec(any::<u8>(), 80..=112), planes in 1..=8_u32,
    ) {
        bytes[..4].copy_from_slice(&kind::FRAME.to_be_bytes());
        bytes[72..76].copy_from_slice(&[0; 4]);
        bytes[76..80].copy_from_slice(&planes.to_be_bytes());
        let stream = stream(&vec![1 << 31; planes as usize]);
        if let Ok(header) = decode(&bytes, &stream) {
            prop_assert!(header.planes.iter().all(|size| *size <= 1 << 31));
            prop_assert_eq!(header.encode().len(), bytes.len());
        }
    }

    #[test]
    fn whatever_a_message_holds_it_decodes_or_is_refused(body in prop::collection::vec(any::<u8>(), 0..60)) {
        if let Ok(end) = End::decode(&body) {
            prop_assert_eq!(&end.encode()[8..48], &body[..40]);
        }
        prop_assert_eq!(Outcome::decode(&body).is_ok(), body.len() >= 24);
        prop_assert_eq!(Ping::decode(&body).is_ok(), body.len() >= 24);
        prop_assert_eq!(Pong::decode(&body).is_ok(), body.len() >= 24);
        prop_assert_eq!(Ack::decode(&body).is_ok(), body.len() >= 32);
        let _ = Description::decode(&body);
    }

    #[test]
    fn messages_are_the_same_however_their_bytes_come(
        bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..8),
        pieces in prop::collection::vec(1..50_usize, 1..100),
    ) {
        let sent: Vec<(u32, Vec<u8>)> = bodies.into_iter().map(|body| (99, body)).collect();
        let bytes: Vec<u8> = sent.iter().flat_map(|(kind, body)| message(*kind, body)).collect();
        let mut rest = bytes.as_slice();
        let mut assembler = Assembler::default();
        let mut received = Vec::new();
        for piece in pieces.iter().cycle() {
            let (head, tail) = rest.split_at((*piece).min(rest.len()));
            assembler.push(head);
            while let Some(message) = assembler.take().unwrap() {
                received.push(message);
            }
            rest = tail;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(received, sent);
    }

    #[test]
    fn an_assembler_takes_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut assembler = Assembler::default();
        assembler.push(&bytes);
        let mut left = bytes.len();
        while let Ok(Some((_, body))) = assembler.take() {
            left -= MESSAGE_HEADER_SIZE + body.len();
        }
        prop_assert!(left <= bytes.len());
    }
}
