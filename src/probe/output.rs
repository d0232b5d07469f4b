//! Whether a device shows frames from a memory: by giving it a few.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::{BUFFERS, Coherency, FRAMES, PATIENCE, Works};
use crate::base::{Blocking, Error, ErrorKind, Monotonic, OnStop, Result, Run, Woken};
use crate::frame::{Frame, Free, Origin, Payload, Pool, Stream, Timestamp};
use crate::memory::{Heap, HeapChoice, HeapName, MemoryMode, MemoryUsed, Pages};
use crate::source::camera::Capture;
use crate::v4l2::output_queue::{NotQueued, OutputQueue};
use crate::v4l2::{Direction, Format, Ioctl, MemoryType, Sent, device::Device, queue::QueueError};

/// How often to ask for a frame back: drivers differ in whether they say so to poll(2).
const AGAIN: Duration = Duration::from_millis(10);

/// A device that has frames.
pub(super) struct Showing {
    device: Arc<Device>,
    queue: OutputQueue<Device, ()>,
    granted: Format,
    dmabufs: String,
    stream: Stream,
    /// The buffers of frames that came back, or that were copied.
    pub(super) pool: Pool,
}

/// Shows a few frames of zeros.
pub(super) fn show_from(path: &Path, wanted: &Capture, run: &mut Run<'_>) -> Result<Works> {
    let (own, wanted) = (path.to_owned(), wanted.clone());
    let call = format!("opening and start of {}", path.display());
    let opening = Blocking::start(call, move || {
        let device = Device::open(&own, Direction::Output)?;
        Showing::start(device, &wanted, |_| Ok(()))
    })?;
    let mut showing = run.result_of(opening)??;
    let seen = watch(&mut showing, run);
    let stream = showing.stream.clone();
    let is_imported = stream.memory == MemoryUsed::DmaBuf;
    let teardown = Blocking::start(format!("stop of {}", path.display()), move || drop(showing))?;
    let gone = run.result_of(teardown);
    let (frames, error_frames) = seen?;
    gone.and_then(|()| run.heed_stop())?;
    if frames == 0 {
        let shown = path.display();
        let patience = PATIENCE.as_secs();
        return Err(Error::about(ErrorKind::Device, "show frames on", &shown)
            .cause(format!(
                "it takes the frames, and gives none back in {patience} s"
            ))
            .next("check that its output is connected, and has timings (v4l2-ctl --all)"));
    }
    Ok(Works {
        stream,
        captured: None,
        frames,
        error_frames,
        writes: None,
        reads: is_imported.then(|| {
            Coherency::Unknown(
                "nothing here shows what the device reads: probe the device that its frames come \
                 back at, with --loop"
                    .to_owned(),
            )
        }),
    })
}

impl Showing {
    /// Gives a device as many frames as there are buffers, each as `draw` leaves it.
    pub(super) fn start(
        device: Device,
        wanted: &Capture,
        draw: impl Fn(&mut Free) -> Result<()>,
    ) -> Result<Self> {
        let device = Arc::new(device);
        let granted = device.negotiate(wanted.width, wanted.height, wanted.pixel_format)?;
        // Where the driver has buffers of its own, frames are copied from plain memory.
        let (memory, heap) = match (&wanted.memory, &wanted.heap) {
            (MemoryMode::DmaBuf, HeapChoice::Named(heap)) => (MemoryType::DmaBuf, heap.clone()),
            _ => (MemoryType::Mmap, HeapName::Memfd),
        };
        let frames = frames(&granted, &Heap::open(&heap)?)?;
        let dmabufs = format!("DMABUFs of {heap}");
        let queue = OutputQueue::request(Arc::clone(&device), memory, BUFFERS);
        let queue = queue.map_err(|error| match error {
            QueueError::Errno(errno) => refused(&device, (memory, &dmabufs), Ioctl::Reqbufs, errno),
            nonsense @ QueueError::Nonsense(_) => {
                device.queue_error(&device.requesting(), nonsense)
            }
        })?;
        let stream = Stream {
            width: granted.width,
            height: granted.height,
            pixel_format: granted.pixel_format,
            planes: device.layout(&granted)?,
            buffers: BUFFERS,
            memory: memory.used(),
            heap: (memory == MemoryType::DmaBuf).then(|| heap.to_string()),
            read_rate: None,
            origin: Origin::default(),
        };
        let mut showing = Showing {
            device,
            queue,
            granted,
            dmabufs,
            stream,
            pool: Pool::new(Vec::new())?,
        };
        for mut free in frames {
            draw(&mut free)?;
            showing.show(free)?;
        }
        showing.queue.start().map_err(|errno| {
            let device = &showing.device;
            let what = format!("start output on {} (VIDIOC_STREAMON)", device.path());
            device.error(&what, errno)
        })?;
        Ok(showing)
    }

