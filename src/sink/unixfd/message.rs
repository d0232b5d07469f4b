//! What goes over the socket: GStreamer's unixfd protocol, of version 1.24 and later.
//!
//! A message is its kind and its payload's length, 32 bits each, and the payload, all in the
//! machine's own byte order. Descriptors go with the message that names their memories.

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Kind {
    /// A frame.
    NewBuffer = 0,
    /// The client is done with a frame.
    ReleaseBuffer = 1,
    /// What the frames that follow are: a string that ends with a zero.
    Caps = 2,
    /// No frame follows.
    EndOfStream = 3,
}

/// Bytes before a payload.
const HEAD: usize = 8;
/// Bytes of a client's message at most: a release has 8.
const MOST: usize = 4096;
/// A time that is not known, or a frame number (`GST_CLOCK_TIME_NONE`).
pub(super) const UNKNOWN: u64 = u64::MAX;

/// `GstBufferFlags` and `GstVideoBufferFlags`.
pub(super) mod flags {
    /// Frames are missing before this one.
    pub(in crate::sink::unixfd) const DISCONT: u32 = 1 << 6;
    /// The driver says that it may be corrupt.
    pub(in crate::sink::unixfd) const CORRUPTED: u32 = 1 << 8;
    /// It has both fields.
    pub(in crate::sink::unixfd) const INTERLACED: u32 = 1 << 20;
    /// The top field is the earlier one.
    pub(in crate::sink::unixfd) const TOP_FIELD_FIRST: u32 = 1 << 21;
}

/// A frame's memory, by a descriptor that goes with the message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Memory {
    /// Bytes of it that are the frame's.
    pub(super) size: u64,
    /// Bytes before them.
    pub(super) offset: u64,
}

/// A frame, as a client is told of it.
#[derive(Debug)]
pub(super) struct NewBuffer {
    /// What the client names when it is done with it.
    pub(super) id: u64,
    /// When it was captured: nanoseconds of CLOCK_MONOTONIC.
    pub(super) pts: u64,
    /// Nanoseconds until the next, or `UNKNOWN`.
    pub(super) duration: u64,
    /// Its number.
    pub(super) offset: u64,
    /// See `flags`.
    pub(super) flags: u32,
    /// Whether its memories are DMABUFs.
    pub(super) is_dmabuf: bool,
    /// One a memory plane.
    pub(super) memories: Vec<Memory>,
}

impl NewBuffer {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut payload = Vec::with_capacity(56 + 16 * self.memories.len());
        let next = self.offset.saturating_add(1);
        // No frame is decoded here: there is no decoding time.
        for number in [self.id, self.pts, UNKNOWN, self.duration, self.offset, next] {
            payload.extend(number.to_ne_bytes());
        }
        payload.extend(self.flags.to_ne_bytes());
        payload.push(u8::from(self.is_dmabuf));
        // A frame has eight at most.
        payload.push(self.memories.len() as u8);
        // No GstMeta: the layout is the one that the caps imply.
        payload.extend(0_u16.to_ne_bytes());
        for memory in &self.memories {
            payload.extend(memory.size.to_ne_bytes());
            payload.extend(memory.offset.to_ne_bytes());
        }
        message(Kind::NewBuffer, &payload)
    }
}

/// What the frames are.
pub(super) fn caps(caps: &str) -> Vec<u8> {
    message(Kind::Caps, &[caps.as_bytes(), &[0]].concat())
}

/// No frame follows.
pub(super) fn end_of_stream() -> Vec<u8> {
    message(Kind::EndOfStream, &[])
}

fn message(kind: Kind, payload: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(HEAD + payload.len());
    message.extend((kind as u32).to_ne_bytes());
    message.extend((payload.len() as u32).to_ne_bytes());
    message.extend(payload);
    message
}

/// What a client says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    /// It is done with the frame of this number.
    Released(u64),
    /// Something that this version does not know.
    Other,
    /// Nothing whole yet.
    Nothing,
    /// Something that no client says.
    Nonsense,
}

/// The next message of those that a client sent, and how many of the bytes it has.
pub(super) fn next(bytes: &[u8]) -> (Said, usize) {
    let Some((kind, rest)) = bytes.split_first_chunk() else {
        return (Said::Nothing, 0);
    };
    let Some((size, rest)) = rest.split_first_chunk() else {
        return (Said::Nothing, 0);
    };
    let size = u32::from_ne_bytes(*size) as usize;
    if size > MOST {
        return (Said::Nonsense, 0);
    }
    let Some(payload) = rest.get(..size) else {
        return (Said::Nothing, 0);
    };
    let said = match u32::from_ne_bytes(*kind) {
        kind if kind == Kind::ReleaseBuffer as u32 => match payload.first_chunk() {
            Some(id) => Said::Released(u64::from_ne_bytes(*id)),
            None => Said::Nonsense,
        },
        kind if kind <= Kind::Caps as u32 => Said::Nonsense,
        _ => Said::Other,
    };
    (said, HEAD + size)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn release(id: u64) -> Vec<u8> {
        message(Kind::ReleaseBuffer, &id.to_ne_bytes())
    }

    #[test]
    fn a_frame_has_56_bytes_and_16_a_memory() {
        let of = |planes| NewBuffer {
            id: 7,
            pts: 1,
            duration: UNKNOWN,
            offset: 3,
            flags: flags::DISCONT,
            is_dmabuf: true,
            memories: vec![Memory { size: 4, offset: 0 }; planes],
        };
        for planes in [1, 2, 8] {
            assert_eq!(of(planes).encode().len(), HEAD + 56 + 16 * planes);
        }
    }

    #[test]
    fn what_no_client_says_is_nonsense_and_what_is_new_is_passed_over() {
        let ids = [release(3), release(4)].concat();
        assert_eq!(next(&ids), (Said::Released(3), 16));
        assert_eq!(next(&message(Kind::ReleaseBuffer, &[1])).0, Said::Nonsense);
        assert_eq!(next(&caps("video/x-raw")).0, Said::Nonsense);
        let mut unknown = end_of_stream();
        unknown.extend(release(5));
        assert_eq!(next(&unknown), (Said::Other, 8));
        let endless = [1_u32.to_ne_bytes(), u32::MAX.to_ne_bytes()].concat();
        assert_eq!(next(&endless), (Said::Nonsense, 0));
    }

    proptest! {
        #[test]
        fn a_release_in_any_pieces_is_one_release(id: u64, cut in 0..16_usize) {
            let whole = release(id);
            prop_assert_eq!(next(&whole[..cut]), (Said::Nothing, 0));
            prop_assert_eq!(next(&whole), (Said::Released(id), 16));
        }

        #[test]
        fn no_bytes_are_more_than_there_are(bytes: Vec<u8>) {
            prop_assert!(next(&bytes).1 <= bytes.len());
        }
    }
}
