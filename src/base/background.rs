//! Work in order on a thread of its own, beside a run that must not wait for it: what is
//! given is lent, and comes back done.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollTimeout, poll};

use crate::base::bell::Ring;
use crate::base::{Bell, Error, ErrorKind, OnStop, Result, Run, UnderWay, Woken, spawn};

/// How long what is under way may go without progress once a stop was requested.
const STALLED: Duration = Duration::from_secs(2);
/// How long an abandoned thread may take for what it has, and then to give up.
const PARTING: Duration = Duration::from_millis(25);

/// What is done on the thread.
pub trait Work: Send + 'static {
    /// What is lent to it.
    type Job: Send + 'static;
    /// What comes back.
    type Done: Send + 'static;

    /// The system call that it may hang in, and its object, as in `write(2) to /mnt/dump`.
    fn call(&self) -> String;
    /// Makes ready, before the first job. To be left off, it is no error.
    fn open(&mut self, reins: &Reins) -> Result<()>;
    /// Does a job.
    fn work(&mut self, job: Self::Job, reins: &Reins) -> Result<Self::Done>;
    /// Ends, after the last job.
    fn close(self) -> Result<()>;
}

/// What the run holds of the work while that goes on.
#[derive(Debug)]
pub struct Reins {
    aborted: AtomicBool,
    abort: Bell,
    /// Wakes the run.
    news: Arc<Bell>,
    /// Steps that were made.
    steps: AtomicU64,
}

impl Reins {
    fn new() -> Result<Self> {
        Ok(Reins {
            aborted: AtomicBool::new(false),
            abort: Bell::new()?,
            news: Arc::new(Bell::new()?),
            steps: AtomicU64::new(0),
        })
    }

    /// Whether to leave off, with what has been done by now.
    pub fn is_aborted(&self) -> bool {
        self.aborted.load(Ordering::SeqCst)
    }

    /// Notes that the work goes on.
    pub fn step(&self) {
        self.steps.fetch_add(1, Ordering::Relaxed);
    }

    /// Waits for an event on `fds`, for a time, or until the work is to leave off.
    pub fn wait(&self, fds: &[PollFd<'_>], timeout: PollTimeout) -> nix::Result<()> {
        let mut polled = fds.to_vec();
        polled.push(self.abort.poll_fd());
        match poll(&mut polled, timeout) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(errno),
        }
    }

    fn abort(&self) {
        self.aborted.store(true, Ordering::SeqCst);
        self.abort.ring();
    }
}

/// The thread and what is lent to it.
pub struct Background<W: Work> {
    /// None: there will be no more.
    jobs: Option<Sender<W::Job>>,
    done: Receiver<Result<W::Done>>,
    reins: Arc<Reins>,
    lent: usize,
    /// Whether the thread has ended.
    ended: bool,
}

impl<W: Work> Background<W> {
    /// Starts the thread.
    pub fn start(work: W) -> Result<Self> {
        let reins = Arc::new(Reins::new()?);
        let (jobs, taken) = channel();
        let (results, done) = channel();
        let own = Arc::clone(&reins);
        spawn("output", move || {
            // Dropped in the opposite order: who is woken finds what there is.
            let _ended = Ring(Arc::clone(&own.news));
            let results = results;
            if let Err(error) = go_on(work, &taken, &results, &own) {
                // Nobody may wait any more.
                let _ = results.send(Err(error));
            }
        })?;
        Ok(Background {
            jobs: Some(jobs),
            done,
            reins,
            lent: 0,
            ended: false,
        })
    }

    /// Lends it a job. Waits for nothing: whoever has a bound for what is lent sees to it.
    pub fn give(&mut self, job: W::Job) {
        if let Some(jobs) = &self.jobs {
            // A thread that has failed says so when it is asked for what is done.
            let _ = jobs.send(job);
            self.lent += 1;
        }
    }

    /// How many jobs have not come back.
    pub fn lent(&self) -> usize {
        self.lent
    }

