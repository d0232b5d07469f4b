//! The sender's half: it offers a stream, and binds a control connection to it.

use std::time::Instant;

use super::{PATIENCE, receive_message, wrong};
use crate::base::{ErrorKind, Result, Run};
use crate::link::Connection;
use crate::session::control::SenderEnd;
use crate::wire::{Description, Version, v3::kind, v3::message, v3::text};

const SPEAKS_2: &str = "it may be busy with another stream, or speak wire version 2 only, as the \
                        C reference does: use --protocol 2";

/// Offers a stream, and binds a control connection to it. None on a stop.
pub fn offer(
    connection: &Connection,
    description: &Description,
    run: &mut Run<'_>,
) -> Result<Option<SenderEnd>> {
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
            None => return Ok(None),
            Some((kind::ACCEPT, body)) => break body,
            Some((kind::REFUSE, why)) => {
                return Err(connection
                    .error(ErrorKind::Refused, "send to")
                    .cause(format!("the receiver refuses: {}", text(&why))));
            }
            Some(_) => {}
        }
    };
    let Some(control) = connection.connect_again(run, PATIENCE)? else {
        return Ok(None);
    };
    let mut bind = Version::V3.preamble().to_vec();
    bind.extend_from_slice(&message(kind::BIND, &id));
    control.send_bytes(run, &bind)?;
    loop {
        match receive_message(&control, run, "open a control connection", deadline)? {
            None => return Ok(None),
            Some((kind::BOUND, _)) => break,
            Some(_) => {}
        }
    }
    let limits = (connection.patience(), connection.busy()?);
    SenderEnd::start(control.into_socket(), limits, run).map(Some)
}
