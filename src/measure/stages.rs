//! How long the stages of a frame's way took, on this side of the connection.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use strum::{AsRefStr, VariantArray};

use crate::base::{Monotonic, Result};
use crate::frame::{CaptureClock, Frame, Sighting, capture_clock};

/// A stage of a frame's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, VariantArray, AsRefStr)]
#[strum(serialize_all = "snake_case")]
pub enum Stage {
    /// From one frame's dequeueing or arrival to the next one's.
    Interval,
    /// By how much an interval differs from the one before it.
    Jitter,
    /// A sender: from the capture timestamp to the dequeueing, if the timestamp's
    /// clock is this machine's.
    CaptureAge,
    /// The look at the frame's bytes, if they are verified.
    Verify,
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
    /// A receiver: from when the output device was given the frame (VIDIOC_QBUF) until it gave it
    /// back (VIDIOC_DQBUF).
    OnDevice,
    /// From when a consumer was offered the frame until he took it.
    UntilDelivered,
    /// From there until he let go of it.
    Held,
    /// From the first byte handed to the sender's socket to the payload's last byte
    /// in the receiver's buffer, by the offset of the two clocks.
    Transfer,
    /// That, with the frames in it that should have come and did not.
    TransferCorrected,
    /// From the capture timestamp to the payload's last byte in the receiver's
    /// buffer, by the offset of the two clocks.
    EndToEnd,
    /// That, with the frames in it that should have come and did not.
    EndToEndCorrected,
    /// A sender: from the first byte handed to the socket until the receiver's
    /// acknowledgement came; no offset is in it.
    Acknowledged,
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
/// Notes that the frames missed before one cost at most.
const MOST_NOTES: u32 = 100;
/// Frames that are looked at before their clock is settled.
const LOOKS: usize = 8;

/// What a stage's times come to so far.
#[derive(Debug, Clone, Copy, Default)]
struct Total {
    count: u64,
    sum: u64,
    least: u64,
    most: u64,
}

/// The times of a run's stages.
#[derive(Debug, Clone, Default)]
pub struct Stages {
    /// By the stages' numbers: cheap to copy for a look at a run that goes on.
    totals: [Total; Stage::VARIANTS.len()],
    /// None of a stage that was forgotten.
    histograms: BTreeMap<Stage, Option<Histogram<u64>>>,
    last_taken: Option<Monotonic>,
    last_interval: Option<Duration>,
    /// The first frames, until their clock is settled.
    looked_at: Vec<Sighting>,
    clock: Option<CaptureClock>,
}

impl Stages {
    /// Takes note of how long a frame's stage took.
    pub fn record(&mut self, stage: Stage, time: Duration) {
        self.record_times(stage, time, 1);
    }

    fn record_times(&mut self, stage: Stage, time: Duration, count: u64) {
        let nanoseconds = nanoseconds(time);
        // None of a stage that was forgotten.
        let Some(histogram) = self.histogram(stage) else {
            return;
        };
        histogram.saturating_record_n(nanoseconds, count);
        if let Some(total) = self.totals.get_mut(stage as usize) {
            total.add(nanoseconds, count);
        }
    }

    /// Takes note of a time, and of those of the `missed` frames before it, one an
    /// `interval`, as if they had come with this one at last: who waits doesn't see
    /// how late the others would have been ("coordinated omission"). Of many, neighbours
    /// count as one and the same: nobody's times may cost more than so many notes.
    pub fn record_corrected(
        &mut self,
        stage: Stage,
        time: Duration,
        missed: u32,
        interval: Duration,
    ) {
        self.record(stage, time);
        let each = missed.div_ceil(MOST_NOTES).max(1);
        let mut noted = 0;
        while noted < missed {
            let count = each.min(missed - noted);
            // The middle of these.
            let twice = interval.saturating_mul(2 * noted + 1 + count);
            self.record_times(stage, time.saturating_add(twice / 2), count.into());
            noted += count;
        }
    }

