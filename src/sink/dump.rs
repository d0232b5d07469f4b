//! The dump: payloads, one after the other, into a file or a pipe, written beside the stream.
//!
//! Frames are written straight from the mapping. On file systems that pin the
//! pages of what they write (9p, and others with O_DIRECT) that fails with
//! EFAULT, since a DMABUF's mapping has no page structs: those get the frame by
//! way of ordinary memory.

use std::path::PathBuf;

use nix::errno::Errno;
use nix::poll::PollFd;

use crate::base::background::{Background, Reins, Work};
use crate::base::error::{Error, ErrorKind, Result};
use crate::base::monotonic::Monotonic;
use crate::base::output::{Contents, Failure, Output, PIECE};
use crate::base::run::Run;
use crate::frame::pool::Lease;
use crate::memory::{self, View};

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
    /// Opens it; None on a stop. What a file holds stays until a stream comes.
    pub fn open(&self, run: &mut Run<'_>) -> Result<Option<Output>> {
        match self {
            DumpTarget::Stdout => Output::stdout(OPTION).map(Some),
            DumpTarget::File(path) => Output::open(path, Contents::Kept, ("", OPTION), run),
        }
    }
}

/// The dump of a stream.
pub struct Dump {
    work: Background<Writing>,
    name: String,
}

impl Dump {
    /// Begins to write into `output`, which is empty.
    pub fn begin(output: Output) -> Result<Self> {
        Ok(Dump {
            name: output.name().to_owned(),
            work: Background::start(Writing {
                output,
                bounce: None,
                frames: 0,
                bytes: 0,
            })?,
        })
    }

    /// Has it write a frame.
    pub fn write(&mut self, lease: Lease) {
        self.work.give(lease);
    }

    /// When the next frame was written, if it was: in the order that they came. An error if
    /// one can't be: the dump then holds the whole frames before it.
    pub fn written(&mut self) -> Result<Option<Monotonic>> {
        self.work.attend();
        self.work.take()
    }

    /// What is readable once `written` has something to tell.
    pub fn poll_fd(&self) -> PollFd<'_> {
        self.work.poll_fd()
    }

    /// Waits until all frames are written. After a stop, a file that takes nothing is given up.
    pub fn finish(&mut self, run: &mut Run<'_>, written: impl FnMut(Monotonic)) -> Result<()> {
        let name = &self.name;
        // With nothing to write there is nothing that a FIFO's reader would have to come for.
        self.work.abandon_opening();
        self.work.finish(run, written, |frames| {
            Error::new(
                ErrorKind::Output,
                format!("write the last frames to {name}"),
            )
            .object(name)
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
            if let Err(failure) = self.write_view(view, reins) {
                return Err(self.give_up(failure));
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
    fn write_view(&mut self, view: View<'_>, reins: &Reins) -> std::result::Result<(), Failure> {
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
        written.map_err(|(failure, _)| failure)
    }

    /// Cuts a file back to its whole frames, and tells what there is.
    fn give_up(&self, failure: Failure) -> Error {
        self.output.cut_back(self.bytes);
        let verb = format!("write frame {} to", self.frames + 1);
        let error = match failure {
            Failure::Errno(errno) => self.output.error(&verb, errno),
            Failure::Aborted => self.output.error(&verb, Errno::ECANCELED),
        };
        error.cause(format!(
            "it holds {} whole frames, {} bytes",
            self.frames, self.bytes
        ))
    }
}
