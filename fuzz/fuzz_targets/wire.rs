//! Whatever bytes a peer may send: every decoder, and the messages as they are put
//! together from pieces. `make fuzz` runs it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use v4l_dmabuf::wire::v3::{
    Ack, End, FrameHeader, MESSAGE_HEADER_SIZE, MessageHeader, Outcome, Ping,
    Pong, kind, text,
};
use v4l_dmabuf::wire::{Assembler, Description, Greeting, PREAMBLE_SIZE, Said, Version, v2};

fuzz_target!(|bytes: &[u8]| {
    if let Some(preamble) = bytes.first_chunk::<PREAMBLE_SIZE>() {
        if let Ok(version) = Version::of_preamble(preamble) {
            assert_eq!(version.preamble(), *preamble);
        }
    }
    version_2(bytes);
    version_3(bytes);
    pieces(bytes);
    greeting(bytes);
});

fn version_2(bytes: &[u8]) {
    if let Some(header) = bytes.first_chunk::<{ v2::StreamHeader::SIZE }>() {
        if let Ok(stream) = v2::StreamHeader::decode(header) {
            assert_eq!(stream.encode(), *header);
            let description = Description::from(stream);
            assert_eq!(description.to_v2(), Some(stream));
            let _ = description.pool_bytes();
        }
    }
    if let Some(header) = bytes.first_chunk::<{ v2::FrameHeader::SIZE }>() {
        if let Ok(frame) = v2::FrameHeader::decode(header, 1 << 20) {
            assert!(frame.bytesused <= 1 << 20);
            assert_eq!(frame.encode(), *header);
        }
    }
}

fn version_3(bytes: &[u8]) {
    if let Ok(end) = End::decode(bytes) {
        assert_eq!(End::decode(&end.encode()[MESSAGE_HEADER_SIZE..]).as_ref(), Ok(&end));
    }
    let _ = (Outcome::decode(bytes), Ping::decode(bytes), Pong::decode(bytes), Ack::decode(bytes));
    assert!(!text(bytes).chars().any(char::is_control));
    // The first half describes a stream, the second is a frame of it.
    let (first, second) = bytes.split_at(bytes.len() / 2);
    let Ok(stream) = Description::decode(first) else {
        return;
    };
    let again = stream.encode().map(|bytes| Description::decode(&bytes));
    assert_eq!(again, Ok(Ok(stream.clone())));
    let own = FrameHeader::body_bytes(stream.planes.len());
    let Some((head, body)) = second.split_first_chunk::<MESSAGE_HEADER_SIZE>() else {
        return;
    };
    if let (Ok(header), Some(body)) = (MessageHeader::decode(head), body.get(..own)) {
        if let Ok(frame) = FrameHeader::decode(header.length, body, &stream) {
            assert!(frame.bytes() <= stream.frame_bytes());
        }
    }
}

/// Pushes the bytes a few at a time, as many as each tells.
fn pieces(bytes: &[u8]) {
    let mut assembler = Assembler::default();
    let mut rest = bytes;
    let mut taken = 0;
    while let Some((size, after)) = rest.split_first() {
        let (piece, after) = after.split_at(usize::from(*size).min(after.len()));
        assembler.push(piece);
        loop {
            match assembler.take() {
                Ok(Some((kind, body))) => {
                    assert_ne!(kind, kind::FRAME);
                    taken += MESSAGE_HEADER_SIZE + body.len();
                }
                Ok(None) => break,
                Err(_) => return,
            }
        }
        assert!(taken <= bytes.len());
        rest = after;
    }
}

/// The beginning of a connection, a few bytes at a time, as many as each tells.
fn greeting(bytes: &[u8]) {
    let mut greeting = Greeting::default();
    let mut rest = bytes;
    let mut taken = 0;
    while let Some((size, after)) = rest.split_first() {
        let room = greeting.room();
        assert!(!room.is_empty());
        let count = room.len().min(after.len()).min(usize::from(*size));
        room[..count].copy_from_slice(&after[..count]);
        taken += count;
        rest = &after[count..];
        match greeting.came(count) {
            Ok(None) => assert_eq!(greeting.taken(), taken),
            Ok(Some(Said::Offer(_, description))) => {
                assert!(description.width > 0 && description.height > 0);
                return;
            }
            Ok(Some(_)) | Err(_) => return,
        }
    }
}
