//! Where a program gives frames to a sender.

use std::sync::Mutex;
use std::time::Duration;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use super::frame::Frame;
use super::slot::Slot;
use super::told::{Told, Used};
use crate::base::{Monotonic, TICK, lock};
use crate::frame::{self, Payload, Timestamp, field, flags};
use crate::python::error::raised;
use crate::python::exit::without_lock;
use crate::source::feed::{self, Given, Room};

/// Where a program gives frames to a sender.
#[pyclass(frozen, module = "v4l_dmabuf._core")]
pub struct Feed {
    feed: feed::Feed,
    /// The number of the next frame that has none.
    next: Mutex<u64>,
}

impl Feed {
    /// The core's.
    pub fn core(&self) -> feed::Feed {
        self.feed.clone()
    }

    /// A frame that was made here.
    fn made(&self, told: &Told, used: &[usize]) -> frame::Frame {
        let taken = Monotonic::now();
        let mut next = lock(&self.next);
        let sequence = told.sequence.unwrap_or(*next);
        *next = sequence.saturating_add(1);
        frame::Frame {
            sequence,
            flags: flags::BUF_FLAG_TIMESTAMP_MONOTONIC,
            field: field::UNKNOWN,
            timestamp: Timestamp::of_nanoseconds(told.timestamp.unwrap_or(taken.nanoseconds())),
            payloads: used
                .iter()
                .map(|length| Payload {
                    offset: 0,
                    length: *length,
                })
                .collect(),
            taken,
        }
    }
}

#[pymethods]
impl Feed {
    #[new]
    fn new(py: Python<'_>) -> PyResult<Self> {
        let feed = feed::Feed::new().map_err(|error| raised(py, &error))?;
        Ok(Feed {
            feed,
            next: Mutex::new(0),
        })
    }

    /// A free buffer, for which it waits `timeout` seconds at most: then False. None once the
    /// run is over.
    fn acquire(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Py<PyAny>> {
        let begun = std::time::Instant::now();
        let timeout = timeout.and_then(|it| Duration::try_from_secs_f64(it).ok());
        loop {
            match self.feed.take() {
                Room::Buffer(free, stream) => {
                    let slot = Slot::new(self.feed.clone(), free, stream);
                    return Ok(Py::new(py, slot)?.into_any());
                }
                Room::Over => return Ok(py.None()),
                Room::Nothing => {}
            }
            let left = timeout.map_or(TICK, |it| it.saturating_sub(begun.elapsed()).min(TICK));
            if left.is_zero() {
                return Ok(false.into_pyobject(py)?.to_owned().into_any().unbind());
            }
            without_lock(py, || self.feed.wait(left));
            py.check_signals()?;
        }
    }

    /// Gives a slot or a frame to be sent. False once the run is over.
    #[pyo3(signature = (what, timestamp_ns=None, sequence=None, bytesused=None))]
    fn submit(
        &self,
        py: Python<'_>,
        what: &Bound<'_, PyAny>,
        timestamp_ns: Option<u64>,
        sequence: Option<u64>,
        bytesused: Option<Used>,
    ) -> PyResult<bool> {
        let given = if let Ok(slot) = what.cast::<Slot>() {
            let slot = slot.get();
            let told = Told {
                timestamp: timestamp_ns,
                sequence,
                bytesused: bytesused
                    .map(|used| used.within(&slot.sizes()))
                    .transpose()?,
            };
            let used = slot.used(&told)?;
            let (free, own) = slot.take()?;
            let frame = self.made(&told.or(own), &used);
            match self.feed.lend(free, frame) {
                Some(lease) => self.feed.give(lease, slot.stream()),
                None => Ok(Given::Over),
            }
        } else if let Ok(frame) = what.cast::<Frame>() {
            let frame = frame.get();
            let Some(lease) = frame.lease()? else {
                return Err(PyTypeError::new_err(
                    "a copied frame has no buffer to be sent from: copy it into a slot",
                ));
            };
            let mut about = lease.frame().clone();
            if let Some(used) = bytesused {
                let used = used.within(&frame.lengths())?;
                for (payload, used) in about.payloads.iter_mut().zip(used) {
                    payload.length = used;
                }
            }
            if let Some(timestamp) = timestamp_ns {
                about.timestamp = Timestamp::of_nanoseconds(timestamp);
            }
            about.sequence = sequence.unwrap_or(about.sequence);
            let lease = lease.told_otherwise(about);
            self.feed.give(lease, frame.stream())
        } else {
            let kind = what.get_type().name()?;
            return Err(PyTypeError::new_err(format!(
                "give a Slot or a Frame, not a {kind}"
            )));
        };
        given
            .map(|given| given == Given::Taken)
            .map_err(|error| raised(py, &error))
    }

    /// No more will be given.
    fn finish(&self) {
        self.feed.finish();
    }

    /// The run is over, or never began.
    fn end(&self) {
        self.feed.end();
    }
}
