//! Whether a device reads what the CPU wrote: of an output device whose frames come back at a
//! capture device.
//!
//! The CPU marks frames with SYNC, and looks for the mark in what comes back. Then it writes
//! another mark without SYNC: where the first one comes back, the device reads memory that the
//! CPU's caches keep the second one from.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::output::Showing;
use super::{Coherency, PATIENCE};
use crate::base::{Blocking, ErrorKind, OnStop, Result, Run, Woken};
use crate::frame::{Free, Lease};
use crate::memory::{Mark, MemoryMode, Sync, Witness};
use crate::source::{Next, Source, camera::Camera, camera::Capture};

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
    output: PathBuf,
    capture: PathBuf,
    /// Whether what the driver's own buffers hold comes back byte for byte; None: not tried yet.
    is_exact: Option<bool>,
}

/// What came back.
#[derive(Debug, Default, Clone, Copy)]
struct Back {
    lines: usize,
    /// Of a frame that was marked with SYNC, at best.
    first: usize,
    /// Of frames that were marked anew without it: lines of the mark before, at most, and of the
    /// new one.
    stale: usize,
    second: usize,
}

impl Looped {
    pub(super) fn new(output: &Path, capture: &Path) -> Self {
        Looped {
            output: output.to_owned(),
            capture: capture.to_owned(),
            is_exact: None,
        }
    }

    /// Whether the output device reads what the CPU writes into DMABUFs like these. None on a
    /// stop.
    pub(super) fn reads(
        &mut self,
        wanted: &Capture,
        run: &mut Run<'_>,
    ) -> Result<Option<Coherency>> {
        match self.try_reads(wanted, run) {
            Err(error) if error.kind() != ErrorKind::Interrupted => {
                Ok(Some(Coherency::Unknown(error.to_string())))
            }
            told => told,
        }
    }

    fn try_reads(&mut self, wanted: &Capture, run: &mut Run<'_>) -> Result<Option<Coherency>> {
        if self.is_exact.is_none() {
            let own = Capture {
                memory: MemoryMode::Mmap,
                ..wanted.clone()
            };
            let Some(back) = self.shown(&own, run)? else {
                return Ok(None);
            };
            self.is_exact = Some(back.lines > 0 && back.first == back.lines);
        }
        if self.is_exact == Some(false) {
            let (output, capture) = (self.output.display(), self.capture.display());
            return Ok(Some(Coherency::Unknown(format!(
                "what comes back at {capture} is not what {output} is given, byte for byte: its \
                 input has to be that output, of the same size and format"
            ))));
        }
        let Some(back) = self.shown(wanted, run)? else {
            return Ok(None);
        };
        Ok(Some(match back {
            Back { lines, first, .. } if first < lines => Coherency::Lies(lines - first, lines),
            Back { stale, .. } if stale > 0 => Coherency::Cached,
            Back { lines, second, .. } if lines > 0 && second == lines => Coherency::Coherent,
            _ => Coherency::Unknown("frames stopped coming back".to_owned()),
        }))
    }

    /// Shows marked frames. None on a stop.
    fn shown(&self, wanted: &Capture, run: &mut Run<'_>) -> Result<Option<Back>> {
        let (output, capture, wanted) = (self.output.clone(), self.capture.clone(), wanted.clone());
        let call = format!("opening and start of {}", output.display());
        let opening = Blocking::start(call, move || {
            let showing = Showing::start(&output, &wanted, |free| mark(free, FIRST, Sync::Told))?;
            let own = Capture {
                memory: MemoryMode::Mmap,
                ..wanted
            };
            let mut camera = Camera::open(&capture, &own)?;
            camera.start()?;
            Ok(Loop { showing, camera })
        })?;
        let Some(opened) = run.wait_for(opening, OnStop::End)? else {
            return Ok(None);
        };
        let mut looped = opened?;
        let back = looped.look(run);
        let call = format!("stop of {}", self.output.display());
        let teardown = Blocking::start(call, move || drop(looped))?;
        let gone = run.wait_for(teardown, OnStop::End)?;
        let back = back?;
        Ok(gone.and(back).filter(|_| !run.is_stopped()))
    }
}

/// Both devices, streaming.
struct Loop {
    showing: Showing,
    camera: Camera,
}

impl Loop {
    /// None on a stop.
    fn look(&mut self, run: &mut Run<'_>) -> Result<Option<Back>> {
        let mut back = Back::default();
        let mut turns = 0;
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline && (back.lines == 0 || back.first < back.lines) {
            let Some(lease) = self.next((FIRST, Sync::Told), &mut turns, deadline, run)? else {
                break;
            };
            let (first, lines) = held(&lease, FIRST)?;
            back.first = back.first.max(first);
            back.lines = lines;
        }
        let (mut seen, deadline) = (0, Instant::now() + PATIENCE);
        let all = TURNS * super::BUFFERS.get() as usize;
        turns = 0;
        let is_first_back = back.lines > 0 && back.first == back.lines;
        while is_first_back && Instant::now() < deadline && seen < LOOKS {
            let Some(lease) = self.next((SECOND, Sync::Untold), &mut turns, deadline, run)? else {
                break;
            };
            if turns >= all {
                seen += 1;
                back.stale = back.stale.max(held(&lease, FIRST)?.0);
                back.second = back.second.max(held(&lease, SECOND)?.0);
            }
        }
        Ok((!run.is_stopped()).then_some(back))
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
