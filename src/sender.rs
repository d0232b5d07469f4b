//! The sender: a source's frames, one after the other, onto a connection.

use std::num::{NonZeroU32, NonZeroU64};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};

use crate::buffer::Filled;
use crate::camera::{Camera, Capture};
use crate::connection;
use crate::error::{Error, ErrorKind, Result};
use crate::intake::{Intake, OnOverrun};
use crate::report::Stream;
use crate::run::{OnStop, Run, Woken};
use crate::source::{Source, WaitsFor};
use crate::stages::Stage;
use crate::test_source::TestSource;
use crate::transmitter::{self, Transmitter, ZeroCopyMode};
use crate::wire::{StreamHeader, Version};

/// A source that is silent for longer than this is worth a warning.
const SILENT_SOURCE: Duration = Duration::from_secs(5);

/// Bytes that may wait in the socket where frames may be dropped. The kernel
/// calls for more when half of them are left. Little beside a frame, since what
/// waits here makes the next frame late; what keeps the network busy between two
/// wake-ups is what it has sent and not yet seen acknowledged, and that is no part
/// of it.
const UNSENT_BYTES: u32 = 32 * 1024;

/// What to capture from.
#[derive(Debug, Clone)]
pub enum Input {
    /// A V4L2 device.
    Device(PathBuf),
    /// The built-in source.
    Test,
}

/// A sender's settings.
#[derive(Debug, Clone)]
pub struct SenderConfig {
    /// What to capture from.
    pub input: Input,
    /// What to capture.
    pub capture: Capture,
    /// The receiver: an address or a name.
    pub address: String,
    /// The receiver's port.
    pub port: u16,
    /// Whether to send without a copy.
    pub zero_copy: ZeroCopyMode,
    /// What becomes of frames that the network has no time for.
    pub on_overrun: OnOverrun,
    /// How long the receiver may take nothing.
    pub peer_timeout: Duration,
}

/// Sends until `frames` are sent, the source ends, or a stop.
///
/// The first frame is fresh: streaming starts after the receiver is there.
pub fn send(config: &SenderConfig, frames: Option<NonZeroU64>, run: &mut Run<'_>) -> Result<()> {
    let result = send_stream(config, frames, run);
    run.report.stages.settle();
    result
}

fn send_stream(config: &SenderConfig, frames: Option<NonZeroU64>, run: &mut Run<'_>) -> Result<()> {
    let mut source: Box<dyn Source> = match &config.input {
        Input::Device(path) => Box::new(Camera::open(path, &config.capture)?),
        Input::Test => Box::new(TestSource::new(&config.capture)?),
    };
    let stream = source.stream().clone();
    let header = stream_header(&stream)?;
    run.report.stream = Some(stream);
    let zero_copy = transmitter::choose(config.zero_copy, source.as_ref(), run)?;
    let Some(connection) =
        connection::connect(run, &config.address, config.port, config.peer_timeout)?
    else {
        return Ok(());
    };
    log::info!("connected to {}", connection.peer());
    connection.send_bytes(run, &header.encode())?;
    if config.on_overrun != OnOverrun::Block {
        connection.limit_unsent(UNSENT_BYTES)?;
    }
    let mut transmitter = Transmitter::new(connection, config.zero_copy, zero_copy, run)?;
    source.start()?;
    let mut intake = Intake::new(source.as_mut(), config.on_overrun);
    while frames.is_none_or(|frames| run.report.frames < frames.get()) {
        run.tick()?;
        let Some(filled) = next_frame(&mut intake, &mut transmitter, run)? else {
            break;
        };
        let frame = filled.frame().clone();
        let begun = Instant::now();
        transmitter.send(run, filled, &mut intake)?;
        let stages = &mut run.report.stages;
        stages.record(Stage::BeforeSocket, begun.duration_since(frame.taken));
        stages.record(Stage::IntoSocket, begun.elapsed());
        run.report.count(&frame);
    }
    // The device is let go before the wait for the receiver.
    drop(source);
    transmitter.finish(run)
}

fn stream_header(stream: &Stream) -> Result<StreamHeader> {
    let nothing = || {
        Error::new(ErrorKind::Format, "send a stream without bytes or buffers").errno(Errno::EINVAL)
    };
    Ok(StreamHeader {
        version: Version::V2,
        width: stream.width,
        height: stream.height,
        pixel_format: stream.pixel_format,
        sizeimage: NonZeroU32::new(stream.sizeimage).ok_or_else(nothing)?,
        buffer_count: NonZeroU32::new(stream.buffers).ok_or_else(nothing)?,
    })
}

/// Waits for a frame; None at the source's end and on a stop.
fn next_frame(
    intake: &mut Intake<'_>,
    transmitter: &mut Transmitter,
    run: &mut Run<'_>,
) -> Result<Option<Filled>> {
    let mut warn_at = Some(Instant::now() + SILENT_SOURCE);
    let mut source_failed = false;
    let mut starved_until = None;
    let mut has_room = false;
    loop {
        let returned = transmitter.returned(run)?;
        intake.recycle(returned)?;
        intake.take_in(&mut run.report)?;
        if run.is_stopped() {
            return Ok(None);
        }
        let waits_for_room = intake.may_change() && !has_room;
        if !waits_for_room {
            if let Some(filled) = intake.take() {
                return Ok(Some(filled));
            }
        }
        if intake.has_ended() {
            log::warn!("the device gave its last frame");
            return Ok(None);
        }
        if source_failed {
            return Err(intake.poll_error());
        }
        let connection = transmitter.connection();
        let waits_for = intake.waits_for();
        if waits_for_room {
            starved_until.get_or_insert_with(|| connection.give_up_at());
        } else if matches!(waits_for, WaitsFor::Buffer) {
            // The source is not to blame for this silence.
            warn_at = None;
            starved_until.get_or_insert_with(|| {
                let counts = &mut run.report.zero_copy;
                match connection.unacknowledged() {
                    0 => counts.waits_for_completion += 1,
                    _ => counts.waits_for_network += 1,
                }
                connection.give_up_at()
            });
        } else {
            starved_until = None;
        }
        let (source, due) = waits_for.poll();
        let peer = connection.poll_fd(waits_for_room);
        let polled: Vec<PollFd<'_>> = [peer].into_iter().chain(source).collect();
        let deadline = [due, warn_at, starved_until].into_iter().flatten().min();
        match run.wait(&polled, deadline, OnStop::End)? {
            Woken::Ready(events) => {
                let mut events = events.into_iter();
                let peer = events.next().unwrap_or(PollFlags::empty());
                has_room = peer.contains(PollFlags::POLLOUT);
                if peer.intersects(!PollFlags::POLLOUT) {
                    connection.check()?;
                }
                source_failed = events.any(|source| {
                    source.intersects(PollFlags::POLLERR | PollFlags::POLLHUP | PollFlags::POLLNVAL)
                });
            }
            Woken::TimedOut if warn_at.is_some_and(|at| Instant::now() >= at) => {
                log::warn!(
                    "no frame for {} s: is there a signal?",
                    SILENT_SOURCE.as_secs()
                );
                warn_at = None;
            }
            Woken::TimedOut if starved_until.is_some_and(|until| Instant::now() >= until) => {
                return Err(connection.stalled());
            }
            Woken::TimedOut | Woken::Stopped => {}
        }
    }
}