    /// Leaves a stage's times unknown, those that were noted as well.
    pub fn forget(&mut self, stage: Stage) {
        self.histograms.insert(stage, None);
        if let Some(total) = self.totals.get_mut(stage as usize) {
            *total = Total::default();
        }
    }

    fn histogram(&mut self, stage: Stage) -> Option<&mut Histogram<u64>> {
        // With room for the longest time from the first on, of which the kernel gives memory where
        // it is used: one that grows with a late frame is memory more in the midst of a long run.
        let new = || Histogram::new_with_bounds(1, nanoseconds(LONGEST), DIGITS).ok();
        // It fails for impossible bounds alone.
        self.histograms.entry(stage).or_insert_with(new).as_mut()
    }

    /// Takes note that a frame was dequeued, or came, at `taken`.
    pub fn took(&mut self, taken: Monotonic) {
        let Some(last) = self.last_taken.replace(taken) else {
            return;
        };
        let interval = taken.since(last);
        self.record(Stage::Interval, interval);
        if let Some(last) = self.last_interval.replace(interval) {
            self.record(Stage::Jitter, interval.abs_diff(last));
        }
    }

    /// Takes note of a frame that was captured here, and says how old it was when it
    /// was dequeued, if that is known by now. Ages count from the frame on with which
    /// the timestamps' clock is settled, the ones before it included.
    pub fn captured(&mut self, frame: &Frame) -> Result<Option<Duration>> {
        let age = match &self.clock {
            // The clocks are read no more than has to be: this is done for each frame.
            Some(CaptureClock::Unknown(_)) => None,
            Some(CaptureClock::Monotonic) => Some(frame.monotonic_age()),
            Some(clock) => clock.age(&Sighting::of(frame)?),
            None => {
                self.saw(Sighting::of(frame)?);
                return Ok(None);
            }
        };
        if let Some(age) = age {
            self.record(Stage::CaptureAge, age);
        }
        Ok(age)
    }

    fn saw(&mut self, seen: Sighting) {
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

    /// The times of each stage that was seen: values in nanoseconds, each the highest
    /// that it stands for, and how often they were seen.
    pub fn values(&self) -> impl Iterator<Item = (Stage, Vec<(u64, u64)>)> {
        self.noted().map(|(stage, histogram)| {
            let values = histogram
                .iter_recorded()
                .map(|it| (it.value_iterated_to(), it.count_at_value()));
            (stage, values.collect())
        })
    }

    /// What the stages that were seen come to; without percentiles of what `so_far` gave.
    pub fn times(&self) -> impl Iterator<Item = (Stage, Times)> {
        let totals = Stage::VARIANTS.iter().zip(&self.totals);
        totals.filter_map(|(stage, total)| {
            let histogram = self.histograms.get(stage).and_then(Option::as_ref);
            let times = histogram.map(times).or_else(|| total.times());
            Some((*stage, times?))
        })
    }

    /// What the stages come to by now, without what is kept of each frame.
    pub fn so_far(&self) -> Self {
        Stages {
            totals: self.totals,
            ..Stages::default()
        }
    }

    fn noted(&self) -> impl Iterator<Item = (Stage, &Histogram<u64>)> {
        let histograms = self.histograms.iter();
        histograms.filter_map(|(stage, histogram)| Some((*stage, histogram.as_ref()?)))
    }
}

impl Total {
    fn add(&mut self, nanoseconds: u64, count: u64) {
        self.least = match self.count {
            0 => nanoseconds,
            _ => self.least.min(nanoseconds),
        };
        self.most = self.most.max(nanoseconds);
        self.count = self.count.saturating_add(count);
        self.sum = self.sum.saturating_add(nanoseconds.saturating_mul(count));
    }

    fn times(&self) -> Option<Times> {
        Some(Times {
            count: self.count,
            least: Duration::from_nanos(self.least),
            mean: Duration::from_nanos(self.sum.checked_div(self.count)?),
            most: Duration::from_nanos(self.most),
            percentiles: Vec::new(),
        })
    }
}

fn nanoseconds(time: Duration) -> u64 {
    time.min(LONGEST).as_nanos() as u64
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
