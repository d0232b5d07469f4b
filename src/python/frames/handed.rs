//! A frame's memory as it is handed to others: descriptors, and where the pixels lie in them.

use std::os::fd::RawFd;

use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::frame::Frame;
use crate::frame::array;

/// An array's plane, offset, shape, strides, and its elements' type as NumPy has it.
type Layout = (usize, usize, Vec<usize>, Vec<usize>, &'static str);

fn layout(array: array::Array) -> Layout {
    let kind = match array.item {
        array::Item::U8 => "u1",
        array::Item::U16Little => "<u2",
        array::Item::U16Big => ">u2",
    };
    (array.plane, array.offset, array.shape, array.strides, kind)
}

/// A `DmaBuf` of a frame. `HeapError`: its memory has no descriptor.
pub fn dmabuf<'py>(frame: &Bound<'py, Frame>) -> PyResult<Bound<'py, PyAny>> {
    let py = frame.py();
    let own = frame.get();
    let (stream, lengths) = (own.stream(), own.lengths());
    let planes = 0..lengths.len();
    let fds = planes.clone().map(|plane| own.fileno(py, plane));
    let fds = fds.collect::<PyResult<Vec<RawFd>>>()?;
    let offsets: Vec<usize> = planes.map(|plane| own.payload(plane).offset).collect();
    let layouts =
        |arrays: Vec<array::Array>| -> Vec<Layout> { arrays.into_iter().map(layout).collect() };
    let one = array::array(stream, &lengths).map(|one| vec![one]);
    let all = array::arrays(stream, &lengths);
    let fields = PyDict::new(py);
    fields.set_item("dmabuf", own.is_dmabuf())?;
    fields.set_item("offsets", offsets)?;
    fields.set_item("bytesused", lengths)?;
    fields.set_item("array", layouts(one.unwrap_or_default()))?;
    fields.set_item("arrays", layouts(all.unwrap_or_default()))?;
    let class = py.import("v4l_dmabuf.dmabuf")?.getattr("DmaBuf")?;
    class.call_method1("of", (frame, fds, fields))
}
