//! The receiver: a connection's frames into DMABUFs of its own, and on to a dump.
//!
//! It trusts nothing that the sender says: every size is checked before memory
//! is allocated or a byte of payload is taken.

mod allocation;
mod announcement;
mod door;
pub mod ffmpeg;
mod incoming;
mod outlets;
mod receiving;

use std::num::{NonZeroU32, NonZeroU64};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Deserializer};

use self::allocation::{Heaps, MAX_BUFFERS};
use self::announcement::announce;
use self::door::Door;
use self::outlets::Outlets;
use self::receiving::Receiving;
use crate::base::{Error, ErrorKind, Output, Result, Run, settings};
use crate::frame::{Free, Origin, Pool, Stream};
use crate::link::{Connection, Listener};
use crate::measure::{Ledger, Measuring, Verified};
use crate::memory::{HeapChoice, MemoryMode, read_rate};
use crate::session::control::ReceiverEnd;
use crate::sink::output_device::{OpenDevice, OutputDevice, OutputTarget};
use crate::sink::unixfd::{self, OpenSocket, UnixFd};
use crate::sink::{
    Sink, WhenFull, audience::Audience, consumer::Overrun, dump::Dump, dump::DumpTarget,
};
use crate::wire::{Version, v3::kind, v3::message, v3::text_bytes};

/// How long a sender may take to say what it sends, and to open its control connection.
const PATIENCE: Duration = Duration::from_secs(10);

/// A receiver's settings.
#[derive(Debug, Clone, Deserialize)]
pub struct ReceiverConfig {
    /// The address to listen on, or a name.
    pub listen: String,
    /// The port to listen on.
    pub port: u16,
    /// Where buffers come from.
    #[serde(deserialize_with = "settings::named")]
    pub heap: HeapChoice,
    /// Where frames are written to, and what becomes of those that are too many for it.
    #[serde(rename = "output", deserialize_with = "dump")]
    pub dumps: Vec<(DumpTarget, WhenFull)>,
    /// The output device that shows frames, if one does.
    #[serde(deserialize_with = "settings::path")]
    pub device: Option<PathBuf>,
    /// Whose memory to use with it.
    pub device_memory: MemoryMode,
    /// What becomes of frames that it has no time for.
    pub device_on_overrun: Overrun,
    /// The socket that hands frames to other processes, if there is one.
    #[serde(deserialize_with = "settings::path")]
    pub unixfd: Option<PathBuf>,
    /// How many buffers there are; None: as many as the sender has, and those that the audience
    /// may hold.
    pub buffers: Option<NonZeroU32>,
    /// The most bytes that a stream's buffers may take here.
    pub max_memory: u64,
    /// How long the sender may be silent.
    #[serde(deserialize_with = "settings::seconds")]
    pub peer_timeout: Duration,
    /// How long the stream is to last, from its first frame; None: for as long as it does.
    #[serde(deserialize_with = "settings::perhaps_seconds")]
    pub duration: Option<Duration>,
    /// Where to write a line a frame, if anywhere.
    #[serde(deserialize_with = "settings::path")]
    pub records: Option<PathBuf>,
    /// Bytes that it and the file before it may take; None: no limit.
    pub records_limit: Option<u64>,
}

impl ReceiverConfig {
    fn output_device(&self) -> Option<OutputTarget> {
        let path = self.device.clone()?;
        Some(OutputTarget {
            path,
            memory: self.device_memory,
            on_overrun: self.device_on_overrun,
        })
    }
}

/// The dump that a setting names, if it does.
fn dump<'de, D: Deserializer<'de>>(
    from: D,
) -> std::result::Result<Vec<(DumpTarget, WhenFull)>, D::Error> {
    let path = settings::path(from)?;
    Ok(path
        .into_iter()
        .map(|path| (path.into(), WhenFull::Wait))
        .collect())
}

