//! The output queue: the frames that an output device has, each held until it comes back.
//!
//! A frame's buffer may be read by the device until VIDIOC_DQBUF gives it back, so the queue keeps
//! its lease until then. Source: the kernel's "Linux Media Userspace API", Input/Output.

use std::num::NonZeroU32;
use std::sync::Arc;

use nix::errno::Errno;

use crate::frame::{Free, Lease, Payload, flags};
use crate::memory::Plane;
use crate::v4l2::{
    Dequeued, MemoryType, PlaneToQueue, PlaneUsed, Sent, queue::Driver, queue::QueueError,
};

/// The frames that an output device has. With each goes a `T`, which comes back with it.
#[derive(Debug)]
pub struct OutputQueue<D: Driver, T> {
    driver: Arc<D>,
    slots: Vec<Slot<T>>,
    memory: MemoryType,
}

/// One of the driver's buffers.
#[derive(Debug)]
struct Slot<T> {
    /// The driver's own memory, that frames are copied into; none where they are imported.
    own: Vec<Plane>,
    /// The number of the buffer that was imported last: videobuf2 keeps it attached.
    attached: Option<u32>,
    /// What the driver has.
    queued: Option<Queued<T>>,
}

#[derive(Debug)]
struct Queued<T> {
    /// None of a frame that was copied.
    #[allow(dead_code, reason = "it is held, and nothing else")]
    lease: Option<Lease>,
    with: T,
}

/// A frame that came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Returned<T> {
    /// What went with it.
    pub with: T,
    /// Whether the driver says that it failed (V4L2_BUF_FLAG_ERROR).
    pub has_failed: bool,
}

/// Why a frame was not queued.
#[derive(Debug)]
pub enum NotQueued {
    /// What VIDIOC_QBUF answered. `EAGAIN`: the driver has all its buffers already. `EINVAL`,
    /// without asking it: the frame has other planes than its buffers, or is too big for them.
    Driver(Errno),
    /// The frame can't be copied.
    Memory(crate::Error),
}

impl From<Errno> for NotQueued {
    fn from(errno: Errno) -> Self {
        NotQueued::Driver(errno)
    }
}

impl From<crate::Error> for NotQueued {
    fn from(error: crate::Error) -> Self {
        NotQueued::Memory(error)
    }
}

impl<D: Driver, T> OutputQueue<D, T> {
    /// REQBUFS for `count` buffers; the driver may grant another number. On an error nothing stays
    /// requested.
    pub fn request(
        driver: Arc<D>,
        memory: MemoryType,
        count: NonZeroU32,
    ) -> Result<Self, QueueError> {
        let granted = driver.reqbufs(memory, count.get())?;
        let granted = NonZeroU32::new(granted).ok_or(Errno::ENOMEM)?;
        let slots = (0..granted.get()).map(|_| Slot {
            own: Vec::new(),
            attached: None,
            queued: None,
        });
        let mut queue = OutputQueue {
            slots: slots.collect(),
            driver,
            memory,
        };
        if memory == MemoryType::Mmap {
            queue.map()?;
        }
        Ok(queue)
    }

    fn map(&mut self) -> Result<(), QueueError> {
        for (slot, index) in self.slots.iter_mut().zip(0..) {
            let told = self.driver.querybuf(self.memory, index)?;
            let planes = told
                .planes
                .into_iter()
                .map(|info| self.driver.map(info).map(Plane::of_mapping));
            slot.own = planes.collect::<nix::Result<_>>()?;
        }
        Ok(())
    }

    /// Whose memory its buffers are.
    pub fn memory(&self) -> MemoryType {
        self.memory
    }

    /// How many frames the driver has.
    pub fn queued(&self) -> usize {
        self.slots.iter().filter(|it| it.queued.is_some()).count()
    }

    /// Tries whether the driver imports a buffer, by giving it that and taking it back: REQBUFS
    /// succeeds on drivers that then refuse every buffer.
    pub fn try_import(&mut self, free: &Free, used: &[usize]) -> nix::Result<()> {
        let payloads = used.iter().map(|length| Payload {
            offset: 0,
            length: *length,
        });
        let planes = to_import(free.planes().iter().zip(payloads))?;
        self.driver
            .qbuf(MemoryType::DmaBuf, 0, &planes, Sent::default())?;
        if let Some(slot) = self.slots.first_mut() {
            slot.attached = Some(free.index());
        }
        self.driver.streamoff()
    }

    /// The driver's buffer for a frame: the one that it is attached to, or one that nothing is.
    fn slot(&self, buffer: u32) -> Option<usize> {
        let free = || {
            let slots = self.slots.iter().enumerate();
            slots.filter(|(_, slot)| slot.queued.is_none())
        };
        let attached = free().find(|(_, slot)| slot.attached == Some(buffer));
        let unused = || free().find(|(_, slot)| slot.attached.is_none());
        let found = attached.or_else(unused).or_else(|| free().next());
        found.map(|(index, _)| index)
    }

