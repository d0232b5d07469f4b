//! What a run did, for the summary, for progress and for scripts.

use std::time::Duration;

use crate::base::{Monotonic, Result};
use crate::frame::{Frame, Parity, Stream};
use crate::link::network::Network;
use crate::measure::{
    Bursts, Completeness, Deliveries, OnDevice, OnSocket, OneWay, Piece, Resolve, Samples,
    Sequence, Series, Stages, Verified,
};
use crate::wire::{Description, Version, v3::End, v3::Outcome};

/// The result of a run, or its state so far.
#[derive(Debug, Clone, Default)]
pub struct Measured {
    /// Frames that were sent or received whole.
    pub frames: u64,
    /// Their payload bytes.
    pub bytes: u64,
    /// Of these frames, those that the driver flagged as possibly corrupt.
    pub error_frames: u64,
    /// Of these frames, those that are not what the format says: short, empty, or of other
    /// planes. None of the former is among them.
    pub incomplete_frames: u64,
    /// The sequence numbers of the frames that came to this side.
    pub sequence: Sequence,
    /// Those of the frames that went all their way: a sender's without those that it dropped.
    pub passed: Sequence,
    /// What the frames are; None before that is known.
    pub stream: Option<Stream>,
    /// What is spoken; None before that is known.
    pub version: Option<Version>,
    /// The connection, as it was at the end; None before that.
    pub network: Option<Network>,
    described: Option<Described>,
    /// A sender: frames that the source gave.
    pub captured: u64,
    /// A sender: frames that it dropped because the network was slow, in their bursts.
    pub sender_drops: Bursts,
    /// A sender: frames that the source gave and that the run's end left unsent.
    pub left_over: u64,
    /// A receiver: frames that are missing between those that came.
    pub missing: u64,
    /// A receiver: frames that each of its sinks has dropped, in their order.
    pub sink_drops: Vec<u64>,
    /// A receiver: what its output device did with the frames, if it has one.
    pub on_device: Option<OnDevice>,
    /// A receiver: what became of the frames at its socket, if it has one.
    pub on_socket: Option<OnSocket>,
    /// Where the frames of each consumer went.
    pub consumers: Vec<Deliveries>,
    /// The sender's totals, as a receiver has them from it.
    pub end: Option<End>,
    /// The receiver's totals, as a sender has them from it.
    pub outcome: Option<Outcome>,
    /// What the looks at the frames found; None if nobody looks.
    pub verified: Option<Verified>,
    /// How a sender's frames left.
    pub zero_copy: ZeroCopy,
    /// How long the stages of frames' ways took.
    pub stages: Stages,
    /// The times that lie on both sides' clocks.
    pub one_way: OneWay,
    /// The ways of single frames.
    pub samples: Samples,
    /// What happened when.
    pub series: Series,
    /// Frames whose lines in the file of records were given up for later ones.
    pub records_given_up: u64,
    /// Whether it ended because it had lasted as long as it was to.
    pub is_due: bool,
    /// Whether it is a capture that is sent nowhere.
    pub is_capture: bool,
    /// Whether a stop ended the run.
    pub stopped: bool,
    span: Option<(Monotonic, Monotonic)>,
}

/// How the sender describes the stream, and what follows for its frames.
#[derive(Debug, Clone)]
struct Described {
    description: Description,
    completeness: Completeness,
}

/// How a sender's frames left: without a copy, and if not, why.
#[derive(Debug, Clone, Default)]
pub struct ZeroCopy {
    /// Whether sending without a copy was chosen, and why or why not; None before
    /// it was looked into, and for a receiver.
    pub chosen: Option<(bool, String)>,
    /// Frames handed to the network without a copy.
    pub frames: u64,
    /// Of these, frames of which a part had to be copied (ENOBUFS).
    pub fell_back: u64,
    /// Times that the source had no buffer left because the network was slow.
    pub waits_for_network: u64,
    /// Times that the source had no buffer left though everything was sent and
    /// acknowledged, because the kernel's completions were late.
    pub waits_for_completion: u64,
}

impl Measured {
    /// Takes note of a frame that came, whatever becomes of it.
    pub fn saw(&mut self, frame: &Frame) {
        self.stages.took(frame.taken);
        let before = self.sequence.drops();
        if let Some(why) = self.sequence.take(frame.sequence, Parity::of(frame.field)) {
            log::warn!("drops can't be counted: {why}");
        }
        let now = self.sequence.drops();
        self.series.count(frame.taken, |interval| {
            interval.drops += now.map_or(0, |now| now - before.unwrap_or(0));
        });
    }

    /// Takes note of a frame that the source gave. Says how old it was when it was dequeued,
    /// if that is known.
    pub fn captured(&mut self, frame: &Frame) -> Result<Option<Duration>> {
        self.captured += 1;
        self.saw(frame);
        self.stages.captured(frame)
    }