    /// What is readable once something has come back since the last `attend`, or the thread
    /// has ended.
    pub fn poll_fd(&self) -> PollFd<'_> {
        self.reins.news.poll_fd()
    }

    /// Makes `poll_fd` wait for what comes from now on: to be called before a look.
    pub fn attend(&self) {
        self.reins.news.hush();
    }

    /// Takes back what is done next, if it is. The work's error if that failed.
    pub fn take(&mut self) -> Result<Option<W::Done>> {
        match self.done.try_recv() {
            Ok(Ok(done)) => {
                self.lent = self.lent.saturating_sub(1);
                Ok(Some(done))
            }
            Ok(Err(error)) => {
                // What else was lent is lost with it.
                self.jobs = None;
                self.lent = 0;
                Err(error)
            }
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) if self.lent == 0 => {
                self.ended = true;
                Ok(None)
            }
            Err(TryRecvError::Disconnected) => {
                self.ended = true;
                Err(Error::new(ErrorKind::System, "write in the background")
                    .cause("the thread that does has ended"))
            }
        }
    }

    /// Waits until something has come back, or the thread has ended; None on a stop.
    pub fn wait(&mut self, run: &mut Run<'_>) -> Result<Option<W::Done>> {
        loop {
            self.attend();
            if let Some(done) = self.take()? {
                return Ok(Some(done));
            }
            let news = [self.poll_fd()];
            if self.ended || run.wait(&news, None, OnStop::End)? == Woken::Stopped {
                return Ok(None);
            }
        }
    }

    /// Gives no more, and waits until all is done and closed. After a stop it waits for as
    /// long as that goes on, and gives up what hangs: an error, with `stalled` in its words.
    pub fn finish(
        &mut self,
        run: &mut Run<'_>,
        mut done: impl FnMut(W::Done),
        stalled: impl FnOnce(usize) -> Error,
    ) -> Result<()> {
        self.jobs = None;
        let mut seen = (self.reins.steps.load(Ordering::Relaxed), Instant::now());
        loop {
            self.attend();
            while let Some(job) = self.take()? {
                done(job);
            }
            if self.ended {
                return Ok(());
            }
            let steps = self.reins.steps.load(Ordering::Relaxed);
            if steps != seen.0 {
                seen = (steps, Instant::now());
            }
            let news = [self.poll_fd()];
            if !run.is_stopped() {
                run.wait(&news, None, OnStop::End)?;
                seen.1 = Instant::now();
                continue;
            }
            let until = seen.1 + STALLED;
            if Instant::now() >= until {
                return Err(stalled(self.lent));
            }
            run.wait(&news, Some(until), OnStop::Finish)?;
        }
    }

    /// Has it wait no longer for what it needs to begin, if nothing was lent to it.
    pub fn abandon_opening(&self) {
        if self.lent == 0 {
            self.reins.abort();
        }
    }

    /// Waits for the thread's end, a moment.
    fn part(&self) -> bool {
        let until = Instant::now() + PARTING;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.done.recv_timeout(left) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => return true,
                Err(RecvTimeoutError::Timeout) => return false,
            }
        }
    }
}

impl<W: Work> Drop for Background<W> {
    /// Lets it finish what it has if that takes no time, else has it leave off. A thread
    /// that the kernel keeps goes by itself when it is let go: all that it uses is its own.
    fn drop(&mut self) {
        self.jobs = None;
        if !self.ended && !self.part() {
            self.reins.abort();
            self.part();
        }
    }
}

fn go_on<W: Work>(
    mut work: W,
    jobs: &Receiver<W::Job>,
    results: &Sender<Result<W::Done>>,
    reins: &Reins,
) -> Result<()> {
    let under_way = UnderWay::enter(work.call());
    work.open(reins)?;
    drop(under_way);
    while let Ok(job) = jobs.recv() {
        let under_way = UnderWay::enter(work.call());
        let done = work.work(job, reins)?;
        drop(under_way);
        reins.step();
        // Nobody may wait any more.
        let _ = results.send(Ok(done));
        reins.news.ring();
    }
    let _under_way = UnderWay::enter(work.call());
    work.close()
}

#[cfg(test)]
mod tests;
