//! How long the stages of a frame's way took, on this side of the connection.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::capture_clock::{self, CaptureClock, Sighting};

/// A stage of a frame's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// From one frame's dequeueing or arrival to the next one's.
    Interval,
    /// A sender: from the capture timestamp to the dequeueing, if the timestamp's
    /// clock is this machine's.
    CaptureAge,
    /// A sender: from the dequeueing to the first byte handed to the socket.
    BeforeSocket,
    /// A sender: from the first byte handed to the socket to the last.
    IntoSocket,
    /// A sender without a copy: from the last byte handed to the socket until it
    /// is learned that the kernel is done with all of them.
    UntilCompletion,
    /// A receiver: from the frame header to the payload's last byte in the buffer.
    IntoBuffer,
    /// A receiver: from there to the end of the write to the dump.
    IntoDump,
}

impl Stage {
    /// The stage's name in results.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Interval => "interval",
            Stage::CaptureAge => "capture_age",
            Stage::BeforeSocket => "before_socket",
            Stage::IntoSocket => "into_socket",
            Stage::UntilCompletion => "until_completion",
            Stage::IntoBuffer => "into_buffer",
            Stage::IntoDump => "into_dump",
        }
    }
}

/// What the times of a stage come to.
#[derive(Debug, Clone, PartialEq)]
pub struct Times {
    /// How many there are.
    pub count: u64,
    /// The shortest.
    pub least: Duration,
    /// Their mean.
    pub mean: Duration,
    /// The longest.
    pub most: Duration,
    /// The percentiles that the samples carry: at least `BEYOND` of them lie beyond.
    pub percentiles: Vec<(&'static str, Duration)>,
}

/// The percentiles that are told, and the share of the samples beyond each.
const PERCENTILES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.1), ("p99", 0.01), ("p99.9", 0.001)];
/// A percentile that fewer samples lie beyond is chance.
const BEYOND: f64 = 5.0;
/// Significant digits that are kept of a time.
const DIGITS: u8 = 3;
/// What is longer counts as this.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// Frames that are looked at before their clock is settled.
const LOOKS: usize = 8;

/// The times of a run's stages.
#[derive(Debug, Clone, Default)]
pub struct Stages {
    histograms: BTreeMap<Stage, Histogram<u64>>,
    last_taken: Option<Instant>,
    /// The first frames, until their clock is settled.
    looked_at: Vec<Sighting>,
    clock: Option<CaptureClock>,
}

impl Stages {
    /// Takes note of how long a frame's stage took.
    pub fn record(&mut self, stage: Stage, time: Duration) {
        let nanoseconds = time.min(LONGEST).as_nanos() as u64;
        let histogram = match self.histograms.entry(stage) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => match Histogram::new(DIGITS) {
                Ok(histogram) => entry.insert(histogram),
                // For impossible numbers of digits alone.
                Err(_) => return,
            },
        };
        // It grows with what is recorded, and saturates where it can't.
        if histogram.record(nanoseconds).is_err() {
            histogram.saturating_record(nanoseconds);
        }
    }

    /// Takes note that a frame was dequeued, or came, at `taken`.
    pub fn took(&mut self, taken: Instant) {
        if let Some(last) = self.last_taken.replace(taken) {
            self.record(Stage::Interval, taken.saturating_duration_since(last));
        }
    }

    /// Takes note of a frame that was captured here. Ages count from the frame on
    /// with which the timestamps' clock is settled, the ones before it included.
    pub fn captured(&mut self, seen: Sighting) {
        if let Some(clock) = &self.clock {
            if let Some(age) = clock.age(&seen) {
                self.record(Stage::CaptureAge, age);
            }
            return;
        }
        self.looked_at.push(seen);
        if self.looked_at.len() >= LOOKS {
            self.settle();
        }
    }

    /// Settles the clock by what was seen so far: at a run's end, at the latest.
    pub fn settle(&mut self) {
        if self.clock.is_some() || self.looked_at.is_empty() {
            return;
        }
        let seen = std::mem::take(&mut self.looked_at);
        let clock = capture_clock::classify(&seen);
        for age in seen.iter().filter_map(|seen| clock.age(seen)) {
            self.record(Stage::CaptureAge, age);
        }
        self.clock = Some(clock);
    }

    /// The timestamps' clock, once it is settled.
    pub fn clock(&self) -> Option<&CaptureClock> {
        self.clock.as_ref()
    }

    /// What the stages that were seen come to.
    pub fn times(&self) -> impl Iterator<Item = (Stage, Times)> {
        self.histograms
            .iter()
            .map(|(stage, histogram)| (*stage, times(histogram)))
    }
}

fn times(histogram: &Histogram<u64>) -> Times {
    let count = histogram.len();
    Times {
        count,
        least: Duration::from_nanos(histogram.min()),
        mean: Duration::from_nanos(histogram.mean() as u64),
        most: Duration::from_nanos(histogram.max()),
        percentiles: PERCENTILES
            .into_iter()
            .filter(|(_, beyond)| count as f64 * beyond >= BEYOND)
            .map(|(name, beyond)| {
                let value = histogram.value_at_quantile(1.0 - beyond);
                (name, Duration::from_nanos(value))
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests;
