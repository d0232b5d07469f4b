//! Buffers to and from the driver: REQBUFS, QUERYBUF, QBUF, DQBUF, EXPBUF, STREAMON.

use std::ffi::c_int;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::errno::Errno;

use super::{Ioctl, Plain, device::Device, queue::Driver, zeroed};
use crate::frame::MAX_PLANES;
use crate::memory::{Mapping, MemoryUsed};
use crate::videodev2 as sys;

mod raw {
    use crate::videodev2 as sys;

    nix::ioctl_readwrite!(reqbufs, b'V', 8, sys::v4l2_requestbuffers);
    nix::ioctl_readwrite!(querybuf, b'V', 9, sys::v4l2_buffer);
    nix::ioctl_readwrite!(qbuf, b'V', 15, sys::v4l2_buffer);
    nix::ioctl_readwrite!(expbuf, b'V', 16, sys::v4l2_exportbuffer);
    nix::ioctl_readwrite!(dqbuf, b'V', 17, sys::v4l2_buffer);
    nix::ioctl_write_ptr!(streamon, b'V', 18, std::ffi::c_int);
    nix::ioctl_write_ptr!(streamoff, b'V', 19, std::ffi::c_int);
}

// SAFETY: integers.
unsafe impl Plain for sys::v4l2_requestbuffers {}
// SAFETY: integers, a timeval, and unions of integers and a pointer.
unsafe impl Plain for sys::v4l2_buffer {}
// SAFETY: integers, and a union of integers.
unsafe impl Plain for sys::v4l2_plane {}
// SAFETY: integers.
unsafe impl Plain for sys::v4l2_exportbuffer {}

/// Whose memory the driver captures into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum MemoryType {
    /// The driver's own.
    Mmap = sys::V4L2_MEMORY_MMAP,
    /// Imported.
    DmaBuf = sys::V4L2_MEMORY_DMABUF,
}

impl MemoryType {
    /// What frames in it are in.
    pub fn used(self) -> MemoryUsed {
        match self {
            MemoryType::Mmap => MemoryUsed::Mmap,
            MemoryType::DmaBuf => MemoryUsed::DmaBuf,
        }
    }
}

/// A buffer's plane, from VIDIOC_QUERYBUF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlaneInfo {
    /// Bytes; of a plane to import, 0 where the driver doesn't tell.
    pub length: u32,
    /// The offset to give to mmap(2), of a plane of the driver's own memory.
    pub mem_offset: u32,
}

/// A buffer, from VIDIOC_QUERYBUF.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BufferState {
    /// `V4L2_BUF_FLAG_*`
    pub flags: u32,
    /// A memory plane each.
    pub planes: Vec<PlaneInfo>,
}

/// A plane to queue: its DMABUF where memory is imported, and its length in bytes.
#[derive(Debug, Clone, Copy)]
pub struct PlaneToQueue<'a> {
    /// None for the driver's own memory.
    pub dmabuf: Option<BorrowedFd<'a>>,
    /// Bytes.
    pub length: u32,
    /// What is in it; nothing in a plane that is to be filled.
    pub used: PlaneUsed,
}

/// What a buffer's frame is that is queued to be sent to a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sent {
    /// `enum v4l2_field`
    pub field: u32,
    /// Seconds and microseconds of CLOCK_MONOTONIC, for drivers that pass it on.
    pub timestamp: (u64, u64),
}

/// Where in a plane the bytes of its picture are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PlaneUsed {
    /// Bytes used from the plane's start, those before `data_offset` included.
    pub bytesused: u32,
    /// Bytes before the picture.
    pub data_offset: u32,
}

/// A dequeued buffer, as VIDIOC_DQBUF tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DequeuedBuffer {
    /// Which of the buffers.
    pub index: u32,
    /// `V4L2_BUF_FLAG_*`
    pub flags: u32,
    /// `enum v4l2_field`
    pub field: u32,
    /// The driver's frame counter.
    pub sequence: u32,
    /// Seconds and microseconds, of the clock that the flags name.
    pub timestamp: (u64, u64),
    /// A plane each.
    pub planes: Vec<PlaneUsed>,
}

