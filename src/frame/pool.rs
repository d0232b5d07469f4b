//! The buffers of a stream: free ones in their pool, and those that hold a frame lent out of it.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use crate::base::{Bell, Result, lock};
use crate::frame::{Buffer, Frame, Free, Payload, Poison};
use crate::memory::Plane;

/// The free buffers of a stream, and what wakes who waits for one.
#[derive(Debug, Clone)]
pub struct Pool(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Readable while `State::has_rung`.
    bell: Bell,
    lent: Lent,
}

#[derive(Debug)]
struct State {
    free: Vec<Free>,
    /// Whether somebody waits: to ring for nobody would be two calls a frame.
    is_awaited: bool,
    has_rung: bool,
}

impl Pool {
    /// Of these buffers.
    pub fn new(free: Vec<Free>) -> Result<Self> {
        let state = State {
            free,
            is_awaited: false,
            has_rung: false,
        };
        Ok(Pool(Arc::new(Shared {
            state: Mutex::new(state),
            bell: Bell::new()?,
            lent: Lent::default(),
        })))
    }

    /// A free buffer. The one that was used last: it is still in the CPU's caches.
    pub fn take(&self) -> Option<Free> {
        let mut state = self.0.lock();
        state.is_awaited = false;
        state.free.pop()
    }

    /// Gives a buffer back that holds no frame.
    pub fn give(&self, free: Free) {
        self.0.give(free);
    }

    /// Whether no buffer is free.
    pub fn is_empty(&self) -> bool {
        self.0.lock().free.is_empty()
    }

    /// What is readable once a buffer is free, for a wait that begins now.
    pub fn bell(&self) -> BorrowedFd<'_> {
        let mut state = self.0.lock();
        state.is_awaited = true;
        if state.free.is_empty() && state.has_rung {
            // It rang for a buffer that has been taken.
            self.0.bell.hush();
            state.has_rung = false;
        } else if !state.free.is_empty() {
            self.0.ring(&mut state);
        }
        self.0.bell.as_fd()
    }

    /// How many buffers hold frames that somebody has: a count that outlives the pool.
    pub fn lent(&self) -> Lent {
        self.0.lent.clone()
    }

    /// Lends out a buffer that holds a frame.
    pub fn lend(&self, free: Free, frame: Frame) -> Lease {
        self.0.lent.0.fetch_add(1, Ordering::Relaxed);
        Lease(Arc::new(Leased {
            memory: Memory::Own(free.0),
            frame,
            lent: self.lent(),
            pool: Arc::downgrade(&self.0),
            is_retired: AtomicBool::new(false),
        }))
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn give(&self, free: Free) {
        let mut state = self.lock();
        state.free.push(free);
        if state.is_awaited {
            self.ring(&mut state);
        }
    }

    fn ring(&self, state: &mut State) {
        if !state.has_rung {
            state.has_rung = true;
            self.bell.ring();
        }
    }
}

/// How many buffers of a pool are lent out.
#[derive(Debug, Clone, Default)]
pub struct Lent(Arc<AtomicUsize>);

impl Lent {
    /// So many, just now.
    pub fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// A frame in its buffer, shared by all who read it. When the last of them lets go, from
/// whatever thread, the buffer is free again in its pool, and at no other time: nobody gets
/// a `Free` of it before, which alone can be queued or written to.
#[derive(Debug, Clone)]
pub struct Lease(Arc<Leased>);

#[derive(Debug)]
struct Leased {
    memory: Memory,
    frame: Frame,
    lent: Lent,
    /// A frame that is held when the stream is over keeps its own buffer, and no other.
    pool: Weak<Shared>,
    is_retired: AtomicBool,
}

/// The memory of a frame.
#[derive(Debug)]
enum Memory {
    Own(Buffer),
    /// The same frame's, of which something else is told.
    Of(Lease),
}

impl Lease {
    fn buffer(&self) -> &Buffer {
        match &self.0.memory {
            Memory::Own(buffer) => buffer,
            Memory::Of(lease) => lease.buffer(),
        }
    }

    /// The buffer's number in its pool.
    pub fn index(&self) -> u32 {
        self.buffer().index
    }

    /// The same pixels as another frame: `frame`'s payloads lie within this one's planes.
    pub fn told_otherwise(self, frame: Frame) -> Lease {
        Lease(Arc::new(Leased {
            frame,
            lent: self.0.lent.clone(),
            pool: Weak::clone(&self.0.pool),
            memory: Memory::Of(self),
            is_retired: AtomicBool::new(false),
        }))
    }

    /// What is known of the frame.
    pub fn frame(&self) -> &Frame {
        &self.0.frame
    }

    /// What the memory was filled with before the frame came.
    pub fn poison(&self) -> Option<&Poison> {
        self.buffer().poison.as_ref()
    }

    /// Each plane's memory, and the range of it that the frame uses.
    pub fn planes(&self) -> impl Iterator<Item = (&Plane, Payload)> {
        let payloads = self.0.frame.payloads.iter().copied();
        self.buffer().planes.iter().zip(payloads)
    }

    /// Copies each plane's payload. The CPU's access is begun and ended.
    pub fn copy(&self) -> Result<Vec<Box<[u8]>>> {
        let planes = self.planes().map(|(plane, payload)| {
            let access = plane.read()?;
            let view = access.view(payload.offset, payload.length)?;
            let mut bytes = vec![0; payload.length].into_boxed_slice();
            view.copy_to(&mut bytes);
            access.end()?;
            Ok(bytes)
        });
        planes.collect()
    }

    /// Lets go of a frame; says whether its buffer is free by that.
    pub fn release(self) -> bool {
        Arc::into_inner(self.0).is_some()
    }

    /// Lets go of a frame that the kernel may go on reading: the buffer is never free again,
    /// and its memory is unmapped with the last lease.
    pub fn retire(self) {
        self.0.is_retired.store(true, Ordering::SeqCst);
        if let Memory::Of(lease) = &self.0.memory {
            lease.clone().retire();
        }
    }
}

impl Drop for Leased {
    fn drop(&mut self) {
        let Memory::Own(buffer) = &mut self.memory else {
            return;
        };
        if !*self.is_retired.get_mut() {
            self.lent.0.fetch_sub(1, Ordering::Relaxed);
            if let Some(pool) = self.pool.upgrade() {
                let planes = std::mem::take(&mut buffer.planes);
                pool.give(Free::new(buffer.index, planes));
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
