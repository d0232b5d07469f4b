//! Whether to send without a copy: as it is wanted, and as a source's buffers allow.

use serde::Deserialize;

use crate::base::{Error, ErrorKind, Result};
use crate::measure::Measuring;
use crate::memory::MemoryUsed;
use crate::source::Source;

/// Whether to send without a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ZeroCopyMode {
    /// If the buffers and the network allow it.
    Auto,
    /// Or not at all.
    On,
    /// Never.
    Off,
}

/// Finds out by trial whether a source's buffers can be sent without a copy, and
/// notes what was chosen and why. An error if it must be, and can't.
pub fn choose(mode: ZeroCopyMode, source: &dyn Source, measured: &Measuring) -> Result<bool> {
    let stream = source.stream();
    let memory = match (stream.memory, &stream.heap) {
        (MemoryUsed::Mmap, _) => "the driver's own buffers".to_owned(),
        (_, Some(heap)) => format!("buffers of {heap}"),
        (_, None) => "these buffers".to_owned(),
    };
    let (zero_copy, why) = match (mode, source.can_pin()) {
        (ZeroCopyMode::Off, _) => (false, "not wanted".to_owned()),
        (_, Ok(())) => (true, format!("the network can refer to {memory}")),
        (ZeroCopyMode::Auto, Err(errno)) => {
            let why = format!("the network can't refer to {memory} ({})", errno.desc());
            (false, why)
        }
        (ZeroCopyMode::On, Err(errno)) => {
            return Err(
                Error::new(ErrorKind::ZeroCopy, format!("send {memory} without a copy"))
                    .errno(errno)
                    .cause("their mapping has no pages that the network could refer to")
                    .next(
                        "use -e /dev/udmabuf, or -m mmap with a driver that allocates with vmalloc",
                    ),
            );
        }
    };
    let how = if zero_copy {
        "without a copy"
    } else {
        "by copying"
    };
    log::info!("sending {how}: {why}");
    measured.borrow_mut().zero_copy.chosen = Some((zero_copy, why));
    Ok(zero_copy)
}
