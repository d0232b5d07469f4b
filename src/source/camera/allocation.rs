//! Which memory a camera captures into, found out by giving it to the driver.

use std::sync::Arc;

use nix::errno::Errno;

use super::Capture;
use crate::base::{Error, ErrorKind, Result};
use crate::frame::{Free, Places, Pool};
use crate::measure::verify;
use crate::memory::{self, Heap, HeapChoice, HeapName, MemoryMode, Pages, read_rate};
use crate::v4l2::{Format, Ioctl, MemoryType, device::Device, queue::Queue, queue::QueueError};

/// What the driver captures into: its queue, filled, and the heap that the
/// buffers are from, if they are not its own.
pub(super) struct Allocation {
    pub(super) queue: Queue<Device>,
    pub(super) heap: Option<HeapName>,
    /// Bytes a second at which the CPU reads the buffers.
    pub(super) read_rate: Option<f64>,
}

/// What is to be captured, and where from.
pub(super) struct Wanted<'a> {
    pub(super) device: &'a Arc<Device>,
    pub(super) format: &'a Format,
    pub(super) capture: &'a Capture,
    /// Where buffers are poisoned, if they are.
    pub(super) places: Option<&'a Arc<Places>>,
}

impl Wanted<'_> {
    /// Memory that the driver takes.
    pub(super) fn allocate(&self) -> Result<Allocation> {
        let import = || match &self.capture.heap {
            HeapChoice::Named(name) => self.import_heap(name),
            HeapChoice::Auto => self.import_best_heap(),
        };
        match self.capture.memory {
            MemoryMode::DmaBuf => import(),
            MemoryMode::Mmap => self.driver_memory(),
            MemoryMode::Auto => match import() {
                // What the device fails at would fail with its own buffers, too.
                Err(error)
                    if !matches!(error.kind(), ErrorKind::DeviceBusy | ErrorKind::DeviceGone) =>
                {
                    let why = error.without_next();
                    log::warn!("falling back to the driver's own buffers (MMAP): {why}");
                    self.driver_memory()
                }
                result => result,
            },
        }
    }

    /// The first heap that the driver takes and that can be sent without a copy; if
    /// there is none, the first that it takes, from the system heap on.
    fn import_best_heap(&self) -> Result<Allocation> {
        let mut rejected = Vec::new();
        let candidates = HeapName::candidates();
        // Without pinning to look for, what was last is first: the system heap.
        let pinned = candidates.iter().map(|name| (name, true));
        let others = candidates.iter().rev().map(|name| (name, false));
        for (name, must_pin) in pinned.chain(others) {
            let tried = try_heap(name, must_pin).and_then(|()| self.import_heap(name));
            let reason = match tried {
                Ok(allocation) => return Ok(allocation),
                Err(error) if error.kind() == ErrorKind::DeviceBusy => return Err(error),
                Err(error) => error.without_next().to_string(),
            };
            log::debug!("heap {name}: {reason}");
            rejected.push(reason);
        }
        let path = self.device.path();
        let what = format!("find a heap whose DMABUFs {path} imports");
        Err(Error::new(ErrorKind::ImportRefused, what)
            .object(path)
            .cause(rejected.pop().unwrap_or("there is no heap".to_owned()))
            .next("use -m mmap; -v tells of each heap"))
    }

    fn request(
        &self,
        memory: MemoryType,
        failed: impl FnOnce(QueueError) -> Error,
    ) -> Result<Queue<Device>> {
        let count = self.capture.buffers.get();
        let (device, pool) = (Arc::clone(self.device), Pool::new(Vec::new())?);
        Queue::request(device, memory, count, &self.format.planes, pool).map_err(failed)
    }

    /// DMABUFs from the heap, imported by the driver. Only a real QBUF proves that
    /// it takes them: REQBUFS succeeds on drivers that then refuse every buffer.
    fn import_heap(&self, name: &HeapName) -> Result<Allocation> {
        let device = self.device;
        let heap = Heap::open(name)?;
        if *name == HeapName::Memfd {
            let what = format!("capture from {} into a memfd", device.path());
            return Err(Error::new(ErrorKind::Heap, what)
                .object(name.to_string())
                .errno(Errno::EINVAL)
                .cause("a memfd is no DMABUF, and a driver imports nothing else")
                .next("use -e /dev/udmabuf or a dma-heap, or -m mmap"));
        }
        let dmabufs = format!("DMABUFs of {name}");
        let refused = |ioctl, errno| device.import_refused(&dmabufs, ioctl, errno);
        let mut queue = self.request(MemoryType::DmaBuf, |error| match error {
            QueueError::Errno(errno) => refused(Ioctl::Reqbufs, errno),
            QueueError::Nonsense(_) => device.queue_error(&device.requesting(), error),
        })?;
        let mut rate = None;
        let sizes = self.format.planes.iter().map(|plane| plane.sizeimage);
        for index in 0..queue.count().get() {
            let free = Free::allocate(index, &heap, Pages::Huge, sizes.clone())?;
            if index == 0 {
                rate = read_rate(free.planes())?;
            }
            queue
                .enqueue(prepared(free, self.places)?)
                .map_err(|(_, errno)| refused(Ioctl::Qbuf, errno))?;
        }
        log::info!(
            "memory: DMABUFs from {name}, {} x {} bytes",
            queue.count(),
            sizes.sum::<u32>()
        );
        Ok(Allocation {
            queue,
            heap: Some(name.clone()),
            read_rate: rate,
        })
    }

    fn driver_memory(&self) -> Result<Allocation> {
        let device = self.device;
        let failed = |what: &str, error: QueueError| {
            device.queue_error(&format!("{what} on {}", device.path()), error)
        };
        let mut queue = self.request(MemoryType::Mmap, |error| {
            device.queue_error(&device.requesting(), error)
        })?;
        let buffers = queue
            .driver_buffers()
            .map_err(|error| failed("map the driver's buffers", error))?;
        let mut planes = buffers.iter().flat_map(Free::planes);
        log::info!(
            "memory: the driver's own buffers (MMAP), {} of them, {}",
            buffers.len(),
            if planes.all(|plane| plane.dmabuf().is_some()) {
                "exported as DMABUFs (VIDIOC_EXPBUF)"
            } else {
                "which it does not export as DMABUFs, or not so that they can be mapped"
            }
        );
        let rate = read_rate(buffers.first().map_or(&[], Free::planes))?;
        for buffer in buffers {
            queue
                .enqueue(prepared(buffer, self.places)?)
                .map_err(|(_, errno)| failed("queue a buffer (VIDIOC_QBUF)", errno.into()))?;
        }
        Ok(Allocation {
            queue,
            heap: None,
            read_rate: rate,
        })
    }
}

/// Whether a heap gives memory, and memory that can be sent without a copy.
fn try_heap(name: &HeapName, must_pin: bool) -> Result<()> {
    let plane = Heap::open(name)?.allocate(1)?;
    match memory::try_pin(&plane) {
        Err(errno) if must_pin => {
            let what = format!("send buffers of {name} without a copy");
            Err(Error::new(ErrorKind::ZeroCopy, what).errno(errno))
        }
        _ => Ok(()),
    }
}

/// A buffer as the driver is to get it: poisoned in these places, if there are any.
pub(super) fn prepared(free: Free, places: Option<&Arc<Places>>) -> Result<Free> {
    match places {
        Some(places) => verify::poison(free, places),
        None => Ok(free),
    }
}
