//! The V4L2 ioctls: one safe function each, over plain types of our own.
//!
//! This layer knows no policy. It tells the errnos that are no errors apart
//! (`Dequeued::NotReady`, `Dequeued::LastBuffer`) and hands every other one
//! back as it is. Source: the kernel's "Linux Media Userspace API", part V4L2.

#![allow(unsafe_code)]

use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use v4l2_sys_mit as sys;

use crate::pixel_format::FourCc;

/// The most memory planes that a frame can have (`VIDEO_MAX_PLANES`).
pub const MAX_PLANES: usize = sys::VIDEO_MAX_PLANES as usize;

/// `V4L2_BUF_FLAG_ERROR`: the frame may be corrupt, streaming goes on.
pub const BUF_FLAG_ERROR: u32 = sys::V4L2_BUF_FLAG_ERROR;

/// `V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC`: the timestamp is of CLOCK_MONOTONIC.
pub const BUF_FLAG_TIMESTAMP_MONOTONIC: u32 = sys::V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;

mod raw {
    use v4l2_sys_mit as sys;

    nix::ioctl_read!(querycap, b'V', 0, sys::v4l2_capability);
    nix::ioctl_readwrite!(enum_fmt, b'V', 2, sys::v4l2_fmtdesc);
    nix::ioctl_readwrite!(g_fmt, b'V', 4, sys::v4l2_format);
    nix::ioctl_readwrite!(s_fmt, b'V', 5, sys::v4l2_format);
    nix::ioctl_readwrite!(reqbufs, b'V', 8, sys::v4l2_requestbuffers);
    nix::ioctl_readwrite!(querybuf, b'V', 9, sys::v4l2_buffer);
    nix::ioctl_readwrite!(qbuf, b'V', 15, sys::v4l2_buffer);
    nix::ioctl_readwrite!(expbuf, b'V', 16, sys::v4l2_exportbuffer);
    nix::ioctl_readwrite!(dqbuf, b'V', 17, sys::v4l2_buffer);
    nix::ioctl_write_ptr!(streamon, b'V', 18, std::ffi::c_int);
    nix::ioctl_write_ptr!(streamoff, b'V', 19, std::ffi::c_int);
    nix::ioctl_readwrite!(g_parm, b'V', 21, sys::v4l2_streamparm);
    nix::ioctl_readwrite!(s_parm, b'V', 22, sys::v4l2_streamparm);
}

/// Which of the two capture APIs a device speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BufType {
    /// `V4L2_BUF_TYPE_VIDEO_CAPTURE`
    Capture,
    /// `V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE`
    CaptureMplane,
}

impl BufType {
    fn number(self) -> u32 {
        match self {
            BufType::Capture => sys::v4l2_buf_type_V4L2_BUF_TYPE_VIDEO_CAPTURE,
            BufType::CaptureMplane => sys::v4l2_buf_type_V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE,
        }
    }
}

/// Whose memory the driver captures into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemoryType {
    /// `V4L2_MEMORY_MMAP`: the driver's own.
    Mmap,
    /// `V4L2_MEMORY_DMABUF`: imported.
    DmaBuf,
}

impl MemoryType {
    fn number(self) -> u32 {
        match self {
            MemoryType::Mmap => sys::v4l2_memory_V4L2_MEMORY_MMAP,
            MemoryType::DmaBuf => sys::v4l2_memory_V4L2_MEMORY_DMABUF,
        }
    }
}

/// What VIDIOC_QUERYCAP tells.
#[derive(Debug, Clone)]
pub struct Capability {
    /// The driver's name, such as `vivid` or `uvcvideo`.
    pub driver: String,
    /// The device's name.
    pub card: String,
    /// Where the device sits.
    pub bus_info: String,
    /// The capabilities of this node (`device_caps` where the driver has them).
    capabilities: u32,
}

