//! The receiver's half: it takes an offer or refuses it, and waits for the control
//! connection.

use std::time::{Duration, Instant};

use super::{PATIENCE, receive_message, wrong};
use crate::connection::{Connection, Listener, Received};
use crate::control::Answering;
use crate::error::{Error, ErrorKind, Result};
use crate::run::{OnStop, Run, Woken};
use crate::wire::v3::{STREAM_ID_SIZE, StreamId, kind, message, text_bytes};
use crate::wire::{Description, PREAMBLE_SIZE, Version, WireError};

/// How long a connection that should be the control connection may take to say so.
const STRANGER_PATIENCE: Duration = Duration::from_secs(1);

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
