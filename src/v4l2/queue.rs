//! The capture queue: which buffers the driver has, and the way in and out.
//!
//! A queued buffer's memory is owned by its slot here, so it can't be freed,
//! read or queued again under the driver. A failed QBUF and STREAMOFF hand it
//! back. Source: the kernel's "Linux Media Userspace API", Input/Output.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use nix::errno::Errno;

use crate::base::Monotonic;
use crate::frame::{Buffer, Frame, Free, Lease, Payload, Pool, Timestamp, flags};
use crate::memory::{self, Mapping, Plane, Witness};
use crate::v4l2::{
    BufferState, Dequeued, DequeuedBuffer, MemoryType, PlaneFormat, PlaneInfo, PlaneToQueue,
    PlaneUsed, Sent,
};

/// The ioctls that a queue needs; `Device` has them, tests script them.
pub trait Driver {
    /// VIDIOC_REQBUFS
    fn reqbufs(&self, memory: MemoryType, count: u32) -> nix::Result<u32>;
    /// VIDIOC_QUERYBUF
    fn querybuf(&self, memory: MemoryType, index: u32) -> nix::Result<BufferState>;
    /// VIDIOC_EXPBUF
    fn expbuf(&self, index: u32, plane: u32) -> nix::Result<OwnedFd>;
    /// mmap(2) of a plane that VIDIOC_QUERYBUF told of.
    fn map(&self, plane: PlaneInfo) -> nix::Result<Mapping>;
    /// VIDIOC_QBUF
    fn qbuf(
        &self,
        memory: MemoryType,
        index: u32,
        planes: &[PlaneToQueue<'_>],
        sent: Sent,
    ) -> nix::Result<()>;
    /// VIDIOC_DQBUF
    fn dqbuf(&self, memory: MemoryType) -> nix::Result<Dequeued>;
    /// VIDIOC_STREAMON
    fn streamon(&self) -> nix::Result<()>;
    /// VIDIOC_STREAMOFF
    fn streamoff(&self) -> nix::Result<()>;
}

/// Why the driver's answer is of no use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueueError {
    /// What the ioctl answered.
    Errno(Errno),
    /// The driver told of a buffer that can't be.
    Nonsense(String),
}

impl From<Errno> for QueueError {
    fn from(errno: Errno) -> Self {
        QueueError::Errno(errno)
    }
}

/// What a dequeue brought.
#[derive(Debug)]
pub enum Dequeue {
    /// A frame.
    Frame(Lease),
    /// Nothing yet.
    NotReady,
    /// Nothing any more.
    Ended,
}

/// A driver's buffers of one kind of memory.
#[derive(Debug)]
pub struct Queue<D: Driver> {
    driver: Arc<D>,
    memory: MemoryType,
    granted: NonZeroU32,
    /// A slot an index; what is in it is the driver's.
    slots: Vec<Option<Buffer>>,
    planes: Vec<PlaneSize>,
    /// The buffers that are not the driver's, but those that hold a frame.
    pool: Pool,
    /// Whether the driver has said that no frame follows.
    has_ended: bool,
    /// Whether a frame had more bytes than its format.
    has_overfilled: bool,
}

/// The size of a memory plane.
#[derive(Debug, Clone, Copy)]
struct PlaneSize {
    /// Bytes that a frame has at most, by the format. The peer is told so.
    sizeimage: usize,
    /// Bytes that the driver wants of an imported buffer; 0 if it doesn't tell.
    wanted: usize,
}

impl<D: Driver> Queue<D> {
    /// REQBUFS for `count` buffers of a format with these memory planes, which the
    /// buffers must have as well. The driver may grant another number: `count` of
    /// the queue tells. On an error nothing stays requested. Frames are lent out of `pool`.
    pub fn request(
        driver: Arc<D>,
        memory: MemoryType,
        count: u32,
        planes: &[PlaneFormat],
        pool: Pool,
    ) -> Result<Self, QueueError> {
        let granted = driver.reqbufs(memory, count)?;
        let granted = NonZeroU32::new(granted).ok_or(Errno::ENOMEM)?;
        let size = |plane: &PlaneFormat| PlaneSize {
            sizeimage: plane.sizeimage as usize,
            wanted: 0,
        };
        let mut queue = Queue {
            driver,
            memory,
            granted,
            slots: (0..granted.get()).map(|_| None).collect(),
            planes: planes.iter().map(size).collect(),
            pool,
            has_ended: false,
            has_overfilled: false,
        };
        // Some drivers tell nothing of an import before they have it.
        if let Ok(state) = queue.driver.querybuf(memory, 0) {
            queue.check_planes(0, state.planes.len())?;
            for (plane, told) in queue.planes.iter_mut().zip(state.planes) {
                plane.wanted = told.length as usize;
            }
        }
        Ok(queue)
    }

