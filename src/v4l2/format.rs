//! What a device is, and what its frames are: QUERYCAP, ENUM_FMT, S_FMT, S_PARM, G_CTRL.

use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;

use super::{BufType, Plain, retry, zeroed};
use crate::frame::{Appearance, Capability, FourCc, Interval, MAX_PLANES};
use crate::videodev2 as sys;

mod raw {
    use crate::videodev2 as sys;

    nix::ioctl_read!(querycap, b'V', 0, sys::v4l2_capability);
    nix::ioctl_readwrite!(enum_fmt, b'V', 2, sys::v4l2_fmtdesc);
    nix::ioctl_readwrite!(g_fmt, b'V', 4, sys::v4l2_format);
    nix::ioctl_readwrite!(s_fmt, b'V', 5, sys::v4l2_format);
    nix::ioctl_readwrite!(g_parm, b'V', 21, sys::v4l2_streamparm);
    nix::ioctl_readwrite!(s_parm, b'V', 22, sys::v4l2_streamparm);
    nix::ioctl_readwrite!(g_ctrl, b'V', 27, sys::v4l2_control);
}

// SAFETY: integers.
unsafe impl Plain for sys::v4l2_capability {}
// SAFETY: integers.
unsafe impl Plain for sys::v4l2_fmtdesc {}
// SAFETY: an integer, and a union of structures of integers and pointers.
unsafe impl Plain for sys::v4l2_format {}
// SAFETY: an integer, and a union of structures of integers.
unsafe impl Plain for sys::v4l2_streamparm {}
// SAFETY: integers.
unsafe impl Plain for sys::v4l2_control {}

/// A format, as asked for or as granted.
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
    /// How rows and colours are to be understood; all 0 in a format that is asked for.
    pub appearance: Appearance,
}

/// The layout of one memory plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlaneFormat {
    /// Bytes that a buffer for this plane must hold.
    pub sizeimage: u32,
    /// Bytes from a row to the next; 0 for compressed formats.
    pub bytesperline: u32,
}

fn text(bytes: &[u8]) -> String {
    let bytes = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    crate::base::text::of_bytes(bytes)
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
        BufType::Capture | BufType::Output => {
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
                appearance: Appearance {
                    field: pix.field,
                    colorspace: pix.colorspace,
                    transfer: pix.xfer_func,
                    // SAFETY: both members of the union are a u32.
                    encoding: unsafe { pix.__bindgen_anon_1.ycbcr_enc },
                    quantization: pix.quantization,
                },
            }
        }
        BufType::CaptureMplane | BufType::OutputMplane => {
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
                appearance: Appearance {
                    field: pix.field,
                    colorspace: pix.colorspace,
                    transfer: u32::from(pix.xfer_func),
                    // SAFETY: both members of the union are a u8.
                    encoding: u32::from(unsafe { pix.__bindgen_anon_1.ycbcr_enc }),
                    quantization: u32::from(pix.quantization),
                },
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
        BufType::Capture | BufType::Output => {
            // SAFETY: for this buffer type the driver filled `pix`, an integer structure.
            let pix = unsafe { &mut format.fmt.pix };
            pix.width = wanted.width;
            pix.height = wanted.height;
            pix.pixelformat = wanted.pixel_format.0;
            pix.field = sys::V4L2_FIELD_ANY;
            pix.bytesperline = 0;
            pix.sizeimage = 0;
        }
        BufType::CaptureMplane | BufType::OutputMplane => {
            // SAFETY: for this buffer type the driver filled `pix_mp`, an integer structure.
            let pix = unsafe { &mut format.fmt.pix_mp };
            pix.width = wanted.width;
            pix.height = wanted.height;
            pix.pixelformat = wanted.pixel_format.0;
            pix.field = sys::V4L2_FIELD_ANY;
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

/// VIDIOC_S_FMT on an output device: all of it as wanted. Answers with what was granted, which may
/// differ.
pub fn set_output_format(
    fd: BorrowedFd<'_>,
    buf_type: BufType,
    wanted: &Format,
) -> nix::Result<Format> {
    let mut format: sys::v4l2_format = zeroed();
    format.type_ = buf_type.number();
    let appearance = &wanted.appearance;
    if buf_type.is_mplane() {
        // SAFETY: every bit pattern is a value of the integers of `pix_mp`.
        let pix = unsafe { &mut format.fmt.pix_mp };
        pix.width = wanted.width;
        pix.height = wanted.height;
        pix.pixelformat = wanted.pixel_format.0;
        pix.field = appearance.field;
        pix.colorspace = appearance.colorspace;
        pix.xfer_func = appearance.transfer as u8;
        pix.__bindgen_anon_1.ycbcr_enc = appearance.encoding as u8;
        pix.quantization = appearance.quantization as u8;
        pix.num_planes = wanted.planes.len() as u8;
        let mut planes = { pix.plane_fmt };
        for (raw, plane) in planes.iter_mut().zip(&wanted.planes) {
            raw.bytesperline = plane.bytesperline;
            raw.sizeimage = plane.sizeimage;
        }
        pix.plane_fmt = planes;
    } else {
        // SAFETY: every bit pattern is a value of the integers of `pix`.
        let pix = unsafe { &mut format.fmt.pix };
        pix.width = wanted.width;
        pix.height = wanted.height;
        pix.pixelformat = wanted.pixel_format.0;
        pix.field = appearance.field;
        pix.colorspace = appearance.colorspace;
        pix.xfer_func = appearance.transfer;
        pix.__bindgen_anon_1.ycbcr_enc = appearance.encoding;
        pix.quantization = appearance.quantization;
        // What is more than this the driver does not know, and else leaves as it was.
        pix.priv_ = sys::V4L2_PIX_FMT_PRIV_MAGIC;
        if let Some(plane) = wanted.planes.first() {
            pix.bytesperline = plane.bytesperline;
            pix.sizeimage = plane.sizeimage;
        }
    }
    // SAFETY: the request number fits the structure, which outlives the call.
    retry(|| unsafe { raw::s_fmt(fd.as_raw_fd(), &mut format) })?;
    Ok(read_format(buf_type, &format))
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
    // SAFETY: for a capture type the driver fills `capture`, an integer structure; `output` has
    // the same fields in the same places.
    let capture = unsafe { parm.parm.capture };
    (capture.capability & sys::V4L2_CAP_TIMEPERFRAME != 0).then_some(Interval {
        numerator: capture.timeperframe.numerator,
        denominator: capture.timeperframe.denominator,
    })
}

/// VIDIOC_G_CTRL of V4L2_CID_MIN_BUFFERS_FOR_CAPTURE, or `_OUTPUT`: how many buffers the driver
/// has to have to go on. EINVAL, ENOTTY: it doesn't tell.
pub fn min_buffers(fd: BorrowedFd<'_>, buf_type: BufType) -> nix::Result<u32> {
    let mut control: sys::v4l2_control = zeroed();
    control.id = match buf_type {
        BufType::Capture | BufType::CaptureMplane => sys::V4L2_CID_MIN_BUFFERS_FOR_CAPTURE,
        BufType::Output | BufType::OutputMplane => sys::V4L2_CID_MIN_BUFFERS_FOR_OUTPUT,
    };
    // SAFETY: the request number fits the structure, which outlives the call.
    retry(|| unsafe { raw::g_ctrl(fd.as_raw_fd(), &mut control) })?;
    Ok(u32::try_from(control.value).unwrap_or(0))
}