impl Capability {
    /// The capture API to use, single-planar first; None if it doesn't capture.
    pub fn capture_type(&self) -> Option<BufType> {
        if self.capabilities & sys::V4L2_CAP_VIDEO_CAPTURE != 0 {
            Some(BufType::Capture)
        } else if self.capabilities & sys::V4L2_CAP_VIDEO_CAPTURE_MPLANE != 0 {
            Some(BufType::CaptureMplane)
        } else {
            None
        }
    }

    /// Whether the node has streaming I/O (REQBUFS and what follows).
    pub fn can_stream(&self) -> bool {
        self.capabilities & sys::V4L2_CAP_STREAMING != 0
    }
}

/// A capture format, as asked for or as granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format {
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// The pixel format.
    pub pixel_format: FourCc,
    /// The layout of each memory plane; empty in a format that is asked for.
    pub planes: Vec<PlaneFormat>,
}

/// The layout of one memory plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlaneFormat {
    /// Bytes that a buffer for this plane must hold.
    pub sizeimage: u32,
    /// Bytes from a row to the next; 0 for compressed formats.
    pub bytesperline: u32,
}

/// A plane of a driver's own buffer, from VIDIOC_QUERYBUF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlaneInfo {
    /// Bytes.
    pub length: u32,
    /// The offset to give to mmap(2).
    pub mem_offset: u32,
}

/// A plane to queue: its DMABUF where memory is imported, and its length in bytes.
#[derive(Debug, Clone, Copy)]
pub struct PlaneToQueue<'a> {
    /// None for the driver's own memory.
    pub dmabuf: Option<BorrowedFd<'a>>,
    /// Bytes.
    pub length: u32,
}

/// Where in a plane the driver put its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

/// Restarts a call that a signal interrupted: ioctl(2) is not restarted by nix.
fn retry<T>(mut call: impl FnMut() -> nix::Result<T>) -> nix::Result<T> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            result => return result,
        }
    }
}

/// A V4L2 structure with every byte zero, as the API wants unused fields.
fn zeroed<T: Plain>() -> T {
    // SAFETY: `Plain` is implemented below for C structures of integers, raw
    // pointers and unions of those alone; all-zero bytes are a value of each.
    unsafe { mem::zeroed() }
}

/// C structures for which all-zero bytes are a valid value.
trait Plain: Copy {}
impl Plain for sys::v4l2_capability {}
impl Plain for sys::v4l2_fmtdesc {}
impl Plain for sys::v4l2_format {}
impl Plain for sys::v4l2_requestbuffers {}
impl Plain for sys::v4l2_buffer {}
impl Plain for sys::v4l2_plane {}
impl Plain for sys::v4l2_exportbuffer {}
impl Plain for sys::v4l2_streamparm {}

fn text(bytes: &[u8]) -> String {
    let bytes = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(bytes).into_owned()
}

/// VIDIOC_QUERYCAP: what the node is.
pub fn querycap(fd: BorrowedFd<'_>) -> nix::Result<Capability> {
    let mut cap: sys::v4l2_capability = zeroed();
    // SAFETY: the request number fits the structure, which outlives the call.
    retry(|| unsafe { raw::querycap(fd.as_raw_fd(), &mut cap) })?;
    let of_node = cap.capabilities & sys::V4L2_CAP_DEVICE_CAPS != 0;
    Ok(Capability {
        driver: text(&cap.driver),
        card: text(&cap.card),
        bus_info: text(&cap.bus_info),
        capabilities: if of_node {
            cap.device_caps
        } else {
            cap.capabilities
        },
    })
}

/// VIDIOC_ENUM_FMT: every pixel format that the device offers.
pub fn enum_formats(fd: BorrowedFd<'_>, buf_type: BufType) -> nix::Result<Vec<FourCc>> {
    let mut formats = Vec::new();
    for index in 0.. {
        let mut desc: sys::v4l2_fmtdesc = zeroed();
        desc.index = index;
        desc.type_ = buf_type.number();
        // SAFETY: the request number fits the structure, which outlives the call.
        match retry(|| unsafe { raw::enum_fmt(fd.as_raw_fd(), &mut desc) }) {
            Ok(_) => formats.push(FourCc(desc.pixelformat)),
            Err(Errno::EINVAL) => break,
            Err(errno) => return Err(errno),
        }
    }
    Ok(formats)
}

