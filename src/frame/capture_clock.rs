//! Whose clock a device's timestamps are of, found out by looking.
//!
//! The driver's flag alone proves nothing: virtio-media hands on the host's clock,
//! or one that the host made up, flagged as the guest's. Source for the flags: the
//! kernel's "Linux Media Userspace API", Buffer Flags.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use strum::AsRefStr;

use crate::base::{Error, ErrorKind, Result};
use crate::frame::{Frame, flags};

/// A frame that is dequeued when it is ready is not older than this.
const FRESH: Duration = Duration::from_secs(2);

/// A clock of this machine's, as far as timestamps can tell.
#[derive(Debug, Clone, PartialEq, Eq, AsRefStr)]
#[strum(serialize_all = "lowercase")]
pub enum CaptureClock {
    /// CLOCK_MONOTONIC
    Monotonic,
    /// CLOCK_BOOTTIME, where it differs from CLOCK_MONOTONIC.
    Boottime,
    /// CLOCK_REALTIME
    Realtime,
    /// None that can be made out, for this reason: the age of a frame is unknown.
    Unknown(String),
}

impl CaptureClock {
    /// How old a frame was when it was dequeued; None if the clock is unknown.
    pub fn age(&self, seen: &Sighting) -> Option<Duration> {
        let (_, read) = CLOCKS.into_iter().find(|(clock, _)| clock == self)?;
        Some(read(&seen.dequeued).saturating_sub(seen.timestamp))
    }
}

type Read = fn(&Clocks) -> Duration;

/// The clocks that timestamps may be of, as they are tried.
const CLOCKS: [(CaptureClock, Read); 3] = [
    (CaptureClock::Monotonic, |clocks| clocks.monotonic),
    (CaptureClock::Boottime, |clocks| clocks.boottime),
    (CaptureClock::Realtime, |clocks| clocks.realtime),
];

/// This machine's clocks at one time.
#[derive(Debug, Clone, Copy)]
pub struct Clocks {
    /// CLOCK_MONOTONIC
    pub monotonic: Duration,
    /// CLOCK_BOOTTIME
    pub boottime: Duration,
    /// CLOCK_REALTIME
    pub realtime: Duration,
}

impl Clocks {
    /// Reads them.
    pub fn now() -> Result<Self> {
        let read = |clock| {
            clock_gettime(clock)
                .map(Duration::from)
                .map_err(|errno| Error::new(ErrorKind::System, "read the clock").errno(errno))
        };
        Ok(Clocks {
            monotonic: read(ClockId::CLOCK_MONOTONIC)?,
            boottime: read(ClockId::CLOCK_BOOTTIME)?,
            realtime: read(ClockId::CLOCK_REALTIME)?,
        })
    }
}

/// A frame's timestamp and flags, and the clocks when it was dequeued.
#[derive(Debug, Clone, Copy)]
pub struct Sighting {
    /// `v4l2_buffer.timestamp`
    pub timestamp: Duration,
    /// `v4l2_buffer.flags`
    pub flags: u32,
    /// When it was dequeued.
    pub dequeued: Clocks,
}

impl Sighting {
    /// Sees a frame that has just been dequeued.
    pub fn of(frame: &Frame) -> Result<Self> {
        let since = frame.taken.elapsed();
        let now = Clocks::now()?;
        Ok(Sighting {
            timestamp: Duration::from_nanos(frame.timestamp.nanoseconds()),
            flags: frame.flags,
            dequeued: Clocks {
                monotonic: now.monotonic.saturating_sub(since),
                boottime: now.boottime.saturating_sub(since),
                realtime: now.realtime.saturating_sub(since),
            },
        })
    }
}

/// Finds the clock that all of some frames' timestamps can be of.
pub fn classify(sightings: &[Sighting]) -> CaptureClock {
    let [first, rest @ ..] = sightings else {
        return CaptureClock::Unknown("no frame came".to_owned());
    };
    if first.flags & flags::BUF_FLAG_TIMESTAMP_MASK == flags::BUF_FLAG_TIMESTAMP_COPY {
        return CaptureClock::Unknown("the driver copies them from elsewhere".to_owned());
    }
    if !rest.is_empty() && rest.iter().all(|seen| seen.timestamp == first.timestamp) {
        return CaptureClock::Unknown("they stand still".to_owned());
    }
    let fits = |read: &Read| {
        sightings.iter().all(|seen| {
            let age = read(&seen.dequeued).checked_sub(seen.timestamp);
            age.is_some_and(|age| age <= FRESH)
        })
    };
    let fitting = CLOCKS.into_iter().find(|(_, read)| fits(read));
    fitting.map_or_else(
        || CaptureClock::Unknown(stranger(first)),
        |(clock, _)| clock,
    )
}

/// Says how far a timestamp is from the clock that it should be of.
fn stranger(seen: &Sighting) -> String {
    let (stamp, clock) = (seen.timestamp, seen.dequeued.monotonic);
    let (distance, side) = match stamp.checked_sub(clock) {
        Some(ahead) => (ahead, "ahead of"),
        None => (clock - stamp, "behind"),
    };
    let flagged = match seen.flags & flags::BUF_FLAG_TIMESTAMP_MASK {
        flags::BUF_FLAG_TIMESTAMP_MONOTONIC => {
            ", though flagged as of it: the host's clock, or reckoned rather than read"
        }
        _ => "",
    };
    format!(
        "they are {:.3} s {side} this machine's CLOCK_MONOTONIC{flagged}",
        distance.as_secs_f64()
    )
}

#[cfg(test)]
mod tests;
