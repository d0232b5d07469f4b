//! The receiver: a connection's frames into DMABUFs of its own, and on to a dump.
//!
//! It trusts nothing that the sender says: every size is checked before memory
//! is allocated or a byte of payload is taken.

mod announcement;
mod door;
mod dumping;
mod incoming;
mod pool;

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use self::announcement::announce;
use self::door::{Door, Offer};
use self::dumping::Dumping;
use self::incoming::{Arrival, Incoming};
use self::pool::Heaps;
use crate::accounting::Account;
use crate::buffer::{Filled, Free};
use crate::connection::{Connection, Listener};
use crate::control::Answering;
use crate::dump::DumpTarget;
use crate::error::{Error, ErrorKind, Result, keep_first};
use crate::ledger::{Expected, Ledger};
use crate::memory::{HeapChoice, read_rate};
use crate::monotonic::Monotonic;
use crate::passage::Passage;
use crate::report::{Origin, Stream};
use crate::run::Run;
use crate::stages::Stage;
use crate::verify::Verified;
use crate::wire::v3::{Ack, End, FrameHeader, Outcome, kind, message, text_bytes};
use crate::wire::{Description, Version};

/// How long a sender may take to say what it sends, and to open its control connection.
const PATIENCE: Duration = Duration::from_secs(10);

/// A receiver's settings.
#[derive(Debug, Clone)]
pub struct ReceiverConfig {
    /// The address to listen on, or a name.
    pub listen: String,
    /// The port to listen on.
    pub port: u16,
    /// Where buffers come from.
    pub heap: HeapChoice,
    /// Where frames are written to, if anywhere.
    pub output: Option<DumpTarget>,
    /// The most bytes that a stream's buffers may take here.
    pub max_memory: u64,
    /// How long the sender may be silent.
    pub peer_timeout: Duration,
    /// Where to write a line a frame, if anywhere.
    pub records: Option<PathBuf>,
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
    let heaps = Heaps::open(&config.heap)?;
    let output = match &config.output {
        None => None,
        Some(target) => match target.open(run)? {
            None => return Ok(()),
            output => output,
        },
    };
    let Some(ledger) = Ledger::open(config.records.as_deref(), run)? else {
        return Ok(());
    };
    let listener = match listener {
        Some(listener) => listener,
        None => match listen(config, run)? {
            Some(listener) => listener,
            None => return Ok(()),
        },
    };
    let door = Door::open(
        listener,
        PATIENCE.min(config.peer_timeout),
        config.peer_timeout,
    )?;
    let Some(offer) = door.offer(run)? else {
        return Ok(());
    };
    let Offer {
        connection,
        version,
        description,
    } = offer;
    log::info!("connection from {}", connection.peer());
    // All of it before the sender is told to begin: afterwards it would make the first frames
    // late.
    let ready = heaps
        .allocate(&description, config.max_memory)
        .and_then(|pool| {
            let Some(dump) = Dumping::begin(output, run)? else {
                return Ok(None);
            };
            let read_rate = read_rate(pool.free.first().map_or(&[], Free::planes))?;
            Ok(Some((pool, dump, read_rate)))
        });
    let (pool, dump, read_rate) = match ready {
        Ok(Some(ready)) => ready,
        Ok(None) => return Ok(()),
        Err(error) => {
            let error = match error.kind() {
                ErrorKind::Limit => error.object(connection.peer()),
                _ => error,
            };
            if version == Version::V3 {
                refuse(&connection, run, &error)?;
            }
            return Err(error);
        }
    };
    let control = match version {
        Version::V1 | Version::V2 => None,
        Version::V3 => match accept(&door, &connection, run)? {
            None => return Ok(()),
            control => control,
        },
    };
    run.report.stream = Some(Stream {
        width: description.width,
        height: description.height,
        pixel_format: description.pixel_format,
        planes: description.planes.clone(),
        buffers: pool.count,
        memory: pool.memory,
        heap: Some(pool.heap.to_string()),
        read_rate,
        origin: Origin::default(),
    });
    run.report.version = Some(version);
    run.report.verified = description.verify.then(Verified::default);
    run.report.described = Some(description.clone());
    announce(&description, version, config.output.as_ref());
    let stream = (version, &description);
    Receiving {
        pool: pool.free,
        dump,
        ledger,
        control,
        expected: 0,
    }
    .receive_all(connection, stream, frames, run)
}

