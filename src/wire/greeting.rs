//! How a connection to a receiver begins, as its bytes come. Nothing is taken that lies
//! behind what it has to say: a version 2 stream's frames follow at once.

use super::v2::StreamHeader;
use super::v3::{MESSAGE_HEADER_SIZE, MessageHeader, kind};
use super::{Description, PREAMBLE_SIZE, STREAM_MAGIC, VERSION_OFFSET, Version, WireError};

/// What is to come next.
#[derive(Debug, Clone, Copy)]
enum Awaited {
    Magic,
    Version,
    StreamHeader(Version),
    MessageHeader,
    Body(u32),
}

/// What a connection says at its beginning.
#[derive(Debug, PartialEq)]
pub enum Said {
    /// It offers a stream.
    Offer(Version, Box<Description>),
    /// It offers a stream that is none, in a version that is spoken or not.
    BadOffer(Option<Version>, WireError),
    /// It is the control connection of the stream of this name.
    Bind(Vec<u8>),
}

/// The beginning of a connection.
#[derive(Debug)]
pub struct Greeting {
    awaited: Awaited,
    /// Room for what is awaited, from the preamble's first byte on for that.
    bytes: Vec<u8>,
    filled: usize,
    taken: usize,
}

impl Default for Greeting {
    fn default() -> Self {
        Greeting {
            awaited: Awaited::Magic,
            bytes: vec![0; VERSION_OFFSET],
            filled: 0,
            taken: 0,
        }
    }
}

impl Greeting {
    /// Where the next bytes belong. Never empty.
    pub fn room(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.filled..).unwrap_or_default()
    }

    /// Bytes that have come.
    pub fn taken(&self) -> usize {
        self.taken
    }

    /// Takes in that `count` bytes came into `room`. Some once all is said; an error if
    /// these bytes are no beginning of a connection to a receiver.
    pub fn came(&mut self, count: usize) -> Result<Option<Said>, WireError> {
        self.filled = self.bytes.len().min(self.filled.saturating_add(count));
        self.taken = self.taken.saturating_add(count);
        while self.filled == self.bytes.len() {
            if let Some(said) = self.next()? {
                return Ok(Some(said));
            }
        }
        Ok(None)
    }

    /// What is awaited has come: says what it is, or awaits what follows.
    fn next(&mut self) -> Result<Option<Said>, WireError> {
        let bytes = std::mem::take(&mut self.bytes);
        self.filled = 0;
        match self.awaited {
            Awaited::Magic => {
                let magic = bytes.first_chunk().copied().unwrap_or_default();
                let magic = u32::from_be_bytes(magic);
                if magic != STREAM_MAGIC {
                    return Err(WireError::StreamMagic(magic));
                }
                self.wait_for(Awaited::Version, PREAMBLE_SIZE - VERSION_OFFSET);
            }
            Awaited::Version => {
                let number = bytes.first_chunk().copied().unwrap_or_default();
                match Version::try_from(u32::from_be_bytes(number)) {
                    Err(error) => return Ok(Some(Said::BadOffer(None, error))),
                    Ok(Version::V3) => {
                        self.wait_for(Awaited::MessageHeader, MESSAGE_HEADER_SIZE);
                    }
                    Ok(version) => {
                        self.wait_for(Awaited::StreamHeader(version), StreamHeader::SIZE);
                    }
                }
            }
            Awaited::StreamHeader(version) => {
                let header = bytes.first_chunk().copied();
                let header = StreamHeader::decode(&header.unwrap_or([0; StreamHeader::SIZE]));
                return Ok(Some(offer(version, header.map(Description::from))));
            }
            Awaited::MessageHeader => {
                let header = bytes.first_chunk().copied().unwrap_or_default();
                let header = MessageHeader::decode(&header)?;
                if matches!(header.kind, kind::FRAME | kind::END) {
                    return Err(WireError::Unexpected {
                        kind: header.kind,
                        expected: "the description of a stream",
                    });
                }
                self.wait_for(Awaited::Body(header.kind), header.length as usize);
            }
            Awaited::Body(kind::STREAM) => {
                return Ok(Some(offer(Version::V3, Description::decode(&bytes))));
            }
            Awaited::Body(kind::BIND) => return Ok(Some(Said::Bind(bytes))),
            // Of a later time: passed over.
            Awaited::Body(_) => self.wait_for(Awaited::MessageHeader, MESSAGE_HEADER_SIZE),
        }
        Ok(None)
    }

    fn wait_for(&mut self, awaited: Awaited, bytes: usize) {
        self.awaited = awaited;
        self.bytes = vec![0; bytes];
    }
}

fn offer(version: Version, description: Result<Description, WireError>) -> Said {
    match description {
        Ok(description) => Said::Offer(version, Box::new(description)),
        Err(error) => Said::BadOffer(Some(version), error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::v3::message;

    /// Gives what is said, and how many bytes were left untouched, `piece` bytes coming at a time.
    fn said(mut bytes: &[u8], piece: usize) -> Result<(Option<Said>, usize), WireError> {
        let mut greeting = Greeting::default();
        while !bytes.is_empty() {
            let room = greeting.room();
            let count = room.len().min(piece).min(bytes.len());
            let (now, later) = bytes.split_at(count);
            room[..count].copy_from_slice(now);
            bytes = later;
            if let Some(said) = greeting.came(count)? {
                return Ok((Some(said), bytes.len()));
            }
        }
        Ok((None, 0))
    }

    fn hello(messages: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = Version::V3.preamble().to_vec();
        bytes.extend(messages.concat());
        bytes
    }

    #[test]
    fn nothing_behind_the_description_is_taken() {
        let mut bytes = Version::V2.preamble().to_vec();
        for field in [4_u32, 2, 0x5659_5559, 16, 3] {
            bytes.extend(field.to_be_bytes());
        }
        bytes.extend(b"VRFM and more");
        for piece in [1, 3, 1000] {
            let (told, left) = said(&bytes, piece).unwrap();
            assert!(
                matches!(told, Some(Said::Offer(Version::V2, _))),
                "{told:?}"
            );
            assert_eq!(left, 13);
        }
    }

    #[test]
    fn unknown_messages_are_passed_over_and_empty_ones_too() {
        let bind = message(kind::BIND, b"0123456789abcdef");
        let bytes = hello(&[message(77, b"later"), message(78, b""), bind]);
        for piece in [1, 1000] {
            let (told, left) = said(&bytes, piece).unwrap();
            assert_eq!(told, Some(Said::Bind(b"0123456789abcdef".to_vec())));
            assert_eq!(left, 0);
        }
    }

    #[test]
    fn others_are_told_apart_by_four_bytes() {
        assert_eq!(said(b"GET", 1).unwrap().0, None);
        assert_eq!(said(b"GET ", 1), Err(WireError::StreamMagic(0x4745_5420)));
        let frame = hello(&[message(kind::FRAME, b"")]);
        assert!(matches!(said(&frame, 9), Err(WireError::Unexpected { .. })));
    }

    #[test]
    fn offers_that_are_none_are_told_from_strangers() {
        let bad = hello(&[message(kind::STREAM, b"{}")]);
        let (told, _) = said(&bad, 1000).unwrap();
        assert!(matches!(told, Some(Said::BadOffer(Some(Version::V3), _))));
        let (told, _) = said(b"V4LB\0\0\0\x09", 1000).unwrap();
        assert_eq!(told, Some(Said::BadOffer(None, WireError::Version(9))));
    }
}