/// Receives until `frames` have come, the sender ends the stream, or a stop. The audience gets
/// what comes whole.
///
/// All that can be refused without a sender is refused before one is waited for. An error of kind
/// `Stopped` if a stop comes before there is a stream.
pub fn receive(
    config: &ReceiverConfig,
    frames: Option<NonZeroU64>,
    listener: Option<Listener>,
    audience: &Audience,
    measured: &Measuring,
    run: &mut Run<'_>,
) -> Result<()> {
    let heaps = Heaps::open(&config.heap)?;
    let mut outputs = Vec::new();
    for (target, when_full) in &config.dumps {
        outputs.push((target.open(run)?, *when_full));
    }
    let device = config.output_device();
    let device = device.map(|target| OpenDevice::open(target, run));
    let device = device.transpose()?;
    let socket = config.unixfd.as_deref().map(OpenSocket::open).transpose()?;
    let records = (config.records.as_deref(), config.records_limit);
    let ledger = Ledger::open(records, measured, run)?;
    let listener = match listener {
        Some(listener) => listener,
        None => listen(config, run)?,
    };
    let greeting = PATIENCE.min(config.peer_timeout);
    let door = Door::open(listener, greeting, config.peer_timeout)?;
    let (connection, version, description) = door.offer(run)?;
    log::info!("connection from {}", connection.peer());
    // All of it before the sender is told to begin: afterwards it would make the first frames
    // late.
    let by_device = device.as_ref().map_or(0, OpenDevice::holds);
    let by_clients = socket.as_ref().map_or(0, |_| unixfd::HOLDS);
    let held = audience.reserve().saturating_add(by_device + by_clients);
    let wanted = description.buffers.min(MAX_BUFFERS).saturating_add(held);
    let ready = heaps
        .allocate(&allocation::Wanted {
            description: &description,
            count: config.buffers.unwrap_or(wanted),
            limit: config.max_memory,
        })
        .and_then(|mut buffers| {
            let device = match device {
                None => None,
                Some(device) => {
                    let (ready, free) = device.prepare(&description, buffers.free, run)?;
                    buffers.free = free;
                    Some(ready)
                }
            };
            let socket = socket.map(|it| it.prepare(&description)).transpose()?;
            let sinks = begin(outputs, run)?;
            let read_rate = read_rate(buffers.free.first().map_or(&[], Free::planes))?;
            Ok((buffers, device, socket, sinks, read_rate))
        });
    let (buffers, device, socket, mut sinks, read_rate) = match ready {
        Ok(ready) => ready,
        Err(error) if error.kind() == ErrorKind::Stopped => return Err(error),
        Err(mut error) => {
            if error.kind() == ErrorKind::Limit {
                error = error.object(connection.peer());
            }
            if version == Version::V3 {
                refuse(&connection, run, &error)?;
            }
            return Err(error);
        }
    };
    let control = match version {
        Version::V1 | Version::V2 => None,
        Version::V3 => Some(accept(&door, &connection, run)?),
    };
    let own = Stream {
        width: description.width,
        height: description.height,
        pixel_format: description.pixel_format,
        planes: description.planes.clone(),
        buffers: buffers.count,
        memory: buffers.memory,
        heap: Some(buffers.heap.to_string()),
        read_rate,
        origin: Origin {
            appearance: description.appearance(),
            ..Origin::default()
        },
    };
    {
        let mut measured = measured.borrow_mut();
        measured.stream = Some(own.clone());
        measured.version = Some(version);
        measured.verified = description.verify.then(Verified::default);
        measured.describe(description.clone());
    }
    let dump = config.dumps.first().map(|(target, _)| target);
    announce(&description, version, dump);
    let stream = (version, &description);
    let pool = Pool::new(buffers.free)?;
    let common = audience.begin(own, pool.lent(), 1, wanted);
    if let Some(ready) = device {
        sinks.push(Box::new(OutputDevice::begin(ready, Arc::clone(&common))?));
    }
    if let Some(ready) = socket {
        let beyond = buffers.count.get().saturating_sub(wanted.get());
        sinks.push(Box::new(UnixFd::begin(ready, common, beyond)?));
    }
    Receiving {
        measured,
        audience,
        pool,
        outlets: Outlets::new(sinks, measured),
        ledger,
        control,
        expected: 0,
        duration: config.duration,
        starved: Duration::ZERO,
    }
    .receive_all(connection, stream, frames, run)
}

/// A stream is about to come: empties the files of its dumps.
fn begin(outputs: Vec<(Output, WhenFull)>, run: &mut Run<'_>) -> Result<Vec<Box<dyn Sink>>> {
    let mut sinks: Vec<Box<dyn Sink>> = Vec::new();
    for (output, when_full) in outputs {
        sinks.push(Box::new(Dump::begin(output.empty(run)?, when_full)?));
    }
    Ok(sinks)
}

/// Accepts a stream, and waits for its control connection.
fn accept(door: &Door, connection: &Connection, run: &mut Run<'_>) -> Result<ReceiverEnd> {
    let name = door.name_stream()?;
    connection.send_bytes(run, &message(kind::ACCEPT, &name))?;
    let deadline = Instant::now() + PATIENCE;
    ReceiverEnd::start(door.control(connection, deadline, run)?)
}

/// Tells the sender why there will be no stream. What that comes to is less than the reason.
fn refuse(connection: &Connection, run: &mut Run<'_>, why: &Error) -> Result<()> {
    let told = connection.send_bytes(run, &message(kind::REFUSE, text_bytes(&why.to_string())));
    match told {
        Err(error) if error.kind() != ErrorKind::Interrupted => {
            log::debug!("{error}");
            Ok(())
        }
        told => told,
    }
}

/// Binds and listens.
pub fn listen(config: &ReceiverConfig, run: &mut Run<'_>) -> Result<Listener> {
    let listener = Listener::bind(run, &config.listen, config.port)?;
    log::info!("listening on {}", listener.local());
    Ok(listener)
}

#[cfg(test)]
mod tests;