/// The answers of VIDIOC_DQBUF that are no errors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dequeued {
    /// A filled buffer.
    Buffer(DequeuedBuffer),
    /// EAGAIN: none is filled yet.
    NotReady,
    /// EPIPE: the driver has given its last one.
    LastBuffer,
}

type Planes = [sys::v4l2_plane; MAX_PLANES];

impl Device {
    /// A `v4l2_buffer` for a call; in the multi-planar API it points to `planes`,
    /// which therefore has to outlive the call.
    fn buffer(&self, memory: MemoryType, index: u32, planes: &mut Planes) -> sys::v4l2_buffer {
        let mut buffer: sys::v4l2_buffer = zeroed();
        buffer.index = index;
        buffer.type_ = self.buf_type().number();
        buffer.memory = memory as u32;
        if self.buf_type().is_mplane() {
            buffer.m.planes = planes.as_mut_ptr();
            buffer.length = planes.len() as u32;
        }
        buffer
    }

    /// The planes of a buffer that the driver told of: the one of the single-planar API is in
    /// the buffer itself.
    fn planes<'a>(
        &self,
        buffer: &sys::v4l2_buffer,
        planes: &'a mut Planes,
    ) -> impl Iterator<Item = &'a sys::v4l2_plane> {
        let mut count = buffer.length as usize;
        if let ([plane, ..], false) = (&mut *planes, self.buf_type().is_mplane()) {
            plane.bytesused = buffer.bytesused;
            plane.length = buffer.length;
            // SAFETY: the members of both unions are integers, or a pointer that is not used.
            plane.m.mem_offset = unsafe { buffer.m.offset };
            count = 1;
        }
        planes.iter().take(count)
    }

    fn stream(&self, which: Ioctl, call: Streaming) -> nix::Result<()> {
        let number = self.buf_type().number() as c_int;
        // SAFETY: the request takes a pointer to an int, which outlives the call.
        self.node().ioctl(which, |fd| unsafe { call(fd, &number) })
    }
}

/// VIDIOC_STREAMON or VIDIOC_STREAMOFF.
type Streaming = unsafe fn(c_int, *const c_int) -> nix::Result<c_int>;

impl Driver for Device {
    fn reqbufs(&self, memory: MemoryType, count: u32) -> nix::Result<u32> {
        let mut request: sys::v4l2_requestbuffers = zeroed();
        request.count = count;
        request.type_ = self.buf_type().number();
        request.memory = memory as u32;
        // SAFETY: the request number fits the structure, which outlives the call.
        let call = |fd| unsafe { raw::reqbufs(fd, &mut request) };
        self.node().ioctl(Ioctl::Reqbufs, call)?;
        Ok(request.count)
    }

    fn querybuf(&self, memory: MemoryType, index: u32) -> nix::Result<BufferState> {
        let mut planes: Planes = [zeroed(); MAX_PLANES];
        let mut buffer = self.buffer(memory, index, &mut planes);
        // SAFETY: the request number fits the structure; it and the planes that it
        // points to outlive the call.
        let call = |fd| unsafe { raw::querybuf(fd, &mut buffer) };
        self.node().ioctl(Ioctl::Querybuf, call)?;
        let planes = self.planes(&buffer, &mut planes).map(|plane| PlaneInfo {
            length: plane.length,
            // SAFETY: the members of the union are integers.
            mem_offset: unsafe { plane.m.mem_offset },
        });
        Ok(BufferState {
            flags: buffer.flags,
            planes: planes.collect(),
        })
    }

