//! A V4L2 device as a source: which memory it captures into, and why.

use std::num::NonZeroU32;
use std::path::Path;
use std::rc::Rc;
use std::str::FromStr;

use nix::errno::Errno;

use crate::buffer::Free;
use crate::device::Device;
use crate::error::{Error, ErrorKind, Result};
use crate::io;
use crate::memory::{Heap, HeapChoice, HeapName};
use crate::pixel_format::FourCc;
use crate::queue::{Dequeue, DequeueError, Queue};
use crate::report::{MemoryUsed, Stream};
use crate::source::{Next, Source, WaitsFor};
use crate::v4l2::{Format, MemoryType};

/// Whose memory to capture into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemoryMode {
    /// A heap's DMABUFs if the driver takes them, else the driver's own buffers.
    Auto,
    /// A heap's DMABUFs.
    DmaBuf,
    /// The driver's own buffers.
    Mmap,
}

impl FromStr for MemoryMode {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "auto" => Ok(MemoryMode::Auto),
            "dmabuf" => Ok(MemoryMode::DmaBuf),
            "mmap" => Ok(MemoryMode::Mmap),
            _ => Err(
                Error::new(ErrorKind::Format, format!("use {name:?} as a memory mode"))
                    .cause("it is auto, dmabuf or mmap"),
            ),
        }
    }
}

/// What to capture.
#[derive(Debug, Clone)]
pub struct Capture {
    /// Pixels.
    pub width: NonZeroU32,
    /// Pixels.
    pub height: NonZeroU32,
    /// The pixel format.
    pub pixel_format: FourCc,
    /// Buffers to ask the driver for.
    pub buffers: NonZeroU32,
    /// Where DMABUFs come from.
    pub heap: HeapChoice,
    /// Whose memory to use.
    pub memory: MemoryMode,
    /// Frames a second; None leaves the rate as it is.
    pub fps: Option<f64>,
}

/// A capture device with all its buffers queued.
#[derive(Debug)]
pub struct Camera {
    device: Rc<Device>,
    queue: Queue<Device>,
    stream: Stream,
}

impl Camera {
    /// Opens the device, negotiates, allocates and queues.
    pub fn open(path: &Path, capture: &Capture) -> Result<Self> {
        let device = Rc::new(Device::open(path)?);
        let format = device.negotiate(capture.width, capture.height, capture.pixel_format)?;
        let sizeimage = one_plane(&device, &format)?;
        let rate = match capture.fps {
            Some(fps) => device.set_rate(fps)?,
            None => device.rate(),
        };
        log::info!(
            "capturing {}x{} {} at {} from {} ({}, {})",
            format.width,
            format.height,
            format.pixel_format,
            rate.map_or("an unknown rate".to_owned(), |rate| format!(
                "{rate:.2} fps"
            )),
            device.path(),
            device.capability().card,
            device.capability().driver,
        );
        let Filling { queue, heap } = fill_queue(&device, &format, capture)?;
        let stream = Stream {
            width: format.width,
            height: format.height,
            pixel_format: format.pixel_format,
            sizeimage,
            buffers: queue.count(),
            memory: match heap {
                Some(_) => MemoryUsed::DmaBuf,
                None => MemoryUsed::Mmap,
            },
            heap: heap.map(|name| name.to_string()),
        };
        if queue.count() != capture.buffers.get() {
            log::warn!(
                "{} buffers wanted, {} granted",
                capture.buffers,
                queue.count()
            );
        }
        Ok(Camera {
            device,
            queue,
            stream,
        })
    }
}

/// The wire carries one memory plane so far.
fn one_plane(device: &Device, format: &Format) -> Result<u32> {
    match format.planes.as_slice() {
        [plane] if plane.sizeimage > 0 => Ok(plane.sizeimage),
        [_] => Err(device
            .error("negotiate a format", Errno::EINVAL)
            .cause("the driver grants a frame of 0 bytes")),
        planes => Err(Error::new(
            ErrorKind::Format,
            format!("send {} from {}", format.pixel_format, device.path()),
        )
        .object(device.path())
        .errno(Errno::EINVAL)
        .cause(format!(
            "it has {} memory planes, and the wire carries one",
            planes.len()
        ))
        .next(format!(
            "choose a format of one memory plane: {}",
            device.offered()
        ))),
    }
}

/// What the driver captures into: its queue, filled, and the heap that the
/// buffers are from, if they are not its own.
struct Filling {
    queue: Queue<Device>,
    heap: Option<HeapName>,
}

fn fill_queue(device: &Rc<Device>, format: &Format, capture: &Capture) -> Result<Filling> {
    let import = || match &capture.heap {
        HeapChoice::Named(name) => import_heap(device, format, capture, name),
        HeapChoice::Auto => import_best_heap(device, format, capture),
    };
    match capture.memory {
        MemoryMode::DmaBuf => import(),
        MemoryMode::Mmap => driver_memory(device, capture),
        MemoryMode::Auto => match import() {
            Err(error) if error.kind() == ErrorKind::ImportRefused => {
                log::warn!("falling back to the driver's own buffers (MMAP): {error}");
                driver_memory(device, capture)
            }
            result => result,
        },
    }
}

