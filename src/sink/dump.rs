//! The dump: payloads, one after the other, into a file or a pipe, written beside the stream.
//!
//! Frames are written straight from the mapping. On file systems that pin the
//! pages of what they write (9p, and others with O_DIRECT) that fails with
//! EFAULT, since a DMABUF's mapping has no page structs: those get the frame by
//! way of ordinary memory.

use std::collections::VecDeque;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::poll::PollFd;

use crate::base::{
    Background, Contents, Error, ErrorKind, Monotonic, Output, PIECE, Reins, Result, Run, Work,
};
use crate::frame::Lease;
use crate::link::Meanwhile;
use crate::measure::Stage;
use crate::memory::{self, View};
use crate::sink::{Done, Fate, Passing, Sink, Told, WhenFull};

/// Bytes of ordinary memory that a frame goes through where it has to.
const BOUNCE_BYTES: usize = 256 * 1024;

const OPTION: &str = "-o";

/// Where a dump goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DumpTarget {
    /// Standard output.
    Stdout,
    /// A file, or a FIFO.
    File(PathBuf),
}

impl From<PathBuf> for DumpTarget {
    /// `-` is standard output.
    fn from(path: PathBuf) -> Self {
        if path.as_os_str() == "-" {
            DumpTarget::Stdout
        } else {
            DumpTarget::File(path)
        }
    }
}

impl DumpTarget {
    /// Opens it. What a file holds stays until a stream comes.
    pub fn open(&self, run: &mut Run<'_>) -> Result<Output> {
        match self {
            DumpTarget::Stdout => Output::stdout(OPTION),
            DumpTarget::File(path) => Output::open(path, Contents::Kept, ("", OPTION), run),
        }
    }
}

/// The dump of a stream.
pub struct Dump {
    work: Background<Writing>,
    name: String,
    when_full: WhenFull,
    /// The frames that it keeps, in order: their counters, and when they were complete.
    kept: VecDeque<(u64, Monotonic)>,
    /// What was written during the last wait.
    written: VecDeque<Done>,
    dropped: u64,
}

impl Dump {
    /// Begins to write into `output`, which is empty.
    pub fn begin(output: Output, when_full: WhenFull) -> Result<Self> {
        Ok(Dump {
            name: output.name().to_owned(),
            work: Background::start(Writing {
                output,
                bounce: None,
                frames: 0,
                bytes: 0,
            })?,
            when_full,
            kept: VecDeque::new(),
            written: VecDeque::new(),
            dropped: 0,
        })
    }
}

/// The next of the frames that are kept was written.
fn done(kept: &mut VecDeque<(u64, Monotonic)>, at: Monotonic) -> Done {
    let (counter, complete) = kept.pop_front().unwrap_or((0, at));
    Done {
        counter,
        at,
        took: Some((Stage::IntoDump, at.since(complete))),
    }
}

impl Sink for Dump {
    fn put(
        &mut self,
        frame: Passing<'_>,
        _meanwhile: &mut dyn Meanwhile,
        _run: &mut Run<'_>,
    ) -> Result<Fate> {
        if matches!(self.when_full, WhenFull::Drop(most) if self.kept.len() >= most) {
            self.dropped += 1;
            return Ok(Fate::Dropped);
        }
        let complete = Monotonic::of_nanoseconds(frame.record.complete);
        self.kept.push_back((frame.record.counter, complete));
        self.work.give(frame.lease.clone());
        Ok(Fate::Kept)
    }

    /// A frame that was written. An error if one can't be: the dump then holds the whole frames
    /// before it.
    fn done(&mut self) -> Result<Option<Done>> {
        if let Some(done) = self.written.pop_front() {
            return Ok(Some(done));
        }
        self.work.attend();
        let written = self.work.take()?;
        Ok(written.map(|at| done(&mut self.kept, at)))
    }

    fn told(&self) -> Told {
        Told::Dropped(self.dropped)
    }

    fn poll_fd(&self) -> Option<PollFd<'_>> {
        Some(self.work.poll_fd())
    }

    /// After a stop, a file that takes nothing is given up.
    fn finish(&mut self, run: &mut Run<'_>) -> Result<()> {
        let name = &self.name;
        if self.dropped > 0 {
            let dropped = self.dropped;
            log::warn!("{dropped} frames are not in {name}, which was slower than the stream");
        }
        // With nothing to write there is nothing that a FIFO's reader would have to come for.
        self.work.abandon_opening();
        let mut note = |at| self.written.push_back(done(&mut self.kept, at));
        self.work.finish(run, &mut note, |frames| {
            Error::about(ErrorKind::Output, "write the last frames to", name)
                .cause(format!(
                    "a stop came, it has taken nothing since, and {frames} frames that were \
                     received are not in it"
                ))
                .next("see what reads it, or whether its file system answers")
        })
    }
}

/// What the thread does.
struct Writing {
    output: Output,
    /// Ordinary memory, once it turns out to be needed.
    bounce: Option<Vec<u8>>,
    frames: u64,
    bytes: u64,
}

impl Work for Writing {
    type Job = Lease;
    type Done = Monotonic;

    fn call(&self) -> String {
        self.output.call()
    }

    fn open(&mut self, reins: &Reins) -> Result<()> {
        self.output.wait_for_reader(reins)
    }

    fn work(&mut self, lease: Lease, reins: &Reins) -> Result<Monotonic> {
        for (plane, payload) in lease.planes() {
            let access = plane.read()?;
            let view = access.view(payload.offset, payload.length)?;
            if let Err(errno) = self.write_view(view, reins) {
                return Err(self.give_up(errno));
            }
            access.end()?;
        }
        self.frames += 1;
        self.bytes += lease.frame().bytes();
        Ok(Monotonic::now())
    }

    fn close(self) -> Result<()> {
        self.output.close()
    }
}

impl Writing {
    fn write_view(&mut self, view: View<'_>, reins: &Reins) -> std::result::Result<(), Errno> {
        let Writing { output, bounce, .. } = self;
        let mut unpinnable = false;
        let written = output.write(view.length(), reins, |file, written| {
            let rest = view.skip(written).ok_or(Errno::EINVAL)?;
            if let Some(bounce) = bounce {
                let count = rest.copy_to(bounce);
                return nix::unistd::write(file, bounce.get(..count).unwrap_or_default());
            }
            let piece = rest.first(rest.length().min(PIECE)).ok_or(Errno::EINVAL)?;
            match memory::write(file, piece) {
                Err(Errno::EFAULT) if !unpinnable => {
                    unpinnable = true;
                    *bounce = Some(vec![0; BOUNCE_BYTES]);
                    // At once, by way of the bounce.
                    Err(Errno::EINTR)
                }
                written => written,
            }
        });
        if unpinnable {
            log::debug!(
                "{} does not take a DMABUF's mapping: writing by way of ordinary memory",
                output.name()
            );
        }
        written.map_err(|(errno, _)| errno)
    }

    /// Cuts a file back to its whole frames, and tells what there is.
    fn give_up(&self, errno: Errno) -> Error {
        self.output.cut_back(self.bytes);
        let verb = format!("write frame {} to", self.frames + 1);
        self.output.error(&verb, errno).cause(format!(
            "it holds {} whole frames, {} bytes",
            self.frames, self.bytes
        ))
    }
}
