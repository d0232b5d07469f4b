//! How a sender comes to a version 3 stream: it offers it, the receiver accepts or refuses
//! it, and a control connection is bound to it.

mod offering;

use std::time::{Duration, Instant};

use nix::errno::Errno;

use crate::base::{Error, ErrorKind, Result, Run};
use crate::link::{Connection, Received};
use crate::wire::{WireError, v3::MAX_MESSAGE, v3::MESSAGE_HEADER_SIZE, v3::MessageHeader};

pub use offering::offer;

/// How long either side may take for its part.
const PATIENCE: Duration = Duration::from_secs(10);

fn wrong(connection: &Connection, what: &str, error: &WireError) -> Error {
    connection
        .error(ErrorKind::Protocol, format_args!("{what} with"))
        .cause(error.to_string())
}

/// A message, what it is not being unknown to us.
fn receive_message(
    connection: &Connection,
    run: &mut Run<'_>,
    what: &str,
    deadline: Instant,
) -> Result<(u32, Vec<u8>)> {
    let ended = |received: Received| {
        let error = |kind| connection.error(kind, format_args!("{what} with"));
        match received {
            Received::All => Ok(()),
            Received::Stopped => Err(Error::stopped()),
            Received::Closed(_) => {
                Err(error(ErrorKind::PeerLost).cause("it closed the connection"))
            }
            Received::Silent(_) => Err(error(ErrorKind::PeerTimeout)
                .errno(Errno::ETIMEDOUT)
                .cause("it did not answer in time")),
        }
    };
    let mut header = [0; MESSAGE_HEADER_SIZE];
    ended(connection.receive_by(run, &mut header, deadline)?)?;
    let header = MessageHeader::decode(&header).map_err(|error| wrong(connection, what, &error))?;
    if header.length > MAX_MESSAGE {
        let error = WireError::Length {
            kind: header.kind,
            length: header.length,
        };
        return Err(wrong(connection, what, &error));
    }
    let mut body = vec![0; header.length as usize];
    ended(connection.receive_by(run, &mut body, deadline)?)?;
    Ok((header.kind, body))
}
