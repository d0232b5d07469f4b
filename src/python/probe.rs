//! `probe`, as Python sees it.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use super::error::raised;
use super::observer::Link;
use super::running;
use crate::base::{Error, Result, Run, Stop};
use crate::frame::CaptureClock;
use crate::probe::{Coherency, DeviceProbe, Wanted, Works};

/// Tries all that a device might capture into; gives a `v4l_dmabuf.probe.DeviceProbe`.
#[pyfunction]
pub fn probe(
    py: Python<'_>,
    device: PathBuf,
    width: NonZeroU32,
    height: NonZeroU32,
    format: Option<String>,
    r#loop: Option<PathBuf>,
    with_m2m: bool,
) -> PyResult<Bound<'_, PyAny>> {
    let wanted = Wanted {
        width,
        height,
        pixel_format: format
            .map(|format| format.parse())
            .transpose()
            .map_err(|error: Error| PyValueError::new_err(error.to_string()))?,
        looped_from: r#loop,
        with_m2m,
    };
    let name = device.display().to_string();
    let probed = run(py, move |run| crate::probe::probe(&device, &wanted, run))?;
    to_python(py, &name, &probed)
}

/// Tries each heap's DMABUFs with each DRM card; gives `v4l_dmabuf.probe.CardProbe`s.
#[pyfunction]
pub fn probe_cards(py: Python<'_>) -> PyResult<Bound<'_, PyList>> {
    let probed = run(py, crate::probe::cards)?;
    let class = py.import("v4l_dmabuf.probe")?.getattr("CardProbe")?;
    let cards = PyList::empty(py);
    for card in &probed {
        let fields = PyDict::new(py);
        fields.set_item("card", card.card.display().to_string())?;
        fields.set_item("driver", &card.driver)?;
        fields.set_item("heap", &card.heap)?;
        fields.set_item("imports", card.imports.is_ok())?;
        if let Err(error) = &card.imports {
            fields.set_item(
                "errno",
                error.errno_value().map(|errno| format!("{errno:?}")),
            )?;
            fields.set_item("reason", error.to_string())?;
        }
        cards.append(class.call((), Some(&fields))?)?;
    }
    Ok(cards)
}

/// Probes something, without the GIL.
fn run<T: Send + 'static>(
    py: Python<'_>,
    probe: impl FnOnce(&mut Run<'_>) -> Result<T> + Send + 'static,
) -> PyResult<T> {
    let failed = |error: &Error| raised(py, error);
    let stop = Arc::new(Stop::new().map_err(|error| failed(&error))?);
    let link = Arc::new(Link::new().map_err(|error| failed(&error))?);
    let outcome = running::run(py, &link, &stop, None, move |_, run| probe(run))?;
    match (outcome.raised, outcome.result) {
        (Some(raised), _) => Err(raised),
        (None, Ok(Err(error))) => Err(failed(&error)),
        (None, Ok(Ok(probed))) => Ok(probed),
        (None, Err(_)) => Err(failed(&running::aborted())),
    }
}

fn to_python<'py>(
    py: Python<'py>,
    device: &str,
    probed: &DeviceProbe,
) -> PyResult<Bound<'py, PyAny>> {
    let module = py.import("v4l_dmabuf.probe")?;
    let memories = PyList::empty(py);
    for (memory, outcome) in &probed.memories {
        let fields = PyDict::new(py);
        fields.set_item("memory", memory)?;
        match outcome {
            Ok(works) => set_works(&fields, works)?,
            Err(error) => {
                fields.set_item("works", false)?;
                fields.set_item("reason", error.to_string())?;
            }
        }
        memories.append(module.getattr("MemoryProbe")?.call((), Some(&fields))?)?;
    }
    let formats: Vec<String> = probed.formats.iter().map(ToString::to_string).collect();
    let fields = PyDict::new(py);
    fields.set_item("device", device)?;
    fields.set_item("direction", probed.node.as_ref())?;
    fields.set_item("driver", &probed.capability.driver)?;
    fields.set_item("card", &probed.capability.card)?;
    fields.set_item("bus", &probed.capability.bus_info)?;
    fields.set_item("formats", formats)?;
    fields.set_item("format", probed.pixel_format.to_string())?;
    fields.set_item("memories", memories)?;
    module.getattr("DeviceProbe")?.call((), Some(&fields))
}

fn set_works(fields: &Bound<'_, PyDict>, works: &Works) -> PyResult<()> {
    fields.set_item("works", true)?;
    fields.set_item("width", works.stream.width)?;
    fields.set_item("height", works.stream.height)?;
    fields.set_item("sizeimage", works.stream.frame_bytes())?;
    if let Some(captured) = &works.captured {
        fields.set_item("zero_copy", captured.zero_copy.is_ok())?;
        if let Err(errno) = captured.zero_copy {
            let why = format!("its mapping has no pages to send from ({})", errno.desc());
            fields.set_item("zero_copy_reason", why)?;
        }
        fields.set_item("clock", captured.clock.as_ref())?;
        if let CaptureClock::Unknown(why) = &captured.clock {
            fields.set_item("clock_reason", why)?;
        }
    }
    for (name, coherency) in [
        ("device_writes", &works.writes),
        ("device_reads", &works.reads),
    ] {
        let coherency = coherency.as_ref();
        fields.set_item(name, coherency.map(Coherency::as_ref))?;
        let reason = coherency.and_then(Coherency::reason);
        fields.set_item(format!("{name}_reason"), reason)?;
    }
    fields.set_item("frames", works.frames)?;
    fields.set_item("error_frames", works.error_frames)?;
    fields.set_item("read_bytes_per_second", works.stream.read_rate)
}
