//! The records of a run's frames: put together as news of them comes, written to a
//! file of records, and reported.

use std::collections::VecDeque;
use std::path::Path;
use std::time::Duration;

use super::Measuring;
use crate::base::{Monotonic, Result, Run, error::keep_first};
use crate::measure::{FrameRecord, Records, Stage};
use crate::wire::v3::Ack;

/// Frames that are followed until all is learned of them. More than are ever in flight:
/// with frames of no more than a header it takes 20 MB of sockets' buffers.
pub const MOST_OPEN: usize = 1 << 18;

/// Why times are unknown that the receiver's acknowledgements tell.
const UNACKNOWLEDGED: &str =
    "the receiver left frames unacknowledged, or more were in flight than are followed";

/// What is to be learned of each frame before its record is finished.
#[derive(Debug, Clone, Copy)]
pub struct Expected {
    /// The receiver's acknowledgement.
    pub acknowledgement: bool,
    /// The kernel's completion.
    pub completion: bool,
}

/// A frame that the receiver has acknowledged, and when that was learned.
#[derive(Debug, Clone, Copy)]
pub struct Acknowledged {
    /// What it says, by its clock.
    pub ack: Ack,
    /// When it came, by ours.
    pub at: Monotonic,
}

/// The records of a run.
pub struct Ledger<'m> {
    measured: &'m Measuring,
    open: VecDeque<(FrameRecord, Expected)>,
    records: Option<Records>,
    /// The counter of the next frame that is to be acknowledged: it is done in order.
    next: u64,
    /// Frames that were acknowledged.
    acknowledged: u64,
    /// Whether a frame was not whose time it was.
    was_passed_over: bool,
}

impl<'m> Ledger<'m> {
    /// With a file of records, if there is to be one, and the bytes that it may take with the one
    /// before it.
    pub fn open(
        (path, limit): (Option<&Path>, Option<u64>),
        measured: &'m Measuring,
        run: &mut Run<'_>,
    ) -> Result<Self> {
        let records = path.map(|path| Records::open(path, limit, run));
        Ok(Ledger {
            measured,
            open: VecDeque::new(),
            records: records.transpose()?,
            next: 0,
            acknowledged: 0,
            was_passed_over: false,
        })
    }

    /// A frame has gone as far as this side sees it by itself.
    pub fn enter(&mut self, record: FrameRecord, expected: Expected) {
        self.open.push_back((record, expected));
    }

    /// A frame is done with: nothing more will be learned of it.
    pub fn finish(&mut self, record: FrameRecord, run: &mut Run<'_>) -> Result<()> {
        let nothing = Expected {
            acknowledgement: false,
            completion: false,
        };
        self.enter(record, nothing);
        self.finish_known(run)
    }

    fn entry(&mut self, counter: u64) -> Option<&mut (FrameRecord, Expected)> {
        let first = self.open.front()?.0.counter;
        let place = usize::try_from(counter.checked_sub(first)?).ok()?;
        self.open.get_mut(place)
    }

    /// The receiver has a frame. Those before it that it has not acknowledged it never
    /// will.
    pub fn acknowledge(&mut self, told: &Acknowledged) {
        let counter = told.ack.counter;
        let Some((record, expected)) = self.entry(counter) else {
            return;
        };
        if !std::mem::take(&mut expected.acknowledgement) {
            return;
        }
        record.header = told.ack.header;
        record.complete = told.ack.complete;
        record.done = told.ack.done;
        record.acknowledged = told.at.nanoseconds();
        self.acknowledged += 1;
        for earlier in self.next..counter {
            if let Some((_, expected)) = self.entry(earlier) {
                expected.acknowledgement = false;
            }
            self.was_passed_over = true;
        }
        self.next = counter.saturating_add(1);
    }

    /// It is known since `at` that the kernel is done with a frame.
    pub fn complete(&mut self, counter: u64, at: Monotonic) {
        if let Some((record, expected)) = self.entry(counter) {
            record.completed = at.nanoseconds();
            expected.completion = false;
        }
    }

    /// Writes down the records that are finished, and reports them.
    pub fn finish_known(&mut self, run: &mut Run<'_>) -> Result<()> {
        while let Some((_, expected)) = self.open.front() {
            let is_open = expected.acknowledgement || expected.completion;
            if is_open && self.open.len() <= MOST_OPEN {
                break;
            }
            let Some((record, expected)) = self.open.pop_front() else {
                break;
            };
            self.was_passed_over |= expected.acknowledgement;
            self.next = self.next.max(record.counter.saturating_add(1));
            self.write_down(&record, run)?;
        }
        self.drop_if_biased();
        Ok(())
    }

    /// The frames that were passed over are no fair selection: the slow ones, as likely as
    /// not. What is known of the others then stays untold.
    fn drop_if_biased(&self) {
        if self.was_passed_over {
            let measured = &mut *self.measured.borrow_mut();
            measured
                .one_way
                .give_up(UNACKNOWLEDGED, &mut measured.stages);
        }
    }

    /// Nothing more will be learned: writes down and reports the rest, and waits until the
    /// records are written. `result` is how the run went by then, and stays what is told:
    /// what goes wrong with the records on top of an error is a warning.
    pub fn close(&mut self, result: Result<()>, run: &mut Run<'_>) -> Result<()> {
        let mut closed = Ok(());
        for (record, _) in std::mem::take(&mut self.open) {
            closed = closed.and(self.write_down(&record, run));
        }
        let measured = self.measured.borrow();
        let received = measured.outcome.as_ref().map(|it| it.received);
        drop(measured);
        self.was_passed_over |= received.is_some_and(|it| it > self.acknowledged);
        self.drop_if_biased();
        if let Some(records) = &mut self.records {
            closed = closed.and_then(|()| records.finish(run));
            self.measured.borrow_mut().records_given_up = records.given_up();
        }
        keep_first(result, closed)
    }

    fn write_down(&mut self, record: &FrameRecord, run: &mut Run<'_>) -> Result<()> {
        let mut measured = self.measured.borrow_mut();
        measured.samples.take(record);
        measured.one_way.take(record);
        if record.acknowledged != 0 {
            let after = record.acknowledged.saturating_sub(record.handed);
            let after = Duration::from_nanos(after);
            measured.stages.record(Stage::Acknowledged, after);
        }
        drop(measured);
        match &mut self.records {
            Some(records) => records.line(record, run),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
