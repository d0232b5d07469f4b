//! What joins a run, on a thread of its own, with the Python thread that waits for it. The run
//! never waits for that thread, and never takes the interpreter's lock.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use crate::base::{Bell, Observer, Result, Stop, Thread, lock};
use crate::measure::{Measured, Measuring};

/// How long a run may take to tell its state. One that takes longer hangs in the kernel.
const ANSWERS: Duration = Duration::from_millis(100);

/// What a run has told of its state.
#[derive(Default)]
struct Told {
    state: Option<Arc<Measured>>,
    /// Whether the waiting thread has not had it.
    is_new: bool,
    /// How often it has told.
    count: u64,
}

/// What the two threads ask and tell each other.
pub struct Link {
    /// Rings at the run: it is asked for something.
    bell: Bell,
    aborted: AtomicBool,
    wanted: AtomicBool,
    so_far: Mutex<Told>,
    /// Notified when there is a new state.
    told: Condvar,
    /// The run's; None where the kernel does not tell.
    thread: OnceLock<Option<Thread>>,
    /// Rings at the Python thread: there is a state, a log record, or the run is over.
    pub news: Arc<Bell>,
}

impl Link {
    /// Nothing asked yet.
    pub fn new() -> Result<Self> {
        Ok(Link {
            bell: Bell::new()?,
            aborted: AtomicBool::new(false),
            wanted: AtomicBool::new(false),
            so_far: Mutex::default(),
            told: Condvar::new(),
            thread: OnceLock::new(),
            news: Arc::new(Bell::new()?),
        })
    }

    /// Ends the run at once, whatever it is at.
    pub fn abort(&self) {
        self.aborted.store(true, Ordering::SeqCst);
        self.bell.ring();
    }

    /// Whether it was aborted.
    pub fn is_aborted(&self) -> bool {
        self.aborted.load(Ordering::SeqCst)
    }

    /// Asks for the run's state so far.
    pub fn ask(&self) {
        self.wanted.store(true, Ordering::SeqCst);
        self.bell.ring();
    }

    /// The state that was asked for, if it has come.
    pub fn take_so_far(&self) -> Option<Arc<Measured>> {
        let mut told = lock(&self.so_far);
        told.is_new
            .then(|| told.state.clone())
            .flatten()
            .inspect(|_| told.is_new = false)
    }

    /// The run's state now; the one before if it does not answer in time, or none.
    pub fn look(&self) -> Option<Arc<Measured>> {
        let told = lock(&self.so_far);
        let before = told.count;
        self.ask();
        let waited = self
            .told
            .wait_timeout_while(told, ANSWERS, |told| told.count == before);
        let (told, _) = waited.unwrap_or_else(PoisonError::into_inner);
        told.state.clone()
    }

    /// Notes the thread that calls this as the run's.
    pub fn enter_thread(&self) {
        self.thread.get_or_init(Thread::current);
    }

    /// What the run's thread is in.
    pub fn call_of_thread(&self) -> String {
        let thread = self.thread.get().and_then(Option::as_ref);
        let call = thread.and_then(Thread::call);
        call.unwrap_or_else(|| "a call of the run's".to_owned())
    }
}

/// The run's end of the link.
pub struct Linked<'a> {
    /// By what it is asked.
    pub link: Arc<Link>,
    /// Its stop.
    pub stop: Arc<Stop>,
    /// What it tells of.
    pub measured: &'a Measuring,
}

impl Linked<'_> {
    fn tell(&self) {
        // Busy only if a borrow lasts through a wait: then what was told before stands.
        let Ok(measured) = self.measured.try_borrow() else {
            return;
        };
        let mut so_far = measured.so_far();
        so_far.stopped = self.stop.is_requested();
        let mut told = lock(&self.link.so_far);
        told.state = Some(Arc::new(so_far));
        told.is_new = true;
        told.count += 1;
        self.link.told.notify_all();
    }
}

impl Observer for Linked<'_> {
    fn tick(&mut self) -> Result<()> {
        let link = &self.link;
        if link.is_aborted() {
            // In case that what is taken down now hangs.
            self.tell();
            // The bell rings on: no wait lasts any more.
            return Err(super::running::aborted());
        }
        if link.wanted.swap(false, Ordering::SeqCst) {
            link.bell.hush();
            if link.is_aborted() {
                link.bell.ring();
            }
            self.tell();
            link.news.ring();
        }
        Ok(())
    }

    fn bell(&self) -> Option<BorrowedFd<'_>> {
        Some(self.link.bell.as_fd())
    }

    fn patience(&self) -> Option<Duration> {
        None
    }
}
