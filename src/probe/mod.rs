//! What works with a device: each memory that it might capture into, or show frames from, tried
//! for real; and which displays import frames.

mod capture;
mod cards;
mod coherency;
mod looped;
mod output;

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use strum::AsRefStr;

pub use self::cards::{CardProbe, cards};
pub use self::coherency::Coherency;
use self::looped::Looped;
use crate::base::{Blocking, ErrorKind, Result, Run};
use crate::frame::{Capability, CaptureClock, FourCc, Stream};
use crate::memory::{HeapChoice, HeapName, MemoryMode};
use crate::source::camera::Capture;
use crate::v4l2::{Direction, device::Device};

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
    /// An output device whose frames come back at the device that is probed.
    pub looped_from: Option<PathBuf>,
    /// Whether a device that converts frames is probed, too, or is none of ours.
    pub with_m2m: bool,
}

/// What a V4L2 node is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, AsRefStr)]
#[strum(serialize_all = "lowercase")]
pub enum Node {
    /// Frames come from it.
    Capture,
    /// Frames go to it.
    Output,
    /// Frames go to it, and come from it converted.
    M2m,
}

/// A device, and what works with it.
#[derive(Debug)]
pub struct DeviceProbe {
    /// What it says it is.
    pub capability: Capability,
    /// Whether frames come from it or go to it.
    pub node: Node,
    /// What it offers.
    pub formats: Vec<FourCc>,
    /// What was tried.
    pub pixel_format: FourCc,
    /// Each memory by its name (`mmap`, or a heap's), and whether it works.
    pub memories: Vec<(String, Result<Works>)>,
}

/// How a memory works that a driver captured into, or took frames from.
#[derive(Debug)]
pub struct Works {
    /// What the driver granted.
    pub stream: Stream,
    /// What is known of frames that were captured.
    pub captured: Option<Captured>,
    /// Frames that came, one at least, all of them whole or flagged; or that the device was done
    /// with.
    pub frames: usize,
    /// Those of them that the driver flags as corrupt.
    pub error_frames: usize,
    /// Whether the CPU sees what the device writes; None of the driver's own memory.
    pub writes: Option<Coherency>,
    /// Whether an output device gets what the CPU writes; None of the driver's own memory, or if
    /// nobody asked.
    pub reads: Option<Coherency>,
}

/// How frames are that were captured.
#[derive(Debug)]
pub struct Captured {
    /// Whether they can be sent without a copy, and if not, what the kernel says.
    pub zero_copy: nix::Result<()>,
    /// What timestamps are of.
    pub clock: CaptureClock,
}

/// Tries all that a device might capture into, or show frames from.
pub fn probe(path: &Path, wanted: &Wanted, run: &mut Run<'_>) -> Result<DeviceProbe> {
    let (own, looked_for) = (path.to_owned(), wanted.clone());
    let looking = Blocking::start(format!("opening of {}", path.display()), move || {
        look_at(&own, &looked_for)
    })?;
    let mut probed = run.result_of(looking)??;
    let mut looped = match (probed.node, &wanted.looped_from) {
        (Node::M2m, _) => Some(Looped::m2m(path)),
        (_, output) => output.as_deref().map(|output| Looped::new(output, path)),
    };
    let heaps = HeapName::candidates().into_iter().map(Some);
    for heap in std::iter::once(None).chain(heaps) {
        if run.is_stopped() {
            break;
        }
        let name = heap.as_ref().map_or("mmap".to_owned(), HeapName::to_string);
        let capture = Capture {
            width: wanted.width,
            height: wanted.height,
            pixel_format: probed.pixel_format,
            buffers: BUFFERS,
            memory: match heap {
                Some(_) => MemoryMode::DmaBuf,
                None => MemoryMode::Mmap,
            },
            heap: heap.map_or(HeapChoice::Auto, HeapChoice::Named),
            fps: None,
            verify: false,
        };
        let tried = match (probed.node, &mut looped) {
            (Node::Output, _) => output::show_from(path, &capture, run),
            (Node::M2m, Some(looped)) => looped.convert(&capture, run),
            _ => capture::capture_into(path, &capture, run),
        };
        let tried = match (tried, &mut looped, probed.node) {
            (Ok(works), Some(looped), Node::Capture) => looped
                .reads(&capture, run)
                .map(|reads| Works { reads, ..works }),
            (tried, ..) => tried,
        };
        match tried {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Err(error),
            Err(error) if error.kind() == ErrorKind::Stopped => break,
            tried => probed.memories.push((name, tried)),
        }
    }
    Ok(probed)
}

/// What a device says of itself, and the pixel format to try it with.
fn look_at(path: &Path, wanted: &Wanted) -> Result<DeviceProbe> {
    let (device, node) = match Device::open(path, Direction::Capture) {
        Err(error) if error.kind() == ErrorKind::NotACaptureDevice => {
            let output = || Device::open(path, Direction::Output).map(|it| (it, Node::Output));
            let m2m = |_| match wanted.with_m2m {
                true => Device::open_m2m(path).map(|(capture, _)| (capture, Node::M2m)),
                false => Err(error),
            };
            output().or_else(m2m)?
        }
        device => (device?, Node::Capture),
    };
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
    Ok(DeviceProbe {
        capability: device.capability().clone(),
        node,
        formats,
        pixel_format,
        memories: Vec::new(),
    })
}
