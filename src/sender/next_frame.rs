//! The sender's wait: for a frame, and for all that may happen before one comes.

use std::time::Instant;

use nix::poll::{PollFd, PollFlags};

use crate::base::{OnStop, Result, Run, WaitsFor, Woken};
use crate::link::Progress;
use crate::measure::{Ledger, Measuring};
use crate::sender::{intake::Intake, intake::Taken};
use crate::sink::{Sink, network::Network};
use crate::source::{self, SILENT_SOURCE};
use crate::wire::Version;

/// Waits for a frame; None at the source's end and on a stop.
pub(super) fn next_frame(
    intake: &mut Intake<'_>,
    network: &mut Network<'_>,
    ledger: &mut Ledger<'_>,
    measured: &Measuring,
    run: &mut Run<'_>,
) -> Result<Option<Taken>> {
    let mut warn_at = Some(Instant::now() + SILENT_SOURCE);
    let mut source_failed = false;
    let mut starved: Option<Progress> = None;
    let mut has_room = false;
    loop {
        while let Some(done) = network.done()? {
            ledger.complete(done.counter, done.at);
        }
        intake.take_in()?;
        if run.is_stopped() {
            return Ok(None);
        }
        let waits_for_room = intake.may_change() && !has_room;
        if !waits_for_room {
            if let Some(taken) = intake.take() {
                return Ok(Some(taken));
            }
        }
        if intake.has_ended() {
            return Ok(None);
        }
        if source_failed {
            return Err(intake.poll_error());
        }
        let connection = network.connection();
        let waits_for = intake.waits_for();
        if waits_for_room {
            starved.get_or_insert_with(|| connection.progress());
        } else if matches!(waits_for, WaitsFor::Buffer(_)) {
            // The source is not to blame for this silence.
            warn_at = None;
            starved.get_or_insert_with(|| {
                let counts = &mut measured.borrow_mut().zero_copy;
                match connection.unacknowledged() {
                    0 => counts.waits_for_completion += 1,
                    _ => counts.waits_for_network += 1,
                }
                connection.progress()
            });
        } else {
            starved = None;
        }
        let (source, due) = waits_for.poll();
        let peer = connection.poll_fd(waits_for_room);
        let polled: Vec<PollFd<'_>> = [peer].into_iter().chain(source).collect();
        let deadline = [due, warn_at, starved.as_ref().map(Progress::due)]
            .into_iter()
            .flatten()
            .min();
        if let Woken::Ready(events) = run.wait(&polled, deadline, OnStop::End)? {
            let mut events = events.into_iter();
            let peer = events.next().unwrap_or(PollFlags::empty());
            has_room = peer.contains(PollFlags::POLLOUT);
            if peer.intersects(!PollFlags::POLLOUT) {
                let may_speak = measured.borrow().version == Some(Version::V3);
                connection.check(may_speak)?;
            }
            source_failed = events.any(|source| {
                source.intersects(PollFlags::POLLERR | PollFlags::POLLHUP | PollFlags::POLLNVAL)
            });
        }
        // Looked at rather than told by the wait: a receiver that talks on and on would never
        // let it time out.
        if warn_at.is_some_and(|at| Instant::now() >= at) {
            source::warn_of_silence();
            warn_at = None;
        }
        if starved.as_mut().is_some_and(|it| it.is_over(connection)) {
            return Err(connection.stalled());
        }
    }
}
