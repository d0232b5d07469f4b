//! The sender: a source's frames, one after the other, onto a connection.

mod ending;
pub mod intake;
mod next_frame;

use std::num::{NonZeroU32, NonZeroU64};
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use self::next_frame::next_frame;
use crate::base::{Monotonic, Result, Run, settings};
use crate::link;
use crate::measure::{Expected, FrameRecord, Ledger, Measuring, Resolve, Stage, Verified};
use crate::sender::{intake::Intake, intake::Taken};
use crate::session::{control::SenderEnd, handshake};
use crate::sink::{
    Fate, Passing, Sink, audience::Audience, consumer::Overrun, consumer::Passage, network,
    network::Framing, network::Network, network::ZeroCopyMode,
};
use crate::source::{self, Input, Source, camera::Capture};
use crate::wire::{Description, Version};

/// Bytes that may wait in the socket where frames may be dropped. The kernel
/// calls for more when half of them are left. Little beside a frame, since what
/// waits here makes the next frame late; what keeps the network busy between two
/// wake-ups is what it has sent and not yet seen acknowledged, and that is no part
/// of it.
const UNSENT_BYTES: u32 = 32 * 1024;

/// A sender's settings.
#[derive(Debug, Clone, Deserialize)]
pub struct SenderConfig {
    /// What to capture from.
    #[serde(rename = "device")]
    pub input: Input,
    /// What to capture.
    #[serde(flatten)]
    pub capture: Capture,
    /// The receiver: an address or a name.
    pub address: String,
    /// The receiver's port.
    pub port: u16,
    /// What to speak.
    pub protocol: Version,
    /// Whether to send without a copy.
    pub zero_copy: ZeroCopyMode,
    /// What becomes of frames that the network has no time for.
    pub on_overrun: Overrun,
    /// How long the receiver may take nothing.
    #[serde(deserialize_with = "settings::seconds")]
    pub peer_timeout: Duration,
    /// How long the stream is to last, from its first frame; None: for as long as it does.
    #[serde(deserialize_with = "settings::perhaps_seconds")]
    pub duration: Option<Duration>,
    /// How long to try to connect while nothing listens.
    #[serde(deserialize_with = "settings::seconds")]
    pub connect_for: Duration,
    /// Where to write a line a frame, if anywhere.
    #[serde(deserialize_with = "settings::path")]
    pub records: Option<PathBuf>,
    /// Bytes that it and the file before it may take; None: no limit.
    pub records_limit: Option<u64>,
}

/// Sends until `frames` are sent, the source or the receiver ends, or a stop. The audience sees
/// what is sent.
///
/// The first frame is fresh: streaming starts after the receiver is there. An error of kind
/// `Stopped` if a stop comes before that.
pub fn send(
    config: &SenderConfig,
    frames: Option<NonZeroU64>,
    audience: &Audience,
    measured: &Measuring,
    run: &mut Run<'_>,
) -> Result<()> {
    let result = send_stream(config, frames, audience, measured, run);
    measured.borrow_mut().stages.settle();
    result
}

fn send_stream(
    config: &SenderConfig,
    frames: Option<NonZeroU64>,
    audience: &Audience,
    measured: &Measuring,
    run: &mut Run<'_>,
) -> Result<()> {
    let capture = config.capture.with_more_buffers(audience.reserve());
    let source = config.input.open(&capture, run)?;
    let wanted = capture.buffers;
    send_from((source, wanted), config, frames, audience, measured, run)
}

/// Sends the frames of a source, which was to have so many buffers, and lets it go.
fn send_from(
    (source, wanted): (Box<dyn Source>, NonZeroU32),
    config: &SenderConfig,
    frames: Option<NonZeroU64>,
    audience: &Audience,
    measured: &Measuring,
    run: &mut Run<'_>,
) -> Result<()> {
    let begun = begin(config, (source.as_ref(), wanted), audience, measured, run);
    let Ok(mut sending) = begun else {
        let torn_down = source::tear_down(source, ())?;
        return source::end_with(torn_down, begun.map(|_| ()), run);
    };
    let Some((mut source, started)) = source::start(source, run)? else {
        return sending.end(Ok(()), run);
    };
    let result =
        started.and_then(|()| sending.send_frames(source.as_mut(), config.on_overrun, frames, run));
    run.stream_ended();
    // The device is let go during the wait for the receiver, however long it takes for that.
    let torn_down = source::tear_down(source, ())?;
    let result = sending.end(result, run);
    source::end_with(torn_down, result, run)
}

