//! The receiver: a connection's frames into DMABUFs of its own, and on to a dump.
//!
//! It trusts nothing that the sender says: every size is checked before memory
//! is allocated or a byte of payload is taken.

use std::num::NonZeroU64;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use crate::buffer::{Filled, Frame, Free, Payload};
use crate::connection::{Connection, Listener, Received};
use crate::dump::{Dump, DumpTarget};
use crate::error::{Error, ErrorKind, Result};
use crate::memory::{Heap, HeapName};
use crate::pixel_format::FfmpegOptions;
use crate::report::Stream;
use crate::run::Run;
use crate::stages::Stage;
use crate::wire::{FrameHeader, StreamHeader, WireError};

/// How long a peer may take to say what it sends.
const STREAM_HEADER_PATIENCE: Duration = Duration::from_secs(10);

/// The most buffers worth having (V4L2's `VIDEO_MAX_FRAME`), whatever number the
/// sender says: frames are taken one at a time, in order.
const MAX_BUFFERS: u32 = 32;

/// A receiver's settings.
#[derive(Debug, Clone)]
pub struct ReceiverConfig {
    /// The address to listen on, or a name.
    pub listen: String,
    /// The port to listen on.
    pub port: u16,
    /// Where buffers come from.
    pub heap: HeapName,
    /// Where frames are written to, if anywhere.
    pub output: Option<DumpTarget>,
    /// The most bytes that a sender may ask for in buffers.
    pub max_memory: u64,
    /// How long the sender may be silent.
    pub peer_timeout: Duration,
}

/// Receives until `frames` have come, the sender ends the stream, or a stop.
///
/// All that can be refused without a sender is refused before one is waited for.
pub fn receive(
    config: &ReceiverConfig,
    frames: Option<NonZeroU64>,
    listener: Option<Listener>,
    run: &mut Run<'_>,
) -> Result<()> {
    let heap = Heap::open(&config.heap)?;
    let mut dump = config.output.as_ref().map(Dump::open).transpose()?;
    let listener = match listener {
        Some(listener) => listener,
        None => match listen(config, run)? {
            Some(listener) => listener,
            None => return Ok(()),
        },
    };
    let Some(connection) = listener.accept(run, config.peer_timeout)? else {
        return Ok(());
    };
    // One stream a run: a second sender is refused rather than left waiting.
    drop(listener);
    log::info!("connection from {}", connection.peer());
    let Some(header) = receive_stream_header(&connection, config, run)? else {
        return Ok(());
    };
    let mut pool = allocate(&heap, config, &header)?;
    run.report.stream = Some(Stream {
        width: header.width,
        height: header.height,
        pixel_format: header.pixel_format,
        sizeimage: header.sizeimage.get(),
        buffers: pool.len() as u32,
        memory: heap.memory_used(),
        heap: Some(config.heap.to_string()),
    });
    announce(&header, config);
    if let Some(dump) = &mut dump {
        dump.begin()?;
    }
    while frames.is_none_or(|frames| run.report.frames < frames.get()) {
        run.tick()?;
        if run.is_stopped() {
            break;
        }
        // The one that was used last: it is still in the CPU's caches.
        let Some(free) = pool.pop() else {
            return Err(Error::new(ErrorKind::System, "find a free buffer"));
        };
        let Some(filled) = receive_frame(&connection, &header, free, run)? else {
            break;
        };
        let complete = Instant::now();
        let into_buffer = complete.duration_since(filled.frame().taken);
        run.report.stages.record(Stage::IntoBuffer, into_buffer);
        if let Some(dump) = &mut dump {
            dump.write(&filled, run)?;
            run.report
                .stages
                .record(Stage::IntoDump, complete.elapsed());
        }
        run.report.saw(filled.frame());
        run.report.count(filled.frame());
        pool.push(filled.release());
    }
    Ok(())
}

/// Binds and listens; None on a stop.
pub fn listen(config: &ReceiverConfig, run: &mut Run<'_>) -> Result<Option<Listener>> {
    let listener = Listener::bind(run, &config.listen, config.port)?;
    if let Some(listener) = &listener {
        log::info!("listening on {}", listener.address());
    }
    Ok(listener)
}

/// An error about what the peer sent, or did not.
fn peer_error(kind: ErrorKind, connection: &Connection, what: &str) -> Error {
    let error = Error::new(kind, format!("receive {what} from {}", connection.peer()))
        .object(connection.peer());
    match kind {
        ErrorKind::PeerTimeout => error
            .errno(Errno::ETIMEDOUT)
            .next("see whether the sender still runs; --peer-timeout sets how long to wait"),
        _ => error,
    }
}

