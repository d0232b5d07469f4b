//! The interpreter's end: runs on daemon threads are over before it, and what is left of them
//! touches Python no more.
//!
//! A thread that takes the lock of an interpreter that is being taken down is ended, or kept,
//! in the middle of our frames. So each asks here before it takes the lock back.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::observer::Link;

/// How long the interpreter's end waits for runs to be over.
const PARTING: Duration = Duration::from_secs(1);

/// How long the last words before an exit may take.
const SAYING: Duration = Duration::from_millis(50);

struct Gate {
    closed: bool,
    /// Threads that are about to take the lock.
    entering: usize,
    runs: Vec<Arc<Link>>,
}

static GATE: Mutex<Gate> = Mutex::new(Gate {
    closed: false,
    entering: 0,
    runs: Vec::new(),
});
static CHANGED: Condvar = Condvar::new();

fn lock() -> MutexGuard<'static, Gate> {
    GATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A thread's word that it is about to take the interpreter's lock, until it has it.
pub struct Entering(());

impl Entering {
    /// Waits for ever if the interpreter has ended.
    pub fn new() -> Self {
        let mut gate = lock();
        while gate.closed {
            gate = CHANGED.wait(gate).unwrap_or_else(PoisonError::into_inner);
        }
        gate.entering += 1;
        Entering(())
    }
}

impl Drop for Entering {
    fn drop(&mut self) {
        lock().entering -= 1;
        CHANGED.notify_all();
    }
}

/// A run's entry among those that the interpreter's end aborts.
pub struct Entry(Arc<Link>);

impl Entry {
    /// Enters a run of this process.
    pub fn new(link: &Arc<Link>) -> Self {
        lock().runs.push(Arc::clone(link));
        Entry(Arc::clone(link))
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        lock().runs.retain(|run| !Arc::ptr_eq(run, &self.0));
        CHANGED.notify_all();
    }
}

/// Aborts the runs that go on in this process, waits for them a moment, and lets nobody in
/// after that. To be called without the interpreter's lock.
pub fn close() {
    let own = std::process::id();
    let until = Instant::now() + PARTING;
    let mut gate = lock();
    // A forked child has its parent's entries, and none of its threads.
    gate.runs.retain(|run| run.process == own);
    for run in &gate.runs {
        run.abort();
    }
    while !gate.runs.is_empty() {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        let waited = CHANGED.wait_timeout(gate, left);
        gate = waited.unwrap_or_else(PoisonError::into_inner).0;
    }
    while gate.entering > 0 && Instant::now() < until {
        let waited = CHANGED.wait_timeout(gate, Duration::from_millis(10));
        gate = waited.unwrap_or_else(PoisonError::into_inner).0;
    }
    gate.closed = true;
}

/// Ends the process after a time, on a thread that nothing holds up.
pub fn within(time: Duration, status: i32) {
    let started = std::thread::Builder::new()
        .name("v4l-dmabuf-exit".to_owned())
        .spawn(move || {
            std::thread::sleep(time);
            // Where this hangs in turn, on a terminal that is stopped, it is left behind.
            let saying = std::thread::Builder::new().spawn(|| {
                for call in crate::blocking::under_way() {
                    eprintln!("{call} delays the exit");
                }
            });
            if saying.is_ok() {
                std::thread::sleep(SAYING);
            }
            leave(status);
        });
    if started.is_err() {
        // There is no other way to keep the word.
        leave(status);
    }
}

fn leave(status: i32) -> ! {
    // No exit handlers: they may wait for what hangs.
    #[allow(unsafe_code)]
    // SAFETY: `_exit` ends the process, and touches nothing of it.
    unsafe {
        nix::libc::_exit(status)
    }
}
