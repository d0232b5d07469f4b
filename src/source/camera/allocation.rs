//! Which memory a camera captures into, found out by giving it to the driver.

use std::sync::Arc;

use nix::errno::Errno;

use super::Capture;
use crate::base::{Error, ErrorKind, Result};
use crate::frame::{Free, Places, Pool};
use crate::measure::verify;
use crate::memory::{self, Heap, HeapChoice, HeapName, MemoryMode, read_rate};
use crate::v4l2::{Format, Ioctl, MemoryType, device::Device, queue::Queue, queue::QueueError};

/// What the driver captures into: its queue, filled, and the heap that the
/// buffers are from, if they are not its own.
pub(super) struct Allocation {
    pub(super) queue: Queue<Device>,
    pub(super) heap: Option<HeapName>,
    /// Bytes a second at which the CPU reads the buffers.
    pub(super) read_rate: Option<f64>,
}

pub(super) fn allocate(
    device: &Arc<Device>,
    format: &Format,
    capture: &Capture,
    places: Option<&Arc<Places>>,
) -> Result<Allocation> {
    let import = || match &capture.heap {
        HeapChoice::Named(name) => import_heap(device, format, capture, places, name),
        HeapChoice::Auto => import_best_heap(device, format, capture, places),
    };
    match capture.memory {
        MemoryMode::DmaBuf => import(),
        MemoryMode::Mmap => driver_memory(device, format, capture, places),
        MemoryMode::Auto => match import() {
            // What the device fails at would fail with its own buffers, too.
            Err(error)
                if !matches!(error.kind(), ErrorKind::DeviceBusy | ErrorKind::DeviceGone) =>
            {
                let why = error.without_next();
                log::warn!("falling back to the driver's own buffers (MMAP): {why}");
                driver_memory(device, format, capture, places)
            }
            result => result,
        },
    }
}

/// The first heap that the driver takes and that can be sent without a copy; if
/// there is none, the first that it takes, from the system heap on.
fn import_best_heap(
    device: &Arc<Device>,
    format: &Format,
    capture: &Capture,
    places: Option<&Arc<Places>>,
) -> Result<Allocation> {
    let mut rejected = Vec::new();
    let candidates = HeapName::candidates();
    for must_pin in [true, false] {
        // Without pinning to look for, what was last is first: the system heap.
        let ordered: Vec<&HeapName> = if must_pin {
            candidates.iter().collect()
        } else {
            candidates.iter().rev().collect()
        };
        for name in ordered {
            let reason = match try_heap(name, must_pin)
                .and_then(|()| import_heap(device, format, capture, places, name))
            {
                Ok(allocation) => return Ok(allocation),
                Err(error) if error.kind() == ErrorKind::DeviceBusy => return Err(error),
                Err(error) => error.without_next().to_string(),
            };
            log::debug!("heap {name}: {reason}");
            rejected.push(reason);
        }
    }
    Err(Error::new(
        ErrorKind::ImportRefused,
        format!("find a heap whose DMABUFs {} imports", device.path()),
    )
    .object(device.path())
    .cause(rejected.pop().unwrap_or("there is no heap".to_owned()))
    .next("use -m mmap; -v tells of each heap"))
}

/// Whether a heap gives memory, and memory that can be sent without a copy.
fn try_heap(name: &HeapName, must_pin: bool) -> Result<()> {
    let plane = Heap::open(name)?.allocate(1)?;
    match memory::try_pin(&plane) {
        Err(errno) if must_pin => Err(Error::new(
            ErrorKind::ZeroCopy,
            format!("send buffers of {name} without a copy"),
        )
        .errno(errno)),
        _ => Ok(()),
    }
}

/// DMABUFs from the heap, imported by the driver. Only a real QBUF proves that
/// it takes them: REQBUFS succeeds on drivers that then refuse every buffer.
fn import_heap(
    device: &Arc<Device>,
    format: &Format,
    capture: &Capture,
    places: Option<&Arc<Places>>,
    name: &HeapName,
) -> Result<Allocation> {
    let heap = Heap::open(name)?;
    if *name == HeapName::Memfd {
        return Err(Error::new(
            ErrorKind::Heap,
            format!("capture from {} into a memfd", device.path()),
        )
        .object(name.to_string())
        .errno(Errno::EINVAL)
        .cause("a memfd is no DMABUF, and a driver imports nothing else")
        .next("use -e /dev/udmabuf or a dma-heap, or -m mmap"));
    }
    let dmabufs = format!("DMABUFs of {name}");
    let refused = |ioctl, errno| device.import_refused(&dmabufs, ioctl, errno);
    let mut queue = Queue::request(
        Arc::clone(device),
        MemoryType::DmaBuf,
        capture.buffers.get(),
        &format.planes,
        Pool::new(Vec::new())?,
    )
    .map_err(|error| match error {
        QueueError::Errno(errno) => refused(Ioctl::Reqbufs, errno),
        QueueError::Nonsense(_) => device.queue_error(&device.requesting(), error),
    })?;
    let mut rate = None;
    for index in 0..queue.count().get() {
        let planes = format
            .planes
            .iter()
            .map(|plane| heap.allocate(plane.sizeimage as usize))
            .collect::<Result<Vec<_>>>()?;
        if index == 0 {
            rate = read_rate(&planes)?;
        }
        queue
            .enqueue(prepared(Free::new(index, planes), places)?)
            .map_err(|(_, errno)| refused(Ioctl::Qbuf, errno))?;
    }
    log::info!(
        "memory: DMABUFs from {name}, {} x {} bytes",
        queue.count(),
        format
            .planes
            .iter()
            .map(|plane| plane.sizeimage)
            .sum::<u32>()
    );
    Ok(Allocation {
        queue,
        heap: Some(name.clone()),
        read_rate: rate,
    })
}

/// A buffer as the driver is to get it: poisoned in these places, if there are any.
pub(super) fn prepared(free: Free, places: Option<&Arc<Places>>) -> Result<Free> {
    match places {
        Some(places) => verify::poison(free, places),
        None => Ok(free),
    }
}

fn driver_memory(
    device: &Arc<Device>,
    format: &Format,
    capture: &Capture,
    places: Option<&Arc<Places>>,
) -> Result<Allocation> {
    let failed = |what: &str, error: QueueError| {
        device.queue_error(&format!("{what} on {}", device.path()), error)
    };
    let mut queue = Queue::request(
        Arc::clone(device),
        MemoryType::Mmap,
        capture.buffers.get(),
        &format.planes,
        Pool::new(Vec::new())?,
    )
    .map_err(|error| device.queue_error(&device.requesting(), error))?;
    let buffers = queue
        .driver_buffers()
        .map_err(|error| failed("map the driver's buffers", error))?;
    let exported = buffers
        .iter()
        .flat_map(Free::planes)
        .all(|plane| plane.dmabuf().is_some());
    log::info!(
        "memory: the driver's own buffers (MMAP), {} of them, {}",
        buffers.len(),
        if exported {
            "exported as DMABUFs (VIDIOC_EXPBUF)"
        } else {
            "which it does not export as DMABUFs, or not so that they can be mapped"
        }
    );
    let rate = buffers
        .first()
        .map_or(Ok(None), |first| read_rate(first.planes()))?;
    for buffer in buffers {
        queue
            .enqueue(prepared(buffer, places)?)
            .map_err(|(_, errno)| failed("queue a buffer (VIDIOC_QBUF)", errno.into()))?;
    }
    Ok(Allocation {
        queue,
        heap: None,
        read_rate: rate,
    })
}