/// Connects, and tells the receiver what comes from a source, which was to have so many buffers.
fn begin<'m>(
    config: &SenderConfig,
    (source, wanted): (&dyn Source, NonZeroU32),
    audience: &'m Audience,
    measured: &'m Measuring,
    run: &mut Run<'_>,
) -> Result<Sending<'m>> {
    let records = (config.records.as_deref(), config.records_limit);
    let ledger = Ledger::open(records, measured, run)?;
    {
        let mut measured = measured.borrow_mut();
        measured.stream = Some(source.stream().clone());
        measured.verified = config.capture.verify.then(Verified::default);
    }
    let zero_copy = network::choose(config.zero_copy, source, measured)?;
    let description = Description::of(source.stream(), zero_copy, config.capture.verify);
    measured.borrow_mut().describe(description.clone());
    let framing = Framing::new(config.protocol, &description)?;
    let patience = (config.connect_for, config.peer_timeout);
    let connection = link::connect(run, &config.address, config.port, patience)?;
    log::info!("connected to {}", connection.peer());
    let control = match &framing {
        Framing::V2(version, header) => {
            let mut hello = version.preamble().to_vec();
            hello.extend_from_slice(&header.encode());
            connection.send_bytes(run, &hello)?;
            None
        }
        Framing::V3 { .. } => Some(handshake::offer(&connection, &description, run)?),
    };
    measured.borrow_mut().version = Some(framing.version());
    if config.on_overrun != Overrun::Block {
        connection.limit_unsent(UNSENT_BYTES)?;
    }
    let how = (config.zero_copy, zero_copy);
    let network = Network::new(connection, framing, how, measured)?;
    // One more than the source needs: what the network has must be able to come back.
    let needed = source.needed() + 1;
    let (stream, lent) = (source.stream().clone(), source.pool().lent());
    audience.begin(stream, lent, needed, wanted);
    Ok(Sending {
        measured,
        audience,
        network,
        control,
        ledger,
        duration: config.duration,
    })
}

/// A stream that is being sent.
struct Sending<'m> {
    measured: &'m Measuring,
    audience: &'m Audience,
    network: Network<'m>,
    control: Option<SenderEnd>,
    ledger: Ledger<'m>,
    /// How long it is to last.
    duration: Option<Duration>,
}

impl Sending<'_> {
    fn send_frames(
        &mut self,
        source: &mut dyn Source,
        on_overrun: Overrun,
        frames: Option<NonZeroU64>,
        run: &mut Run<'_>,
    ) -> Result<()> {
        let mut intake = Intake::new(source, on_overrun, self.measured);
        let result = self.send_all(&mut intake, frames, run);
        intake.end();
        self.audience.account(self.measured);
        // Captured, and not sent whole.
        self.measured.borrow_mut().left_over += u64::from(self.network.is_mid_frame());
        result
    }

    fn send_all(
        &mut self,
        intake: &mut Intake<'_>,
        frames: Option<NonZeroU64>,
        run: &mut Run<'_>,
    ) -> Result<()> {
        while frames.is_none_or(|frames| self.measured.borrow().frames < frames.get()) {
            run.tick()?;
            let (network, ledger) = (&mut self.network, &mut self.ledger);
            let Some(taken) = next_frame(intake, network, ledger, self.measured, run)? else {
                break;
            };
            run.last(self.duration);
            self.send_frame(taken, intake, run)?;
            self.learn(run)?;
        }
        Ok(())
    }

    fn send_frame(
        &mut self,
        taken: Taken,
        intake: &mut Intake<'_>,
        run: &mut Run<'_>,
    ) -> Result<()> {
        let Taken { lease, age } = taken;
        let frame = lease.frame();
        let begun = Monotonic::now();
        let found = match &mut self.measured.borrow_mut().verified {
            None => None,
            Some(verified) => Some(verified.look(&lease, None)?),
        };
        let handed = Monotonic::now();
        if found.is_some() {
            let stages = &mut self.measured.borrow_mut().stages;
            stages.record(Stage::Verify, handed.since(begun));
        }
        let mut record = FrameRecord {
            counter: self.measured.borrow().frames,
            sequence: frame.sequence,
            flags: frame.flags,
            field: frame.field,
            bytes: frame.bytes(),
            captured: age.map_or(0, |age| frame.taken.before(age).nanoseconds()),
            dequeued: frame.taken.nanoseconds(),
            handed: handed.nanoseconds(),
            ..FrameRecord::default()
        };
        let passing = Passing {
            lease: &lease,
            record: &record,
            found: found.as_ref(),
            timestamp: None,
        };
        let fate = self.network.put(passing, intake, run)?;
        let sent = Monotonic::now();
        record.sent = sent.nanoseconds();
        {
            let mut measured = self.measured.borrow_mut();
            let stages = &mut measured.stages;
            stages.record(Stage::BeforeSocket, handed.since(frame.taken));
            stages.record(Stage::IntoSocket, sent.since(handed));
            measured.count(frame);
        }
        let expected = Expected {
            acknowledgement: self.control.is_some(),
            completion: fate == Fate::Kept,
        };
        let passage = Passage {
            counter: record.counter,
            dequeued: Some(record.dequeued),
            received: None,
        };
        self.ledger.enter(record, expected);
        // After the network: nobody who looks on makes a frame late.
        self.audience.offer(lease, passage, self.measured);
        Ok(())
    }

    /// Takes in what has become known of the frames that were sent.
    fn learn(&mut self, run: &mut Run<'_>) -> Result<()> {
        if let Some(control) = &self.control {
            for told in control.acknowledged() {
                self.ledger.acknowledge(&told);
            }
            let mut measured = self.measured.borrow_mut();
            if measured.one_way.is_due() {
                measured.resolve_one_way(control.take_pieces(), Resolve::Covered);
            }
        }
        self.ledger.finish_known(run)
    }
}

#[cfg(test)]
mod tearing;
#[cfg(test)]
mod tests;
