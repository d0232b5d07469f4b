//! A consumer's end in Python: where frames are taken.

use std::os::fd::{AsRawFd, RawFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::frame::Frame;
use crate::base::TICK;
use crate::python::exit::without_lock;
use crate::python::report::deliveries;
use crate::sink::consumer::{self, Next};

/// How long to wait, where there is no timeout, for a frame that can't come since the one who
/// waits holds all buffers.
const ALL_HELD: Duration = Duration::from_secs(5);

/// Takes a stream's frames.
#[pyclass(frozen, module = "v4l_dmabuf._core")]
pub struct Consumer(consumer::Consumer);

impl From<consumer::Consumer> for Consumer {
    fn from(consumer: consumer::Consumer) -> Self {
        Consumer(consumer)
    }
}

impl Consumer {
    /// The next frame; None once there are no more.
    fn next(&self, py: Python<'_>, timeout: Option<Duration>) -> PyResult<Option<Frame>> {
        let begun = Instant::now();
        loop {
            match self.0.take() {
                Next::Frame(delivered) => return Ok(Some(Frame::new(*delivered))),
                Next::Ended => return Ok(None),
                Next::Nothing => {}
            }
            let waited = begun.elapsed();
            let is_over = timeout.is_some_and(|timeout| waited >= timeout);
            if (is_over || waited >= ALL_HELD) && self.0.holds_all() {
                return Err(self.all_held(py));
            }
            if is_over {
                return Err(no_frame(py, waited));
            }
            // A signal may have come to another thread, and wakes none: it is looked for.
            let left = timeout.map_or(TICK, |timeout| timeout.saturating_sub(waited).min(TICK));
            without_lock(py, || {
                let mut polled = [PollFd::new(self.0.bell(), PollFlags::POLLIN)];
                // EINTR: a signal, which is looked for now.
                let _ = ppoll(&mut polled, Some(TimeSpec::from(left)), None);
            });
            py.check_signals()?;
        }
    }

    fn all_held(&self, py: Python<'_>) -> PyErr {
        raised(py, "FramesHeldError", &self.told_of_held(), None)
    }
}

fn no_frame(py: Python<'_>, waited: Duration) -> PyErr {
    let told = format!("take a frame: none came for {:.3} s", waited.as_secs_f64());
    raised(py, "NoFrameError", &told, Some(Errno::ETIMEDOUT))
}

/// An exception of `v4l_dmabuf.errors`.
fn raised(py: Python<'_>, class: &str, told: &str, errno: Option<Errno>) -> PyErr {
    let make = || {
        let fields = PyDict::new(py);
        if let Some(errno) = errno {
            fields.set_item("errno", errno as i32)?;
            fields.set_item("strerror", errno.desc())?;
        }
        let class = py.import("v4l_dmabuf.errors")?.getattr(class)?;
        Ok(PyErr::from_value(class.call((told,), Some(&fields))?))
    };
    make().unwrap_or_else(|failure: PyErr| failure)
}

#[pymethods]
impl Consumer {
    /// The next frame, for which it waits `timeout` seconds at most; None once there are no more.
    fn get(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Option<Frame>> {
        let timeout = timeout.map(|it| Duration::try_from_secs_f64(it.max(0.0)));
        // Longer than anything lasts.
        self.next(py, timeout.and_then(Result::ok))
    }

    /// The next frame, if there is one now.
    fn take(&self) -> Option<Frame> {
        match self.0.take() {
            Next::Frame(delivered) => Some(Frame::new(*delivered)),
            Next::Nothing | Next::Ended => None,
        }
    }

    /// Whether there are no more frames.
    #[getter]
    fn has_ended(&self) -> bool {
        self.0.has_ended()
    }

    /// What is readable when there is a frame, or the end.
    fn fileno(&self) -> RawFd {
        self.0.show_bell().as_raw_fd()
    }

    /// The sequence numbers of the frames that are held.
    #[getter]
    fn held(&self) -> Vec<u64> {
        self.0.held()
    }

    /// Whether no frame can come before one that is held goes.
    #[getter]
    fn holds_all(&self) -> bool {
        self.0.holds_all()
    }

    /// What a `FramesHeldError` says.
    fn told_of_held(&self) -> String {
        format!(
            "take a frame: all buffers that may be held are, by frames {:?}; release them, copy \
             them, or have more buffers",
            self.0.held()
        )
    }

    /// Where the frames went.
    fn counts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        deliveries(py, &self.0.counts())
    }

    /// Takes no more. Not `close`: `yield from` calls that of an iterator that is left.
    fn leave(&self) {
        self.0.close();
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Frame>> {
        self.next(py, None)
    }
}
