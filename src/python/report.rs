//! The core's report as Python's `Report`, and the rest of it as plain data.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::frame::{CaptureClock, field};
use crate::link::network::Network;
use crate::measure::{Bursts, Deliveries, FrameRecord, Interval, Measured};
use crate::report::account::Account;

/// Makes a `v4l_dmabuf.Report`.
pub fn to_python<'py>(py: Python<'py>, report: &Measured) -> PyResult<Bound<'py, PyAny>> {
    let fields = PyDict::new(py);
    fields.set_item("frames", report.frames)?;
    fields.set_item("bytes", report.bytes)?;
    fields.set_item("seconds", report.seconds())?;
    fields.set_item("fps", report.fps())?;
    fields.set_item("drops", report.sequence.drops())?;
    fields.set_item("bursts", report.sequence.bursts().map(lengths))?;
    fields.set_item("missing_bursts", report.passed.bursts().map(lengths))?;
    fields.set_item("error_frames", report.error_frames)?;
    fields.set_item("incomplete_frames", report.incomplete_frames)?;
    fields.set_item("stopped", report.stopped)?;
    fields.set_item("due", report.is_due)?;
    fields.set_item("records_given_up", report.records_given_up)?;
    let is_sender = report.zero_copy.chosen.is_some();
    if let Some((chosen, why)) = &report.zero_copy.chosen {
        fields.set_item("sender_bursts", lengths(&report.sender_drops))?;
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
    let field = report.described().and_then(|it| it.field);
    fields.set_item("field", field.map(field::name))?;
    if let Some(stream) = &report.stream {
        fields.set_item("width", stream.width)?;
        fields.set_item("height", stream.height)?;
        fields.set_item("format", stream.pixel_format.to_string())?;
        fields.set_item("sizeimage", stream.frame_bytes())?;
        fields.set_item("planes", stream.planes.len())?;
        fields.set_item("buffers", stream.buffers)?;
        fields.set_item("memory", stream.memory.as_ref())?;
        fields.set_item("heap", stream.heap.as_deref())?;
        fields.set_item("read_bytes_per_second", stream.read_rate)?;
    }
    fields.set_item("protocol", report.version.map(|it| it.number()))?;
    let account = if report.is_capture {
        Account::of_capture(report)
    } else if is_sender {
        Account::of_sender(report)
    } else {
        Account::of_receiver(report)
    };
    fields.set_item("captured", account.captured)?;
    fields.set_item("sent", account.sent)?;
    fields.set_item("driver_drops", account.driver_drops)?;
    fields.set_item("sender_drops", account.sender_drops)?;
    fields.set_item("left_over", account.left_over)?;
    fields.set_item("received", account.received)?;
    fields.set_item("lost", account.lost)?;
    fields.set_item("receiver_drops", account.receiver_drops)?;
    fields.set_item("spoiled", account.spoiled)?;
    fields.set_item("unwritten", account.unwritten)?;
    if let Some(device) = &report.on_device {
        fields.set_item("device_memory", device.memory.as_ref())?;
        fields.set_item("device_memory_reason", device.reason.as_deref())?;
        fields.set_item("device_shown", device.shown)?;
        fields.set_item("device_drops", device.drops)?;
        fields.set_item("device_errors", device.failed)?;
        fields.set_item("device_left", device.left)?;
        fields.set_item("device_cpu_seconds", device.cpu.as_secs_f64())?;
    }
    if let Some(socket) = &report.on_socket {
        fields.set_item("unixfd_clients", socket.clients)?;
        fields.set_item("unixfd_given", socket.given)?;
        fields.set_item("unixfd_drops", socket.drops)?;
        fields.set_item("unixfd_unclaimed", socket.unclaimed)?;
    }
    if let Some(verified) = &report.verified {
        fields.set_item("verified_frames", verified.frames)?;
        fields.set_item("zero_frames", verified.zero)?;
        fields.set_item("repeated_frames", verified.repeated)?;
        fields.set_item("verify_cpu_seconds", verified.cpu.as_secs_f64())?;
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
        stages.set_item(stage.as_ref(), times)?;
    }
    fields.set_item("stages", stages)?;
    if let Some(clock) = report.stages.clock() {
        fields.set_item("clock", clock.as_ref())?;
        if let CaptureClock::Unknown(why) = clock {
            fields.set_item("clock_reason", why)?;
        }
    }
    if let Some(why) = report.one_way.unknown() {
        fields.set_item("offset_reason", why)?;
    }
    if let Some(offset) = report.one_way.offset() {
        fields.set_item("offset", offset.nanoseconds() as f64 / 1e9)?;
        fields.set_item("offset_bound", offset.bound as f64 / 1e9)?;
        fields.set_item("offset_drift", offset.drift)?;
        fields.set_item("round_trip", offset.least_round_trip as f64 / 1e9)?;
        fields.set_item("clock_readings", offset.readings)?;
    }
    module.getattr("Report")?.call((), Some(&fields))
}

