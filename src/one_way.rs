//! How long frames were on their way from one side's clock to the other's.

use std::time::Duration;

use crate::clock_sync::{ClockSync, Offset};
use crate::passage::Passage;
use crate::stages::{Stage, Stages};

/// Frames whose times wait for the clocks' offset. It is known best at a run's end;
/// a run of more frames than this reckons with what is known until then.
const MOST_WAITING: usize = 200_000;

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

/// The one-way times of a run.
#[derive(Debug, Clone, Default)]
pub struct OneWay {
    waiting: Vec<Waiting>,
    last: Option<Waiting>,
    offset: Option<Result<Offset, String>>,
}

impl OneWay {
    /// Whether it is time to settle.
    pub fn is_full(&self) -> bool {
        self.waiting.len() >= MOST_WAITING
    }

    /// Takes note of a frame's passage.
    pub fn take(&mut self, passage: &Passage) {
        if passage.handed != 0 && passage.complete != 0 {
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
        let offset = sync.offset();
        if let Ok(offset) = &offset {
            for times in std::mem::take(&mut self.waiting) {
                let last = self.last.replace(times);
                let hidden = interval.map(|interval| {
                    let missed = last.map_or(0, |last| times.missed_since(last, interval));
                    (missed, interval)
                });
                let mut record = |stage, corrected, since| {
                    let time = between(offset, since, times.complete);
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
        self.offset = Some(offset.map_err(str::to_owned));
    }

    /// There can be none, for this reason.
    pub fn give_up(&mut self, why: &str) {
        self.offset = Some(Err(why.to_owned()));
    }

    /// The clocks' offset, or why it is unknown; None before that was looked into.
    pub fn offset(&self) -> Option<&Result<Offset, String>> {
        self.offset.as_ref()
    }
}

/// From a time of the sender's clock to one of the receiver's. What comes out below
/// 0, as it may within the offset's bound, counts as 0.
pub fn between(offset: &Offset, sender: u64, receiver: u64) -> Duration {
    let nanoseconds = receiver as i128 - offset.to_receiver(sender);
    Duration::from_nanos(u64::try_from(nanoseconds.max(0)).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
