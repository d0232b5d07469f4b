//! Records of a run's frames as samples for its result: all of a short run's, and of
//! a long one's as many, evenly thinned out.

use crate::measure::FrameRecord;

/// Frame records that are kept as samples. At twice as many every other one is given up.
const SAMPLES: usize = 8192;

/// Frame records that are known as far as they will be, evenly thinned out.
#[derive(Debug, Clone)]
pub struct Samples {
    kept: Vec<FrameRecord>,
    /// One of so many frames is kept.
    stride: u64,
}

impl Default for Samples {
    fn default() -> Self {
        Samples {
            kept: Vec::new(),
            stride: 1,
        }
    }
}

impl Samples {
    /// Takes a record in, if it is one of those to keep.
    pub fn take(&mut self, record: &FrameRecord) {
        if record.counter % self.stride != 0 {
            return;
        }
        self.kept.push(*record);
        if self.kept.len() >= 2 * SAMPLES {
            self.stride = self.stride.saturating_mul(2);
            let stride = self.stride;
            self.kept.retain(|record| record.counter % stride == 0);
            // A peer's counters may be anything, and all be kept by that.
            self.kept.truncate(SAMPLES);
        }
    }

    /// The records.
    pub fn records(&self) -> &[FrameRecord] {
        &self.kept
    }

    /// One of so many frames is among them.
    pub fn stride(&self) -> u64 {
        self.stride
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(frames: u64) -> Samples {
        let mut samples = Samples::default();
        for counter in 0..frames {
            samples.take(&FrameRecord {
                counter,
                ..FrameRecord::default()
            });
        }
        samples
    }

    #[test]
    fn a_short_run_is_kept_whole() {
        assert_eq!(of(5000).records().len(), 5000);
        assert_eq!(of(5000).stride(), 1);
    }

    #[test]
    fn a_peer_s_counters_fill_no_memory_whatever_they_are() {
        for counter in [0, 1 << 63] {
            let mut samples = Samples::default();
            for _ in 0..80 * SAMPLES {
                samples.take(&FrameRecord {
                    counter,
                    ..FrameRecord::default()
                });
            }
            assert!(samples.records().len() < 2 * SAMPLES);
        }
    }

    #[test]
    fn a_long_run_is_thinned_out_evenly() {
        let samples = of(100_000);
        assert!((SAMPLES..2 * SAMPLES).contains(&samples.records().len()));
        let counters: Vec<u64> = samples.records().iter().map(|it| it.counter).collect();
        let expected: Vec<u64> = (0..100_000).step_by(samples.stride() as usize).collect();
        assert_eq!(counters, expected);
    }
}
