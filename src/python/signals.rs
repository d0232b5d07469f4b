//! Signals whose handlers are Python's to run, told by a descriptor.
//!
//! A system call that a signal interrupts says so, but not one that is entered just
//! after the signal. Python's wakeup descriptor tells in either case, so that no wait
//! has to look again and again. Where it is someone else's, an event loop's for one, ours
//! takes its place for the run, and passes on what it is told.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{IntoPyDict, PyBytes};

/// No descriptor, as `signal.set_wakeup_fd` has it.
const NONE: RawFd = -1;

/// How a run learns of signals: where Python's handler of one writes a byte. None: not at all,
/// since handlers run in the main thread, and this is another.
pub struct Signals(Option<Pipe>);

struct Pipe {
    reader: OwnedFd,
    writer: OwnedFd,
    /// Whose place it has, if anyone's.
    other: RawFd,
}

impl Signals {
    /// Begins to watch. `OSError`: there is no descriptor left for a pipe.
    pub fn watch(py: Python<'_>) -> PyResult<Self> {
        let (reader, writer) = nix::unistd::pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)
            .map_err(|errno| PyOSError::new_err((errno as i32, errno.desc())))?;
        match set_wakeup_fd(py, writer.as_raw_fd(), false) {
            Ok(other) => Ok(Signals(Some(Pipe {
                reader,
                writer,
                other,
            }))),
            Err(error) if error.is_instance_of::<PyValueError>(py) => Ok(Signals(None)),
            Err(error) => Err(error),
        }
    }

    /// Runs the handlers of signals that came.
    pub fn handle(&mut self, py: Python<'_>) -> PyResult<()> {
        if let Some(pipe) = &self.0 {
            // Before the handlers run: a signal that comes after this leaves a byte.
            pipe.pass_on(py)?;
        }
        py.check_signals()?;
        self.keep(py)
    }

    /// Takes the place again that Python code may have given to another descriptor.
    pub fn keep(&mut self, py: Python<'_>) -> PyResult<()> {
        if let Some(pipe) = &mut self.0 {
            let own = pipe.writer.as_raw_fd();
            let found = set_wakeup_fd(py, own, false)?;
            if found != own {
                pipe.other = found;
            }
        }
        Ok(())
    }

    /// What is readable once a signal came.
    pub fn bell(&self) -> Option<BorrowedFd<'_>> {
        self.0.as_ref().map(|pipe| pipe.reader.as_fd())
    }
}

impl Drop for Signals {
    /// To be dropped with the interpreter's lock held.
    fn drop(&mut self) {
        if let Some(pipe) = self.0.take() {
            Python::attach(|py| {
                if let Err(error) = pipe.give_back(py) {
                    error.write_unraisable(py, None);
                }
            });
        }
    }
}

impl Pipe {
    /// Takes the bytes that are there, and writes them where they would have gone.
    fn pass_on(&self, py: Python<'_>) -> PyResult<()> {
        let mut bytes = [0; 64];
        loop {
            let count = match nix::unistd::read(&self.reader, &mut bytes) {
                Ok(0) => return Ok(()),
                Ok(count) => count,
                Err(Errno::EINTR) => continue,
                Err(_) => return Ok(()),
            };
            if self.other != NONE {
                let told = PyBytes::new(py, bytes.get(..count).unwrap_or_default());
                let passed = py.import("os")?.call_method1("write", (self.other, told));
                match passed {
                    // It is full, and so will wake whom it is to wake; or it is closed.
                    Err(error) if error.is_instance_of::<PyOSError>(py) => {}
                    passed => drop(passed?),
                }
            }
        }
    }

    fn give_back(&self, py: Python<'_>) -> PyResult<()> {
        let found = match set_wakeup_fd(py, self.other, true) {
            // Closed meanwhile.
            Err(_) if self.other != NONE => set_wakeup_fd(py, NONE, true)?,
            found => found?,
        };
        if found != self.writer.as_raw_fd() {
            // A handler that ran meanwhile set its own.
            set_wakeup_fd(py, found, true)?;
        }
        self.pass_on(py)
    }
}

fn set_wakeup_fd(py: Python<'_>, fd: RawFd, warn: bool) -> PyResult<RawFd> {
    let options = [("warn_on_full_buffer", warn)].into_py_dict(py)?;
    py.import("signal")?
        .call_method("set_wakeup_fd", (fd,), Some(&options))?
        .extract()
}
