//! Buffers to and from the driver: REQBUFS, QUERYBUF, QBUF, DQBUF, EXPBUF, STREAMON.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;

use super::{BufType, Plain, retry, zeroed};
use crate::frame::MAX_PLANES;
use crate::memory::MemoryUsed;
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
pub enum MemoryType {
    /// `V4L2_MEMORY_MMAP`: the driver's own.
    Mmap,
    /// `V4L2_MEMORY_DMABUF`: imported.
    DmaBuf,
}

impl MemoryType {
    /// What frames in it are in.
    pub fn used(self) -> MemoryUsed {
        match self {
            MemoryType::Mmap => MemoryUsed::Mmap,
            MemoryType::DmaBuf => MemoryUsed::DmaBuf,
        }
    }

    fn number(self) -> u32 {
        match self {
            MemoryType::Mmap => sys::V4L2_MEMORY_MMAP,
            MemoryType::DmaBuf => sys::V4L2_MEMORY_DMABUF,
        }
    }
}

/// A plane of a driver's own buffer, from VIDIOC_QUERYBUF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlaneInfo {
    /// Bytes.
    pub length: u32,
    /// The offset to give to mmap(2).
    pub mem_offset: u32,
}

/// A buffer in any memory, from VIDIOC_QUERYBUF.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BufferState {
    /// `V4L2_BUF_FLAG_*`
    pub flags: u32,
    /// Bytes of each plane; 0 where the driver doesn't tell.
    pub lengths: Vec<u32>,
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

/// VIDIOC_REQBUFS: answers with the number of buffers granted. 0 frees them all.
pub fn reqbufs(
    fd: BorrowedFd<'_>,
    buf_type: BufType,
    memory: MemoryType,
    count: u32,
) -> nix::Result<u32> {
    let mut request: sys::v4l2_requestbuffers = zeroed();
    request.count = count;
    request.type_ = buf_type.number();
    request.memory = memory.number();
    // SAFETY: the request number fits the structure, which outlives the call.
    retry(|| unsafe { raw::reqbufs(fd.as_raw_fd(), &mut request) })?;
    Ok(request.count)
}

type Planes = [sys::v4l2_plane; MAX_PLANES];

/// A `v4l2_buffer` for a call; in the multi-planar API it points to `planes`,
/// which therefore has to outlive the call.
fn buffer(buf_type: BufType, memory: MemoryType, planes: &mut Planes) -> sys::v4l2_buffer {
    let mut buffer: sys::v4l2_buffer = zeroed();
    buffer.type_ = buf_type.number();
    buffer.memory = memory.number();
    if buf_type.is_mplane() {
        buffer.m.planes = planes.as_mut_ptr();
        buffer.length = planes.len() as u32;
    }
    buffer
}

/// VIDIOC_QUERYBUF of buffer `index`, whose planes' part goes into `planes`.
fn query(
    fd: BorrowedFd<'_>,
    buf_type: BufType,
    memory: MemoryType,
    index: u32,
    planes: &mut Planes,
) -> nix::Result<sys::v4l2_buffer> {
    let mut buffer = buffer(buf_type, memory, planes);
    buffer.index = index;
    // SAFETY: the request number fits the structure; it and the planes that it
    // points to outlive the call.
    retry(|| unsafe { raw::querybuf(fd.as_raw_fd(), &mut buffer) })?;
    Ok(buffer)
}

/// VIDIOC_QUERYBUF: the planes of the driver's own buffer `index`.
pub fn querybuf(fd: BorrowedFd<'_>, buf_type: BufType, index: u32) -> nix::Result<Vec<PlaneInfo>> {
    let mut planes: Planes = [zeroed(); MAX_PLANES];
    let buffer = query(fd, buf_type, MemoryType::Mmap, index, &mut planes)?;
    Ok(match buf_type {
        BufType::Capture | BufType::Output => vec![PlaneInfo {
            length: buffer.length,
            // SAFETY: for MMAP memory of this type the driver fills `offset`.
            mem_offset: unsafe { buffer.m.offset },
        }],
        BufType::CaptureMplane | BufType::OutputMplane => planes
            .iter()
            .take(buffer.length as usize)
            .map(|plane| PlaneInfo {
                length: plane.length,
                // SAFETY: for MMAP memory the driver fills `mem_offset`.
                mem_offset: unsafe { plane.m.mem_offset },
            })
            .collect(),
    })
}

/// VIDIOC_QUERYBUF: buffer `index`, whatever memory it is in.
pub fn query_state(
    fd: BorrowedFd<'_>,
    buf_type: BufType,
    memory: MemoryType,
    index: u32,
) -> nix::Result<BufferState> {
    let mut planes: Planes = [zeroed(); MAX_PLANES];
    let buffer = query(fd, buf_type, memory, index, &mut planes)?;
    let mplane = planes.iter().take(buffer.length as usize);
    Ok(BufferState {
        flags: buffer.flags,
        lengths: match buf_type {
            BufType::Capture | BufType::Output => vec![buffer.length],
            BufType::CaptureMplane | BufType::OutputMplane => {
                mplane.map(|plane| plane.length).collect()
            }
        },
    })
}

