//! The core's report as Python's `Report`.

use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::capture_clock::CaptureClock;
use crate::report::Report;

/// Makes a `v4l_dmabuf.Report`.
pub fn to_python<'py>(py: Python<'py>, report: &Report) -> PyResult<Bound<'py, PyAny>> {
    let fields = PyDict::new(py);
    fields.set_item("frames", report.frames)?;
    fields.set_item("bytes", report.bytes)?;
    fields.set_item("seconds", report.seconds())?;
    fields.set_item("fps", report.fps())?;
    fields.set_item("drops", report.sequence.drops())?;
    fields.set_item("error_frames", report.error_frames)?;
    fields.set_item("stopped", report.stopped)?;
    if let Some((chosen, why)) = &report.zero_copy.chosen {
        fields.set_item("sender_drops", report.sender_drops)?;
        fields.set_item("zero_copy", chosen)?;
        fields.set_item("zero_copy_reason", why)?;
        fields.set_item("zero_copy_frames", report.zero_copy.frames)?;
        fields.set_item("fallback_frames", report.zero_copy.fell_back)?;
        fields.set_item("waits_for_network", report.zero_copy.waits_for_network)?;
        fields.set_item(
            "waits_for_completion",
            report.zero_copy.waits_for_completion,
        )?;
    }
    if let Some(stream) = &report.stream {
        fields.set_item("width", stream.width)?;
        fields.set_item("height", stream.height)?;
        fields.set_item("format", stream.pixel_format.to_string())?;
        fields.set_item("sizeimage", stream.sizeimage)?;
        fields.set_item("buffers", stream.buffers)?;
        fields.set_item("memory", stream.memory.name())?;
        fields.set_item("heap", stream.heap.as_deref())?;
    }
    let module = py.import("v4l_dmabuf.report")?;
    let stages = PyDict::new(py);
    for (stage, times) in report.stages.times() {
        let percentiles = PyDict::new(py);
        for (name, time) in &times.percentiles {
            percentiles.set_item(name, time.as_secs_f64())?;
        }
        let fields = PyDict::new(py);
        fields.set_item("count", times.count)?;
        fields.set_item("least", times.least.as_secs_f64())?;
        fields.set_item("mean", times.mean.as_secs_f64())?;
        fields.set_item("most", times.most.as_secs_f64())?;
        fields.set_item("percentiles", percentiles)?;
        let times = module.getattr("Times")?.call((), Some(&fields))?;
        stages.set_item(stage.name(), times)?;
    }
    fields.set_item("stages", stages)?;
    if let Some(clock) = report.stages.clock() {
        fields.set_item("clock", clock.name())?;
        if let CaptureClock::Unknown(why) = clock {
            fields.set_item("clock_reason", why)?;
        }
    }
    module.getattr("Report")?.call((), Some(&fields))
}
