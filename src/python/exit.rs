//! The interpreter's end: runs on daemon threads are over before it, and what is left of them
//! touches Python no more.
//!
//! A thread that takes the lock of an interpreter that is being taken down is ended, or kept,
//! in the middle of our frames. So each asks here before it takes the lock back.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use super::observer::Link;

/// How long the interpreter's end waits for runs to be over.
const PARTING: Duration = Duration::from_secs(1);

/// How long the last words before an exit may take.
const SAYING: Duration = Duration::from_millis(50);

/// What the interpreter's end waits for, or aborts, with the process that it is in: a forked
/// child has its parent's, and none of its threads.
struct Entered<T> {
    process: u32,
    it: Arc<T>,
}

struct Gate {
    /// The thread that ends the interpreter, once it has begun: what another one begins now comes
    /// too late.
    closer: Option<ThreadId>,
    closed: bool,
    /// Threads that are about to take the lock.
    entering: usize,
    runs: Vec<Entered<Link>>,
    whole: Vec<Entered<()>>,
}

impl Gate {
    /// Whether the interpreter's end is another thread's.
    fn is_closing(&self) -> bool {
        let own = std::thread::current().id();
        self.closer.is_some_and(|closer| closer != own)
    }

    fn is_empty(&self) -> bool {
        self.runs.is_empty() && self.whole.is_empty()
    }
}

static GATE: Mutex<Gate> = Mutex::new(Gate {
    closer: None,
    closed: false,
    entering: 0,
    runs: Vec::new(),
    whole: Vec::new(),
});
static CHANGED: Condvar = Condvar::new();

fn lock() -> MutexGuard<'static, Gate> {
    crate::base::lock(&GATE)
}

/// A thread's word that it is about to take the interpreter's lock, until it has it.
pub struct Entering(());

impl Entering {
    /// Waits for ever if another thread has ended the interpreter.
    pub fn new() -> Self {
        let mut gate = lock();
        while gate.closed && gate.is_closing() {
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

/// Does what takes no interpreter's lock without it, and takes it again only where that may be.
pub fn without_lock<T: Send>(py: Python<'_>, work: impl FnOnce() -> T + Send) -> T {
    let (done, entering) = py.detach(|| (work(), Entering::new()));
    drop(entering);
    done
}

/// A run's entry among those that the interpreter's end aborts.
pub struct Entry(Arc<Link>);

impl Entry {
    /// Enters a run of this process. `RuntimeError`: the interpreter is ending.
    pub fn new(link: &Arc<Link>) -> PyResult<Self> {
        let mut gate = lock();
        if gate.is_closing() && gate.whole.is_empty() {
            return Err(too_late());
        }
        gate.runs.push(Entered {
            process: std::process::id(),
            it: Arc::clone(link),
        });
        Ok(Entry(Arc::clone(link)))
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        lock().runs.retain(|run| !Arc::ptr_eq(&run.it, &self.0));
        CHANGED.notify_all();
    }
}

/// A run with all that belongs to it, its report above all: while it is entered, as a context
/// manager, the interpreter's end waits. One at a time.
#[pyclass(frozen)]
pub struct Whole(Arc<()>);

#[pymethods]
impl Whole {
    #[new]
    fn new() -> Self {
        Whole(Arc::new(()))
    }

    fn __enter__(&self) -> PyResult<()> {
        let process = std::process::id();
        let mut gate = lock();
        if gate.is_closing() {
            return Err(too_late());
        }
        let is_own = |it: &Entered<()>| it.process == process && Arc::ptr_eq(&it.it, &self.0);
        if gate.whole.iter().any(is_own) {
            return Err(PyRuntimeError::new_err("it is running already"));
        }
        let it = Arc::clone(&self.0);
        gate.whole.push(Entered { process, it });
        Ok(())
    }

    fn __exit__(&self, _kind: Py<PyAny>, _error: Py<PyAny>, _traceback: Py<PyAny>) {
        lock().whole.retain(|it| !Arc::ptr_eq(&it.it, &self.0));
        CHANGED.notify_all();
    }
}

fn too_late() -> PyErr {
    PyRuntimeError::new_err("the interpreter is ending: it is too late for a run")
}

/// Whether the interpreter's end has begun, which waits a moment and for nobody else.
pub fn is_closing() -> bool {
    lock().is_closing()
}

/// Aborts the runs that go on in this process, waits for them a moment, and lets nobody in
/// after that. To be called without the interpreter's lock.
pub fn close() {
    let own = std::process::id();
    let until = Instant::now() + PARTING;
    let mut gate = lock();
    gate.closer = Some(std::thread::current().id());
    gate.runs.retain(|run| run.process == own);
    gate.whole.retain(|run| run.process == own);
    for run in &gate.runs {
        run.it.abort();
    }
    while !gate.is_empty() {
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
                for call in crate::base::blocking::under_way() {
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
