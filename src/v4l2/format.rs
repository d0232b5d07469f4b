//! What a device is, and what its frames are: QUERYCAP, ENUM_FMT, S_FMT, S_PARM, G_CTRL.

use nix::errno::Errno;

use super::ioctl::{Ioctl, Node};
use super::{BufType, Plain, device::Device, zeroed};
use crate::frame::{Appearance, Capability, Colorimetry, FourCc, Interval};
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

impl Node {
    /// VIDIOC_QUERYCAP: what the node is.
    pub fn querycap(&self) -> nix::Result<Capability> {
        let mut cap: sys::v4l2_capability = zeroed();
        // SAFETY: the request number fits the structure, which outlives the call.
        self.ioctl(Ioctl::Querycap, |fd| unsafe { raw::querycap(fd, &mut cap) })?;
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
}

/// Writes what a format says into a `v4l2_pix_format` or a `v4l2_pix_format_mplane`, whose
/// fields have the same names, and not the same widths.
macro_rules! write_pix {
    ($pix:ident, $format:expr) => {
        $pix.width = $format.width;
        $pix.height = $format.height;
        $pix.pixelformat = $format.pixel_format.0;
        $pix.field = $format.appearance.field;
        $pix.colorspace = $format.appearance.colours.colorspace;
        $pix.xfer_func = $format.appearance.colours.transfer as _;
        $pix.__bindgen_anon_1.ycbcr_enc = $format.appearance.colours.encoding as _;
        $pix.quantization = $format.appearance.colours.quantization as _;
    };
}

/// The other way round; the planes are not the same.
macro_rules! read_pix {
    ($pix:ident, $planes:expr) => {
        Format {
            width: $pix.width,
            height: $pix.height,
            pixel_format: FourCc($pix.pixelformat),
            planes: $planes,
            appearance: Appearance {
                field: $pix.field,
                colours: Colorimetry {
                    colorspace: $pix.colorspace,
                    transfer: $pix.xfer_func.into(),
                    // SAFETY: both members of the union are integers of one width.
                    encoding: unsafe { $pix.__bindgen_anon_1.ycbcr_enc }.into(),
                    quantization: $pix.quantization.into(),
                },
            },
        }
    };
}

fn read_format(buf_type: BufType, raw: &sys::v4l2_format) -> Format {
    if !buf_type.is_mplane() {
        // SAFETY: for this buffer type the driver fills `pix`; every bit
        // pattern is a value of its integers.
        let pix = unsafe { raw.fmt.pix };
        let plane = PlaneFormat {
            sizeimage: pix.sizeimage,
            bytesperline: pix.bytesperline,
        };
        return read_pix!(pix, vec![plane]);
    }
    // SAFETY: as above, of `pix_mp`.
    let pix = unsafe { raw.fmt.pix_mp };
    // The structure is packed: its array is copied out before it is borrowed.
    let planes = { pix.plane_fmt };
    let planes = planes.iter().take(usize::from(pix.num_planes));
    let planes = planes.map(|plane| PlaneFormat {
        sizeimage: plane.sizeimage,
        bytesperline: plane.bytesperline,
    });
    read_pix!(pix, planes.collect())
}

fn write_format(buf_type: BufType, raw: &mut sys::v4l2_format, format: &Format) {
    let plane = |number| {
        let plane: Option<&PlaneFormat> = format.planes.get(number);
        plane.map_or((0, 0), |it| (it.sizeimage, it.bytesperline))
    };
    if !buf_type.is_mplane() {
        // SAFETY: every bit pattern is a value of the integers of `pix`.
        let pix = unsafe { &mut raw.fmt.pix };
        write_pix!(pix, format);
        (pix.sizeimage, pix.bytesperline) = plane(0);
        // What is more than this the driver does not know, and else leaves as it was.
        pix.priv_ = sys::V4L2_PIX_FMT_PRIV_MAGIC;
        return;
    }
    // SAFETY: as above, of `pix_mp`.
    let pix = unsafe { &mut raw.fmt.pix_mp };
    write_pix!(pix, format);
    pix.num_planes = format.planes.len() as u8;
    let mut planes = { pix.plane_fmt };
    for (number, raw) in planes.iter_mut().enumerate() {
        (raw.sizeimage, raw.bytesperline) = plane(number);
    }
    pix.plane_fmt = planes;
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

impl Device {
    /// VIDIOC_ENUM_FMT: every pixel format that the device offers.
    pub(super) fn enum_formats(&self) -> nix::Result<Vec<FourCc>> {
        let mut formats = Vec::new();
        for index in 0.. {
            let mut desc: sys::v4l2_fmtdesc = zeroed();
            desc.index = index;
            desc.type_ = self.buf_type().number();
            // SAFETY: the request number fits the structure, which outlives the call.
            let call = |fd| unsafe { raw::enum_fmt(fd, &mut desc) };
            match self.node().ioctl(Ioctl::EnumFmt, call) {
                Ok(()) => formats.push(FourCc(desc.pixelformat)),
                Err(Errno::EINVAL) => break,
                Err(errno) => return Err(errno),
            }
        }
        Ok(formats)
    }

    /// VIDIOC_S_FMT: all of it as wanted; of what is captured no more than the size and the
    /// pixel format, over what VIDIOC_G_FMT tells, so that colorimetry and the like stay the
    /// driver's. Answers with what was granted, which may differ.
    pub(super) fn set_format(&self, wanted: &Format) -> nix::Result<Format> {
        let kind = self.buf_type();
        let mut format: sys::v4l2_format = zeroed();
        format.type_ = kind.number();
        let mut wanted = wanted.clone();
        if kind.is_capture() {
            // SAFETY: the request number fits the structure, which outlives the call.
            let call = |fd| unsafe { raw::g_fmt(fd, &mut format) };
            self.node().ioctl(Ioctl::GFmt, call)?;
            wanted.appearance = Appearance {
                field: sys::V4L2_FIELD_ANY,
                ..read_format(kind, &format).appearance
            };
        }
        write_format(kind, &mut format, &wanted);
        // SAFETY: the request number fits the structure, which outlives the call.
        let call = |fd| unsafe { raw::s_fmt(fd, &mut format) };
        self.node().ioctl(Ioctl::SFmt, call)?;
        Ok(read_format(kind, &format))
    }

    /// VIDIOC_S_PARM: asks for a frame interval; None if the device has none to set.
    pub(super) fn set_interval(&self, wanted: Interval) -> nix::Result<Option<Interval>> {
        let mut parm: sys::v4l2_streamparm = zeroed();
        parm.type_ = self.buf_type().number();
        parm.parm.capture.timeperframe = sys::v4l2_fract {
            numerator: wanted.numerator,
            denominator: wanted.denominator,
        };
        // SAFETY: the request number fits the structure, which outlives the call.
        let call = |fd| unsafe { raw::s_parm(fd, &mut parm) };
        self.node().ioctl(Ioctl::SParm, call)?;
        Ok(read_interval(&parm))
    }

    /// The frame interval, by VIDIOC_G_PARM; None if the device doesn't tell.
    pub fn interval(&self) -> Option<Interval> {
        let mut parm: sys::v4l2_streamparm = zeroed();
        parm.type_ = self.buf_type().number();
        // SAFETY: the request number fits the structure, which outlives the call.
        let call = |fd| unsafe { raw::g_parm(fd, &mut parm) };
        self.node().ioctl(Ioctl::GParm, call).ok()?;
        read_interval(&parm)
    }

    /// How many buffers the driver has to have to go on, by VIDIOC_G_CTRL of
    /// V4L2_CID_MIN_BUFFERS_FOR_CAPTURE, or `_OUTPUT`; None if it doesn't tell.
    pub fn min_buffers(&self) -> Option<u32> {
        let mut control: sys::v4l2_control = zeroed();
        control.id = if self.buf_type().is_capture() {
            sys::V4L2_CID_MIN_BUFFERS_FOR_CAPTURE
        } else {
            sys::V4L2_CID_MIN_BUFFERS_FOR_OUTPUT
        };
        // SAFETY: the request number fits the structure, which outlives the call.
        let call = |fd| unsafe { raw::g_ctrl(fd, &mut control) };
        self.node().ioctl(Ioctl::GCtrl, call).ok()?;
        let count = u32::try_from(control.value).ok();
        count.filter(|count| *count > 0)
    }
}
