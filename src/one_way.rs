//! How long frames were on their way from one side's clock to the other's.

use std::time::{Duration, Instant};

use crate::clock_sync::{ClockSync, Offset};
use crate::passage::Passage;
use crate::stages::{Stage, Stages};

/// Frames whose times wait for the clocks' offset, at most.
const MOST_WAITING: usize = 200_000;

/// After so long the frames that wait are a piece of the run. NTP steers a clock's rate
/// about once a minute; a line through more would have to fit several.
const PIECE: Duration = Duration::from_secs(60);

/// The times of a frame that lie on both clocks.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    captured: u64,
    handed: u64,
    complete: u64,
}

/// A gap between two frames counts for no more missed ones than this: times that a
/// peer tells may be anything.
const MOST_MISSED: u32 = 1000;

impl Waiting {
    /// Frames that should have begun between `last` and this one, one an `interval`.
    /// It is the capture that tells, where its clock is known: a frame that lay in a
    /// queue was not missed.
    fn missed_since(&self, last: Waiting, interval: Duration) -> u32 {
        let gap = if self.captured != 0 && last.captured != 0 {
            self.captured.saturating_sub(last.captured)
        } else {
            self.handed.saturating_sub(last.handed)
        };
        let intervals = Duration::from_nanos(gap).as_secs_f64() / interval.as_secs_f64();
        // A float becomes the nearest number that there is.
        (intervals.round() as u32)
            .saturating_sub(1)
            .min(MOST_MISSED)
    }
}

/// A piece of the run: the times at which its frames were handed over, and the clocks'
/// offset meanwhile.
#[derive(Debug, Clone, Copy)]
struct Piece {
    first: u64,
    last: u64,
    offset: Offset,
}

/// The one-way times of a run.
#[derive(Debug, Clone, Default)]
pub struct OneWay {
    waiting: Vec<Waiting>,
    /// Since when the first of these waits.
    since: Option<Instant>,
    last: Option<Waiting>,
    pieces: Vec<Piece>,
    /// Frames whose times stay unknown, and why the last of them do.
    unknown: Option<(usize, String)>,
}

impl OneWay {
    /// Whether it is time to settle.
    pub fn is_due(&self) -> bool {
        self.waiting.len() >= MOST_WAITING
            || self.since.is_some_and(|since| since.elapsed() >= PIECE)
    }

    /// Takes note of a frame's passage.
    pub fn take(&mut self, passage: &Passage) {
        if passage.handed != 0 && passage.complete != 0 {
            self.since.get_or_insert_with(Instant::now);
            self.waiting.push(Waiting {
                captured: passage.captured,
                handed: passage.handed,
                complete: passage.complete,
            });
        }
    }

    /// Reckons the times with what clock readings tell. Frames that should have come,
    /// one an `interval`, count in the corrected times.
    pub fn settle(&mut self, sync: &ClockSync, interval: Option<Duration>, stages: &mut Stages) {
        let interval = interval.filter(|interval| !interval.is_zero());
        self.since = None;
        let waiting = std::mem::take(&mut self.waiting);
        if waiting.is_empty() && !self.pieces.is_empty() {
            return;
        }
        let offset = match sync.offset() {
            Ok(offset) => offset,
            Err(why) => {
                // What comes next has this piece before it, not a gap as long as it.
                self.last = waiting.last().copied();
                let before = self.unknown.as_ref().map_or(0, |(frames, _)| *frames);
                self.unknown = Some((before + waiting.len(), why.to_owned()));
                return;
            }
        };
        let handed = waiting.iter().map(|times| times.handed);
        self.pieces.push(Piece {
            first: handed.clone().min().unwrap_or(0),
            last: handed.max().unwrap_or(0),
            offset,
        });
        for times in waiting {
            let last = self.last.replace(times);
            let hidden = interval.map(|interval| {
                let missed = last.map_or(0, |last| times.missed_since(last, interval));
                (missed, interval)
            });
            let mut record = |stage, corrected, since| {
                let time = between(&offset, since, times.complete);
                stages.record(stage, time);
                if let Some((missed, interval)) = hidden {
                    stages.record_corrected(corrected, time, missed, interval);
                }
            };
            record(Stage::Transfer, Stage::TransferCorrected, times.handed);
            if times.captured != 0 {
                record(Stage::EndToEnd, Stage::EndToEndCorrected, times.captured);
            }
        }
    }

    /// The clocks' offset, if it is known of a piece of the run or more.
    pub fn offset(&self) -> Option<Offset> {
        Offset::joined(self.pieces.iter().map(|piece| &piece.offset))
    }

    /// Why times are unknown, and of how many frames, if any are.
    pub fn unknown(&self) -> Option<String> {
        let (frames, why) = self.unknown.as_ref()?;
        Some(if self.pieces.is_empty() {
            why.clone()
        } else {
            format!("those of {frames} frames: {why}")
        })
    }

    /// From a time of the sender's clock to one of the receiver's, of a frame that was
    /// handed over at `handed`; None if it is unknown.
    pub fn between(&self, handed: u64, sender: u64, receiver: u64) -> Option<Duration> {
        let piece = self
            .pieces
            .iter()
            .find(|piece| (piece.first..=piece.last).contains(&handed))?;
        Some(between(&piece.offset, sender, receiver))
    }
}

/// From a time of the sender's clock to one of the receiver's. What comes out below
/// 0, as it may within the offset's bound, counts as 0.
fn between(offset: &Offset, sender: u64, receiver: u64) -> Duration {
    let nanoseconds = receiver as i128 - offset.to_receiver(sender);
    Duration::from_nanos(u64::try_from(nanoseconds.max(0)).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
