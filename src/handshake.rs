//! How the two sides agree on a version 3 stream: the sender offers it, the receiver
//! accepts or refuses it, and a control connection is bound to it.

use std::time::{Duration, Instant};

use nix::errno::Errno;

use crate::connection::{Connection, Listener, Received, connect_to};
use crate::control::{Answering, Asking};
use crate::error::{Error, ErrorKind, Result};
use crate::run::{OnStop, Run, Woken};
use crate::wire::v3::{
    MAX_MESSAGE, MESSAGE_HEADER_SIZE, MessageHeader, STREAM_ID_SIZE, StreamId, kind, message, text,
    text_bytes,
};
use crate::wire::{Description, PREAMBLE_SIZE, Version, WireError};

/// How long either side may take for its part.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a connection that should be the control connection may take to say so.
const STRANGER_PATIENCE: Duration = Duration::from_secs(1);

const SPEAKS_2: &str = "it may be busy with another stream, or speak wire version 2 only, as the \
                        C reference does: use --protocol 2";

fn wrong(connection: &Connection, what: &str, error: &WireError) -> Error {
    Error::new(
        ErrorKind::Protocol,
        format!("{what} with {}", connection.peer()),
    )
    .object(connection.peer())
    .cause(error.to_string())
}

/// A message, what it is not being unknown to us. None on a stop.
fn receive_message(
    connection: &Connection,
    run: &mut Run<'_>,
    what: &str,
    deadline: Instant,
) -> Result<Option<(u32, Vec<u8>)>> {
    let peer = connection.peer();
    let ended = |received: Received| {
        let error = |kind| Error::new(kind, format!("{what} with {peer}")).object(peer);
        match received {
            Received::All => Ok(true),
            Received::Stopped => Ok(false),
            Received::Closed(_) => {
                Err(error(ErrorKind::PeerLost).cause("it closed the connection"))
            }
            Received::Silent(_) => Err(error(ErrorKind::PeerTimeout)
                .errno(Errno::ETIMEDOUT)
                .cause("it did not answer in time")),
        }
    };
    let mut header = [0; MESSAGE_HEADER_SIZE];
    if !ended(connection.receive_by(run, &mut header, deadline)?)? {
        return Ok(None);
    }
    let header = MessageHeader::decode(&header).map_err(|error| wrong(connection, what, &error))?;
    if header.length > MAX_MESSAGE {
        let error = WireError::Length {
            kind: header.kind,
            length: header.length,
        };
        return Err(wrong(connection, what, &error));
    }
    let mut body = vec![0; header.length as usize];
    if !ended(connection.receive_by(run, &mut body, deadline)?)? {
        return Ok(None);
    }
    Ok(Some((header.kind, body)))
}

/// Offers a stream, and binds a control connection to it. None on a stop.
pub fn offer(
    connection: &Connection,
    description: &Description,
    run: &mut Run<'_>,
) -> Result<Option<Asking>> {
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
                return Err(Error::new(
                    ErrorKind::Refused,
                    format!("send to {}", connection.peer()),
                )
                .object(connection.peer())
                .cause(format!("the receiver refuses: {}", text(&why))));
            }
            Some(_) => {}
        }
    };
    let Some(control) = connect_to(run, connection.address(), PATIENCE)? else {
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
    Asking::start(control.into_socket(), run).map(Some)
}

/// Waits for the description of a stream. None on a stop.
pub fn receive_offer(
    connection: &Connection,
    deadline: Instant,
    run: &mut Run<'_>,
) -> Result<Option<Description>> {
    const WHAT: &str = "agree on a stream";
    loop {
        match receive_message(connection, run, WHAT, deadline)? {
            None => return Ok(None),
            Some((kind::STREAM, body)) => {
                let described = Description::decode(&body);
                return match described {
                    Ok(description) => Ok(Some(description)),
                    Err(error) => {
                        refuse(connection, run, &error.to_string())?;
                        Err(wrong(connection, WHAT, &error))
                    }
                };
            }
            Some((kind @ (kind::FRAME | kind::END | kind::BIND), _)) => {
                let error = WireError::Unexpected {
                    kind,
                    expected: "the description of a stream",
                };
                return Err(wrong(connection, WHAT, &error));
            }
            Some(_) => {}
        }
    }
}

/// Tells the sender why there will be no stream.
pub fn refuse(connection: &Connection, run: &mut Run<'_>, why: &str) -> Result<()> {
    connection.send_bytes(run, &message(kind::REFUSE, text_bytes(why)))
}

/// Accepts a stream, and waits for its control connection. None on a stop.
pub fn accept(
    connection: &Connection,
    listener: &Listener,
    run: &mut Run<'_>,
) -> Result<Option<Answering>> {
    let mut id: StreamId = [0; STREAM_ID_SIZE];
    getrandom::fill(&mut id).map_err(|error| {
        Error::new(ErrorKind::System, "get random bytes").cause(error.to_string())
    })?;
    connection.send_bytes(run, &message(kind::ACCEPT, &id))?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let polled = [connection.poll_fd(false), listener.poll_fd()];
        let missing = |cause: &str| {
            Error::new(
                ErrorKind::PeerLost,
                format!("open a control connection with {}", connection.peer()),
            )
            .object(connection.peer())
            .cause(cause)
            .next("the sender's own output says why")
        };
        match run.wait(&polled, Some(deadline), OnStop::End)? {
            Woken::Stopped => return Ok(None),
            Woken::TimedOut => return Err(missing("the sender did not open it")),
            // It sends nothing before it has the control connection.
            Woken::Ready(events) if events.first().is_some_and(|on| !on.is_empty()) => {
                return Err(missing("the sender went away"));
            }
            Woken::Ready(_) => {}
        }
        let Some(control) = listener.accept(STRANGER_PATIENCE)? else {
            continue;
        };
        match bound(&control, &id, run) {
            Ok(true) => {
                control.send_bytes(run, &message(kind::BOUND, &[]))?;
                return Answering::start(control.into_socket()).map(Some);
            }
            Ok(false) => log::warn!("{} is not this stream's: turned away", control.peer()),
            Err(error) if error.kind() == ErrorKind::Interrupted => return Err(error),
            Err(error) => log::warn!("a connection was turned away: {error}"),
        }
    }
}

/// Whether a connection names the stream.
fn bound(control: &Connection, id: &StreamId, run: &mut Run<'_>) -> Result<bool> {
    let deadline = Instant::now() + STRANGER_PATIENCE;
    let mut preamble = [0; PREAMBLE_SIZE];
    if control.receive_by(run, &mut preamble, deadline)? != Received::All {
        return Ok(false);
    }
    if Version::of_preamble(&preamble) != Ok(Version::V3) {
        return Ok(false);
    }
    let told = receive_message(control, run, "open a control connection", deadline)?;
    Ok(told.is_some_and(|(kind, body)| kind == kind::BIND && body == id))
}
