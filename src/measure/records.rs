//! The file of records: a line a frame, comma-separated, beneath a line of names, written
//! beside the stream.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::base::{Background, Contents, Error, ErrorKind, Output, Reins, Result, Run, Work};
use crate::measure::FrameRecord;

/// Bytes of lines that are written at once.
const CHUNK: usize = 32 * 1024;
/// What is not so much is written after so long.
const PAUSE: Duration = Duration::from_secs(1);
/// Chunks that may wait for the disk before the stream does.
const MOST_WAITING: usize = 16;

const OPTION: &str = "--records";

/// The records of a run.
pub struct Records {
    /// Frames whose lines were given up.
    given_up: Arc<AtomicU64>,
    work: Background<Writing>,
    /// Whole lines that wait to be written.
    chunk: String,
    since: Instant,
    name: String,
}

impl Records {
    /// Opens the file anew. Once it has half of the limit it is set aside, as
    /// `.1`, and what was aside before is given up.
    pub fn open(path: &Path, limit: Option<u64>, run: &mut Run<'_>) -> Result<Self> {
        let output = Output::open(path, Contents::Emptied, ("the records ", OPTION), run)?;
        let name = output.name().to_owned();
        if limit.is_some() && !output.is_file() {
            return Err(Error::about(ErrorKind::Output, "limit the records", &name)
                .cause("it is no file, and nothing else can be set aside")
                .next("name a file (--records), or leave --records-limit out"));
        }
        let given_up = Arc::new(AtomicU64::new(0));
        let mut records = Records {
            work: Background::start(Writing {
                output,
                bytes: 0,
                most: limit.map(|limit| limit / 2),
                has_names: false,
                lines: 0,
                aside: 0,
                given_up: Arc::clone(&given_up),
            })?,
            given_up,
            chunk: FrameRecord::names(),
            since: Instant::now(),
            name,
        };
        records.hand_over();
        Ok(records)
    }

    /// Adds a frame's line. If the disk can't keep up it waits, and a stop ends that.
    pub fn line(&mut self, record: &FrameRecord, run: &mut Run<'_>) -> Result<()> {
        self.chunk.push_str(&record.line());
        if self.chunk.len() < CHUNK && self.since.elapsed() < PAUSE {
            return Ok(());
        }
        while self.work.take()?.is_some() {}
        while self.work.lent() >= MOST_WAITING {
            if self.work.wait(run)?.is_none() {
                return Ok(());
            }
        }
        self.hand_over();
        Ok(())
    }

    /// Frames whose lines were given up for later ones.
    pub fn given_up(&self) -> u64 {
        self.given_up.load(Ordering::Relaxed)
    }

    fn hand_over(&mut self) {
        let chunk = std::mem::take(&mut self.chunk);
        if !chunk.is_empty() {
            self.work.give(chunk);
        }
        self.since = Instant::now();
    }

    /// Waits until all lines are written. After a stop, a file that takes nothing is given up.
    pub fn finish(&mut self, run: &mut Run<'_>) -> Result<()> {
        self.hand_over();
        let name = &self.name;
        let stalled = |_| {
            Error::about(ErrorKind::Output, "write the last records to", name)
                .cause("a stop came, and it has taken nothing since")
                .next("see what reads it, or whether its file system answers")
        };
        self.work.finish(run, |()| {}, stalled)
    }
}

impl Drop for Records {
    /// However a run ends, what is known is handed over; the thread has a moment for it.
    fn drop(&mut self) {
        self.hand_over();
    }
}

/// What the thread does.
struct Writing {
    output: Output,
    /// Bytes of whole lines that it has.
    bytes: u64,
    /// Bytes that it may have before it is set aside.
    most: Option<u64>,
    has_names: bool,
    /// Frames whose lines it has, and that aside.
    lines: u64,
    aside: u64,
    /// Frames whose lines were given up.
    given_up: Arc<AtomicU64>,
}

impl Work for Writing {
    type Job = String;
    type Done = ();

    fn call(&self) -> String {
        self.output.call()
    }

    fn open(&mut self, reins: &Reins) -> Result<()> {
        self.output.wait_for_reader(reins)
    }

    fn work(&mut self, lines: String, reins: &Reins) -> Result<()> {
        let is_full = self
            .most
            .is_some_and(|most| self.bytes + lines.len() as u64 > most);
        // A file of no frame would be set aside for nothing.
        if is_full && self.lines > 0 {
            self.set_aside(reins)?;
        }
        self.append(&lines, reins)?;
        // The first line of all are the names.
        let names = u64::from(!std::mem::replace(&mut self.has_names, true));
        self.lines += lines.matches('\n').count() as u64 - names;
        Ok(())
    }

    fn close(self) -> Result<()> {
        self.output.close()
    }
}

impl Writing {
    /// Sets the file aside, and begins another.
    fn set_aside(&mut self, reins: &Reins) -> Result<()> {
        self.output.set_aside()?;
        self.given_up.fetch_add(self.aside, Ordering::Relaxed);
        self.aside = std::mem::take(&mut self.lines);
        self.bytes = 0;
        self.append(&FrameRecord::names(), reins)
    }

    fn append(&mut self, lines: &str, reins: &Reins) -> Result<()> {
        let lines = lines.as_bytes();
        let rest = |written| lines.get(written..).unwrap_or_default();
        let written = self.output.write(lines.len(), reins, |file, written| {
            nix::unistd::write(file, rest(written))
        });
        let Err((errno, written)) = written else {
            self.bytes += lines.len() as u64;
            return Ok(());
        };
        // Up to the last line that is whole.
        let head = lines.get(..written).unwrap_or_default();
        let whole = head.iter().rposition(|byte| *byte == b'\n');
        self.bytes += whole.map_or(0, |end| end as u64 + 1);
        self.output.cut_back(self.bytes);
        Err(self.output.error("write", errno))
    }
}
