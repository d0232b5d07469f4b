//! Calls that the kernel may keep for as long as it likes, each on a thread of its own:
//! name resolution, opening and writing files on a dead server, closing a device that hangs.
//!
//! A run waits for such a call as for a descriptor, and so stays able to stop. A call that is
//! given up goes on by itself until the kernel lets it go; `under_way` names it for those who
//! wonder why the process doesn't end.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::sync::{Arc, Mutex, Weak};
use std::thread::JoinHandle;

use nix::poll::PollFd;

use crate::base::bell::Ring;
use crate::base::{Bell, Error, ErrorKind, Result, lock, spawn};

/// The calls that have not returned yet, in the order in which they began.
static UNDER_WAY: Mutex<Vec<(u64, String)>> = Mutex::new(Vec::new());

/// What calls are made on that are too frequent for an entry each time.
static GAUGES: Mutex<Vec<Weak<Gauge>>> = Mutex::new(Vec::new());

/// Names the calls that have not returned yet.
pub fn under_way() -> Vec<String> {
    let mut calls: Vec<String> = lock(&UNDER_WAY)
        .iter()
        .map(|(_, call)| call.clone())
        .collect();
    let gauges = lock(&GAUGES);
    calls.extend(gauges.iter().filter_map(|gauge| gauge.upgrade()?.call()));
    calls
}

/// The calls on one object, such as a device: each is named while it is under way, at the
/// price of two stores. They are made one at a time.
#[derive(Debug)]
pub struct Calls(Arc<Gauge>);

#[derive(Debug)]
struct Gauge {
    object: String,
    names: &'static [&'static str],
    /// The number of the call that is under way; no name's number: none is.
    current: AtomicUsize,
}

impl Gauge {
    fn call(&self) -> Option<String> {
        let name = self.names.get(self.current.load(Ordering::Relaxed))?;
        Some(format!("{name} of {}", self.object))
    }
}

impl Calls {
    /// Nothing is under way. Calls go by their numbers in `names`.
    pub fn on(object: impl Into<String>, names: &'static [&'static str]) -> Self {
        let gauge = Arc::new(Gauge {
            object: object.into(),
            names,
            current: AtomicUsize::new(usize::MAX),
        });
        let mut gauges = lock(&GAUGES);
        gauges.retain(|gauge| gauge.strong_count() > 0);
        gauges.push(Arc::downgrade(&gauge));
        Calls(gauge)
    }

    /// Makes a call.
    pub fn during<T>(&self, number: usize, call: impl FnOnce() -> T) -> T {
        self.0.current.store(number, Ordering::Relaxed);
        let answer = call();
        self.0.current.store(usize::MAX, Ordering::Relaxed);
        answer
    }
}

/// A call's entry among those under way, for as long as it lives.
#[derive(Debug)]
pub struct UnderWay(u64);

impl UnderWay {
    /// Enters a call by its name and object, as in `open(2) of /mnt/dump`.
    pub fn enter(call: impl Into<String>) -> Self {
        let mut calls = lock(&UNDER_WAY);
        let number = calls.last().map_or(0, |(last, _)| last + 1);
        calls.push((number, call.into()));
        UnderWay(number)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        lock(&UNDER_WAY).retain(|(number, _)| *number != self.0);
    }
}

/// A call on a thread of its own.
#[derive(Debug)]
pub struct Blocking<T> {
    call: String,
    done: Arc<Bell>,
    result: Receiver<T>,
    thread: Option<JoinHandle<()>>,
}

impl<T: Send + 'static> Blocking<T> {
    /// Begins `work`. `call` names it and its object, as in `open(2) of /mnt/dump`.
    pub fn start(
        call: impl Into<String>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Self> {
        let call = call.into();
        let done = Arc::new(Bell::new()?);
        let (sender, result) = channel();
        let (named, ring) = (call.clone(), Ring(Arc::clone(&done)));
        let thread = spawn("call", move || {
            // Dropped in the opposite order: who is woken finds the result, or its absence.
            let _ring = ring;
            let sender = sender;
            let under_way = UnderWay::enter(named);
            let result = work();
            drop(under_way);
            // Nobody may wait any more.
            let _ = sender.send(result);
        })?;
        Ok(Blocking {
            call,
            done,
            result,
            thread: Some(thread),
        })
    }

    /// For a wait: readable once the call has returned.
    pub fn poll_fd(&self) -> PollFd<'_> {
        self.done.poll_fd()
    }

    /// The call and its object.
    pub fn call(&self) -> &str {
        &self.call
    }

    /// The result, if the call has returned and this was not asked before. An error of kind
    /// `System` if its thread failed.
    pub fn take(&mut self) -> Result<Option<T>> {
        match self.result.try_recv() {
            Ok(result) => {
                // It has nothing left to do but to end: the run then leaves neither a thread
                // nor a descriptor behind.
                if let Some(thread) = self.thread.take() {
                    let _ = thread.join();
                }
                Ok(Some(result))
            }
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => {
                let error = Error::new(ErrorKind::System, format!("wait for {}", self.call));
                Err(error.cause("its thread ended without an answer"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::poll::{PollTimeout, poll};

    #[test]
    fn a_call_is_named_until_it_returns_and_then_gives_its_result() {
        let (let_go, kept) = channel::<()>();
        let mut call = Blocking::start("read(2) of a test", move || {
            kept.recv().ok();
            7
        })
        .unwrap();
        while !under_way().contains(&"read(2) of a test".to_owned()) {
            std::thread::yield_now();
        }
        assert_eq!(call.take().unwrap(), None, "it has not returned");
        let_go.send(()).unwrap();
        assert_eq!(poll(&mut [call.poll_fd()], PollTimeout::NONE).unwrap(), 1);
        assert_eq!(call.take().unwrap(), Some(7));
        assert!(!under_way().contains(&"read(2) of a test".to_owned()));
    }

    #[test]
    fn a_frequent_call_is_named_while_it_lasts() {
        let calls = Calls::on("a test's device", &["first", "second"]);
        let named = || under_way().contains(&"second of a test's device".to_owned());
        assert!(!named());
        assert!(calls.during(1, named), "it was not named while it lasted");
        assert!(!named());
    }

    #[test]
    fn a_call_whose_thread_fails_is_an_error_and_no_endless_wait() {
        let mut call =
            Blocking::<()>::start("a test", || std::panic::resume_unwind(Box::new(0))).unwrap();
        assert_eq!(poll(&mut [call.poll_fd()], PollTimeout::NONE).unwrap(), 1);
        assert!(call.take().is_err());
    }
}
