//! Whether a device reads what the CPU wrote: of an output device whose frames come back at a
//! capture device.
//!
//! The CPU marks frames with SYNC, and looks for the mark in what comes back. Then it writes
//! another mark without SYNC: where the first one comes back, the device reads memory that the
//! CPU's caches keep the second one from.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::coherency::Writes;
use super::output::Showing;
use super::{Coherency, PATIENCE, Works};
use crate::base::{Blocking, Error, ErrorKind, OnStop, Result, Run, Woken};
use crate::frame::{Free, Lease, Stream};
use crate::memory::{Mark, MemoryMode, Sync, Witness};
use crate::source::{Next, Source, camera::Camera, camera::Capture};
use crate::v4l2::{Direction, device::Device};

const FIRST: Mark = Mark(2);
const SECOND: Mark = Mark(3);

/// How often to ask for frames: drivers differ in whether they say so to poll(2).
const AGAIN: Duration = Duration::from_millis(5);
/// Frames that are looked at for the first mark, once the second has been shown.
const LOOKS: usize = 4;
/// How often each buffer is marked anew before that: what was under way is through by then.
const TURNS: usize = 3;

/// An output device, and where its frames come back.
#[derive(Debug)]
pub(super) struct Looped {
    way: Way,
    /// Whether what the driver's own buffers hold comes back byte for byte; None: not tried yet.
    is_exact: Option<bool>,
}

/// Where frames go in, and where they come back.
#[derive(Debug, Clone)]
enum Way {
    Nodes {
        output: PathBuf,
        capture: PathBuf,
    },
    /// A node that converts them: from a format into the same, so that they stay what they are.
    M2m(PathBuf),
}

impl Way {
    /// Opens what frames come back at, and what they go into.
    fn open(&self) -> Result<(Device, Device)> {
        match self {
            Way::Nodes { output, capture } => Ok((
                Device::open(capture, Direction::Capture)?,
                Device::open(output, Direction::Output)?,
            )),
            Way::M2m(path) => Device::open_m2m(path),
        }
    }

    fn output(&self) -> String {
        match self {
            Way::Nodes { output, .. } => output.display().to_string(),
            Way::M2m(path) => path.display().to_string(),
        }
    }

    /// Why what comes back may be something else.
    fn is_inexact(&self) -> String {
        match self {
            Way::Nodes { output, capture } => format!(
                "what comes back at {} is not what {} is given, byte for byte: its input has to be \
                 that output, of the same size and format",
                capture.display(),
                output.display()
            ),
            Way::M2m(path) => format!(
                "what {} is given it does not give back byte for byte, in the same format and size",
                path.display()
            ),
        }
    }
}

/// What came back.
#[derive(Debug, Clone)]
struct Back {
    stream: Stream,
    frames: usize,
    lines: usize,
    /// Of a frame that was marked with SYNC, at best.
    first: usize,
    /// Of frames that were marked anew without it: lines of the mark before, at most, and of the
    /// new one.
    stale: usize,
    second: usize,
    /// Whether the CPU saw what came; None of the driver's own memory.
    writes: Option<Coherency>,
}

impl Back {
    fn is_exact(&self) -> bool {
        self.lines > 0 && self.first == self.lines
    }
}

impl Looped {
    pub(super) fn new(output: &Path, capture: &Path) -> Self {
        Looped {
            way: Way::Nodes {
                output: output.to_owned(),
                capture: capture.to_owned(),
            },
            is_exact: None,
        }
    }

    /// Of a device that converts frames.
    pub(super) fn m2m(path: &Path) -> Self {
        Looped {
            way: Way::M2m(path.to_owned()),
            is_exact: None,
        }
    }

    /// Whether a device converts frames from a memory, and into it.
    pub(super) fn convert(&mut self, wanted: &Capture, run: &mut Run<'_>) -> Result<Works> {
        let own = drivers_own(wanted);
        let back = self.shown(&own, wanted, run)?;
        if back.frames == 0 {
            let path = self.way.output();
            let patience = PATIENCE.as_secs();
            return Err(Error::about(ErrorKind::Device, "convert frames on", &path)
                .cause(format!(
                    "it takes the frames, and gives none back in {patience} s"
                ))
                .next("try another pixel format (-f) or size (-W, -H)"));
        }
        let reads = self.try_reads(wanted, run)?;
        run.heed_stop()?;
        Ok(Works {
            stream: back.stream,
            captured: None,
            frames: back.frames,
            error_frames: 0,
            writes: back.writes,
            reads,
        })
    }

