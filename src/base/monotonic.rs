//! Times of CLOCK_MONOTONIC, which frames, results and the wire have in common.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// A time of this machine's CLOCK_MONOTONIC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Monotonic(u64);

impl Monotonic {
    /// Now.
    pub fn now() -> Self {
        // It fails for clocks that the kernel doesn't have (clock_gettime(2)), and
        // every Linux has this one.
        let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from);
        Monotonic(now.as_nanos() as u64)
    }

    /// From nanoseconds.
    pub fn of_nanoseconds(nanoseconds: u64) -> Self {
        Monotonic(nanoseconds)
    }

    /// Nanoseconds; never 0, which stands for unknown on the wire.
    pub fn nanoseconds(self) -> u64 {
        self.0.max(1)
    }

    /// The time so long before it.
    pub fn before(self, duration: Duration) -> Self {
        Monotonic(self.0.saturating_sub(duration.as_nanos() as u64))
    }

    /// The time so long after it.
    pub fn after(self, duration: Duration) -> Self {
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Monotonic(self.0.saturating_add(nanoseconds))
    }

    /// How long after `earlier` it is; 0 if it is not.
    pub fn since(self, earlier: Monotonic) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// How long ago it is.
    pub fn elapsed(self) -> Duration {
        Monotonic::now().since(self)
    }
}
