//! The sender's half: it offers a stream, and binds a control connection to it.

use std::time::Instant;

use super::{PATIENCE, receive_message, wrong};
use crate::base::{ErrorKind, Result, Run};
use crate::link::Connection;
use crate::session::control::SenderEnd;
use crate::wire::{Description, Version, v3::kind, v3::message, v3::text};

const SPEAKS_2: &str = "it may be busy with another stream, or speak wire version 2 only, as the \
                        C reference does: use --protocol 2";

/// Offers a stream, and binds a control connection to it.
pub fn offer(
    connection: &Connection,
    description: &Description,
    run: &mut Run<'_>,
) -> Result<SenderEnd> {
    const WHAT: &str = "agree on a stream";
    let body = description
        .encode()
        .map_err(|error| wrong(connection, WHAT, &error))?;
    let mut hello = Version::V3.preamble().to_vec();
    hello.extend_from_slice(&message(kind::STREAM, &body));
    connection.send_bytes(run, &hello)?;
    let deadline = Instant::now() + PATIENCE;
    let id = loop {
        let answer = receive_message(connection, run, WHAT, deadline);
        let answer = answer.map_err(|error| match error.kind() {
            ErrorKind::PeerLost | ErrorKind::PeerTimeout => error.next(SPEAKS_2),
            ErrorKind::Protocol => error.next("is it a receiver of this protocol?"),
            _ => error,
        })?;
        match answer {
            (kind::ACCEPT, body) => break body,
            (kind::REFUSE, why) => {
                return Err(connection
                    .error(ErrorKind::Refused, "send to")
                    .cause(format!("the receiver refuses: {}", text(&why))));
            }
            _ => {}
        }
    };
    let control = connection.connect_again(run, PATIENCE)?;
    let mut bind = Version::V3.preamble().to_vec();
    bind.extend_from_slice(&message(kind::BIND, &id));
    control.send_bytes(run, &bind)?;
    const BINDS: &str = "open a control connection";
    while receive_message(&control, run, BINDS, deadline)?.0 != kind::BOUND {}
    let limits = (connection.patience(), connection.busy()?);
    SenderEnd::start(control.into_socket(), limits, run)
}
