//! A driver whose answers are scripted.

use std::collections::VecDeque;
use std::sync::Mutex;

use std::os::fd::AsFd;

use nix::sys::memfd::MFdFlags;

use super::super::*;
use crate::v4l2::PlaneUsed;

pub(in crate::v4l2) const LENGTH: usize = 4096;
pub(in crate::v4l2) const PLANE: PlaneFormat = PlaneFormat {
    sizeimage: LENGTH as u32,
    bytesperline: 0,
};

/// A buffer of one plane.
pub(in crate::v4l2) fn told(length: u32) -> BufferState {
    BufferState {
        flags: 0,
        planes: vec![PlaneInfo {
            length,
            mem_offset: 0,
        }],
    }
}

/// Answers as it is told to, and notes what it is asked.
#[derive(Default)]
pub(in crate::v4l2) struct Script {
    pub(in crate::v4l2) asked: Mutex<Vec<String>>,
    pub(in crate::v4l2) granted: Mutex<Option<u32>>,
    /// What QUERYBUF tells of buffers; of the driver's own, one plane unless there is this.
    pub(in crate::v4l2) state: Mutex<Option<BufferState>>,
    /// What EXPBUF exports; nothing unless there is one.
    pub(in crate::v4l2) exported: Mutex<Option<OwnedFd>>,
    /// The planes' lengths of the latest QBUF.
    pub(in crate::v4l2) queued: Mutex<Vec<u32>>,
    pub(in crate::v4l2) qbuf_error: Mutex<Option<Errno>>,
    pub(in crate::v4l2) streamoff_error: Mutex<Option<Errno>>,
    pub(in crate::v4l2) dequeues: Mutex<VecDeque<nix::Result<Dequeued>>>,
}

impl Script {
    pub(in crate::v4l2) fn note(&self, what: impl Into<String>) {
        self.asked.lock().unwrap().push(what.into());
    }

    pub(in crate::v4l2) fn will_dequeue(&self, told: nix::Result<Dequeued>) {
        self.dequeues.lock().unwrap().push_back(told);
    }

    pub(in crate::v4l2) fn will_fill(&self, index: u32, bytesused: u32, data_offset: u32) {
        self.will_dequeue(Ok(Dequeued::Buffer(DequeuedBuffer {
            index,
            flags: 0,
            field: 0,
            sequence: 7,
            timestamp: (1, 2),
            planes: vec![PlaneUsed {
                bytesused,
                data_offset,
            }],
        })));
    }
}

impl Driver for Script {
    fn reqbufs(&self, _: MemoryType, count: u32) -> nix::Result<u32> {
        self.note(format!("reqbufs {count}"));
        Ok(self.granted.lock().unwrap().unwrap_or(count))
    }

    fn querybuf(&self, memory: MemoryType, _: u32) -> nix::Result<BufferState> {
        let own = (memory == MemoryType::Mmap).then(|| told(LENGTH as u32));
        let state = self.state.lock().unwrap().clone();
        state.or(own).ok_or(Errno::ENOTTY)
    }

    fn expbuf(&self, _: u32, _: u32) -> nix::Result<OwnedFd> {
        match &*self.exported.lock().unwrap() {
            Some(exported) => exported.try_clone().map_err(|_| Errno::EMFILE),
            None => Err(Errno::ENOTTY),
        }
    }

    fn map(&self, plane: PlaneInfo) -> nix::Result<Mapping> {
        let memfd = nix::sys::memfd::memfd_create(c"test", MFdFlags::MFD_CLOEXEC)?;
        nix::unistd::ftruncate(&memfd, i64::from(plane.length))?;
        Mapping::new(memfd.as_fd(), plane.length as usize, 0)
    }

    fn qbuf(
        &self,
        _: MemoryType,
        index: u32,
        planes: &[PlaneToQueue<'_>],
        _: Sent,
    ) -> nix::Result<()> {
        self.note(format!("qbuf {index}"));
        *self.queued.lock().unwrap() = planes.iter().map(|plane| plane.length).collect();
        self.qbuf_error.lock().unwrap().map_or(Ok(()), Err)
    }

    fn dqbuf(&self, _: MemoryType) -> nix::Result<Dequeued> {
        self.dequeues
            .lock()
            .unwrap()
            .pop_front()
            .unwrap_or(Ok(Dequeued::NotReady))
    }

    fn streamon(&self) -> nix::Result<()> {
        Ok(())
    }

    fn streamoff(&self) -> nix::Result<()> {
        self.note("streamoff");
        self.streamoff_error.lock().unwrap().map_or(Ok(()), Err)
    }
}