fn lengths(bursts: &Bursts) -> std::collections::BTreeMap<u64, u64> {
    bursts.lengths().collect()
}

/// What a result has beside the report: histograms, series, samples, the sender's
/// description.
pub fn details<'py>(py: Python<'py>, report: &Measured) -> PyResult<Bound<'py, PyDict>> {
    let details = PyDict::new(py);
    let histograms = PyDict::new(py);
    for (stage, values) in report.stages.values() {
        let values: Vec<(f64, u64)> = values
            .into_iter()
            .map(|(nanoseconds, count)| (nanoseconds as f64 / 1e9, count))
            .collect();
        histograms.set_item(stage.as_ref(), values)?;
    }
    details.set_item("histograms", histograms)?;
    let series = PyDict::new(py);
    series.set_item("seconds", report.series.length().as_secs_f64())?;
    type Of = fn(&Interval) -> u64;
    let columns: [(&str, Of); 5] = [
        ("frames", |it| it.frames),
        ("bytes", |it| it.bytes),
        ("drops", |it| it.drops),
        ("sender_drops", |it| it.sender_drops),
        ("error_frames", |it| it.errors),
    ];
    for (name, of) in columns {
        let values: Vec<u64> = report.series.intervals().iter().map(of).collect();
        series.set_item(name, values)?;
    }
    details.set_item("series", series)?;
    details.set_item("samples", samples(py, report)?)?;
    let network = report.network.as_ref().map(|it| network(py, it));
    details.set_item("network", network.transpose()?)?;
    let consumers = report.consumers.iter().map(|it| deliveries(py, it));
    details.set_item("consumers", consumers.collect::<PyResult<Vec<_>>>()?)?;
    let described = report.described();
    let text = described.and_then(|it| serde_json::to_string(it).ok());
    details.set_item("described", text)?;
    Ok(details)
}

/// Where a consumer's frames went.
pub fn deliveries<'py>(py: Python<'py>, told: &Deliveries) -> PyResult<Bound<'py, PyDict>> {
    let fields = PyDict::new(py);
    fields.set_item("received", told.received)?;
    fields.set_item("delivered", told.delivered)?;
    fields.set_item("consumer_drops", told.drops)?;
    fields.set_item("undelivered", told.undelivered)?;
    fields.set_item("held", told.held)?;
    Ok(fields)
}

/// The connection's addresses, and what TCP_INFO told.
fn network<'py>(py: Python<'py>, network: &Network) -> PyResult<Bound<'py, PyDict>> {
    let told = PyDict::new(py);
    told.set_item("local", network.local.to_string())?;
    told.set_item("peer", network.peer.to_string())?;
    let tcp: std::collections::BTreeMap<&str, u64> = network.tcp.iter().copied().collect();
    told.set_item("tcp", tcp)?;
    Ok(told)
}

/// Single frames' times in seconds, column by column; None for what is unknown.
fn samples<'py>(py: Python<'py>, report: &Measured) -> PyResult<Bound<'py, PyDict>> {
    let records = report.samples.records();
    let since = |later: u64, earlier: u64| {
        (later != 0 && earlier != 0).then(|| later.saturating_sub(earlier) as f64 / 1e9)
    };
    let across = |it: &FrameRecord, earlier: u64| {
        let is_known = it.complete != 0 && earlier != 0;
        let time = report.one_way.between(earlier, it.complete);
        time.filter(|_| is_known).map(|time| time.as_secs_f64())
    };
    // This side's clock: a receiver's records have no time of having been sent.
    let of_this_side = |it: &FrameRecord| match it.sent {
        0 => it.header,
        _ => it.dequeued,
    };
    let first = records.first().map_or(0, of_this_side);
    let table = PyDict::new(py);
    table.set_item("stride", report.samples.stride())?;
    let counters: Vec<u64> = records.iter().map(|it| it.counter).collect();
    table.set_item("counter", counters)?;
    type Of<'a> = &'a dyn Fn(&FrameRecord) -> Option<f64>;
    let columns: [(&str, Of<'_>); 9] = [
        ("at", &|it| since(of_this_side(it).max(1), first.max(1))),
        ("capture_age", &|it| since(it.dequeued, it.captured)),
        ("before_socket", &|it| since(it.handed, it.dequeued)),
        ("into_socket", &|it| since(it.sent, it.handed)),
        ("into_buffer", &|it| since(it.complete, it.header)),
        ("into_dump", &|it| since(it.done, it.complete)),
        ("transfer", &|it| across(it, it.handed)),
        ("end_to_end", &|it| across(it, it.captured)),
        ("acknowledged", &|it| since(it.acknowledged, it.handed)),
    ];
    for (name, of) in columns {
        let values = PyList::new(py, records.iter().map(of))?;
        table.set_item(name, values)?;
    }
    Ok(table)
}
