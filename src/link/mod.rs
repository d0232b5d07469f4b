//! The connection that a stream travels on.
//!
//! Every wait is the run's, so a stop, an interrupt and a peer that has gone silent are
//! noticed wherever the loop is. Two are the kernel's, for a payload's next bytes and for
//! room for them where nothing else goes on, and no longer than a tick; each other call
//! says by itself that it doesn't wait.

mod busy;
mod connect;
mod connection;
mod in_flight;
mod listen;
pub mod network;
mod progress;
mod receive;
mod resolve;
mod send;
pub mod socket;
mod tcp;
mod transport;
mod zero_copy;

pub use busy::Busy;
pub use connect::connect;
pub use connection::Connection;
pub use in_flight::{Header, InFlight};
pub use listen::{Accepted, Listener};
pub use progress::Progress;
pub use receive::Received;
pub use send::{Meanwhile, Nothing};
pub use tcp::Tcp;
pub use transport::Transport;

#[cfg(test)]
pub(crate) use in_flight::tests::COMPLETES_EARLY;
#[cfg(test)]
mod tests;
