//! Threads, and what they share.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};

use crate::base::{Error, ErrorKind, Result};

/// Starts a thread. Its name is for those who look at the process.
pub fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    Builder::new()
        .name(format!("v4l-dmabuf-{name}"))
        .spawn(work)
        .map_err(|error| Error::new(ErrorKind::System, "start a thread").io(&error))
}

/// Locks what no thread leaves half-done: a panic elsewhere changes nothing of it.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
