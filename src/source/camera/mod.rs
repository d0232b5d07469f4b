//! A V4L2 device as a source.

mod allocation;

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use serde::Deserialize;

use self::allocation::prepared;
use crate::base::{Error, Result, Run, WaitsFor, settings};
use crate::frame::{FourCc, Free, Interval, Layout, Origin, Places, Pool, Stream, field};
use crate::memory::{HeapChoice, MemoryMode, MemoryUsed, Plane, Witness};
use crate::source::{self, Next, Source};
use crate::v4l2::{Direction, device::Device, queue::Dequeue, queue::Queue, queue::QueueError};

/// How often to look whether others are done with a buffer, while all are theirs.
const LOOK_AT_BUSY: Duration = Duration::from_millis(5);

/// One that is being filled, and one that follows: drivers that want more to begin
/// (`min_queued_buffers`) go on with these.
const LEAST_NEEDED: u32 = 2;

/// What to capture.
#[derive(Debug, Clone, Deserialize)]
pub struct Capture {
    /// Pixels.
    pub width: NonZeroU32,
    /// Pixels.
    pub height: NonZeroU32,
    /// The pixel format.
    #[serde(rename = "format", deserialize_with = "settings::named")]
    pub pixel_format: FourCc,
    /// Buffers to ask the driver for.
    pub buffers: NonZeroU32,
    /// Where DMABUFs come from.
    #[serde(deserialize_with = "settings::named")]
    pub heap: HeapChoice,
    /// Whose memory to use.
    pub memory: MemoryMode,
    /// Frames a second; None leaves the rate as it is.
    pub fps: Option<f64>,
    /// Whether frames are to be verified: what the driver leaves unwritten has to show.
    #[serde(default)]
    pub verify: bool,
}

impl Capture {
    /// Small frames on plain memory, as fast as they can be made.
    #[cfg(test)]
    pub(crate) fn in_memfds(buffers: u32) -> Self {
        Capture {
            width: 32.try_into().unwrap(),
            height: 16.try_into().unwrap(),
            pixel_format: "YUYV".parse().unwrap(),
            buffers: buffers.try_into().unwrap(),
            heap: HeapChoice::Named(crate::memory::HeapName::Memfd),
            memory: MemoryMode::Auto,
            fps: None,
            verify: false,
        }
    }

    /// The same, with so many buffers more.
    pub fn with_more_buffers(&self, more: u32) -> Self {
        Capture {
            buffers: self.buffers.saturating_add(more),
            ..self.clone()
        }
    }
}

/// A capture device with all its buffers queued.
#[derive(Debug)]
pub struct Camera {
    device: Arc<Device>,
    queue: Queue<Device>,
    stream: Stream,
    source: Watch,
    /// Where buffers are poisoned, if frames are to be verified.
    poisoned: Option<Arc<Places>>,
    /// Free buffers that somebody's device still reads.
    busy: Vec<Free>,
    /// How many buffers the driver has to have to go on.
    needed: u32,
}

impl Camera {
    /// As `open`, on a thread of its own: a device may take its time.
    pub fn open_beside(
        path: &Path,
        capture: Capture,
        run: &mut Run<'_>,
    ) -> Result<Box<dyn Source>> {
        let own = path.to_owned();
        let open = move || {
            let camera = Camera::open(&own, &capture)?;
            Ok(Box::new(camera) as Box<dyn Source>)
        };
        source::open(&path.display().to_string(), open, run)
    }

    /// Opens the device, negotiates, allocates and queues.
    pub fn open(path: &Path, capture: &Capture) -> Result<Self> {
        Camera::on(Device::open(path, Direction::Capture)?, capture)
    }

    /// As `open`, on an open device.
    pub fn on(device: Device, capture: &Capture) -> Result<Self> {
        let device = Arc::new(device);
        let format = device.negotiate(capture.width, capture.height, capture.pixel_format)?;
        let planes = device.layout(&format)?;
        let source = Watch::new(&device);
        let poisoned = capture.verify.then(|| {
            let (width, height) = (format.width, format.height);
            let layout = Layout::new(width, height, format.pixel_format, &planes);
            Arc::new(Places::new(layout))
        });
        let interval = match capture.fps {
            Some(fps) => device.set_rate(fps)?,
            None => device.interval(),
        };
        log::info!(
            "capturing {}x{} {} at {} from {} ({}, {})",
            format.width,
            format.height,
            format.pixel_format,
            interval
                .and_then(Interval::rate)
                .map_or("an unknown rate".to_owned(), |rate| {
                    // The rate is the frames', two fields each.
                    if format.appearance.field == field::ALTERNATE {
                        format!("{:.2} fields a second", 2.0 * rate)
                    } else {
                        format!("{rate:.2} fps")
                    }
                }),
            device.path(),
            device.capability().card,
            device.capability().driver,
        );
        let allocation = allocation::Wanted {
            device: &device,
            format: &format,
            capture,
            places: poisoned.as_ref(),
        }
        .allocate()?;
        let (queue, heap) = (allocation.queue, allocation.heap);
        let memory = match heap {
            Some(_) => MemoryUsed::DmaBuf,
            None => MemoryUsed::Mmap,
        };
        let count = queue.count();
        let stream = Stream {
            width: format.width,
            height: format.height,
            pixel_format: format.pixel_format,
            planes,
            buffers: count,
            memory,
            heap: heap.map(|name| name.to_string()),
            read_rate: allocation.read_rate,
            origin: Origin {
                interval,
                appearance: Some(format.appearance),
                timestamp_flags: queue.timestamp_flags(),
                capability: Some(device.capability().clone()),
            },
        };
        if count != capture.buffers {
            log::warn!("{} buffers wanted, {count} granted", capture.buffers);
        }
        let needed = device.min_buffers().unwrap_or(0).max(LEAST_NEEDED);
        Ok(Camera {
            device,
            queue,
            stream,
            source,
            poisoned,
            busy: Vec::new(),
            needed,
        })
    }
}

