//! The dump: payloads, one after the other, into a file or a pipe.
//!
//! Frames are written straight from the mapping. On file systems that pin the
//! pages of what they write (9p, and others with O_DIRECT) that fails with
//! EFAULT, since a DMABUF's mapping has no page structs: those get the frame by
//! way of ordinary memory.

use std::fs::{File, OpenOptions};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::PathBuf;

use nix::errno::Errno;
use nix::libc::O_NONBLOCK;
use nix::poll::{PollFd, PollFlags};

use crate::buffer::Filled;
use crate::error::{Error, ErrorKind, Result};
use crate::io;
use crate::memory::View;
use crate::run::{OnStop, Run};

/// Bytes of ordinary memory that a frame goes through where it has to.
const BOUNCE_BYTES: usize = 256 * 1024;

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

/// An open dump.
#[derive(Debug)]
pub struct Dump {
    file: File,
    name: String,
    /// Whether it is a file that we opened: it may be emptied and cut back, as
    /// standard output may not, where others write as well.
    ours: bool,
    /// Ordinary memory, once it turns out to be needed.
    bounce: Option<Vec<u8>>,
    frames: u64,
    bytes: u64,
}

impl Dump {
    /// Opens the target. What a file holds stays until `begin`.
    pub fn open(target: &DumpTarget) -> Result<Self> {
        let name = match target {
            DumpTarget::Stdout => "standard output".to_owned(),
            DumpTarget::File(path) => path.display().to_string(),
        };
        let failed = |error: std::io::Error| {
            Error::new(ErrorKind::Output, format!("open {name}"))
                .object(&name)
                .io(&error)
                .next("choose a path in a folder that exists and is yours to write")
        };
        let file = match target {
            DumpTarget::Stdout => std::io::stdout()
                .as_fd()
                .try_clone_to_owned()
                .map(File::from),
            DumpTarget::File(path) => OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .open(path),
        }
        .map_err(failed)?;
        let file_type = file.metadata().map_err(failed)?.file_type();
        let file = if file_type.is_fifo() {
            non_blocking(&file).unwrap_or(file)
        } else {
            file
        };
        Ok(Dump {
            file,
            name,
            ours: file_type.is_file() && *target != DumpTarget::Stdout,
            bounce: None,
            frames: 0,
            bytes: 0,
        })
    }

    /// The stream is about to come: empties a file.
    pub fn begin(&mut self) -> Result<()> {
        if self.ours {
            self.file.set_len(0).map_err(|error| {
                Error::new(ErrorKind::Output, format!("empty {}", self.name))
                    .object(&self.name)
                    .io(&error)
            })?;
        }
        Ok(())
    }

    /// Writes a frame. On an error the dump holds the whole frames before it.
    pub fn write(&mut self, filled: &Filled, run: &mut Run<'_>) -> Result<()> {
        for (plane, payload) in filled.planes() {
            let access = plane.read()?;
            let view = access.view(payload.offset, payload.length)?;
            if let Err(failure) = self.write_view(view, run) {
                return Err(self.give_up(failure));
            }
            access.end()?;
        }
        self.frames += 1;
        self.bytes += filled.frame().bytes();
        Ok(())
    }

    fn write_view(
        &mut self,
        mut view: View<'_>,
        run: &mut Run<'_>,
    ) -> std::result::Result<(), Failure> {
        while view.length() > 0 {
            let written = match &mut self.bounce {
                None => io::write(self.file.as_fd(), view),
                Some(bounce) => {
                    let count = view.copy_to(bounce);
                    nix::unistd::write(&self.file, bounce.get(..count).unwrap_or_default())
                }
            };
            match written {
                // A file that takes nothing and says no error would loop for ever.
                Ok(0) => return Err(Failure::Errno(Errno::ENOSPC)),
                Ok(bytes) => view = view.skip(bytes).ok_or(Failure::Errno(Errno::EINVAL))?,
                Err(Errno::EINTR) => run.tick().map_err(Failure::Run)?,
                Err(Errno::EAGAIN) => {
                    let polled = [PollFd::new(self.file.as_fd(), PollFlags::POLLOUT)];
                    run.wait(&polled, None, OnStop::Finish)
                        .map_err(Failure::Run)?;
                }
                Err(Errno::EFAULT) if self.bounce.is_none() => {
                    log::debug!(
                        "{} does not take a DMABUF's mapping: writing by way of ordinary memory",
                        self.name
                    );
                    self.bounce = Some(vec![0; BOUNCE_BYTES]);
                }
                Err(errno) => return Err(Failure::Errno(errno)),
            }
        }
        Ok(())
    }

    /// Cuts a file back to its whole frames, and tells what there is.
    fn give_up(&mut self, failure: Failure) -> Error {
        let cut = if self.ours {
            self.file.set_len(self.bytes)
        } else {
            Ok(())
        };
        if let Err(error) = cut {
            log::warn!(
                "{}: cannot cut off the incomplete frame: {error}",
                self.name
            );
        }
        let errno = match failure {
            Failure::Run(error) => return error,
            Failure::Errno(errno) => errno,
        };
        let next = match errno {
            Errno::ENOSPC | Errno::EDQUOT => "make room, or choose another place (-o)",
            Errno::EPIPE => "the program that reads it has ended",
            Errno::EFBIG => "raise the limit on file sizes (ulimit -f)",
            _ => "choose another place (-o)",
        };
        Error::new(
            ErrorKind::Output,
            format!("write frame {} to {}", self.frames + 1, self.name),
        )
        .object(&self.name)
        .errno(errno)
        .cause(format!(
            "it holds {} whole frames, {} bytes",
            self.frames, self.bytes
        ))
        .next(next)
    }
}

/// Why a write ended.
enum Failure {
    /// The file refused.
    Errno(Errno),
    /// The run was aborted.
    Run(Error),
}

/// A pipe's own non-blocking description, so that a reader that pauses doesn't
/// make us deaf, and other users of the same description are left alone.
fn non_blocking(pipe: &File) -> Option<File> {
    OpenOptions::new()
        .write(true)
        .custom_flags(O_NONBLOCK)
        .open(format!("/proc/self/fd/{}", pipe.as_raw_fd()))
        .ok()
}
