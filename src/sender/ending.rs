//! How a stream ends: what the sides tell each other then, and whether it adds up.

use nix::errno::Errno;

use super::Sending;
use crate::base::{Error, ErrorKind, Result, Run, error::failure, error::keep_first};
use crate::measure::{Piece, Resolve};
use crate::report::account::Account;
use crate::sink::Sink;
use crate::wire::{Version, v3::End, v3::Outcome};

/// Frames that a sender of versions 1 and 2 may have handed over before it learns that the
/// receiver is gone: what the sockets' buffers take.
const AT_ONCE: u64 = 8;

impl Sending<'_> {
    /// Ends the stream after its last frame, or after `result` if that is an error.
    pub(super) fn end(mut self, result: Result<()>, run: &mut Run<'_>) -> Result<()> {
        self.measured.borrow_mut().network = self.network.connection().network();
        match &result {
            Err(error) if error.kind() == ErrorKind::Interrupted => return result,
            _ if self.control.is_none() => {
                self.close_ledger(result.map_err(|error| self.hint(error)), run)?;
                self.network.finish(run)?;
                // By these versions no receiver tells what came of it.
                return Account::of_sender(&self.measured.borrow()).check();
            }
            _ => {}
        }
        let ended = self.tell_end(&result, run);
        let result = result.and(ended);
        if let (Some(control), Err(error)) = (&mut self.control, &result) {
            // It has had all the time that it gets.
            if error.kind() == ErrorKind::PeerTimeout {
                control.wait_no_longer();
            }
        }
        let (pieces, settled) = match self.settle(run) {
            Ok(pieces) => (pieces, Ok(())),
            Err(error) => (None, Err(error)),
        };
        let verdict = self.verdict(result);
        let ended = self.close_ledger(keep_first(verdict, settled), run);
        if let Some(pieces) = pieces {
            self.measured
                .borrow_mut()
                .resolve_one_way(pieces, Resolve::All);
        }
        ended
    }

    /// A receiver that is gone at once may not speak versions 1 and 2: they have no answer, so
    /// that it can't say so.
    fn hint(&self, error: Error) -> Error {
        if error.kind() != ErrorKind::PeerLost || self.measured.borrow().frames > AT_ONCE {
            return error;
        }
        let other = match self.network.framing().version() {
            Version::V1 => 2,
            _ => 1,
        };
        error.next(format!(
            "its own output says why; the reference's receiver_zc takes no frames of this flow, and \
             a receiver that takes another number needs --protocol {other}"
        ))
    }

    /// Whether the stream was sent to its end and arrived, by what both sides say.
    fn verdict(&self, result: Result<()>) -> Result<()> {
        let measured = self.measured.borrow();
        match (&measured.outcome, result) {
            // What went wrong here is nothing that the receiver could tell of.
            (_, Err(error)) if !is_of_the_peer(&error) => return Err(error),
            // Who went away tells why by the other connection, if it can.
            (Some(outcome), failed) if !outcome.failure.is_empty() => {
                return Err(receiver_failed(outcome, failed.err().as_ref()));
            }
            (Some(outcome), _) if outcome.had_enough => {
                log::info!("the receiver had enough after {} frames", outcome.received);
            }
            (Some(_), failed) => failed?,
            (None, failed) => {
                failed?;
                return Err(Error::new(ErrorKind::PeerLost, "end the stream")
                    .object(self.network.connection().peer())
                    .cause("the receiver went away and did not tell what it received")
                    .next("its own output says why"));
            }
        }
        Account::of_sender(&self.measured.borrow()).check()
    }

    /// Sends the totals, and waits until the receiver has taken them.
    fn tell_end(&mut self, result: &Result<()>, run: &mut Run<'_>) -> Result<()> {
        let report = self.measured.borrow();
        let end = End {
            captured: report.captured,
            sent: report.frames,
            driver_drops: report.sequence.drops(),
            sender_drops: report.sender_drops.total(),
            left_over: report.left_over,
            failure: failure(result),
        };
        drop(report);
        let connection = self.network.connection();
        if self.network.is_mid_frame() {
            // The rest will not come: the receiver need not wait for it.
            connection.shut();
            return Ok(());
        }
        if result.as_ref().is_err_and(is_of_the_peer) {
            return Ok(());
        }
        connection.send_bytes(run, &end.encode())?;
        self.network.finish(run)
    }

    /// Takes in the receiver's last word and the last clock readings.
    fn settle(&mut self, run: &mut Run<'_>) -> Result<Option<Vec<Piece>>> {
        let Some(control) = self.control.take() else {
            return Ok(None);
        };
        let outcome = control.outcome(run)?;
        self.measured.borrow_mut().outcome = outcome;
        for told in control.acknowledged() {
            self.ledger.acknowledge(&told);
        }
        control.finish(run).map(Some)
    }

    fn complete(&mut self) -> Result<()> {
        while let Some(done) = self.network.done()? {
            self.ledger.complete(done.counter, done.at);
        }
        Ok(())
    }

    /// Nothing more will be learned of the frames. `result` is how the run went by then.
    fn close_ledger(&mut self, result: Result<()>, run: &mut Run<'_>) -> Result<()> {
        let reaped = self.complete();
        self.ledger.close(keep_first(result, reaped), run)
    }
}

fn is_of_the_peer(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::PeerLost | ErrorKind::PeerTimeout)
}

fn receiver_failed(outcome: &Outcome, error: Option<&Error>) -> Error {
    Error::new(ErrorKind::PeerLost, "send the stream to its end")
        .object(error.and_then(Error::object_name).unwrap_or_default())
        .errno(Errno::EPIPE)
        .cause(format!(
            "the receiver failed after {} frames: {}",
            outcome.received, outcome.failure
        ))
}
