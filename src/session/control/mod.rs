//! The control connection of a version 3 stream: clock readings, acknowledgements
//! and the receiver's result, beside the frames and never behind them.

mod control_channel;
mod conversation;
mod receiver_end;
#[cfg(any(test, fuzzing))]
pub mod rehearsal;
mod sender_end;

pub use conversation::{Channel, Conversation, Handler};
pub use receiver_end::{Life, ReceiverEnd, ReceiverHandler};
pub use sender_end::{SenderEnd, SenderHandler};

/// Clock readings whose answer is waited for: those of minutes, since answers may wait
/// behind a full buffer. A peer that answers none is not to fill the memory.
const MOST_OPEN: usize = 1024;

#[cfg(test)]
mod tests;
