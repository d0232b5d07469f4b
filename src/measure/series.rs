//! What happened when, in equal intervals from the run's first frame on.

use std::time::Duration;

use crate::base::Monotonic;

/// Intervals that are kept. When there are more, they become twice as long.
const MOST: usize = 1024;

/// An interval.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Interval {
    /// Frames that went all their way on this side.
    pub frames: u64,
    /// Their payload bytes.
    pub bytes: u64,
    /// Frames that the numbers skip.
    pub drops: u64,
    /// Frames that the sender dropped by its policy.
    pub sender_drops: u64,
    /// Frames that the driver flagged as possibly corrupt.
    pub errors: u64,
}

/// A run, interval by interval.
#[derive(Debug, Clone)]
pub struct Series {
    length: Duration,
    start: Option<Monotonic>,
    intervals: Vec<Interval>,
}

impl Default for Series {
    fn default() -> Self {
        Series {
            length: Duration::from_secs(1),
            start: None,
            intervals: Vec::new(),
        }
    }
}

impl Series {
    /// Adds to the interval that `now` is in.
    pub fn count(&mut self, now: Monotonic, add: impl FnOnce(&mut Interval)) {
        let start = *self.start.get_or_insert(now);
        let mut place = self.place(now.since(start));
        while place >= MOST {
            self.length *= 2;
            self.intervals = self.intervals.chunks(2).map(sum).collect();
            place = self.place(now.since(start));
        }
        if place >= self.intervals.len() {
            self.intervals.resize(place + 1, Interval::default());
        }
        if let Some(interval) = self.intervals.get_mut(place) {
            add(interval);
        }
    }

    fn place(&self, since: Duration) -> usize {
        (since.as_nanos() / self.length.as_nanos()) as usize
    }

    /// How long each interval is.
    pub fn length(&self) -> Duration {
        self.length
    }

    /// The intervals; the last is not over.
    pub fn intervals(&self) -> &[Interval] {
        &self.intervals
    }
}

fn sum(intervals: &[Interval]) -> Interval {
    let mut whole = Interval::default();
    for part in intervals {
        whole.frames += part.frames;
        whole.bytes += part.bytes;
        whole.drops += part.drops;
        whole.sender_drops += part.sender_drops;
        whole.errors += part.errors;
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(seconds: &[u64]) -> Series {
        let mut series = Series::default();
        for second in seconds {
            let at = Monotonic::of_nanoseconds(1_000 + second * 1_000_000_000);
            series.count(at, |interval| interval.frames += 1);
        }
        series
    }

    fn frames(series: &Series) -> Vec<u64> {
        series.intervals().iter().map(|it| it.frames).collect()
    }

    #[test]
    fn frames_are_counted_in_their_second_and_empty_ones_show() {
        assert_eq!(frames(&counted(&[0, 0, 1, 4])), [2, 1, 0, 0, 1]);
    }

    #[test]
    fn a_long_run_s_intervals_grow_and_lose_nothing() {
        let seconds: Vec<u64> = (0..5000).collect();
        let series = counted(&seconds);
        assert_eq!(series.length(), Duration::from_secs(8));
        assert_eq!(frames(&series), [8; 625]);
        // A clock that runs back is no reason to fail.
        assert_eq!(frames(&counted(&[5, 0])), [2]);
    }
}
