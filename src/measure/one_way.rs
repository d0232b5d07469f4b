//! How long frames were on their way from one side's clock to the other's.

use std::time::{Duration, Instant};

use crate::measure::{FrameRecord, NO_READING, Offset, PIECE, Piece, Stage, Stages};

/// Frames whose times wait for the clocks' offset, at most: a minute of 500 frames a second.
const MOST_WAITING: usize = 32_768;

/// Pieces that are kept: two months of them.
const MOST_PIECES: usize = 100_000;

/// The times of a frame that lie on both clocks.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    captured: u64,
    handed: u64,
    complete: u64,
}

/// A gap between two frames counts for no more missed ones than this: times that a
/// peer tells may be anything.
const MOST_MISSED: u32 = 10_000;

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

/// A piece of the run, and the widest bound of the times that were reckoned with it; None
/// if none was.
#[derive(Debug, Clone)]
struct Known {
    piece: Piece,
    widest: Option<u64>,
}

impl Known {
    fn offset(&self) -> Option<Offset> {
        self.piece.offset.ok()
    }

    /// With the bound that covers all that was reckoned with it.
    fn used(&self) -> Option<Offset> {
        Some(self.offset()?.within(self.widest?))
    }
}

/// The one-way times of a run.
#[derive(Debug, Clone, Default)]
pub struct OneWay {
    waiting: Vec<Waiting>,
    /// Since when the first of these waits.
    since: Option<Instant>,
    last: Option<Waiting>,
    /// In the order of their beginnings.
    pieces: Vec<Known>,
    /// Frames whose times stay unknown, and why the last of them do.
    unknown: Option<(u64, &'static str)>,
    /// Why all of them do.
    given_up: Option<&'static str>,
}

/// Which frames' times to reckon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolve {
    /// Those before the last clock reading: the others wait for the next.
    Covered,
    /// All of them: there will be no other reading.
    All,
}

impl OneWay {
    /// Whether it is time to settle.
    pub fn is_due(&self) -> bool {
        self.waiting.len() >= MOST_WAITING
            || self.since.is_some_and(|since| since.elapsed() >= PIECE)
    }

    /// Takes note of a frame's record.
    pub fn take(&mut self, record: &FrameRecord) {
        if record.handed != 0 && record.complete != 0 && self.given_up.is_none() {
            self.since.get_or_insert_with(Instant::now);
            self.waiting.push(Waiting {
                captured: record.captured,
                handed: record.handed,
                complete: record.complete,
            });
        }
    }

    /// Leaves the times of all frames unknown that the receiver tells: those that are
    /// known are not a fair selection.
    pub fn give_up(&mut self, why: &'static str, stages: &mut Stages) {
        if self.given_up.replace(why).is_some() {
            return;
        }
        self.waiting = Vec::new();
        for stage in [
            Stage::Acknowledged,
            Stage::Transfer,
            Stage::TransferCorrected,
            Stage::EndToEnd,
            Stage::EndToEndCorrected,
        ] {
            stages.forget(stage);
        }
    }