    /// Gives the device what is in a buffer.
    pub(super) fn show(&mut self, free: Free) -> Result<()> {
        let payloads = self.granted.planes.iter().map(|plane| Payload {
            offset: 0,
            length: plane.sizeimage as usize,
        });
        let field = self.granted.appearance.field;
        let frame = Frame {
            sequence: 0,
            flags: 0,
            field,
            timestamp: Timestamp::default(),
            payloads: payloads.collect(),
            taken: Monotonic::now(),
        };
        let sent = Sent {
            field,
            ..Sent::default()
        };
        match self.queue.enqueue(self.pool.lend(free, frame), (), sent) {
            Ok(()) => Ok(()),
            Err(NotQueued::Memory(error)) => Err(error),
            Err(NotQueued::Driver(errno)) => {
                let from = (self.queue.memory(), self.dmabufs.as_str());
                Err(refused(&self.device, from, Ioctl::Qbuf, errno))
            }
        }
    }

    /// Takes a frame back that the device is done with; says whether it failed. None: there is
    /// none.
    pub(super) fn take_back(&mut self) -> Result<Option<bool>> {
        let taken = self.queue.dequeue().map_err(|error| {
            let path = self.device.path();
            let taking = format!("take a frame back from {path} (VIDIOC_DQBUF)");
            self.device.queue_error(&taking, error)
        })?;
        Ok(taken.map(|returned| returned.has_failed))
    }
}

/// The error of a device that does not take frames from a memory.
fn refused(
    device: &Device,
    (memory, dmabufs): (MemoryType, &str),
    ioctl: Ioctl,
    errno: Errno,
) -> Error {
    match memory {
        MemoryType::DmaBuf => device.import_refused(dmabufs, ioctl, errno),
        MemoryType::Mmap => device.error(
            &format!("show frames on {} ({ioctl})", device.path()),
            errno,
        ),
    }
}

fn frames(granted: &Format, heap: &Heap) -> Result<Vec<Free>> {
    let buffer = |index| {
        let sizes = granted.planes.iter().map(|it| it.sizeimage);
        Free::allocate(index, heap, Pages::Huge, sizes)
    };
    (0..BUFFERS.get()).map(buffer).collect()
}

/// Takes frames back; says how many came, and how many of them failed. A driver keeps the one
/// that it shows.
fn watch(showing: &mut Showing, run: &mut Run<'_>) -> Result<(usize, usize)> {
    let deadline = Instant::now() + PATIENCE;
    let (mut frames, mut failed) = (0, 0);
    while frames < FRAMES - 1 && Instant::now() < deadline && !run.is_stopped() {
        match showing.take_back()? {
            Some(has_failed) => {
                frames += 1;
                failed += usize::from(has_failed);
            }
            None => {
                if run.wait(&[], Some(Instant::now() + AGAIN), OnStop::End)? == Woken::Stopped {
                    break;
                }
            }
        }
    }
    Ok((frames, failed))
}
