//! What works with a device: each memory that it might capture into, tried for real.

use std::num::NonZeroU32;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};

use crate::base::{Blocking, Error, ErrorKind, OnStop, Result, Run, Woken};
use crate::frame::{Capability, CaptureClock, FourCc, Sighting, Stream, capture_clock};
use crate::measure::{Completeness, Lack};
use crate::memory::{HeapChoice, HeapName, MemoryMode};
use crate::source::{self, Next, Source, camera::Camera, camera::Capture};
use crate::v4l2::{Direction, device::Device};
use crate::wire::Description;

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
    /// Frames that came, one at least, all of them whole or flagged.
    pub frames: usize,
    /// Those of them that the driver flags as corrupt.
    pub error_frames: usize,
}

/// Tries all that a device might capture into.
pub fn probe(path: &Path, wanted: &Wanted, run: &mut Run<'_>) -> Result<DeviceProbe> {
    let (own, format) = (path.to_owned(), wanted.pixel_format);
    let looking = Blocking::start(format!("opening of {}", path.display()), move || {
        look_at(&own, format)
    })?;
    let Some(looked) = run.wait_for(looking, OnStop::End)? else {
        return Err(
            Error::new(ErrorKind::Interrupted, format!("probe {}", path.display()))
                .cause("it was stopped"),
        );
    };
    let (capability, formats, pixel_format) = looked?;
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
            Ok(None) => break,
            Ok(Some(works)) => memories.push((name, Ok(works))),
            Err(error) => memories.push((name, Err(error))),
        }
    }
    Ok(DeviceProbe {
        capability,
        formats,
        pixel_format,
        memories,
    })
}

/// What a device says of itself, and the pixel format to try it with.
fn look_at(path: &Path, wanted: Option<FourCc>) -> Result<(Capability, Vec<FourCc>, FourCc)> {
    let device = Device::open(path, Direction::Capture)?;
    let formats = device.formats()?;
    let usual: FourCc = "YUYV".parse()?;
    let pixel_format = wanted
        .or_else(|| formats.iter().copied().find(|format| *format == usual))
        .or_else(|| formats.first().copied())
        .ok_or_else(|| {
            device
                .error("choose a pixel format", Errno::EINVAL)
                .cause(format!("{} offers none", device.path()))
        })?;
    Ok((device.capability().clone(), formats, pixel_format))
}

/// Captures a few frames. None on a stop.
fn probe_memory(path: &Path, capture: &Capture, run: &mut Run<'_>) -> Result<Option<Works>> {
    let (own, wanted) = (path.to_owned(), capture.clone());
    let call = format!("opening and start of {}", path.display());
    let opening = Blocking::start(call, move || {
        let mut camera = Camera::open(&own, &wanted)?;
        let zero_copy = camera.can_pin();
        camera.start()?;
        Ok((camera, zero_copy))
    })?;
    let Some(opened) = run.wait_for(opening, OnStop::End)? else {
        return Ok(None);
    };
    let (mut camera, zero_copy) = opened?;
    let watched = watch(&mut camera, run);
    let stream = camera.stream().clone();
    // Many devices are one program's at a time: the next memory is tried when this one is gone.
    let teardown = source::tear_down(Box::new(camera), ())?;
    let gone = run.wait_for(teardown, OnStop::End)?;
    let seen = watched?;
    if gone.is_none() || run.is_stopped() {
        return Ok(None);
    }
    seen.is_a_stream(path)?;
    Ok(Some(Works {
        stream,
        zero_copy,
        clock: capture_clock::classify(&seen.sightings),
        frames: seen.sightings.len(),
        error_frames: seen.corrupt,
    }))
}

/// The frames that came.
#[derive(Default)]
struct Seen {
    sightings: Vec<Sighting>,
    /// Flagged so by the driver.
    corrupt: usize,
    /// Short of what their format says, and what the latest lacks.
    incomplete: usize,
    lack: Option<Lack>,
}

impl Seen {
    /// Fails as a stream of these frames would.
    fn is_a_stream(&self, path: &Path) -> Result<()> {
        let frames = self.sightings.len();
        let shown = path.display();
        let error = Error::new(ErrorKind::Device, format!("capture from {shown}"))
            .object(shown.to_string());
        if frames == 0 {
            let patience = PATIENCE.as_secs();
            return Err(error
                .cause(format!(
                    "it takes the buffers, and gives no frame in {patience} s"
                ))
                .next("check that its source has a signal, and that nothing has to trigger it"));
        }
        match self.lack {
            Some(lack) => Err(error
                .cause(format!(
                    "{} of {frames} frames are incomplete: {lack}",
                    self.incomplete
                ))
                .next("try another pixel format (-f) or size (-W, -H)")),
            None => Ok(()),
        }
    }
}

fn watch(camera: &mut Camera, run: &mut Run<'_>) -> Result<Seen> {
    let complete = Completeness::new(&Description::of(camera.stream(), false, false));
    let deadline = Instant::now() + PATIENCE;
    let mut seen = Seen::default();
    while seen.sightings.len() < FRAMES && Instant::now() < deadline && !run.is_stopped() {
        run.tick()?;
        match camera.next()? {
            Next::Frame(lease) => {
                let frame = lease.frame();
                seen.sightings.push(Sighting::of(frame)?);
                seen.corrupt += usize::from(frame.has_error());
                if let Some(lack) = complete.lack(frame) {
                    seen.incomplete += 1;
                    seen.lack = Some(lack);
                }
            }
            Next::Ended => break,
            Next::NotReady => {
                let polled: Vec<PollFd<'_>> = camera.waits_for().poll().0.collect();
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
    Ok(seen)
}