fn read_format(buf_type: BufType, raw: &sys::v4l2_format) -> Format {
    match buf_type {
        BufType::Capture => {
            // SAFETY: for this buffer type the driver fills `pix`; every bit
            // pattern is a value of its integers.
            let pix = unsafe { raw.fmt.pix };
            Format {
                width: pix.width,
                height: pix.height,
                pixel_format: FourCc(pix.pixelformat),
                planes: vec![PlaneFormat {
                    sizeimage: pix.sizeimage,
                    bytesperline: pix.bytesperline,
                }],
            }
        }
        BufType::CaptureMplane => {
            // SAFETY: for this buffer type the driver fills `pix_mp`; every bit
            // pattern is a value of its integers.
            let pix = unsafe { raw.fmt.pix_mp };
            // The structure is packed: its array is copied out before it is borrowed.
            let plane_fmt = { pix.plane_fmt };
            Format {
                width: pix.width,
                height: pix.height,
                pixel_format: FourCc(pix.pixelformat),
                planes: plane_fmt
                    .iter()
                    .take(usize::from(pix.num_planes))
                    .map(|plane| PlaneFormat {
                        sizeimage: plane.sizeimage,
                        bytesperline: plane.bytesperline,
                    })
                    .collect(),
            }
        }
    }
}

/// VIDIOC_S_FMT over what VIDIOC_G_FMT tells, so that colorimetry and the like
/// stay the driver's. Answers with what was granted, which may differ.
pub fn set_format(fd: BorrowedFd<'_>, buf_type: BufType, wanted: &Format) -> nix::Result<Format> {
    let mut format: sys::v4l2_format = zeroed();
    format.type_ = buf_type.number();
    // SAFETY: the request number fits the structure, which outlives the call.
    retry(|| unsafe { raw::g_fmt(fd.as_raw_fd(), &mut format) })?;
    match buf_type {
        BufType::Capture => {
            // SAFETY: for this buffer type the driver filled `pix`, an integer structure.
            let pix = unsafe { &mut format.fmt.pix };
            pix.width = wanted.width;
            pix.height = wanted.height;
            pix.pixelformat = wanted.pixel_format.0;
            pix.field = sys::v4l2_field_V4L2_FIELD_ANY;
            pix.bytesperline = 0;
            pix.sizeimage = 0;
        }
        BufType::CaptureMplane => {
            // SAFETY: for this buffer type the driver filled `pix_mp`, an integer structure.
            let pix = unsafe { &mut format.fmt.pix_mp };
            pix.width = wanted.width;
            pix.height = wanted.height;
            pix.pixelformat = wanted.pixel_format.0;
            pix.field = sys::v4l2_field_V4L2_FIELD_ANY;
            pix.num_planes = 0;
            for plane in 0..MAX_PLANES {
                if let Some(plane) = { &mut pix.plane_fmt }.get_mut(plane) {
                    plane.bytesperline = 0;
                    plane.sizeimage = 0;
                }
            }
        }
    }
    // SAFETY: the request number fits the structure, which outlives the call.
    retry(|| unsafe { raw::s_fmt(fd.as_raw_fd(), &mut format) })?;
    Ok(read_format(buf_type, &format))
}

/// A frame interval in seconds, as a fraction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval {
    /// Seconds, times `denominator`.
    pub numerator: u32,
    /// Never 0 in what a driver grants; a driver that says so has no rate.
    pub denominator: u32,
}

impl Interval {
    /// The interval of so many frames a second, to a thousandth of a frame.
    pub fn of_rate(fps: f64) -> Self {
        let thousandths = (fps * 1000.0).round().clamp(1.0, f64::from(u32::MAX));
        Interval {
            numerator: 1000,
            denominator: thousandths as u32,
        }
    }

