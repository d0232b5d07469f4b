//! The control connection of a version 3 stream: clock readings, acknowledgements
//! and the receiver's result, beside the frames and never behind them.

mod answering;
mod asking;
mod conversation;
mod line;
#[cfg(any(test, fuzzing))]
pub mod rehearsal;

pub use answering::{Answerer, Answering, Life};
pub use asking::{Asker, Asking};
pub use conversation::{Channel, Conversation, Handler};

/// Clock readings whose answer is waited for: those of minutes, since answers may wait
/// behind a full buffer. A peer that answers none is not to fill the memory.
const MOST_OPEN: usize = 1024;

#[cfg(test)]
mod tests;
