//! A wait for descriptors, outside runs.

use std::time::Instant;

use nix::errno::Errno;
use nix::poll::{PollFd, ppoll};
use nix::sys::time::TimeSpec;

/// Waits for an event on one of `polled`, until a time, or until a signal comes.
///
/// To the nanosecond: a time of less than a millisecond that counts as none is a loop that waits
/// for nobody.
pub fn poll_until(polled: &mut [PollFd<'_>], until: Option<Instant>) -> nix::Result<()> {
    let left = until.map(|until| until.saturating_duration_since(Instant::now()));
    match ppoll(polled, left.map(TimeSpec::from), None) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(errno) => Err(errno),
    }
}
