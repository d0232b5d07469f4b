//! The file that a result is written to. A FIFO waits for its reader; a file is replaced
//! when the new contents are whole.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};
use nix::unistd::{AccessFlags, access};

use crate::base::output::{Opened, is_fifo, open_now};
use crate::base::{Blocking, Contents, Error, ErrorKind, OnStop, Result, Run, TICK, Woken};

/// How often to look whether a FIFO has a reader by now.
const READER_PAUSE: Duration = Duration::from_millis(50);
/// How long after a stop a slow reader may take nothing. One that has taken nothing at all has
/// no more than `TICK`.
const STALLED: Duration = Duration::from_secs(1);

/// Sees to it that the file can be written, without a change to what it holds. Waits for no
/// reader.
pub fn check(path: &Path, run: &mut Run<'_>) -> Result<()> {
    let (name, own) = (path.display().to_string(), path.to_owned());
    let checking = Blocking::start(format!("open(2) of {name}"), move || {
        if is_fifo(&own) {
            // Its reader would take an open and a close for the end of the report.
            return Ok(access(&own, AccessFlags::W_OK)?);
        }
        open_now(&own, Contents::Kept).map(drop)
    })?;
    match run.wait_for(checking, OnStop::End)? {
        None => Ok(()),
        Some(checked) => checked.map_err(|error| failed(path, &error)),
    }
}

/// Writes `text` there. Once a stop was requested, or with `is_last`, it waits for nobody who
/// does not read, and for a reader that is slow as long as that one goes on.
pub fn write(path: &Path, text: String, is_last: bool, run: &mut Run<'_>) -> Result<()> {
    let name = path.display().to_string();
    loop {
        let own = path.to_owned();
        let opening = Blocking::start(format!("open(2) of {name}"), move || {
            open_now(&own, Contents::Kept)
        })?;
        let Some(opened) = run.wait_for(opening, OnStop::Finish)? else {
            return Err(unread(path));
        };
        match opened.map_err(|error| failed(path, &error))? {
            Opened::File(_) => {
                let own = path.to_owned();
                let writing =
                    Blocking::start(format!("write(2) to {name}"), move || replace(&own, &text))?;
                return match run.wait_for(writing, OnStop::Finish)? {
                    Some(Err(error)) => Err(failed(path, &error)),
                    Some(Ok(())) | None => Ok(()),
                };
            }
            Opened::Stream(file) => {
                return write_stream(path, &file, text.as_bytes(), is_last, run);
            }
            Opened::Unread => {
                let until = Some(Instant::now() + READER_PAUSE);
                if is_last || run.wait(&[], until, OnStop::End)? == Woken::Stopped {
                    return Err(unread(path));
                }
            }
        }
    }
}

fn write_stream(
    path: &Path,
    file: &File,
    mut text: &[u8],
    is_last: bool,
    run: &mut Run<'_>,
) -> Result<()> {
    let mut reader = Reader::new();
    while !text.is_empty() {
        match nix::unistd::write(file, text) {
            Ok(count) => {
                text = text.get(count..).unwrap_or_default();
                reader.written += count;
                run.tick()?;
            }
            Err(Errno::EINTR) => run.tick()?,
            Err(Errno::EAGAIN) => {
                reader.is_behind(pipe::unread(file));
                let room = [PollFd::new(file.as_fd(), PollFlags::POLLOUT)];
                if !is_last && !run.is_stopped() {
                    run.wait(&room, None, OnStop::End)?;
                    reader.since = Instant::now();
                } else if reader.is_gone() {
                    return Err(unread(path));
                } else {
                    // A reader may take single bytes, which make no room.
                    run.wait(&room, Some(Instant::now() + TICK / 5), OnStop::Finish)?;
                }
            }
            Err(errno) => return Err(failed(path, &std::io::Error::from(errno))),
        }
    }
    Ok(())
}

/// Whoever reads what is written. What lies in a pipe proves none.
struct Reader {
    written: usize,
    taken: usize,
    /// Since when it has taken nothing.
    since: Instant,
}

impl Reader {
    fn new() -> Self {
        Reader {
            written: 0,
            taken: 0,
            since: Instant::now(),
        }
    }

    /// Notes how much lies unread.
    fn is_behind(&mut self, unread: usize) {
        let taken = self.written.saturating_sub(unread);
        if taken > self.taken {
            self.taken = taken;
            self.since = Instant::now();
        }
    }

    fn is_gone(&self) -> bool {
        self.since.elapsed() >= if self.taken > 0 { STALLED } else { TICK }
    }
}

mod pipe {
    #![allow(unsafe_code)]

    use std::fs::File;
    use std::os::fd::AsRawFd;

    nix::ioctl_read_bad!(fionread, nix::libc::FIONREAD, std::ffi::c_int);

    /// Bytes that a pipe holds; 0 of what is none.
    pub fn unread(pipe: &File) -> usize {
        let mut bytes = 0;
        // SAFETY: the ioctl writes one int, which `bytes` is.
        let told = unsafe { fionread(pipe.as_raw_fd(), &raw mut bytes) };
        told.map_or(0, |_| usize::try_from(bytes).unwrap_or(0))
    }
}

/// Replaces a file by one that is whole; where its folder lets no other be made, writes into it.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    // A link stays, and what it leads to is replaced.
    let path = std::fs::canonicalize(path)?;
    let Ok((new, mut file)) = make_beside(&path) else {
        let mut file = OpenOptions::new().write(true).open(&path)?;
        file.write_all(text.as_bytes())?;
        return file.set_len(text.len() as u64);
    };
    let replaced = file
        .write_all(text.as_bytes())
        .and_then(|()| std::fs::rename(&new, &path));
    if replaced.is_err() {
        // The reason is why it could not be written.
        let _ = std::fs::remove_file(&new);
    }
    replaced
}

/// Makes a file beside another, for the same to read and write.
fn make_beside(path: &Path) -> std::io::Result<(PathBuf, File)> {
    let permissions = std::fs::metadata(path)?.permissions();
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}", std::process::id()));
    let new = path.with_file_name(name);
    let file = OpenOptions::new().write(true).create_new(true).open(&new)?;
    file.set_permissions(permissions)?;
    Ok((new, file))
}

fn failed(path: &Path, error: &std::io::Error) -> Error {
    let name = path.display().to_string();
    let next = match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EPIPE) => "the program that reads it has ended",
        Some(Errno::ENOSPC | Errno::EDQUOT) => "make room, or give --report another file",
        _ => "give --report a file that can be written",
    };
    Error::about(ErrorKind::Output, "write the report", &name)
        .io(error)
        .next(next)
}

fn unread(path: &Path) -> Error {
    let name = path.display().to_string();
    Error::about(ErrorKind::Output, "write the report", &name)
        .cause("a stop came, and nobody reads it")
        .next("start its reader first, or give --report a file")
}

#[cfg(test)]
mod tests;
