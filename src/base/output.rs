//! A file or a pipe that a run writes: opened without being deaf, and written on a thread
//! that may be told to leave off.
//!
//! A FIFO waits for its reader while the run goes on. What is no FIFO and can't be opened
//! is an error at once.

use std::fs::{File, OpenOptions};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::libc::{O_NONBLOCK, O_TRUNC};
use nix::poll::{PollFd, PollFlags, PollTimeout};

use crate::base::{Blocking, Error, ErrorKind, Reins, Result, Run};

/// How often to look whether a FIFO has a reader by now, in milliseconds.
const READER_PAUSE: u16 = 50;

/// The most bytes to write at a time: a call on a file can't be told to leave off.
pub const PIECE: usize = 1 << 20;

/// What is there when a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contents {
    /// Stays, until `empty`.
    Kept,
    /// Goes.
    Emptied,
}

/// A file or a pipe, open for writing.
#[derive(Debug)]
pub struct Output {
    /// Standard output is a stream, whatever it is: others write to it as well.
    opened: Opened,
    /// Where it is; None for standard output.
    path: Option<PathBuf>,
    name: String,
    /// What it is, in words: its name, or what goes before that.
    title: String,
    /// The option that names it.
    option: &'static str,
}

/// What is open for writing.
#[derive(Debug)]
pub enum Opened {
    /// A file, which may be emptied and cut back.
    File(File),
    /// A pipe with a reader, a terminal or the like, not blocking.
    Stream(File),
    /// A FIFO that nobody reads yet.
    Unread,
}

