//! The messages of the control connection.

use super::{fields, kind, message, read_fields};
use crate::wire::WireError;

/// A receiver's last message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Frames that came whole.
    pub received: u64,
    /// Of these, frames whose checksum was not the sender's.
    pub spoiled: u64,
    /// Whether it ended before the sender did, of its own accord.
    pub had_enough: bool,
    /// Why the receiver failed; empty if it did not.
    pub failure: String,
}

impl Outcome {
    /// As it goes on the wire, the message's header included.
    pub fn encode(&self) -> Vec<u8> {
        let values = [self.received, self.spoiled, u64::from(self.had_enough)];
        message(kind::RESULT, &fields(&values, &self.failure))
    }

    /// From the wire.
    pub fn decode(body: &[u8]) -> Result<Self, WireError> {
        let ([received, spoiled, had_enough], failure) = read_fields(kind::RESULT, body)?;
        Ok(Outcome {
            received,
            spoiled,
            had_enough: had_enough != 0,
            failure,
        })
    }
}

/// A clock reading, on its way to the receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ping {
    /// Pings that were sent before it.
    pub number: u64,
    /// When it was sent.
    pub sent: u64,
    /// The last answer that came and that no earlier ping tells of.
    pub answered: Option<Answered>,
}

/// A clock reading's answer has come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answered {
    /// The ping's number.
    pub number: u64,
    /// When its answer came.
    pub at: u64,
}

/// The answer to a clock reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pong {
    /// The ping's.
    pub number: u64,
    /// When the ping came.
    pub received: u64,
    /// When this was sent.
    pub sent: u64,
}

/// A frame has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ack {
    /// The frame's counter.
    pub counter: u64,
    /// When its header had come.
    pub header: u64,
    /// When its payload was complete in its buffer.
    pub complete: u64,
    /// When the dump had it; `complete` where there is none.
    pub done: u64,
}

impl Ping {
    /// As it goes on the wire, the message's header included.
    pub fn encode(&self) -> Vec<u8> {
        let (number, at) = self.answered.map_or((0, 0), |it| (it.number, it.at));
        // Where there are no more fields than this, it is that of the ping before.
        let is_previous = number.checked_add(1) == Some(self.number);
        let previous = if is_previous { at } else { 0 };
        let values = [self.number, self.sent, previous, number, at];
        message(kind::PING, &fields(&values, ""))
    }

    /// From the wire.
    pub fn decode(body: &[u8]) -> Result<Self, WireError> {
        let ([number, sent, previous], _) = read_fields(kind::PING, body)?;
        let (answered, at) = match read_fields(kind::PING, body) {
            Ok(([_, _, _, answered, at], _)) => (Some(answered), at),
            Err(_) => (number.checked_sub(1), previous),
        };
        let answered = answered.filter(|_| at != 0);
        Ok(Ping {
            number,
            sent,
            answered: answered.map(|number| Answered { number, at }),
        })
    }
}

/// A message of numbers alone, in the order of their fields.
macro_rules! numbers {
    ($message:ident, $kind:ident, $($field:ident),*) => {
        impl $message {
            /// As a message.
            pub fn encode(&self) -> Vec<u8> {
                message(kind::$kind, &fields(&[$(self.$field),*], ""))
            }

            /// From its body. More than is known to us may follow.
            pub fn decode(body: &[u8]) -> Result<Self, WireError> {
                let ([$($field),*], _) = read_fields(kind::$kind, body)?;
                Ok($message { $($field),* })
            }
        }
    };
}

numbers!(Pong, PONG, number, received, sent);
numbers!(Ack, ACK, counter, header, complete, done);