/// VIDIOC_QBUF: gives buffer `index` to the driver, to be filled, or with a frame to be sent.
pub fn qbuf(
    fd: BorrowedFd<'_>,
    buf_type: BufType,
    memory: MemoryType,
    index: u32,
    queued: &[PlaneToQueue<'_>],
    sent: Sent,
) -> nix::Result<()> {
    let mut planes: Planes = [zeroed(); MAX_PLANES];
    let mut buffer = buffer(buf_type, memory, &mut planes);
    buffer.index = index;
    buffer.field = sent.field;
    buffer.timestamp.tv_sec = sent.timestamp.0 as nix::libc::time_t;
    buffer.timestamp.tv_usec = sent.timestamp.1 as nix::libc::suseconds_t;
    match buf_type {
        BufType::Capture | BufType::Output => {
            if let [plane] = queued {
                buffer.length = plane.length;
                buffer.bytesused = plane.used.bytesused;
                if let Some(dmabuf) = plane.dmabuf {
                    buffer.m.fd = dmabuf.as_raw_fd();
                }
            } else {
                return Err(Errno::EINVAL);
            }
        }
        BufType::CaptureMplane | BufType::OutputMplane => {
            for (raw, plane) in planes.iter_mut().zip(queued) {
                raw.length = plane.length;
                raw.bytesused = plane.used.bytesused;
                raw.data_offset = plane.used.data_offset;
                if let Some(dmabuf) = plane.dmabuf {
                    raw.m.fd = dmabuf.as_raw_fd();
                }
            }
            buffer.length = queued.len() as u32;
        }
    }
    // SAFETY: the request number fits the structure; it and the planes that it
    // points to outlive the call. The driver takes its own references to the
    // DMABUFs, whose fds are borrowed for longer than the call.
    retry(|| unsafe { raw::qbuf(fd.as_raw_fd(), &mut buffer) })?;
    Ok(())
}

/// VIDIOC_DQBUF on a non-blocking fd: takes a filled buffer back.
pub fn dqbuf(fd: BorrowedFd<'_>, buf_type: BufType, memory: MemoryType) -> nix::Result<Dequeued> {
    let mut planes: Planes = [zeroed(); MAX_PLANES];
    let mut buffer = buffer(buf_type, memory, &mut planes);
    // SAFETY: the request number fits the structure; it and the planes that it
    // points to outlive the call.
    match retry(|| unsafe { raw::dqbuf(fd.as_raw_fd(), &mut buffer) }) {
        Ok(_) => {}
        Err(Errno::EAGAIN) => return Ok(Dequeued::NotReady),
        Err(Errno::EPIPE) => return Ok(Dequeued::LastBuffer),
        Err(errno) => return Err(errno),
    }
    let used = match buf_type {
        BufType::Capture | BufType::Output => vec![PlaneUsed {
            bytesused: buffer.bytesused,
            data_offset: 0,
        }],
        BufType::CaptureMplane | BufType::OutputMplane => planes
            .iter()
            .take(buffer.length as usize)
            .map(|plane| PlaneUsed {
                bytesused: plane.bytesused,
                data_offset: plane.data_offset,
            })
            .collect(),
    };
    Ok(Dequeued::Buffer(DequeuedBuffer {
        index: buffer.index,
        flags: buffer.flags,
        field: buffer.field,
        sequence: buffer.sequence,
        timestamp: (
            buffer.timestamp.tv_sec as u64,
            buffer.timestamp.tv_usec as u64,
        ),
        planes: used,
    }))
}

/// VIDIOC_EXPBUF: a plane of the driver's own buffer as a DMABUF.
pub fn expbuf(
    fd: BorrowedFd<'_>,
    buf_type: BufType,
    index: u32,
    plane: u32,
) -> nix::Result<OwnedFd> {
    let mut export: sys::v4l2_exportbuffer = zeroed();
    export.type_ = buf_type.number();
    export.index = index;
    export.plane = plane;
    export.flags = (nix::libc::O_CLOEXEC | nix::libc::O_RDWR) as u32;
    // SAFETY: the request number fits the structure, which outlives the call.
    retry(|| unsafe { raw::expbuf(fd.as_raw_fd(), &mut export) })?;
    let fd: RawFd = export.fd;
    // SAFETY: the call succeeded, so the driver has made this fd for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// VIDIOC_STREAMON: capture begins.
pub fn streamon(fd: BorrowedFd<'_>, buf_type: BufType) -> nix::Result<()> {
    let number = buf_type.number() as std::ffi::c_int;
    // SAFETY: the request takes a pointer to an int, which outlives the call.
    retry(|| unsafe { raw::streamon(fd.as_raw_fd(), &number) })?;
    Ok(())
}

/// VIDIOC_STREAMOFF: capture ends, and every queued buffer is the caller's again.
pub fn streamoff(fd: BorrowedFd<'_>, buf_type: BufType) -> nix::Result<()> {
    let number = buf_type.number() as std::ffi::c_int;
    // SAFETY: the request takes a pointer to an int, which outlives the call.
    retry(|| unsafe { raw::streamoff(fd.as_raw_fd(), &number) })?;
    Ok(())
}
