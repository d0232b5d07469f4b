//! What a sender tells of the next frame, before it: a frame has its header's fields and no
//! room for others.

use super::{fields, kind, message, read_fields};
use crate::frame::field;
use crate::wire::WireError;

/// The next frame's `v4l2_buffer.field`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NextField(pub u32);

impl NextField {
    /// As it goes on the wire, the message's header included.
    pub fn encode(self) -> Vec<u8> {
        message(kind::FIELD, &fields(&[u64::from(self.0)], ""))
    }

    /// From the wire. What no driver has is unknown.
    pub fn decode(body: &[u8]) -> Result<Self, WireError> {
        let ([number], _) = read_fields(kind::FIELD, body)?;
        Ok(NextField(u32::try_from(number).unwrap_or(field::UNKNOWN)))
    }
}

/// What a driver left unwritten of a frame that it gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unwritten {
    /// All of it.
    All,
    /// A part.
    Part,
}

impl Unwritten {
    /// As it goes on the wire, the message's header included.
    pub fn encode(self) -> Vec<u8> {
        let how_much = match self {
            Unwritten::All => 1,
            Unwritten::Part => 2,
        };
        message(kind::UNWRITTEN, &fields(&[how_much], ""))
    }

    /// From the wire. What is not all of it is a part.
    pub fn decode(body: &[u8]) -> Result<Self, WireError> {
        let ([how_much], _) = read_fields(kind::UNWRITTEN, body)?;
        Ok(match how_much {
            1 => Unwritten::All,
            _ => Unwritten::Part,
        })
    }
}