impl Output {
    /// Opens a file, or a FIFO. `what` goes before its name in words, and
    /// `option` is what names it.
    pub fn open(
        path: &Path,
        contents: Contents,
        (what, option): (&str, &'static str),
        run: &mut Run<'_>,
    ) -> Result<Self> {
        let name = path.display().to_string();
        let title = format!("{what}{name}");
        let wanted = path.to_owned();
        let opening = Blocking::start(format!("open(2) of {name}"), move || {
            open_now(&wanted, contents)
        })?;
        let opened = run.result_of(opening)?.map_err(|error| {
            Error::new(ErrorKind::Output, format!("open {title}"))
                .object(&name)
                .io(&error)
                .next(format!(
                    "choose a path in a folder that exists and is yours to write ({option})"
                ))
        })?;
        if matches!(opened, Opened::Unread) {
            log::info!("{name} is a FIFO that nobody reads yet: waiting for a reader meanwhile");
        }
        Ok(Output {
            opened,
            path: Some(path.to_owned()),
            name,
            title,
            option,
        })
    }

    /// Standard output.
    pub fn stdout(option: &'static str) -> Result<Self> {
        let name = "standard output".to_owned();
        let file = std::io::stdout()
            .as_fd()
            .try_clone_to_owned()
            .map(File::from)
            .map_err(|error| Error::about(ErrorKind::Output, "open", &name).io(&error))?;
        let is_pipe = file.metadata().is_ok_and(|it| it.file_type().is_fifo());
        let own = is_pipe.then(|| non_blocking(&file)).flatten();
        let file = own.unwrap_or(file);
        Ok(Output {
            opened: Opened::Stream(file),
            path: None,
            title: name.clone(),
            name,
            option,
        })
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The call that it may hang in.
    pub fn call(&self) -> String {
        match self.opened {
            Opened::Unread => format!("open(2) of {}", self.name),
            _ => format!("write(2) to {}", self.name),
        }
    }

    /// Empties a file of ours.
    pub fn empty(self, run: &mut Run<'_>) -> Result<Self> {
        let Opened::File(file) = &self.opened else {
            return Ok(self);
        };
        let failed =
            |error: &std::io::Error| Error::about(ErrorKind::Output, "empty", &self.name).io(error);
        let file = file.try_clone().map_err(|error| failed(&error))?;
        let emptying = Blocking::start(format!("ftruncate(2) of {}", self.name), move || {
            file.set_len(0)
        })?;
        run.result_of(emptying)?.map_err(|error| failed(&error))?;
        Ok(self)
    }

    /// Whether it is a file of ours, and not standard output or a pipe.
    pub fn is_file(&self) -> bool {
        matches!(self.opened, Opened::File(_))
    }

    /// Has a file of ours go by its name and `.1`, in place of what did, and begins another.
    pub fn set_aside(&mut self) -> Result<()> {
        let (Some(path), Opened::File(_)) = (&self.path, &self.opened) else {
            return Ok(());
        };
        let mut aside = path.clone().into_os_string();
        aside.push(".1");
        let made = std::fs::rename(path, aside).and_then(|()| open_now(path, Contents::Emptied));
        self.opened = made.map_err(|error| {
            let errno = error.raw_os_error().map_or(Errno::EIO, Errno::from_raw);
            self.error("set aside", errno)
        })?;
        Ok(())
    }

    /// Waits for a FIFO's reader, unless the work is to leave off.
    pub fn wait_for_reader(&mut self, reins: &Reins) -> Result<()> {
        while let (Opened::Unread, Some(path)) = (&self.opened, &self.path) {
            self.opened = open_now(path, Contents::Kept)
                .map_err(|error| Error::about(ErrorKind::Output, "open", &self.name).io(&error))?;
            if matches!(self.opened, Opened::Unread) {
                let waited = reins.wait(&[], PollTimeout::from(READER_PAUSE));
                waited.map_err(|errno| self.error("wait for a reader of", errno))?;
                if reins.is_aborted() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Writes `length` bytes by `write`, which is told what to skip and says how many went.
    /// With what ended it comes how many bytes did; ECANCELED: the run gave the work up.
    pub fn write(
        &mut self,
        length: usize,
        reins: &Reins,
        mut write: impl FnMut(BorrowedFd<'_>, usize) -> nix::Result<usize>,
    ) -> std::result::Result<(), (Errno, usize)> {
        let (Opened::File(file) | Opened::Stream(file)) = &self.opened else {
            return Err((Errno::ECANCELED, 0));
        };
        let mut written = 0;
        while written < length {
            let failure = |errno| (errno, written);
            if reins.is_aborted() {
                return Err(failure(Errno::ECANCELED));
            }
            match write(file.as_fd(), written) {
                // A file that takes nothing and says no error would loop for ever.
                Ok(0) => return Err(failure(Errno::ENOSPC)),
                Ok(bytes) => {
                    written += bytes;
                    reins.step();
                }
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => {
                    let room = [PollFd::new(file.as_fd(), PollFlags::POLLOUT)];
                    reins.wait(&room, PollTimeout::NONE).map_err(failure)?;
                }
                Err(errno) => return Err(failure(errno)),
            }
        }
        Ok(())
    }

    /// Cuts a file of ours back to what is whole in it.
    pub fn cut_back(&self, bytes: u64) {
        let Opened::File(file) = &self.opened else {
            return;
        };
        if let Err(error) = file.set_len(bytes) {
            log::warn!("{}: cannot cut off what is incomplete: {error}", self.name);
        }
    }

    /// Closes it: some file systems tell only then that a write failed.
    pub fn close(mut self) -> Result<()> {
        match std::mem::replace(&mut self.opened, Opened::Unread) {
            Opened::File(file) | Opened::Stream(file) => {
                nix::unistd::close(file).map_err(|errno| self.error("close", errno))
            }
            Opened::Unread => Ok(()),
        }
    }

    /// The error that it is when an operation on it fails.
    pub fn error(&self, verb: &str, errno: Errno) -> Error {
        let option = self.option;
        let next = match errno {
            Errno::ENOSPC | Errno::EDQUOT => {
                format!("make room, or choose another place ({option})")
            }
            Errno::EPIPE => "the program that reads it has ended".to_owned(),
            Errno::EFBIG => "raise the limit on file sizes (ulimit -f)".to_owned(),
            _ => format!("choose another place ({option})"),
        };
        Error::new(ErrorKind::Output, format!("{verb} {}", self.title))
            .object(&self.name)
            .errno(errno)
            .next(next)
    }
}

/// Whether there is a FIFO.
pub fn is_fifo(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|it| it.file_type().is_fifo())
}

/// Opens what is there to be written, or makes an empty file, without waiting for a reader.
pub fn open_now(path: &Path, contents: Contents) -> std::io::Result<Opened> {
    let truncate = match contents {
        Contents::Kept => 0,
        Contents::Emptied => O_TRUNC,
    };
    let opened = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .custom_flags(O_NONBLOCK | truncate)
        .open(path);
    match opened {
        Ok(file) if file.metadata()?.is_file() => Ok(Opened::File(file)),
        Ok(file) => Ok(Opened::Stream(file)),
        Err(error) if error.raw_os_error() == Some(Errno::ENXIO as i32) && is_fifo(path) => {
            Ok(Opened::Unread)
        }
        Err(error) => Err(error),
    }
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