    fn expbuf(&self, index: u32, plane: u32) -> nix::Result<OwnedFd> {
        let mut export: sys::v4l2_exportbuffer = zeroed();
        export.type_ = self.buf_type().number();
        export.index = index;
        export.plane = plane;
        export.flags = (nix::libc::O_CLOEXEC | nix::libc::O_RDWR) as u32;
        // SAFETY: the request number fits the structure, which outlives the call.
        let call = |fd| unsafe { raw::expbuf(fd, &mut export) };
        self.node().ioctl(Ioctl::Expbuf, call)?;
        // SAFETY: the call succeeded, so the driver has made this fd for us alone.
        Ok(unsafe { OwnedFd::from_raw_fd(export.fd) })
    }

    fn map(&self, plane: PlaneInfo) -> nix::Result<Mapping> {
        let offset = i64::from(plane.mem_offset);
        Mapping::new(self.fd(), plane.length as usize, offset)
    }

    fn qbuf(
        &self,
        memory: MemoryType,
        index: u32,
        queued: &[PlaneToQueue<'_>],
        sent: Sent,
    ) -> nix::Result<()> {
        let mut planes: Planes = [zeroed(); MAX_PLANES];
        for (raw, plane) in planes.iter_mut().zip(queued) {
            raw.length = plane.length;
            raw.bytesused = plane.used.bytesused;
            raw.data_offset = plane.used.data_offset;
            raw.m.fd = plane.dmabuf.map_or(0, |dmabuf| dmabuf.as_raw_fd());
        }
        let mut buffer = self.buffer(memory, index, &mut planes);
        buffer.field = sent.field;
        buffer.timestamp.tv_sec = sent.timestamp.0 as nix::libc::time_t;
        buffer.timestamp.tv_usec = sent.timestamp.1 as nix::libc::suseconds_t;
        if self.buf_type().is_mplane() {
            buffer.length = queued.len() as u32;
        } else if let [plane] = queued {
            buffer.length = plane.length;
            buffer.bytesused = plane.used.bytesused;
            buffer.m.fd = plane.dmabuf.map_or(0, |dmabuf| dmabuf.as_raw_fd());
        } else {
            return Err(Errno::EINVAL);
        }
        // SAFETY: the request number fits the structure; it and the planes that it
        // points to outlive the call. The driver takes its own references to the
        // DMABUFs, whose fds are borrowed for longer than the call.
        let call = |fd| unsafe { raw::qbuf(fd, &mut buffer) };
        self.node().ioctl(Ioctl::Qbuf, call)
    }

    fn dqbuf(&self, memory: MemoryType) -> nix::Result<Dequeued> {
        let mut planes: Planes = [zeroed(); MAX_PLANES];
        let mut buffer = self.buffer(memory, 0, &mut planes);
        // SAFETY: the request number fits the structure; it and the planes that it
        // points to outlive the call.
        let call = |fd| unsafe { raw::dqbuf(fd, &mut buffer) };
        match self.node().ioctl(Ioctl::Dqbuf, call) {
            Ok(()) => {}
            Err(Errno::EAGAIN) => return Ok(Dequeued::NotReady),
            Err(Errno::EPIPE) => return Ok(Dequeued::LastBuffer),
            Err(errno) => return Err(errno),
        }
        let time = buffer.timestamp;
        let used = self.planes(&buffer, &mut planes).map(|plane| PlaneUsed {
            bytesused: plane.bytesused,
            data_offset: plane.data_offset,
        });
        Ok(Dequeued::Buffer(DequeuedBuffer {
            index: buffer.index,
            flags: buffer.flags,
            field: buffer.field,
            sequence: buffer.sequence,
            timestamp: (time.tv_sec as u64, time.tv_usec as u64),
            planes: used.collect(),
        }))
    }

    fn streamon(&self) -> nix::Result<()> {
        self.stream(Ioctl::Streamon, raw::streamon)
    }

    fn streamoff(&self) -> nix::Result<()> {
        self.stream(Ioctl::Streamoff, raw::streamoff)
    }
}
