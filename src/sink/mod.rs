//! Where frames go.

pub mod dump;
pub mod transmitter;