    /// QBUF of a frame, which is held until it comes back; or of a copy of it, for which it is not.
    pub fn enqueue(&mut self, lease: Lease, with: T, sent: Sent) -> Result<(), NotQueued> {
        let index = self.slot(lease.index()).ok_or(Errno::EAGAIN)?;
        let slot = self.slots.get_mut(index).ok_or(Errno::EAGAIN)?;
        let planes = match self.memory {
            MemoryType::DmaBuf => to_import(lease.planes())?,
            MemoryType::Mmap => copy(&lease, &mut slot.own)?,
        };
        self.driver.qbuf(self.memory, index as u32, &planes, sent)?;
        drop(planes);
        let is_held = self.memory == MemoryType::DmaBuf;
        slot.attached = is_held.then(|| lease.index());
        slot.queued = Some(Queued {
            lease: is_held.then_some(lease),
            with,
        });
        Ok(())
    }

    /// STREAMON
    pub fn start(&self) -> nix::Result<()> {
        self.driver.streamon()
    }

    /// DQBUF, without waiting: a frame that the driver is done with.
    pub fn dequeue(&mut self) -> Result<Option<Returned<T>>, QueueError> {
        let told = match self.driver.dqbuf(self.memory)? {
            Dequeued::Buffer(told) => told,
            Dequeued::NotReady | Dequeued::LastBuffer => return Ok(None),
        };
        let slot = self.slots.get_mut(told.index as usize);
        let Some(queued) = slot.and_then(|slot| slot.queued.take()) else {
            return Err(QueueError::Nonsense(format!(
                "buffer {} came back, which it did not have",
                told.index
            )));
        };
        Ok(Some(Returned {
            with: queued.with,
            has_failed: told.flags & flags::BUF_FLAG_ERROR != 0,
        }))
    }

    /// STREAMOFF: what the driver had comes back. On an error it keeps it.
    pub fn stop(&mut self) -> nix::Result<Vec<T>> {
        self.driver.streamoff()?;
        let queued = self.slots.iter_mut().filter_map(|slot| slot.queued.take());
        Ok(queued.map(|queued| queued.with).collect())
    }
}

fn to_import<'a>(
    planes: impl Iterator<Item = (&'a Plane, Payload)>,
) -> nix::Result<Vec<PlaneToQueue<'a>>> {
    let planes = planes.map(|(plane, payload)| {
        let dmabuf = plane.dmabuf().ok_or(Errno::EINVAL)?;
        Ok(PlaneToQueue {
            dmabuf: Some(dmabuf),
            ..to_queue(plane, payload)?
        })
    });
    planes.collect()
}

fn to_queue(plane: &Plane, payload: Payload) -> nix::Result<PlaneToQueue<'static>> {
    let fits = |bytes: usize| u32::try_from(bytes).map_err(|_| Errno::EINVAL);
    Ok(PlaneToQueue {
        dmabuf: None,
        length: fits(plane.length())?,
        used: PlaneUsed {
            bytesused: fits(payload.offset + payload.length)?,
            data_offset: fits(payload.offset)?,
        },
    })
}

/// Copies a frame into the driver's own memory.
fn copy(lease: &Lease, own: &mut [Plane]) -> Result<Vec<PlaneToQueue<'static>>, NotQueued> {
    let mut planes = Vec::new();
    let mut left = own.iter_mut();
    for (from, payload) in lease.planes() {
        let to = left.next().filter(|to| to.length() >= payload.length);
        let to = to.ok_or(Errno::EINVAL)?;
        let read = from.read()?;
        let mut write = to.write()?;
        let view = read.view(payload.offset, payload.length)?;
        write.view_mut(0, payload.length)?.copy_from_view(&view);
        write.end()?;
        read.end()?;
        let whole = Payload {
            offset: 0,
            ..payload
        };
        planes.push(to_queue(to, whole)?);
    }
    Ok(planes)
}

impl<D: Driver, T> Drop for OutputQueue<D, T> {
    fn drop(&mut self) {
        // STREAMOFF makes the driver let go of the memory before it is freed.
        if let Err(errno) = self.stop() {
            log::debug!("VIDIOC_STREAMOFF at the end: {errno}");
        }
        for slot in &mut self.slots {
            slot.own.clear();
        }
        if let Err(errno) = self.driver.reqbufs(self.memory, 0) {
            log::debug!("VIDIOC_REQBUFS(0) at the end: {errno}");
        }
    }
}

#[cfg(test)]
mod tests;
