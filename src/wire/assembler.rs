//! Messages out of bytes that come in pieces.

use super::WireError;
use super::v3::{MESSAGE_HEADER_SIZE, MessageHeader, kind};

/// Bytes that have come, up to the end of the message that is not whole yet.
#[derive(Debug, Default)]
pub struct Assembler {
    bytes: Vec<u8>,
}

impl Assembler {
    /// Takes bytes in.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Takes the next whole message out: its type and its body. Frames have no
    /// place where this is used, and what else there is is bounded, so what waits
    /// here is no longer than a message and what was pushed last.
    pub fn take(&mut self) -> Result<Option<(u32, Vec<u8>)>, WireError> {
        let Some(header) = self.bytes.first_chunk::<MESSAGE_HEADER_SIZE>() else {
            return Ok(None);
        };
        let header = MessageHeader::decode(header)?;
        if header.kind == kind::FRAME {
            return Err(WireError::Unexpected {
                kind: header.kind,
                expected: "a message of the control connection",
            });
        }
        let end = MESSAGE_HEADER_SIZE + header.length as usize;
        let Some(body) = self.bytes.get(MESSAGE_HEADER_SIZE..end) else {
            return Ok(None);
        };
        let body = body.to_vec();
        self.bytes.drain(..end);
        Ok(Some((header.kind, body)))
    }
}
