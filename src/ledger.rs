//! The passages of a run's frames: put together as news of them comes, written to a
//! file of records, and reported.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::control::Acknowledged;
use crate::error::{Error, ErrorKind, Result};
use crate::passage::Passage;
use crate::report::Report;
use crate::stages::Stage;

/// Frames of which something may still be learned. More than are ever in flight: of
/// an older one nothing more will come.
const MOST_OPEN: usize = 1024;

/// The file of records: a line a frame, comma-separated, beneath a line of names.
#[derive(Debug)]
struct Records {
    file: BufWriter<File>,
    path: PathBuf,
}

impl Records {
    fn create(path: &Path) -> Result<Self> {
        let file = File::create(path).map_err(|error| records_error(path, "make", &error))?;
        let mut records = Records {
            file: BufWriter::new(file),
            path: path.to_owned(),
        };
        records.line(&Passage::COLUMNS.join(","))?;
        Ok(records)
    }

    fn line(&mut self, line: &str) -> Result<()> {
        writeln!(self.file, "{line}").map_err(|error| records_error(&self.path, "write", &error))
    }

    fn flush(&mut self) -> Result<()> {
        self.file
            .flush()
            .map_err(|error| records_error(&self.path, "write", &error))
    }
}

fn records_error(path: &Path, verb: &str, error: &std::io::Error) -> Error {
    let shown = path.display().to_string();
    Error::new(ErrorKind::Output, format!("{verb} the records {shown}"))
        .object(shown)
        .io(error)
        .next("give --records a file that can be written")
}

/// What is to be learned of each frame before its passage is finished.
#[derive(Debug, Clone, Copy)]
pub struct Expected {
    /// The receiver's acknowledgement.
    pub acknowledgement: bool,
    /// The kernel's completion.
    pub completion: bool,
}

/// The passages of a run.
#[derive(Debug)]
pub struct Ledger {
    open: VecDeque<(Passage, Expected)>,
    records: Option<Records>,
}

impl Ledger {
    /// With a file of records, if there is to be one.
    pub fn new(records: Option<&Path>) -> Result<Self> {
        Ok(Ledger {
            open: VecDeque::new(),
            records: records.map(Records::create).transpose()?,
        })
    }

    /// A frame has gone as far as this side sees it by itself.
    pub fn enter(&mut self, passage: Passage, expected: Expected) {
        self.open.push_back((passage, expected));
    }

    fn entry(&mut self, counter: u64) -> Option<&mut (Passage, Expected)> {
        let first = self.open.front()?.0.counter;
        let place = usize::try_from(counter.checked_sub(first)?).ok()?;
        self.open.get_mut(place)
    }

    /// The receiver has a frame.
    pub fn acknowledge(&mut self, told: &Acknowledged) {
        if let Some((passage, expected)) = self.entry(told.ack.counter) {
            passage.header = told.ack.header;
            passage.complete = told.ack.complete;
            passage.done = told.ack.done;
            passage.acknowledged = told.at.nanoseconds();
            expected.acknowledgement = false;
        }
    }

    /// It is known that the kernel is done with a frame, so long after its last byte
    /// was handed over.
    pub fn complete(&mut self, counter: u64, after: Duration) {
        if let Some((passage, expected)) = self.entry(counter) {
            passage.completed = passage.sent.saturating_add(after.as_nanos() as u64);
            expected.completion = false;
        }
    }

    /// Writes down the passages that are finished, and reports them.
    pub fn turn_over(&mut self, report: &mut Report) -> Result<()> {
        while let Some((_, expected)) = self.open.front() {
            let is_open = expected.acknowledgement || expected.completion;
            if is_open && self.open.len() <= MOST_OPEN {
                break;
            }
            let Some((passage, _)) = self.open.pop_front() else {
                break;
            };
            self.write_down(&passage, report)?;
        }
        Ok(())
    }

    /// Nothing more will be learned: does so with the rest.
    pub fn close(&mut self, report: &mut Report) -> Result<()> {
        for (passage, _) in std::mem::take(&mut self.open) {
            self.write_down(&passage, report)?;
        }
        self.records.as_mut().map_or(Ok(()), Records::flush)
    }

    fn write_down(&mut self, passage: &Passage, report: &mut Report) -> Result<()> {
        report.samples.take(passage);
        report.one_way.take(passage);
        if passage.acknowledged != 0 {
            let after = passage.acknowledged.saturating_sub(passage.handed);
            let after = Duration::from_nanos(after);
            report.stages.record(Stage::Acknowledged, after);
        }
        match &mut self.records {
            Some(records) => records.line(&passage.line()),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
