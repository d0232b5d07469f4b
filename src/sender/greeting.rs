//! How a stream begins: what the receiver is told of it, and how it agrees.

use crate::base::{Result, Run};
use crate::link::Connection;
use crate::session::{control::SenderEnd, handshake};
use crate::sink::network::Framing;
use crate::wire::Description;

/// What a greeting came to.
pub(super) enum Greeted {
    /// The receiver waits for frames; its control connection in version 3.
    By(Option<SenderEnd>),
    /// A stop came.
    Stopped,
}

/// Tells the receiver what comes.
pub(super) fn greet(
    framing: &Framing,
    connection: &Connection,
    description: &Description,
    run: &mut Run<'_>,
) -> Result<Greeted> {
    match framing {
        Framing::V2(version, header) => {
            let mut hello = version.preamble().to_vec();
            hello.extend_from_slice(&header.encode());
            connection.send_bytes(run, &hello)?;
            Ok(Greeted::By(None))
        }
        Framing::V3 { .. } => Ok(match handshake::offer(connection, description, run)? {
            Some(control) => Greeted::By(Some(control)),
            None => Greeted::Stopped,
        }),
    }
}
