//! What becomes of a received frame: it is dumped, if that is wanted, and its buffer comes
//! back when the dump has it. A disk that is slower than the stream slows the stream.

use std::collections::VecDeque;

use crate::base::error::Result;
use crate::base::monotonic::Monotonic;
use crate::base::output::Output;
use crate::base::run::Run;
use crate::frame::buffer::{Filled, Free};
use crate::measure::Measuring;
use crate::measure::passage::Passage;
use crate::measure::stages::Stage;
use crate::sink::dump::{Dump, Written};

/// The dump, if one is wanted.
pub(super) struct Dumping<'m> {
    measured: &'m Measuring,
    dump: Option<Dump>,
    /// The passages of the frames that are lent to it, in order.
    lent: VecDeque<Passage>,
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
            lent: VecDeque::new(),
            written: Vec::new(),
        }))
    }

    pub(super) fn is_wanted(&self) -> bool {
        self.dump.is_some()
    }

    /// Has a frame written; gives its buffer back at once if nobody wants that.
    pub(super) fn write(&mut self, filled: Filled, passage: Passage) -> Option<Free> {
        match &mut self.dump {
            None => Some(filled.release()),
            Some(dump) => {
                self.lent.push_back(passage);
                dump.write(filled);
                None
            }
        }
    }

    /// Takes back the next buffer whose frame was written, if there is one.
    pub(super) fn take(&mut self) -> Result<Option<(Free, Passage)>> {
        let Some(dump) = &mut self.dump else {
            return Ok(None);
        };
        let written = dump.take()?;
        Ok(written.map(|written| done(&mut self.lent, written, self.measured)))
    }

    /// Waits for it; None on a stop.
    pub(super) fn wait(&mut self, run: &mut Run<'_>) -> Result<Option<(Free, Passage)>> {
        let Some(dump) = &mut self.dump else {
            return Ok(None);
        };
        let written = dump.wait(run)?;
        Ok(written.map(|written| done(&mut self.lent, written, self.measured)))
    }

    /// Waits until all frames are written.
    pub(super) fn finish(&mut self, run: &mut Run<'_>) -> Result<()> {
        let Dumping {
            measured,
            dump: Some(dump),
            lent,
            written,
        } = self
        else {
            return Ok(());
        };
        dump.finish(run, |frame| written.push(done(lent, frame, measured).1))
    }

    /// The passages of the frames that did not come back before the end, written or not.
    pub(super) fn passages(&mut self) -> Vec<Passage> {
        let mut passages = std::mem::take(&mut self.written);
        passages.extend(self.lent.drain(..));
        passages
    }
}

/// A frame was written: the first of those that were lent.
fn done(lent: &mut VecDeque<Passage>, written: Written, measured: &Measuring) -> (Free, Passage) {
    let mut passage = lent.pop_front().unwrap_or_default();
    passage.done = written.at.nanoseconds();
    let complete = Monotonic::of_nanoseconds(passage.complete);
    let stages = &mut measured.borrow_mut().stages;
    stages.record(Stage::IntoDump, written.at.since(complete));
    (written.free, passage)
}
