//! What works with a device: each memory that it might capture into, tried for real.

use std::num::NonZeroU32;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};

use crate::camera::{Camera, Capture, MemoryMode};
use crate::capture_clock::{self, CaptureClock, Sighting};
use crate::device::Device;
use crate::error::{ErrorKind, Result};
use crate::memory::{HeapChoice, HeapName};
use crate::pixel_format::FourCc;
use crate::report::Stream;
use crate::run::{OnStop, Run, Woken};
use crate::source::{Next, Source};
use crate::v4l2::Capability;

/// Frames to look at.
const FRAMES: usize = 4;
/// How long to wait for them: a device may be without a signal.
const PATIENCE: Duration = Duration::from_secs(3);
/// As many as a sender has unless told otherwise.
const BUFFERS: NonZeroU32 = NonZeroU32::new(4).unwrap();

/// What to try with.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Pixels.
    pub width: NonZeroU32,
    /// Pixels.
    pub height: NonZeroU32,
    /// None: YUYV if the device has it, else the first that it offers.
    pub pixel_format: Option<FourCc>,
}

/// A device, and what works with it.
#[derive(Debug)]
pub struct DeviceProbe {
    /// What it says it is.
    pub capability: Capability,
    /// What it offers.
    pub formats: Vec<FourCc>,
    /// What was tried.
    pub pixel_format: FourCc,
    /// Each memory by its name (`mmap`, or a heap's), and whether it works.
    pub memories: Vec<(String, Result<Works>)>,
}

/// How a memory works that a driver captured into.
#[derive(Debug)]
pub struct Works {
    /// What the driver granted.
    pub stream: Stream,
    /// Whether it can be sent without a copy, and if not, what the kernel says.
    pub zero_copy: nix::Result<()>,
    /// What timestamps are of.
    pub clock: CaptureClock,
}

/// Tries all that a device might capture into.
pub fn probe(path: &Path, wanted: &Wanted, run: &mut Run<'_>) -> Result<DeviceProbe> {
    let device = Device::open(path)?;
    let formats = device.formats()?;
    let usual: FourCc = "YUYV".parse()?;
    let pixel_format = wanted
        .pixel_format
        .or_else(|| formats.iter().copied().find(|format| *format == usual))
        .or_else(|| formats.first().copied())
        .ok_or_else(|| {
            device
                .error("choose a pixel format", Errno::EINVAL)
                .cause(format!("{} offers none", device.path()))
        })?;
    let capability = device.capability().clone();
    // Some drivers allow one open file only.
    drop(device);
    let heaps = HeapName::candidates().into_iter().map(Some);
    let mut memories = Vec::new();
    for heap in std::iter::once(None).chain(heaps) {
        if run.is_stopped() {
            break;
        }
        let name = heap.as_ref().map_or("mmap".to_owned(), HeapName::to_string);
        let capture = Capture {
            width: wanted.width,
            height: wanted.height,
            pixel_format,
            buffers: BUFFERS,
            memory: match heap {
                Some(_) => MemoryMode::DmaBuf,
                None => MemoryMode::Mmap,
            },
            heap: heap.map_or(HeapChoice::Auto, HeapChoice::Named),
            fps: None,
            verify: false,
        };
        match probe_memory(path, &capture, run) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Err(error),
            outcome => memories.push((name, outcome)),
        }
    }
    Ok(DeviceProbe {
        capability,
        formats,
        pixel_format,
        memories,
    })
}

fn probe_memory(path: &Path, capture: &Capture, run: &mut Run<'_>) -> Result<Works> {
    let mut camera = Camera::open(path, capture)?;
    let zero_copy = camera.can_pin();
    camera.start()?;
    let deadline = Instant::now() + PATIENCE;
    let mut sightings = Vec::new();
    while sightings.len() < FRAMES {
        run.tick()?;
        match camera.next()? {
            Next::Frame(filled) => {
                sightings.push(Sighting::of(filled.frame())?);
                camera.recycle(filled.release())?;
            }
            Next::Ended => break,
            Next::NotReady => {
                let polled: Vec<PollFd<'_>> = camera.waits_for().poll().0.into_iter().collect();
                match run.wait(&polled, Some(deadline), OnStop::End)? {
                    Woken::Ready(events) => {
                        let failed = PollFlags::POLLERR | PollFlags::POLLHUP;
                        if events.iter().any(|events| events.intersects(failed)) {
                            camera.next()?;
                            return Err(camera.poll_error());
                        }
                    }
                    Woken::TimedOut | Woken::Stopped => break,
                }
            }
        }
    }
    Ok(Works {
        stream: camera.stream().clone(),
        zero_copy,
        clock: capture_clock::classify(&sightings),
    })
}