    /// A frame is sent with the planes of its format: its buffer has to have them.
    fn check_planes(&self, index: u32, has: usize) -> Result<(), QueueError> {
        let needs = self.planes.len();
        if has == needs {
            return Ok(());
        }
        Err(QueueError::Nonsense(format!(
            "its format has {needs} memory planes, and its buffer {index} has {has}"
        )))
    }

    /// Where a frame's buffer is again when its last lease is dropped.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// How many buffers the driver granted.
    pub fn count(&self) -> NonZeroU32 {
        self.granted
    }

    /// What the buffers' flags say of timestamps; None if the driver doesn't tell.
    pub fn timestamp_flags(&self) -> Option<u32> {
        let state = self.driver.querybuf(self.memory, 0).ok()?;
        Some(state.flags & (flags::BUF_FLAG_TIMESTAMP_MASK | flags::BUF_FLAG_TSTAMP_SRC_MASK))
    }

    /// Whether the driver has a buffer to fill.
    pub fn has_queued(&self) -> bool {
        self.slots.iter().any(Option::is_some)
    }

    /// Tries whether the buffers can be sent without a copy.
    pub fn try_pin(&self) -> nix::Result<()> {
        let queued = self.slots.iter().flatten();
        queued
            .flat_map(|buffer| &buffer.planes)
            .try_for_each(memory::try_pin)
    }

    /// A look at the first plane of each queued buffer, by the buffer's number: at what the driver
    /// does with it. None of memory that is no DMABUF.
    pub fn witnesses(&self) -> HashMap<u32, Witness> {
        let queued = self.slots.iter().flatten();
        let looks = queued.filter_map(|buffer| {
            let witness = buffer.planes.first().and_then(Witness::of)?;
            Some((buffer.index, witness))
        });
        looks.collect()
    }

    /// The driver's own buffers, each plane as a DMABUF (EXPBUF) where the driver
    /// exports it, else mapped from the device. None are queued yet.
    pub fn driver_buffers(&self) -> Result<Vec<Free>, QueueError> {
        (0..self.count().get())
            .map(|index| {
                let told = self.driver.querybuf(self.memory, index)?.planes;
                self.check_planes(index, told.len())?;
                let planes = told
                    .into_iter()
                    .zip(0..)
                    .map(|(info, plane)| self.driver_plane(index, plane, info))
                    .collect::<nix::Result<Vec<Plane>>>()?;
                Ok(Free::new(index, planes))
            })
            .collect()
    }

    fn driver_plane(&self, index: u32, plane: u32, info: PlaneInfo) -> nix::Result<Plane> {
        let exported = self
            .driver
            .expbuf(index, plane)
            .map_err(|errno| ("export a buffer (VIDIOC_EXPBUF)", errno))
            .and_then(|dmabuf| {
                // Some drivers export what can't be mapped.
                Plane::of_dmabuf(dmabuf, info.length as usize)
                    .map_err(|errno| ("map the buffer that it exported (mmap(2))", errno))
            });
        exported.or_else(|(what, errno)| {
            if index == 0 {
                log::info!("plane {plane}: cannot {what}: {errno}; mapping the device instead");
            }
            self.driver.map(info).map(Plane::of_mapping)
        })
    }

    /// QBUF: the buffer is the driver's until it is dequeued or the queue stops.
    /// On an error it comes back. `EINVAL` without asking the driver if its
    /// index is not one of this queue's or is queued already.
    pub fn enqueue(&mut self, free: Free) -> Result<(), (Free, Errno)> {
        let Free(buffer) = free;
        let index = buffer.index;
        let Some(slot @ None) = self.slots.get_mut(index as usize) else {
            return Err((Free(buffer), Errno::EINVAL));
        };
        let import = self.memory == MemoryType::DmaBuf;
        let queued: Vec<PlaneToQueue<'_>> = buffer
            .planes
            .iter()
            .zip(&self.planes)
            .map(|(plane, size)| {
                // Memory comes in whole pages, and some drivers fill what they are given.
                let length = if import {
                    size.sizeimage.max(size.wanted).min(plane.length())
                } else {
                    plane.length()
                };
                PlaneToQueue {
                    dmabuf: plane.dmabuf().filter(|_| import),
                    length: u32::try_from(length).unwrap_or(u32::MAX),
                    used: PlaneUsed::default(),
                }
            })
            .collect();
        let sent = Sent::default();
        if let Err(errno) = self.driver.qbuf(self.memory, index, &queued, sent) {
            return Err((Free(buffer), errno));
        }
        *slot = Some(buffer);
        Ok(())
    }

