//! What becomes of a received frame: it is dumped, if that is wanted. A disk that is slower
//! than the stream has all buffers in the end, and slows the stream.

use std::collections::VecDeque;

use nix::poll::PollFd;

use crate::base::error::Result;
use crate::base::monotonic::Monotonic;
use crate::base::output::Output;
use crate::base::run::Run;
use crate::frame::pool::Lease;
use crate::measure::Measuring;
use crate::measure::passage::Passage;
use crate::measure::stages::Stage;
use crate::sink::dump::Dump;

/// The dump, if one is wanted.
pub(super) struct Dumping<'m> {
    measured: &'m Measuring,
    dump: Option<Dump>,
    /// The passages of the frames that it has yet to write, in order.
    passages: VecDeque<Passage>,
    /// Those of the frames that were written last.
    written: Vec<Passage>,
}

impl<'m> Dumping<'m> {
    /// A stream is about to come: empties the file. None on a stop.
    pub(super) fn begin(
        output: Option<Output>,
        measured: &'m Measuring,
        run: &mut Run<'_>,
    ) -> Result<Option<Self>> {
        let dump = match output {
            None => None,
            Some(output) => match output.empty(run)? {
                None => return Ok(None),
                Some(output) => Some(Dump::begin(output)?),
            },
        };
        Ok(Some(Dumping {
            measured,
            dump,
            passages: VecDeque::new(),
            written: Vec::new(),
        }))
    }

    pub(super) fn is_wanted(&self) -> bool {
        self.dump.is_some()
    }

    /// Has a frame written. Gives its passage back if nobody wants that.
    pub(super) fn write(&mut self, lease: Lease, passage: Passage) -> Option<Passage> {
        match &mut self.dump {
            None => Some(passage),
            Some(dump) => {
                self.passages.push_back(passage);
                dump.write(lease);
                None
            }
        }
    }

    /// The passage of the next frame that was written, if one was.
    pub(super) fn written(&mut self) -> Result<Option<Passage>> {
        let Some(dump) = &mut self.dump else {
            return Ok(None);
        };
        let written = dump.written()?;
        Ok(written.map(|at| done(&mut self.passages, at, self.measured)))
    }

    /// What is readable once `written` has something to tell.
    pub(super) fn poll_fd(&self) -> Option<PollFd<'_>> {
        self.dump.as_ref().map(Dump::poll_fd)
    }

    /// Waits until all frames are written.
    pub(super) fn finish(&mut self, run: &mut Run<'_>) -> Result<()> {
        let Dumping {
            measured,
            dump: Some(dump),
            passages,
            written,
        } = self
        else {
            return Ok(());
        };
        dump.finish(run, |at| written.push(done(passages, at, measured)))
    }

    /// The passages of the frames that were not told of before the end, written or not.
    pub(super) fn rest(&mut self) -> Vec<Passage> {
        let mut rest = std::mem::take(&mut self.written);
        rest.extend(self.passages.drain(..));
        rest
    }
}

/// The first of the frames that were to be written was.
fn done(passages: &mut VecDeque<Passage>, at: Monotonic, measured: &Measuring) -> Passage {
    let mut passage = passages.pop_front().unwrap_or_default();
    passage.done = at.nanoseconds();
    let complete = Monotonic::of_nanoseconds(passage.complete);
    let stages = &mut measured.borrow_mut().stages;
    stages.record(Stage::IntoDump, at.since(complete));
    passage
}