    /// Frames a second; None for an interval that has no rate.
    pub fn rate(self) -> Option<f64> {
        (self.numerator != 0 && self.denominator != 0)
            .then(|| f64::from(self.denominator) / f64::from(self.numerator))
    }
}

/// VIDIOC_S_PARM: asks for a frame interval; None if the device has none to set.
pub fn set_interval(
    fd: BorrowedFd<'_>,
    buf_type: BufType,
    wanted: Interval,
) -> nix::Result<Option<Interval>> {
    let mut parm: sys::v4l2_streamparm = zeroed();
    parm.type_ = buf_type.number();
    parm.parm.capture.timeperframe = sys::v4l2_fract {
        numerator: wanted.numerator,
        denominator: wanted.denominator,
    };
    // SAFETY: the request number fits the structure, which outlives the call.
    retry(|| unsafe { raw::s_parm(fd.as_raw_fd(), &mut parm) })?;
    Ok(read_interval(&parm))
}

/// VIDIOC_G_PARM: the frame interval; None if the device has none to tell.
pub fn get_interval(fd: BorrowedFd<'_>, buf_type: BufType) -> nix::Result<Option<Interval>> {
    let mut parm: sys::v4l2_streamparm = zeroed();
    parm.type_ = buf_type.number();
    // SAFETY: the request number fits the structure, which outlives the call.
    retry(|| unsafe { raw::g_parm(fd.as_raw_fd(), &mut parm) })?;
    Ok(read_interval(&parm))
}

fn read_interval(parm: &sys::v4l2_streamparm) -> Option<Interval> {
    // SAFETY: for a capture type the driver fills `capture`, an integer structure.
    let capture = unsafe { parm.parm.capture };
    (capture.capability & sys::V4L2_CAP_TIMEPERFRAME != 0).then_some(Interval {
        numerator: capture.timeperframe.numerator,
        denominator: capture.timeperframe.denominator,
    })
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
    if buf_type == BufType::CaptureMplane {
        buffer.m.planes = planes.as_mut_ptr();
        buffer.length = planes.len() as u32;
    }
    buffer
}

/// VIDIOC_QUERYBUF: the planes of the driver's own buffer `index`.
pub fn querybuf(fd: BorrowedFd<'_>, buf_type: BufType, index: u32) -> nix::Result<Vec<PlaneInfo>> {
    let mut planes: Planes = [zeroed(); MAX_PLANES];
    let mut buffer = buffer(buf_type, MemoryType::Mmap, &mut planes);
    buffer.index = index;
    // SAFETY: the request number fits the structure; it and the planes that it
    // points to outlive the call.
    retry(|| unsafe { raw::querybuf(fd.as_raw_fd(), &mut buffer) })?;
    Ok(match buf_type {
        BufType::Capture => vec![PlaneInfo {
            length: buffer.length,
            // SAFETY: for MMAP memory of this type the driver fills `offset`.
            mem_offset: unsafe { buffer.m.offset },
        }],
        BufType::CaptureMplane => planes
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

/// VIDIOC_QBUF: gives buffer `index` to the driver.
pub fn qbuf(
    fd: BorrowedFd<'_>,
    buf_type: BufType,
    memory: MemoryType,
    index: u32,
    queued: &[PlaneToQueue<'_>],
) -> nix::Result<()> {
    let mut planes: Planes = [zeroed(); MAX_PLANES];
    let mut buffer = buffer(buf_type, memory, &mut planes);
    buffer.index = index;
    match buf_type {
        BufType::Capture => {
            if let [plane] = queued {
                buffer.length = plane.length;
                if let Some(dmabuf) = plane.dmabuf {
                    buffer.m.fd = dmabuf.as_raw_fd();
                }
            } else {
                return Err(Errno::EINVAL);
            }
        }
        BufType::CaptureMplane => {
            for (raw, plane) in planes.iter_mut().zip(queued) {
                raw.length = plane.length;
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
        BufType::Capture => vec![PlaneUsed {
            bytesused: buffer.bytesused,
            data_offset: 0,
        }],
        BufType::CaptureMplane => planes
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