/// Accepts a stream, and waits for its control connection. None on a stop.
fn accept(door: &Door, connection: &Connection, run: &mut Run<'_>) -> Result<Option<Answering>> {
    let name = door.name_stream()?;
    connection.send_bytes(run, &message(kind::ACCEPT, &name))?;
    let deadline = Instant::now() + PATIENCE;
    let control = door.control(connection, deadline, run)?;
    control.map(Answering::start).transpose()
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

/// Binds and listens; None on a stop.
pub fn listen(config: &ReceiverConfig, run: &mut Run<'_>) -> Result<Option<Listener>> {
    let listener = Listener::bind(run, &config.listen, config.port)?;
    if let Some(listener) = &listener {
        log::info!("listening on {}", listener.address());
    }
    Ok(listener)
}

/// A stream that is being received.
struct Receiving {
    pool: Vec<Free>,
    dump: Dumping,
    ledger: Ledger,
    control: Option<Answering>,
    /// The counter that the next frame should have.
    expected: u64,
}

impl Receiving {
    fn receive_all(
        mut self,
        connection: Connection,
        (version, description): (Version, &Description),
        frames: Option<NonZeroU64>,
        run: &mut Run<'_>,
    ) -> Result<()> {
        let incoming = Incoming {
            connection: &connection,
            version,
            description,
        };
        let result = self.receive_frames(&incoming, frames, run);
        let result = self.finish_dump(result, run);
        if result
            .as_ref()
            .is_err_and(|error| error.kind() == ErrorKind::Interrupted)
        {
            return result;
        }
        run.report.network = connection.network();
        let told = self.tell(&result, run);
        // Whoever sends sees by this that nothing more is taken.
        drop(connection);
        let mut result = result.and(told);
        if let Some(control) = self.control.take() {
            match control.finish(run) {
                Ok(sync) => {
                    result = self.ledger.close(result, run);
                    run.report.settle_one_way(&sync);
                }
                Err(error) => result = self.ledger.close(result.and(Err(error)), run),
            }
        } else {
            result = self.ledger.close(result, run);
        }
        result?;
        Account::of_receiver(&run.report).check()
    }

    fn receive_frames(
        &mut self,
        incoming: &Incoming<'_>,
        frames: Option<NonZeroU64>,
        run: &mut Run<'_>,
    ) -> Result<()> {
        while frames.is_none_or(|frames| run.report.frames < frames.get()) {
            run.tick()?;
            if run.is_stopped() {
                return Ok(());
            }
            let Some(free) = self.free(run)? else {
                return Ok(());
            };
            match incoming.next(free, run)? {
                Arrival::Frame(arrived) => {
                    let (filled, header) = *arrived;
                    self.take(filled, header, run)?;
                }
                Arrival::End(end) => {
                    run.report.end = end;
                    return Ok(());
                }
                Arrival::Stopped => return Ok(()),
            }
        }
        if self.control.is_some() {
            run.report.end = incoming.end(run)?;
        }
        Ok(())
    }

    /// A buffer for the next frame. Where the dump has all of them it is waited for, and the
    /// stream with it; None on a stop.
    fn free(&mut self, run: &mut Run<'_>) -> Result<Option<Free>> {
        while let Some((free, passage)) = self.dump.take(run)? {
            self.pool.push(free);
            self.enter(passage, run)?;
        }
        // The one that was used last: it is still in the CPU's caches.
        if let Some(free) = self.pool.pop() {
            return Ok(Some(free));
        }
        let Some((free, passage)) = self.dump.wait(run)? else {
            return Ok(None);
        };
        self.enter(passage, run)?;
        Ok(Some(free))
    }

    fn take(
        &mut self,
        filled: Filled,
        header: Option<FrameHeader>,
        run: &mut Run<'_>,
    ) -> Result<()> {
        let complete = Monotonic::now();
        let frame = filled.frame().clone();
        let mut passage = Passage {
            counter: run.report.frames,
            sequence: frame.sequence,
            flags: frame.flags,
            bytes: frame.bytes(),
            header: frame.taken.nanoseconds(),
            complete: complete.nanoseconds(),
            ..Passage::default()
        };
        if let Some(header) = &header {
            passage.counter = header.counter;
            passage.captured = header.captured;
            passage.dequeued = header.dequeued;
            passage.handed = header.handed;
        }
        if !self.dump.is_wanted() {
            passage.done = passage.complete;
        }
        // Before anything else is done with it: the sender waits for no look and no disk.
        if let Some(control) = &self.control {
            control.acknowledge(&Ack {
                counter: passage.counter,
                header: passage.header,
                complete: passage.complete,
                done: passage.done,
            });
            if run.report.one_way.is_due() {
                run.report.settle_one_way(&control.turn());
            }
        }
        let stages = &mut run.report.stages;
        stages.record(Stage::IntoBuffer, complete.since(frame.taken));
        if let Some(header) = &header {
            // Numbers that go back would be another stream's; it can't be told how many
            // are missing then.
            let missing = header.counter.saturating_sub(self.expected);
            run.report.missing = run.report.missing.saturating_add(missing);
            self.expected = header.counter.saturating_add(1);
        }
        let checksum = header.as_ref().and_then(|header| header.checksum);
        if let (Some(verified), Some(_)) = (&mut run.report.verified, checksum) {
            verified.look(&filled, checksum)?;
            run.report.stages.record(Stage::Verify, complete.elapsed());
        }
        run.report.saw(&frame);
        run.report.count(&frame);
        match self.dump.write(filled, passage) {
            None => Ok(()),
            Some(free) => {
                self.pool.push(free);
                self.enter(passage, run)
            }
        }
    }

    /// Nothing more will be learned of a frame.
    fn enter(&mut self, passage: Passage, run: &mut Run<'_>) -> Result<()> {
        let nothing = Expected {
            acknowledgement: false,
            completion: false,
        };
        self.ledger.enter(passage, nothing);
        self.ledger.turn_over(run)
    }

    /// Waits until the dump has all frames, unless nobody waits for anything any more.
    /// `result` is how the run went by then.
    fn finish_dump(&mut self, result: Result<()>, run: &mut Run<'_>) -> Result<()> {
        let is_over =
            |error: &Error| matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::Output);
        let mut finished = Ok(());
        if !result.as_ref().is_err_and(is_over) {
            finished = self.dump.finish(run);
        }
        // The dump may not have the last of them, but they came.
        for passage in self.dump.passages() {
            finished = finished.and(self.enter(passage, run));
        }
        keep_first(result, finished)
    }

    /// Tells the sender what came of it, and says whether the sender failed.
    fn tell(&self, result: &Result<()>, run: &Run<'_>) -> Result<()> {
        let Some(control) = &self.control else {
            return Ok(());
        };
        let report = &run.report;
        control.tell(&Outcome {
            received: report.frames,
            spoiled: report.verified.as_ref().map_or(0, |it| it.spoiled),
            had_enough: result.is_ok() && report.end.is_none(),
            failure: match result {
                Ok(()) => String::new(),
                Err(error) => error.to_string(),
            },
        });
        match &report.end {
            Some(End { failure, .. }) if !failure.is_empty() => Err(Error::new(
                ErrorKind::Truncated,
                "receive the stream to its end",
            )
            .cause(format!(
                "the sender failed after {} frames: {failure}",
                report.frames
            ))),
            _ => Ok(()),
        }
    }
}
