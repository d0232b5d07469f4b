//! How a stream is agreed on, and what the two sides tell each other beside it.

pub mod control;
pub mod handshake;
