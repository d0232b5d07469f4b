//! The core's log: queued by whatever thread says something, and given to Python's `logging`
//! by a Python thread that waits for a run. No handler ever holds up a run.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use log::{Level, LevelFilter, Metadata, Record};
use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::base::{Bell, lock as lock_mutex, text::escaped};

/// Records that are kept for a Python thread that is slow to take them.
const MOST: usize = 10_000;

struct Entry {
    level: Level,
    target: String,
    file: Option<&'static str>,
    line: u32,
    text: String,
}

struct Queue {
    entries: VecDeque<Entry>,
    /// Records that found no room.
    lost: u64,
    readers: Vec<Arc<Bell>>,
}

static QUEUE: Mutex<Queue> = Mutex::new(Queue {
    entries: VecDeque::new(),
    lost: 0,
    readers: Vec::new(),
});

fn lock() -> MutexGuard<'static, Queue> {
    lock_mutex(&QUEUE)
}

struct Queued;

impl log::Log for Queued {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= Level::Debug
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let entry = Entry {
            level: record.level(),
            target: record.target().replace("::", "."),
            file: record.file_static(),
            line: record.line().unwrap_or(0),
            text: escaped(&record.args().to_string()).into_owned(),
        };
        let mut queue = lock();
        if queue.entries.len() < MOST {
            queue.entries.push_back(entry);
        } else {
            queue.lost += 1;
        }
        for reader in &queue.readers {
            reader.ring();
        }
    }

    fn flush(&self) {}
}

/// Has the core's log queued. May be called again.
pub fn install() {
    static LOGGER: Queued = Queued;
    // Fails only if the module is imported anew in the same process, where it goes on working.
    let _ = log::set_logger(&LOGGER);
    log::set_max_level(LevelFilter::Debug);
}

/// Has `bell` rung when there is a record, until this is dropped.
pub struct Reader(Arc<Bell>);

impl Reader {
    /// Begins.
    pub fn new(bell: &Arc<Bell>) -> Self {
        lock().readers.push(Arc::clone(bell));
        Reader(Arc::clone(bell))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        lock()
            .readers
            .retain(|reader| !Arc::ptr_eq(reader, &self.0));
    }
}

/// Whether there are records to tell.
pub fn is_waiting() -> bool {
    let queue = lock();
    !queue.entries.is_empty() || queue.lost > 0
}

/// Gives Python what is queued. A handler's exception is Python's to print, other than those
/// by which programs end, as `KeyboardInterrupt`: those are the error.
pub fn tell(py: Python<'_>) -> PyResult<()> {
    let lost = {
        let mut queue = lock();
        std::mem::take(&mut queue.lost)
    };
    if lost > 0 {
        log::warn!("{lost} log records are lost: they came faster than they were taken");
    }
    loop {
        // The lock is not held while Python runs.
        let entry = lock().entries.pop_front();
        let Some(entry) = entry else { return Ok(()) };
        match tell_one(py, &entry) {
            Err(error) if error.is_instance_of::<PyException>(py) => {
                error.write_unraisable(py, None);
            }
            told => told?,
        }
    }
}

fn tell_one(py: Python<'_>, entry: &Entry) -> PyResult<()> {
    let logger = py
        .import("logging")?
        .call_method1("getLogger", (&entry.target,))?;
    let level = match entry.level {
        Level::Error => 40,
        Level::Warn => 30,
        Level::Info => 20,
        Level::Debug | Level::Trace => 10,
    };
    if !logger.call_method1("isEnabledFor", (level,))?.is_truthy()? {
        return Ok(());
    }
    let record = logger.call_method1(
        "makeRecord",
        (
            &entry.target,
            level,
            entry.file.unwrap_or_default(),
            entry.line,
            &entry.text,
            PyTuple::empty(py),
            py.None(),
        ),
    )?;
    logger.call_method1("handle", (record,))?;
    Ok(())
}
