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

use crate::base::{Blocking, Error, ErrorKind, OnStop, Reins, Result, Run};

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
    /// None: a FIFO that nobody reads yet.
    file: Option<File>,
    /// Where it is; None for standard output.
    path: Option<PathBuf>,
    name: String,
    /// What it is, in words: its name, or what goes before that.
    title: String,
    /// Whether it is a file that we opened: it may be emptied and cut back, as
    /// standard output may not, where others write as well.
    ours: bool,
    /// The option that names it.
    option: &'static str,
}

/// Why a write ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The file refused.
    Errno(Errno),
    /// The run gave the work up.
    Aborted,
}

impl Output {
    /// Opens a file, or a FIFO; None on a stop. `what` goes before its name in words, and
    /// `option` is what names it.
    pub fn open(
        path: &Path,
        contents: Contents,
        (what, option): (&str, &'static str),
        run: &mut Run<'_>,
    ) -> Result<Option<Self>> {
        let name = path.display().to_string();
        let title = format!("{what}{name}");
        let wanted = path.to_owned();
        let opening = Blocking::start(format!("open(2) of {name}"), move || {
            open_now(&wanted, contents)
        })?;
        let Some(opened) = run.wait_for(opening, OnStop::End)? else {
            return Ok(None);
        };
        let (file, ours) = opened.map_err(|error| {
            Error::new(ErrorKind::Output, format!("open {title}"))
                .object(&name)
                .io(&error)
                .next(format!(
                    "choose a path in a folder that exists and is yours to write ({option})"
                ))
        })?;
        if file.is_none() {
            log::info!("{name} is a FIFO that nobody reads yet: waiting for a reader meanwhile");
        }
        Ok(Some(Output {
            file,
            path: Some(path.to_owned()),
            name,
            title,
            ours,
            option,
        }))
    }

    /// Standard output.
    pub fn stdout(option: &'static str) -> Result<Self> {
        let name = "standard output".to_owned();
        let file = std::io::stdout()
            .as_fd()
            .try_clone_to_owned()
            .map(File::from)
            .map_err(|error| {
                Error::new(ErrorKind::Output, format!("open {name}"))
                    .object(&name)
                    .io(&error)
            })?;
        let is_pipe = file.metadata().is_ok_and(|it| it.file_type().is_fifo());
        let file = if is_pipe {
            non_blocking(&file).unwrap_or(file)
        } else {
            file
        };
        Ok(Output {
            file: Some(file),
            path: None,
            title: name.clone(),
            name,
            ours: false,
            option,
        })
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is, in words.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// The call that it may hang in.
    pub fn call(&self) -> String {
        match self.file {
            Some(_) => format!("write(2) to {}", self.name),
            None => format!("open(2) of {}", self.name),
        }
    }

    /// Empties a file of ours; None on a stop.
    pub fn empty(self, run: &mut Run<'_>) -> Result<Option<Self>> {
        let Some(file) = self.file.as_ref().filter(|_| self.ours) else {
            return Ok(Some(self));
        };
        let failed = |error: &std::io::Error| {
            Error::new(ErrorKind::Output, format!("empty {}", self.name))
                .object(&self.name)
                .io(error)
        };
        let file = file.try_clone().map_err(|error| failed(&error))?;
        let emptying = Blocking::start(format!("ftruncate(2) of {}", self.name), move || {
            file.set_len(0)
        })?;
        match run.wait_for(emptying, OnStop::End)? {
            None => Ok(None),
            Some(Ok(())) => Ok(Some(self)),
            Some(Err(error)) => Err(failed(&error)),
        }
    }

    /// Whether it is a file of ours, and not standard output or a pipe.
    pub fn is_file(&self) -> bool {
        self.ours
    }

    /// Has a file of ours go by its name and `.1`, in place of what did, and begins another.
    pub fn set_aside(&mut self) -> Result<()> {
        let Some(path) = self.path.as_ref().filter(|_| self.ours) else {
            return Ok(());
        };
        let mut aside = path.clone().into_os_string();
        aside.push(".1");
        let made = std::fs::rename(path, aside).and_then(|()| open_now(path, Contents::Emptied));
        let (file, _) = made.map_err(|error| {
            let errno = error.raw_os_error().map_or(Errno::EIO, Errno::from_raw);
            self.error("set aside", errno)
        })?;
        self.file = file;
        Ok(())
    }

    /// Waits for a FIFO's reader, unless the work is to leave off.
    pub fn wait_for_reader(&mut self, reins: &Reins) -> Result<()> {
        while let (None, Some(path)) = (&self.file, &self.path) {
            match open_now(path, Contents::Kept) {
                Ok((file, _)) => self.file = file,
                Err(error) => {
                    return Err(Error::new(ErrorKind::Output, format!("open {}", self.name))
                        .object(&self.name)
                        .io(&error));
                }
            }
            if self.file.is_none() {
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
    /// With what ended it comes how many bytes did.
    pub fn write(
        &mut self,
        length: usize,
        reins: &Reins,
        mut write: impl FnMut(BorrowedFd<'_>, usize) -> nix::Result<usize>,
    ) -> std::result::Result<(), (Failure, usize)> {
        let Some(file) = &self.file else {
            return Err((Failure::Aborted, 0));
        };
        let mut written = 0;
        while written < length {
            let failure = |errno| (Failure::Errno(errno), written);
            if reins.is_aborted() {
                return Err((Failure::Aborted, written));
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
        let Some(file) = self.file.as_ref().filter(|_| self.ours) else {
            return;
        };
        if let Err(error) = file.set_len(bytes) {
            log::warn!("{}: cannot cut off what is incomplete: {error}", self.name);
        }
    }

    /// Closes it: some file systems tell only then that a write failed.
    pub fn close(mut self) -> Result<()> {
        match self.file.take().map(nix::unistd::close) {
            None | Some(Ok(())) => Ok(()),
            Some(Err(errno)) => Err(self.error("close", errno)),
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

/// Opens what is there to be written without waiting for a reader, and says whether it is a
/// file. No file: a FIFO that nobody reads.
fn open_now(path: &Path, contents: Contents) -> std::io::Result<(Option<File>, bool)> {
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
        Ok(file) => {
            let is_file = file.metadata()?.file_type().is_file();
            Ok((Some(file), is_file))
        }
        Err(error) if error.raw_os_error() == Some(Errno::ENXIO as i32) => {
            let is_fifo = std::fs::metadata(path).is_ok_and(|it| it.file_type().is_fifo());
            if is_fifo {
                Ok((None, false))
            } else {
                Err(error)
            }
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
