//! The newest frame, for those who look at a stream.

use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use super::pixels::copy;
use crate::frame::picture::{Picture, picture};
use crate::python::error::raised;
use crate::python::exit::without_lock;
use crate::sink::latest::{self, Look};

/// The newest frame of a stream, held while somebody looks.
#[pyclass(frozen, module = "v4l_dmabuf._core")]
pub struct Latest(latest::Latest);

impl Latest {
    /// The core's.
    pub fn new(latest: latest::Latest) -> Self {
        Latest(latest)
    }

    fn wait(&self, after: Option<u64>, patience: f64) -> Option<Look> {
        let patience = Duration::try_from_secs_f64(patience).unwrap_or_default();
        self.0.get(after, patience)
    }
}

/// A picture: its frame's number and sequence number, width, height, and RGB.
type Shown<'py> = (u64, u64, u32, u32, Bound<'py, PyBytes>);

#[pymethods]
impl Latest {
    /// Somebody looks from now on, or nobody does.
    fn look(&self, py: Python<'_>, is_looking: bool) {
        without_lock(py, || self.0.look(is_looking));
    }

    /// A picture of the newest frame, `most` pixels wide at most, if its number is another than
    /// `after`; waits so many seconds for it.
    fn picture<'py>(
        &self,
        py: Python<'py>,
        after: Option<u64>,
        patience: f64,
        most: u32,
    ) -> PyResult<Option<Shown<'py>>> {
        let drawn = without_lock(py, || {
            let Some(look) = self.wait(after, patience) else {
                return Ok(None);
            };
            let drawn = picture(&look.lease, &look.common.stream, most)?;
            let sequence = look.lease.frame().sequence;
            Ok(Some((look.passage.counter, sequence, drawn)))
        });
        let drawn = drawn.map_err(|error| raised(py, &error))?;
        Ok(drawn.map(|(counter, sequence, drawn)| {
            let Picture { width, height, rgb } = drawn;
            (counter, sequence, width, height, PyBytes::new(py, &rgb))
        }))
    }

    /// The newest frame's payload, its planes one after the other, and what it is; waits so many
    /// seconds for one.
    fn whole<'py>(
        &self,
        py: Python<'py>,
        patience: f64,
    ) -> PyResult<Option<(Bound<'py, PyDict>, Bound<'py, PyBytes>)>> {
        let copied = without_lock(py, || {
            let Some(look) = self.wait(None, patience) else {
                return Ok(None);
            };
            let bytes = copy(&look.lease)?.concat();
            Ok(Some((look, bytes)))
        });
        let Some((look, bytes)) = copied.map_err(|error| raised(py, &error))? else {
            return Ok(None);
        };
        let (stream, frame) = (&look.common.stream, look.lease.frame());
        let fields = PyDict::new(py);
        fields.set_item("counter", look.passage.counter)?;
        fields.set_item("sequence", frame.sequence)?;
        fields.set_item("timestamp_ns", frame.timestamp.nanoseconds())?;
        fields.set_item("width", stream.width)?;
        fields.set_item("height", stream.height)?;
        fields.set_item("format", stream.pixel_format.to_string())?;
        let strides: Vec<u32> = stream
            .planes
            .iter()
            .map(|it| it.bytesperline.unwrap_or(0))
            .collect();
        fields.set_item("bytesperline", strides)?;
        let lengths: Vec<usize> = frame.payloads.iter().map(|it| it.length).collect();
        fields.set_item("bytesused", lengths)?;
        Ok(Some((fields, PyBytes::new(py, &bytes))))
    }
}