/// The first heap that the driver takes and that can be sent without a copy; if
/// there is none, the first that it takes, from the system heap on.
fn import_best_heap(device: &Rc<Device>, format: &Format, capture: &Capture) -> Result<Filling> {
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
                .and_then(|()| import_heap(device, format, capture, name))
            {
                Ok(filling) => return Ok(filling),
                Err(error) if error.kind() == ErrorKind::DeviceBusy => return Err(error),
                Err(error) => error.to_string(),
            };
            log::debug!("heap {name}: {reason}");
            rejected.push(format!("{name}: {reason}"));
        }
    }
    Err(Error::new(
        ErrorKind::ImportRefused,
        format!("find a heap whose DMABUFs {} imports", device.path()),
    )
    .object(device.path())
    .errno(Errno::ENOENT)
    .cause(rejected.pop().unwrap_or("there is no heap".to_owned()))
    .next("use -m mmap; -v tells of each heap"))
}

/// Whether a heap gives memory, and memory that can be sent without a copy.
fn try_heap(name: &HeapName, must_pin: bool) -> Result<()> {
    let plane = Heap::open(name)?.allocate(1)?;
    match io::try_pin(&plane) {
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
    device: &Rc<Device>,
    format: &Format,
    capture: &Capture,
    name: &HeapName,
) -> Result<Filling> {
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
    let refused = |ioctl: &str, errno: Errno, cause: &str| {
        if matches!(errno, Errno::EBUSY | Errno::ENODEV) {
            return device.error(&format!("{ioctl} on {}", device.path()), errno);
        }
        Error::new(
            ErrorKind::ImportRefused,
            format!("import DMABUFs of {name} into {} ({ioctl})", device.path()),
        )
        .object(device.path())
        .errno(errno)
        .cause(cause)
        .next("use -m mmap, or another heap (-e), such as one of contiguous memory")
    };
    let mut queue = Queue::request(Rc::clone(device), MemoryType::DmaBuf, capture.buffers.get())
        .map_err(|errno| {
            refused(
                "VIDIOC_REQBUFS",
                errno,
                "the driver does not import DMABUFs",
            )
        })?;
    for index in 0..queue.count() {
        let planes = format
            .planes
            .iter()
            .map(|plane| heap.allocate(plane.sizeimage as usize))
            .collect::<Result<Vec<_>>>()?;
        queue
            .enqueue(Free::new(index, planes))
            .map_err(|(_, errno)| {
                let cause = match errno {
                    Errno::EFAULT => {
                        "the driver likely needs contiguous memory, which this heap does not give"
                    }
                    Errno::EINVAL => {
                        "the driver refuses this memory: the buffer may be too small for it"
                    }
                    _ => "the driver refuses this memory",
                };
                refused("VIDIOC_QBUF", errno, cause)
            })?;
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
    Ok(Filling {
        queue,
        heap: Some(name.clone()),
    })
}

fn driver_memory(device: &Rc<Device>, capture: &Capture) -> Result<Filling> {
    let failed = |what: &str, errno| device.error(&format!("{what} on {}", device.path()), errno);
    let mut queue = Queue::request(Rc::clone(device), MemoryType::Mmap, capture.buffers.get())
        .map_err(|errno| failed("request buffers (VIDIOC_REQBUFS)", errno))?;
    let buffers = queue
        .driver_buffers()
        .map_err(|errno| failed("map the driver's buffers", errno))?;
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
            "which it does not export as DMABUFs"
        }
    );
    for buffer in buffers {
        queue
            .enqueue(buffer)
            .map_err(|(_, errno)| failed("queue a buffer (VIDIOC_QBUF)", errno))?;
    }
    Ok(Filling { queue, heap: None })
}

impl Source for Camera {
    fn stream(&self) -> &Stream {
        &self.stream
    }

    fn can_pin(&self) -> nix::Result<()> {
        self.queue.try_pin()
    }

    fn start(&mut self) -> Result<()> {
        self.queue.start().map_err(|errno| {
            let what = format!(
                "start streaming on {} (VIDIOC_STREAMON)",
                self.device.path()
            );
            self.device.error(&what, errno)
        })
    }

    fn next(&mut self) -> Result<Next> {
        match self.queue.dequeue() {
            Ok(Dequeue::Frame(filled)) => Ok(Next::Frame(filled)),
            Ok(Dequeue::NotReady) => Ok(Next::NotReady),
            Ok(Dequeue::Ended) => Ok(Next::Ended),
            Err(error) => {
                let what = format!("capture a frame from {} (VIDIOC_DQBUF)", self.device.path());
                Err(match error {
                    DequeueError::Errno(errno) => self.device.error(&what, errno),
                    DequeueError::Nonsense(told) => Error::new(ErrorKind::Device, what)
                        .object(self.device.path())
                        .cause(format!("the driver contradicts itself: {told}"))
                        .next("report it to the driver's authors"),
                })
            }
        }
    }

    fn waits_for(&self) -> WaitsFor<'_> {
        if self.queue.has_queued() {
            WaitsFor::Readable(self.device.fd())
        } else {
            WaitsFor::Buffer
        }
    }

    fn poll_error(&self) -> Error {
        let what = format!("wait for a frame from {}", self.device.path());
        self.device.error(&what, Errno::EIO)
    }

    fn recycle(&mut self, free: Free) -> Result<()> {
        self.queue.enqueue(free).map_err(|(_, errno)| {
            let what = format!("queue a buffer on {} (VIDIOC_QBUF)", self.device.path());
            self.device.error(&what, errno)
        })
    }
}
