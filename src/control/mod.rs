//! The control connection of a version 3 stream: clock readings, acknowledgements
//! and the receiver's result, beside the frames and never behind them.

mod answering;
mod asking;
mod line;

pub use answering::Answering;
pub use asking::{Acknowledged, Asking};