fn receive_stream_header(
    connection: &Connection,
    config: &ReceiverConfig,
    run: &mut Run<'_>,
) -> Result<Option<StreamHeader>> {
    const WHAT: &str = "a stream";
    let mut bytes = [0; StreamHeader::SIZE];
    let patience = STREAM_HEADER_PATIENCE.min(config.peer_timeout);
    let missing = |received: usize| {
        format!(
            "{} of the stream header's {} bytes are missing",
            StreamHeader::SIZE - received,
            StreamHeader::SIZE
        )
    };
    match connection.receive_by(run, &mut bytes, Instant::now() + patience)? {
        Received::All => {}
        Received::Stopped => return Ok(None),
        Received::Closed(received) => {
            return Err(peer_error(ErrorKind::Truncated, connection, WHAT)
                .cause(format!(
                    "it closed the connection, and {}",
                    missing(received)
                ))
                .next("the sender's own output says why"));
        }
        Received::Silent(received) => {
            return Err(
                peer_error(ErrorKind::PeerTimeout, connection, WHAT).cause(format!(
                    "it connected and did not say what it sends within {} s: {}",
                    patience.as_secs_f64(),
                    missing(received)
                )),
            );
        }
    }
    let header = StreamHeader::decode(&bytes).map_err(|error| {
        let next = match error {
            WireError::StreamMagic(_) => "is it a sender of this protocol?",
            WireError::Version(_) => "use a sender of this version",
            _ => "the sender is at fault",
        };
        peer_error(ErrorKind::Protocol, connection, WHAT)
            .cause(error.to_string())
            .next(next)
    })?;
    if header.pool_bytes() > config.max_memory {
        return Err(peer_error(ErrorKind::Limit, connection, WHAT)
            .cause(format!(
                "it asks for {} buffers of {} bytes, {} in all, and the limit is {}",
                header.buffer_count,
                header.sizeimage,
                header.pool_bytes(),
                config.max_memory
            ))
            .next("raise --max-memory if you trust it"));
    }
    Ok(Some(header))
}

fn allocate(heap: &Heap, config: &ReceiverConfig, header: &StreamHeader) -> Result<Vec<Free>> {
    let count = header.buffer_count.get().min(MAX_BUFFERS);
    let length = header.sizeimage.get() as usize;
    let pool = (0..count)
        .map(|index| Ok(Free::new(index, vec![heap.allocate(length)?])))
        .collect::<Result<Vec<Free>>>()?;
    log::info!("memory: {count} x {length} bytes from {}", config.heap);
    Ok(pool)
}

/// Says what is coming, and how to look at it.
fn announce(header: &StreamHeader, config: &ReceiverConfig) {
    let StreamHeader {
        width,
        height,
        pixel_format,
        sizeimage,
        ..
    } = *header;
    log::info!(
        "stream of {width}x{height} {pixel_format}, up to {sizeimage} bytes a frame (wire version {})",
        header.version.number()
    );
    let expected = pixel_format.frame_size(width, height);
    if let Some(expected) = expected.filter(|expected| *expected != sizeimage.get()) {
        log::warn!(
            "frames may have {sizeimage} bytes where {expected} are expected: rows or planes are \
             likely padded, and the wire does not tell how"
        );
    }
    let path = match &config.output {
        None => return,
        Some(DumpTarget::Stdout) => "-".to_owned(),
        Some(DumpTarget::File(path)) => quoted(path),
    };
    match FfmpegOptions::new(pixel_format, width, height, sizeimage.get()) {
        Some(FfmpegOptions { input, filter }) => {
            log::info!("to watch: ffplay {input} -i {path}{filter}");
            log::info!("to convert: ffmpeg {input} -i {path}{filter} OUTPUT.mkv");
        }
        None => log::info!("ffmpeg knows no way to read {pixel_format}"),
    }
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%,".contains(c);
    if text.chars().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// Takes the next frame; None at the stream's end and on a stop.
fn receive_frame(
    connection: &Connection,
    stream: &StreamHeader,
    free: Free,
    run: &mut Run<'_>,
) -> Result<Option<Filled>> {
    let whole = run.report.frames;
    let what = format!("frame {}", whole + 1);
    let cut = |received: Received, part: &str, size: usize| {
        let missing = |count: usize| {
            format!(
                "{} of the {size} bytes of the {part} of frame {} are missing, {whole} frames \
                 arrived whole",
                size - count,
                whole + 1
            )
        };
        match received {
            Received::All | Received::Stopped => Ok(()),
            Received::Closed(count) => Err(peer_error(ErrorKind::Truncated, connection, &what)
                .cause(format!("the stream ended early: {}", missing(count)))
                .next("the sender's own output says why")),
            Received::Silent(count) => Err(peer_error(ErrorKind::PeerTimeout, connection, &what)
                .cause(format!("the sender fell silent: {}", missing(count)))),
        }
    };
    let mut bytes = [0; FrameHeader::SIZE];
    match connection.receive_bytes(run, &mut bytes)? {
        Received::All => {}
        Received::Closed(0) | Received::Stopped => return Ok(None),
        early => cut(early, "header", FrameHeader::SIZE)?,
    }
    let header = FrameHeader::decode(&bytes, stream).map_err(|error| {
        peer_error(ErrorKind::Protocol, connection, &what)
            .cause(error.to_string())
            .next("the sender is at fault, or bytes were lost on the way")
    })?;
    let taken = Instant::now();
    let length = header.bytesused as usize;
    for plane in free.planes() {
        let access = plane.write()?;
        let received = connection.receive_view(run, access.view(0, length)?)?;
        access.end()?;
        cut(received, "payload", length)?;
    }
    Ok(Some(free.filled(Frame {
        sequence: header.sequence,
        flags: header.flags,
        timestamp: header.timestamp,
        payloads: vec![Payload { offset: 0, length }],
        taken,
    })))
}
