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

/// The one-way times of a run.
#[derive(Debug, Clone, Default)]
pub struct OneWay {
    waiting: Vec<Waiting>,
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

    /// Reckons the times with what clock readings tell.
    pub fn settle(&mut self, sync: &ClockSync, interval: Option<Duration>, stages: &mut Stages) {
        let offset = sync.offset();
        if let Ok(offset) = &offset {
            for times in std::mem::take(&mut self.waiting) {
                let since = |sender: u64| between(offset, sender, times.complete);
                stages.record(Stage::Transfer, since(times.handed));
                stages.record_corrected(Stage::TransferCorrected, since(times.handed), interval);
                if times.captured != 0 {
                    stages.record(Stage::EndToEnd, since(times.captured));
                    stages.record_corrected(
                        Stage::EndToEndCorrected,
                        since(times.captured),
                        interval,
                    );
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