    /// Whether the output device reads what the CPU writes into DMABUFs like these. None of
    /// the driver's own memory.
    pub(super) fn reads(
        &mut self,
        wanted: &Capture,
        run: &mut Run<'_>,
    ) -> Result<Option<Coherency>> {
        match self.try_reads(wanted, run) {
            Err(error) if !matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::Stopped) => {
                Ok(Some(Coherency::Unknown(error.to_string())))
            }
            told => told,
        }
    }

    fn try_reads(&mut self, wanted: &Capture, run: &mut Run<'_>) -> Result<Option<Coherency>> {
        if wanted.memory != MemoryMode::DmaBuf {
            return Ok(None);
        }
        let own = drivers_own(wanted);
        if self.is_exact.is_none() {
            self.is_exact = Some(self.shown(&own, &own, run)?.is_exact());
        }
        if self.is_exact == Some(false) {
            return Ok(Some(Coherency::Unknown(self.way.is_inexact())));
        }
        Ok(Some(match self.shown(wanted, &own, run)? {
            Back { lines, first, .. } if first < lines => Coherency::Lies(lines - first, lines),
            Back { stale, .. } if stale > 0 => Coherency::Cached,
            Back { lines, second, .. } if lines > 0 && second == lines => Coherency::Coherent,
            _ => Coherency::Unknown("frames stopped coming back".to_owned()),
        }))
    }

    /// Shows marked frames from a memory, and takes what comes back into another.
    fn shown(&self, from: &Capture, into: &Capture, run: &mut Run<'_>) -> Result<Back> {
        let (way, from, into) = (self.way.clone(), from.clone(), into.clone());
        let call = format!("opening and start of {}", way.output());
        let opening = Blocking::start(call, move || {
            let (capture, output) = way.open()?;
            let showing = Showing::start(output, &from, |free| mark(free, FIRST, Sync::Told))?;
            let mut camera = Camera::on(capture, &into)?;
            let writes = Writes::begin(&camera)?;
            camera.start()?;
            Ok(Loop {
                showing,
                camera,
                writes,
            })
        })?;
        let mut looped = run.result_of(opening)??;
        let back = looped.look(run);
        let call = format!("stop of {}", self.way.output());
        let teardown = Blocking::start(call, move || drop(looped))?;
        let gone = run.result_of(teardown);
        let back = back?;
        gone.and_then(|()| run.heed_stop())?;
        Ok(back)
    }
}

/// The same, in the driver's own memory.
fn drivers_own(wanted: &Capture) -> Capture {
    Capture {
        memory: MemoryMode::Mmap,
        ..wanted.clone()
    }
}

/// Both devices, streaming.
struct Loop {
    showing: Showing,
    camera: Camera,
    writes: Option<Writes>,
}

impl Loop {
    fn look(&mut self, run: &mut Run<'_>) -> Result<Back> {
        let mut back = Back {
            stream: self.camera.stream().clone(),
            frames: 0,
            lines: 0,
            first: 0,
            stale: 0,
            second: 0,
            writes: None,
        };
        let mut turns = 0;
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline && (back.lines == 0 || back.first < back.lines) {
            let Some(lease) = self.next((FIRST, Sync::Told), &mut turns, deadline, run)? else {
                break;
            };
            if let Some(writes) = &mut self.writes {
                writes.look(&lease)?;
            }
            let (first, lines) = held(&lease, FIRST)?;
            back.frames += 1;
            back.first = back.first.max(first);
            back.lines = lines;
        }
        let (mut seen, deadline) = (0, Instant::now() + PATIENCE);
        let buffers = super::BUFFERS.get() as usize;
        let all = TURNS * buffers;
        turns = 0;
        back.writes = self.writes.as_ref().map(Writes::verdict);
        let is_exact = back.is_exact();
        while is_exact && Instant::now() < deadline && seen < buffers + LOOKS {
            let Some(lease) = self.next((SECOND, Sync::Untold), &mut turns, deadline, run)? else {
                break;
            };
            if turns >= all {
                seen += 1;
            }
            // As many may have been waiting to be taken since before.
            if seen > buffers {
                back.stale = back.stale.max(held(&lease, FIRST)?.0);
                back.second = back.second.max(held(&lease, SECOND)?.0);
            }
        }
        Ok(back)
    }

    /// The next frame that comes back, while what the device is done with is marked and shown
    /// again. None on a stop, or if none comes.
    fn next(
        &mut self,
        (with, sync): (Mark, Sync),
        turns: &mut usize,
        deadline: Instant,
        run: &mut Run<'_>,
    ) -> Result<Option<Lease>> {
        while Instant::now() < deadline && !run.is_stopped() {
            run.tick()?;
            while self.showing.take_back()?.is_some() {
                if let Some(mut free) = self.showing.pool.take() {
                    mark(&mut free, with, sync)?;
                    self.showing.show(free)?;
                    *turns += 1;
                }
            }
            match self.camera.next()? {
                Next::Frame(lease) if !lease.frame().has_error() => return Ok(Some(lease)),
                Next::Frame(_) => {}
                Next::Ended => break,
                Next::NotReady => {
                    if run.wait(&[], Some(Instant::now() + AGAIN), OnStop::End)? == Woken::Stopped {
                        break;
                    }
                }
            }
        }
        Ok(None)
    }
}

/// Marks a frame that is to be shown.
fn mark(free: &mut Free, mark: Mark, sync: Sync) -> Result<()> {
    let Some(plane) = free.planes_mut().first_mut() else {
        return Ok(());
    };
    if let Some(mut witness) = Witness::of(plane) {
        return witness.write(mark, sync);
    }
    let length = plane.length();
    let mut access = plane.write()?;
    mark.write(&mut access.view_mut(0, length)?);
    access.end()
}

/// How many lines of a frame hold a mark, and how many there are.
fn held(lease: &Lease, mark: Mark) -> Result<(usize, usize)> {
    let Some((plane, payload)) = lease.planes().next() else {
        return Ok((0, 0));
    };
    let access = plane.read()?;
    let counted = mark.count(&access.view(payload.offset, payload.length)?);
    access.end()?;
    Ok(counted)
}
