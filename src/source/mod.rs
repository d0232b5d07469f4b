//! Where a sender's frames come from.

mod buffers;
pub mod camera;
pub mod feed;
mod input;
pub mod test;

use std::time::{Duration, Instant};

pub use self::input::Input;
use crate::base::{
    Blocking, Error, ErrorKind, OnStop, Result, Run, WaitsFor, Woken, error::keep_first,
};
use crate::frame::{Lease, Pool, Stream};

/// What a source has now.
#[derive(Debug)]
pub enum Next {
    /// A frame. Its buffer is the source's again when the last lease of it is dropped.
    Frame(Lease),
    /// Nothing yet: wait for what `waits_for` tells.
    NotReady,
    /// Nothing any more.
    Ended,
}

/// A source of frames, negotiated and with its buffers at hand. It moves between threads,
/// since a device may hang while it is opened, started, or let go of.
pub trait Source: Send {
    /// What it is, for people: a device's path.
    fn name(&self) -> String;
    /// What it gives.
    fn stream(&self) -> &Stream;
    /// Whether its buffers can be sent without a copy, by trial: the errno says
    /// why not.
    fn can_pin(&self) -> nix::Result<()>;
    /// Frames come from now on.
    fn start(&mut self) -> Result<()>;
    /// The next frame, without waiting.
    fn next(&mut self) -> Result<Next>;
    /// What to wait for when there is none.
    fn waits_for(&self) -> WaitsFor<'_>;
    /// Where its frames' buffers are when nobody has them.
    fn pool(&self) -> &Pool;
    /// How many buffers it must have to go on.
    fn needed(&self) -> usize {
        1
    }
    /// What it means that the descriptor reports an error and `next` does not.
    fn poll_error(&self) -> Error;
}

/// A source that was asked to start, and what came of that.
pub type Started = (Box<dyn Source>, Result<()>);

/// Opens a source of that name. On a stop whatever is opened is let go of again.
pub fn open(
    name: &str,
    open: impl FnOnce() -> Result<Box<dyn Source>> + Send + 'static,
    run: &mut Run<'_>,
) -> Result<Box<dyn Source>> {
    let opening = Blocking::start(format!("opening of {name}"), open)?;
    run.result_of(opening)?
}

/// Starts a source. None on a stop: the source is then let go of.
pub fn start(mut source: Box<dyn Source>, run: &mut Run<'_>) -> Result<Option<Started>> {
    let starting = Blocking::start(format!("start of {}", source.name()), move || {
        let started = source.start();
        (source, started)
    })?;
    run.wait_for(starting, OnStop::End)
}

/// Lets a source go, and with it what else holds its buffers: the last of them to be
/// unmapped closes the device.
pub fn tear_down(source: Box<dyn Source>, held: impl Send + 'static) -> Result<Blocking<()>> {
    Blocking::start(format!("teardown of {}", source.name()), move || {
        drop(held);
        drop(source);
    })
}

/// A source that is silent for longer than this is worth a warning.
pub const SILENT_SOURCE: Duration = Duration::from_secs(5);

/// Says that a source has been silent for `SILENT_SOURCE`.
pub fn warn_of_silence() {
    let seconds = SILENT_SOURCE.as_secs();
    log::warn!("no frame for {seconds} s: is there a signal?");
}

/// How long to wait for a device to be let go of. What takes longer has its own reasons.
const TEARDOWN: Duration = Duration::from_secs(2);

/// Ends what had `result`, with its source's teardown: waits for that, but no longer than is
/// fit, and not at all after an interrupt.
pub fn end_with(torn_down: Blocking<()>, result: Result<()>, run: &mut Run<'_>) -> Result<()> {
    match &result {
        Err(error) if error.kind() == ErrorKind::Interrupted => result,
        _ => keep_first(result, wait_for_teardown(torn_down, run)),
    }
}

fn wait_for_teardown(mut torn_down: Blocking<()>, run: &mut Run<'_>) -> Result<()> {
    let deadline = Instant::now() + TEARDOWN;
    let woken = run.wait(&[torn_down.poll_fd()], Some(deadline), OnStop::Finish)?;
    if woken == Woken::TimedOut {
        log::warn!(
            "the {} has not returned for {} s, and goes on by itself",
            torn_down.call(),
            TEARDOWN.as_secs()
        );
    }
    torn_down.take().map(|_| ())
}

#[cfg(test)]
mod tests;
