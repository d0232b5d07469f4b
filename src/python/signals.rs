//! Signals whose handlers are Python's to run, told by a descriptor.
//!
//! A system call that a signal interrupts says so, but not one that is entered just
//! after the signal. Python's wakeup descriptor tells in either case, so that no wait
//! has to look again and again.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::IntoPyDict;

use crate::run::TICK;

/// No descriptor, as `signal.set_wakeup_fd` has it.
const NONE: RawFd = -1;

/// How a run learns of signals.
pub enum Signals {
    /// By a byte in a pipe.
    Told(Pipe),
    /// By looking: the wakeup descriptor is someone else's, an event loop's for one.
    LookedFor,
    /// Not at all: handlers run in the main thread, and this is another.
    Elsewhere,
}

/// Where Python's handler of a signal writes a byte, until this is dropped.
pub struct Pipe {
    reader: OwnedFd,
    writer: OwnedFd,
}

impl Signals {
    /// Begins to watch. `OSError`: there is no descriptor left for a pipe.
    pub fn watch(py: Python<'_>) -> PyResult<Self> {
        let (reader, writer) = nix::unistd::pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)
            .map_err(|errno| PyOSError::new_err((errno as i32, errno.desc())))?;
        match set_wakeup_fd(py, writer.as_raw_fd()) {
            Ok(NONE) => Ok(Signals::Told(Pipe { reader, writer })),
            Ok(previous) => {
                set_wakeup_fd(py, previous)?;
                Ok(Signals::LookedFor)
            }
            Err(error) if error.is_instance_of::<PyValueError>(py) => Ok(Signals::Elsewhere),
            Err(error) => Err(error),
        }
    }

    /// Runs the handlers of signals that came.
    pub fn handle(&self, py: Python<'_>) -> PyResult<()> {
        if let Signals::Told(pipe) = self {
            // Before the handlers run: a signal that comes after this leaves a byte.
            pipe.drain();
        }
        py.check_signals()
    }

    /// What is readable once a signal came.
    pub fn bell(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Signals::Told(pipe) => Some(pipe.reader.as_fd()),
            Signals::LookedFor | Signals::Elsewhere => None,
        }
    }

    /// How long a wait may last without looking for signals; None: until the bell.
    pub fn patience(&self) -> Option<Duration> {
        match self {
            Signals::LookedFor => Some(TICK),
            Signals::Told(_) | Signals::Elsewhere => None,
        }
    }
}

impl Pipe {
    fn drain(&self) {
        let mut bytes = [0; 64];
        while let Ok(1..) | Err(Errno::EINTR) = nix::unistd::read(&self.reader, &mut bytes) {}
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        let own = self.writer.as_raw_fd();
        Python::attach(|py| {
            let given_back = set_wakeup_fd(py, NONE).and_then(|found| {
                if found == own {
                    return Ok(found);
                }
                // A handler that ran meanwhile set its own.
                set_wakeup_fd(py, found)
            });
            if let Err(error) = given_back {
                error.write_unraisable(py, None);
            }
        });
    }
}

fn set_wakeup_fd(py: Python<'_>, fd: RawFd) -> PyResult<RawFd> {
    let options = [("warn_on_full_buffer", false)].into_py_dict(py)?;
    py.import("signal")?
        .call_method("set_wakeup_fd", (fd,), Some(&options))?
        .extract()
}