impl Camera {
    /// A look at each buffer that the driver is to fill, by its number.
    pub fn witnesses(&self) -> HashMap<u32, Witness> {
        self.queue.witnesses()
    }

    /// Gives the driver the buffers whose frames nobody reads any more.
    fn refill(&mut self) -> Result<()> {
        for free in std::mem::take(&mut self.busy) {
            self.queue.pool().give(free);
        }
        while let Some(free) = self.queue.pool().take() {
            if free.planes().iter().any(Plane::is_busy) {
                self.busy.push(free);
                continue;
            }
            let free = prepared(free, self.poisoned.as_ref())?;
            self.queue.enqueue(free).map_err(|(_, errno)| {
                let what = format!("queue a buffer on {} (VIDIOC_QBUF)", self.device.path());
                self.device.error(&what, errno)
            })?;
        }
        Ok(())
    }
}

/// What is known of changes of the source.
#[derive(Debug)]
struct Watch {
    /// Whether the driver tells of them.
    is_told: bool,
    /// The signal that the stream began with, where there is one to look at.
    signal: Option<String>,
    /// Whether there was no frame the last time: what woke us then may be an event.
    is_idle: bool,
}

impl Watch {
    fn new(device: &Device) -> Self {
        Watch {
            is_told: device.watch_source(),
            signal: device.signal(),
            is_idle: false,
        }
    }

    /// Fails if the driver has told of a change.
    fn look(&self, device: &Device) -> Result<()> {
        if self.is_told && device.has_source_changed() {
            return Err(device.source_changed());
        }
        Ok(())
    }

    /// As `look`, once frames have ended: not every driver tells.
    fn explain(&self, device: &Device) -> Result<()> {
        self.look(device)?;
        let now = self.signal.as_ref().and_then(|_| device.signal());
        if now.is_some() && now != self.signal {
            return Err(device.source_changed());
        }
        Ok(())
    }
}

impl Source for Camera {
    fn name(&self) -> String {
        self.device.path()
    }

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
        self.refill()?;
        match self.queue.dequeue() {
            Ok(Dequeue::Frame(lease)) => {
                self.source.is_idle = false;
                Ok(Next::Frame(lease))
            }
            Ok(Dequeue::NotReady) => {
                // No call more where frames follow each other.
                if std::mem::replace(&mut self.source.is_idle, true) {
                    self.source.look(&self.device)?;
                }
                Ok(Next::NotReady)
            }
            Ok(Dequeue::Ended) => {
                self.source.explain(&self.device)?;
                log::warn!("the device gave its last frame");
                Ok(Next::Ended)
            }
            Err(error) => {
                if error != QueueError::Errno(Errno::ENODEV) {
                    self.source.explain(&self.device)?;
                }
                let what = format!("capture a frame from {} (VIDIOC_DQBUF)", self.device.path());
                Err(self.device.queue_error(&what, error))
            }
        }
    }

    fn waits_for(&self) -> WaitsFor<'_> {
        let bell = self.queue.pool().bell();
        if self.queue.has_queued() {
            let device = self.device.fd();
            WaitsFor::Device { device, bell }
        } else if !self.busy.is_empty() {
            // Fences tell nobody who polls for more than one thing.
            WaitsFor::Time(Instant::now() + LOOK_AT_BUSY)
        } else {
            WaitsFor::Buffer(bell)
        }
    }

    fn pool(&self) -> &Pool {
        self.queue.pool()
    }

    fn needed(&self) -> usize {
        // A driver that needs all that it has waits while one is held: none would get a frame else.
        let most = self.queue.count().get().saturating_sub(1);
        self.needed.min(most) as usize
    }

    fn poll_error(&self) -> Error {
        if let Err(changed) = self.source.explain(&self.device) {
            return changed;
        }
        let what = format!("wait for a frame from {}", self.device.path());
        self.device.error(&what, Errno::EIO)
    }
}
