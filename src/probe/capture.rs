//! Whether a device captures into a memory: by capturing a few frames.

use std::path::Path;
use std::time::Instant;

use nix::poll::{PollFd, PollFlags};

use super::coherency::Writes;
use super::{Captured, FRAMES, PATIENCE, Works};
use crate::base::{Blocking, Error, ErrorKind, OnStop, Result, Run, Woken};
use crate::frame::{Sighting, capture_clock};
use crate::measure::{Completeness, Lack};
use crate::source::{self, Next, Source, camera::Camera, camera::Capture};
use crate::wire::Description;

/// Captures a few frames.
pub(super) fn capture_into(path: &Path, capture: &Capture, run: &mut Run<'_>) -> Result<Works> {
    let (own, wanted) = (path.to_owned(), capture.clone());
    let call = format!("opening and start of {}", path.display());
    let opening = Blocking::start(call, move || {
        let mut camera = Camera::open(&own, &wanted)?;
        let zero_copy = camera.can_pin();
        let writes = Writes::begin(&camera)?;
        camera.start()?;
        Ok((camera, zero_copy, writes))
    })?;
    let (mut camera, zero_copy, mut writes) = run.result_of(opening)??;
    let watched = watch(&mut camera, writes.as_mut(), run);
    let stream = camera.stream().clone();
    // Many devices are one program's at a time: the next memory is tried when this one is gone.
    let teardown = source::tear_down(Box::new(camera), ())?;
    let gone = run.result_of(teardown);
    let seen = watched?;
    gone.and_then(|()| run.heed_stop())?;
    seen.is_a_stream(path)?;
    Ok(Works {
        stream,
        captured: Some(Captured {
            zero_copy,
            clock: capture_clock::classify(&seen.sightings),
        }),
        frames: seen.sightings.len(),
        error_frames: seen.corrupt,
        writes: writes.map(|it| it.verdict()),
        reads: None,
    })
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
        let error = Error::about(ErrorKind::Device, "capture from", &shown);
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

fn watch(camera: &mut Camera, mut writes: Option<&mut Writes>, run: &mut Run<'_>) -> Result<Seen> {
    let complete = Completeness::new(&Description::of(camera.stream(), false, false));
    let deadline = Instant::now() + PATIENCE;
    let mut seen = Seen::default();
    while seen.sightings.len() < FRAMES && Instant::now() < deadline && !run.is_stopped() {
        run.tick()?;
        match camera.next()? {
            Next::Frame(lease) => {
                if let Some(writes) = &mut writes {
                    writes.look(&lease)?;
                }
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