    /// Takes in what clock readings tell, and reckons times with it. Frames that should
    /// have come, one an `interval`, count in the corrected times.
    pub fn settle(
        &mut self,
        pieces: Vec<Piece>,
        which: Resolve,
        interval: Option<Duration>,
        stages: &mut Stages,
    ) {
        let pieces = pieces.into_iter();
        self.pieces.extend(pieces.map(|piece| Known {
            piece,
            widest: None,
        }));
        let too_many = self.pieces.len().saturating_sub(MOST_PIECES);
        self.pieces.drain(..too_many);
        let interval = interval.filter(|interval| !interval.is_zero());
        let mut ready = self.waiting.len();
        if which == Resolve::Covered {
            let covered = self.pieces.last().map_or(0, |it| it.piece.last);
            let first = self.waiting.iter().position(|it| it.handed > covered);
            let first = first.unwrap_or(ready);
            // Where too many would be left there is to be room for those that come; a second away
            // from a reading they stay unknown.
            if ready - first < MOST_WAITING / 2 {
                ready = first;
            }
        }
        if which == Resolve::All && self.pieces.iter().all(|it| it.piece.offset.is_err()) {
            let failed = self.pieces.last().and_then(|it| it.piece.offset.err());
            self.unknown = Some((0, failed.unwrap_or(NO_READING)));
        }
        // In place: what is taken out into other memory twice a second lets a long run's grow.
        for place in 0..ready {
            let Some(&times) = self.waiting.get(place) else {
                break;
            };
            // What comes next has this frame before it, known or not.
            let last = self.last.replace(times);
            let hidden = interval.map(|interval| {
                let missed = last.map_or(0, |last| times.missed_since(last, interval));
                (missed, interval)
            });
            let mut record = |stage, corrected, since| {
                let time = self.reckon(since, times.complete)?;
                stages.record(stage, time);
                if let Some((missed, interval)) = hidden {
                    stages.record_corrected(corrected, time, missed, interval);
                }
                Ok(())
            };
            let transfer = record(Stage::Transfer, Stage::TransferCorrected, times.handed);
            let end_to_end = match times.captured {
                0 => Ok(()),
                captured => record(Stage::EndToEnd, Stage::EndToEndCorrected, captured),
            };
            if let Err(why) = transfer.and(end_to_end) {
                let before = self.unknown.map_or(0, |(frames, _)| frames);
                self.unknown = Some((before + 1, why));
            }
        }
        self.waiting.drain(..ready);
        self.since = (!self.waiting.is_empty()).then(Instant::now);
    }

    /// As `between`; the piece that it is reckoned with counts in the run's offset.
    fn reckon(&mut self, sender: u64, receiver: u64) -> Result<Duration, &'static str> {
        let place = place_of(&self.pieces, sender);
        let known = self.pieces.get_mut(place).ok_or(NO_READING)?;
        let (since, bound) = known.piece.to_receiver(sender)?;
        known.widest = known.widest.max(Some(bound));
        Ok(elapsed(since, receiver))
    }

    /// The clocks' offset, if it is known of a piece of the run or more.
    pub fn offset(&self) -> Option<Offset> {
        if self.given_up.is_some() {
            return None;
        }
        let used = Offset::joined(self.pieces.iter().filter_map(Known::used));
        used.or_else(|| Offset::joined(self.pieces.iter().filter_map(Known::offset)))
    }

    /// Why times are unknown, and of how many frames, if any are.
    pub fn unknown(&self) -> Option<String> {
        if let Some(why) = self.given_up {
            return Some(why.to_owned());
        }
        let (frames, why) = self.unknown?;
        Some(if self.pieces.iter().all(|it| it.widest.is_none()) {
            why.to_owned()
        } else {
            format!("those of {frames} frames: {why}")
        })
    }

    /// From a time of the sender's clock to one of the receiver's; None if it is unknown.
    pub fn between(&self, sender: u64, receiver: u64) -> Option<Duration> {
        if self.given_up.is_some() {
            return None;
        }
        let known = self.pieces.get(place_of(&self.pieces, sender))?;
        let (since, _) = known.piece.to_receiver(sender).ok()?;
        Some(elapsed(since, receiver))
    }
}

/// The place of the first piece that a time of the sender's lies in, or of the nearest: one
/// that is added later changes nothing of what was told.
fn place_of(pieces: &[Known], sender: u64) -> usize {
    let after = pieces.partition_point(|it| it.piece.last < sender);
    let before = after.saturating_sub(1);
    match (pieces.get(before), pieces.get(after)) {
        (Some(earlier), Some(later)) => {
            let since = sender.saturating_sub(earlier.piece.last);
            let until = later.piece.first.saturating_sub(sender);
            if until <= since { after } else { before }
        }
        _ => before,
    }
}

/// Since a time of the receiver's clock. What comes out below 0, as it may within the
/// offset's bound, counts as 0.
fn elapsed(since: i128, receiver: u64) -> Duration {
    let nanoseconds = i128::from(receiver) - since;
    Duration::from_nanos(u64::try_from(nanoseconds.max(0)).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