    /// STREAMON
    pub fn start(&self) -> nix::Result<()> {
        self.driver.streamon()
    }

    /// STREAMOFF: every queued buffer comes back. On an error they stay queued.
    pub fn stop(&mut self) -> nix::Result<Vec<Free>> {
        self.driver.streamoff()?;
        Ok(self
            .slots
            .iter_mut()
            .filter_map(|slot| slot.take().map(Free))
            .collect())
    }

    /// DQBUF, without waiting.
    pub fn dequeue(&mut self) -> Result<Dequeue, QueueError> {
        if self.has_ended {
            return Ok(Dequeue::Ended);
        }
        let told = match self.driver.dqbuf(self.memory)? {
            Dequeued::Buffer(told) => told,
            Dequeued::NotReady => return Ok(Dequeue::NotReady),
            Dequeued::LastBuffer => return Ok(Dequeue::Ended),
        };
        let buffer = self
            .slots
            .get_mut(told.index as usize)
            .and_then(Option::take)
            .ok_or_else(|| QueueError::Nonsense(format!("buffer {} was not queued", told.index)))?;
        let mut frame = frame_of(&told, &buffer)?;
        self.has_ended = told.flags & flags::BUF_FLAG_LAST != 0;
        if self.has_ended && frame.bytes() == 0 {
            // A mark of the end, and no frame.
            return Ok(Dequeue::Ended);
        }
        self.bound(&mut frame);
        Ok(Dequeue::Frame(self.pool.lend(Free(buffer), frame)))
    }

    /// Holds a frame to its format's size, which is all that the peer has room for.
    fn bound(&mut self, frame: &mut Frame) {
        for (payload, size) in frame.payloads.iter_mut().zip(&self.planes) {
            if payload.length <= size.sizeimage {
                continue;
            }
            if !self.has_overfilled {
                log::warn!(
                    "the driver gives frames of {} bytes, and its format has {} at most: the \
                     rest is not sent, and such frames count as corrupt",
                    payload.length,
                    size.sizeimage
                );
                self.has_overfilled = true;
            }
            payload.length = size.sizeimage;
            frame.flags |= flags::BUF_FLAG_ERROR;
        }
    }
}

/// Checks what the driver tells against the memory that it was given: sizes
/// from here on are known to fit.
fn frame_of(told: &DequeuedBuffer, buffer: &Buffer) -> Result<Frame, QueueError> {
    if told.planes.len() != buffer.planes.len() {
        return Err(QueueError::Nonsense(format!(
            "buffer {} came back with {} planes of {}",
            told.index,
            told.planes.len(),
            buffer.planes.len()
        )));
    }
    let payloads = told
        .planes
        .iter()
        .zip(&buffer.planes)
        .map(|(used, plane)| {
            let (offset, end) = (used.data_offset as usize, used.bytesused as usize);
            match end.checked_sub(offset) {
                Some(length) if end <= plane.length() => Ok(Payload { offset, length }),
                // Drivers leave both at 0 in buffers that they give up on.
                None if end == 0 => Ok(Payload::default()),
                _ => Err(QueueError::Nonsense(format!(
                    "buffer {} came back with bytes {offset} to {end} of {}",
                    told.index,
                    plane.length()
                ))),
            }
        })
        .collect::<Result<Vec<Payload>, QueueError>>()?;
    let (seconds, microseconds) = told.timestamp;
    Ok(Frame {
        sequence: u64::from(told.sequence),
        flags: told.flags,
        field: told.field,
        timestamp: Timestamp {
            seconds,
            microseconds,
        },
        payloads,
        taken: Monotonic::now(),
    })
}

impl<D: Driver> Drop for Queue<D> {
    fn drop(&mut self) {
        // STREAMOFF makes the driver let go of the memory before it is freed, and
        // it is unmapped before REQBUFS(0), which a mapped buffer would refuse.
        // The driver may be gone by now, and then holds nothing.
        if let Err(errno) = self.stop() {
            log::debug!("VIDIOC_STREAMOFF at the end: {errno}");
        }
        if let Err(errno) = self.driver.reqbufs(self.memory, 0) {
            log::debug!("VIDIOC_REQBUFS(0) at the end: {errno}");
        }
    }
}

#[cfg(test)]
pub(in crate::v4l2) mod tests;