    /// The counts, without what is kept of each frame: cheap enough for a look at a run that
    /// goes on.
    pub fn so_far(&self) -> Measured {
        Measured {
            sequence: self.sequence.clone(),
            passed: self.passed.clone(),
            stream: self.stream.clone(),
            network: self.network.clone(),
            described: self.described.clone(),
            sender_drops: self.sender_drops.clone(),
            sink_drops: self.sink_drops.clone(),
            on_device: self.on_device.clone(),
            consumers: self.consumers.clone(),
            end: self.end.clone(),
            outcome: self.outcome.clone(),
            verified: self.verified.clone(),
            zero_copy: self.zero_copy.clone(),
            stages: self.stages.so_far(),
            one_way: OneWay::default(),
            samples: Samples::default(),
            series: Series::default(),
            ..*self
        }
    }

    /// How the sender describes the stream; None before that is known.
    pub fn described(&self) -> Option<&Description> {
        self.described.as_ref().map(|it| &it.description)
    }

    /// Takes note of how the sender describes the stream.
    pub fn describe(&mut self, description: Description) {
        self.described = Some(Described {
            completeness: Completeness::new(&description),
            description,
        });
    }

    /// Counts a frame that is not what the format says, and warns of the first.
    fn judge(&mut self, frame: &Frame) {
        let judge = self.described.as_ref().map(|it| &it.completeness);
        let Some(lack) = judge.and_then(|it| it.lack(frame)) else {
            return;
        };
        if self.incomplete_frames == 0 {
            log::warn!(
                "frame {} is incomplete, as others may be: {lack}",
                self.frames
            );
        }
        self.incomplete_frames += 1;
    }

    /// Counts a frame that has gone all its way.
    pub fn count(&mut self, frame: &Frame) {
        self.frames += 1;
        self.bytes += frame.bytes();
        self.error_frames += u64::from(frame.has_error());
        self.passed.take(frame.sequence, Parity::of(frame.field));
        self.judge(frame);
        let now = Monotonic::now();
        self.span = Some((self.span.map_or(now, |(first, _)| first), now));
        self.series.count(now, |interval| {
            interval.frames += 1;
            interval.bytes += frame.bytes();
            interval.errors += u64::from(frame.has_error());
        });
    }

    /// From frame to frame, or from field to field, as the driver granted; None where that is
    /// unknown.
    pub fn interval(&self) -> Option<Duration> {
        let described = self.described()?;
        let (numerator, denominator) = described.frame_interval?;
        let buffers = f64::from(denominator.get()) * described.buffers_a_frame();
        let seconds = f64::from(numerator) / buffers;
        Duration::try_from_secs_f64(seconds).ok()
    }

    /// Reckons the times that lie on both sides' clocks.
    pub fn resolve_one_way(&mut self, pieces: Vec<Piece>, which: Resolve) {
        let interval = self.interval();
        let stages = &mut self.stages;
        self.one_way.settle(pieces, which, interval, stages);
    }

    /// Seconds from the first frame's end to the last one's.
    pub fn seconds(&self) -> f64 {
        self.span
            .map_or(0.0, |(first, last)| last.since(first).as_secs_f64())
    }

    /// Frames a second between the first and the last; None for fewer than two.
    pub fn fps(&self) -> Option<f64> {
        let seconds = self.seconds();
        (self.frames > 1 && seconds > 0.0).then(|| (self.frames - 1) as f64 / seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::buffer::tests::frame;

    #[test]
    fn what_driver_and_sender_drop_one_after_the_other_is_missing_in_a_row() {
        let mut report = Measured::default();
        // The driver drops 1 and 2, the sender 3 and 4.
        for sequence in [0, 3, 4, 5] {
            let frame = Frame {
                sequence,
                ..frame(1)
            };
            report.saw(&frame);
            if ![3, 4].contains(&sequence) {
                report.count(&frame);
            }
        }
        report.sender_drops.count(2);
        let lengths = |bursts: &Bursts| bursts.lengths().collect::<Vec<_>>();
        assert_eq!(report.sequence.bursts().map(lengths), Some(vec![(2, 1)]));
        assert_eq!(report.passed.bursts().map(lengths), Some(vec![(4, 1)]));
    }

    #[test]
    fn two_fields_come_while_a_frame_does() {
        let mut report = Measured::default();
        let described = |field| {
            let text = serde_json::json!({
                "width": 720, "height": 288, "pixel_format": 0x5659_5559,
                "planes": [{"sizeimage": 414_720}], "buffers": 4, "frame_interval": [1, 25],
                "field": field,
            });
            serde_json::from_value::<Description>(text).unwrap()
        };
        report.describe(described(1));
        assert_eq!(report.interval(), Some(Duration::from_millis(40)));
        report.describe(described(crate::frame::field::ALTERNATE));
        assert_eq!(report.interval(), Some(Duration::from_millis(20)));
    }
}
