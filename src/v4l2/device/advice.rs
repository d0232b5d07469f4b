//! What an errno means on a device, and what comes into it.

use nix::errno::Errno;

use super::Device;
use crate::base::{Error, ErrorKind};
use crate::v4l2::Ioctl;

/// What to try where a memory is refused.
const ANOTHER: &str = "use -m mmap, or another heap (-e), such as one of contiguous memory";

impl Device {
    /// An error of an operation on this device, with what its errno means there.
    pub fn error(&self, operation: &str, errno: Errno) -> Error {
        let error = |kind| Error::new(kind, operation).object(self.path()).errno(errno);
        match errno {
            Errno::EBUSY => error(ErrorKind::DeviceBusy)
                .cause("another program is using the device")
                .next(format!("find it with fuser -v {}", self.path())),
            Errno::ENODEV | Errno::ENXIO => error(ErrorKind::DeviceGone)
                .cause("the device was unplugged, or its driver unloaded")
                .next("plug it in again; the kernel log (dmesg) tells more"),
            Errno::EIO => error(ErrorKind::Device)
                .cause(match self.signal() {
                    Some(signal) => format!("the driver reports a fatal error; there is {signal}"),
                    None => {
                        "the driver reports a fatal error, as when the signal is lost".to_owned()
                    }
                })
                .next("check signal and cable; the kernel log (dmesg) may tell more"),
            Errno::ENOMEM => error(ErrorKind::Device)
                .cause("the driver has no memory left for it")
                .next("use fewer buffers (-b) or a smaller size; contiguous memory is set by cma="),
            Errno::ENOSPC => error(ErrorKind::Device)
                .cause("the bus has no bandwidth left for it")
                .next("use a smaller size, a lower rate, or another USB controller"),
            Errno::EPIPE => error(ErrorKind::Device)
                .cause("what the parts of the device's pipeline are set to does not fit together")
                .next(self.where_to_look()),
            Errno::ENOLINK => error(ErrorKind::Device)
                .cause("a part of the device's pipeline has no link, or the input no signal")
                .next(self.where_to_look()),
            _ => error(ErrorKind::Device).next(self.where_to_look()),
        }
    }

    /// What a request for buffers is called in errors.
    pub fn requesting(&self) -> String {
        format!("request buffers (VIDIOC_REQBUFS) on {}", self.path())
    }

    /// The error that the driver refuses `dmabufs`, so named, at VIDIOC_REQBUFS or VIDIOC_QBUF.
    pub fn import_refused(&self, dmabufs: &str, ioctl: Ioctl, errno: Errno) -> Error {
        let path = self.path();
        if matches!(errno, Errno::EBUSY | Errno::ENODEV) {
            return self.error(&format!("{ioctl} on {path}"), errno);
        }
        let (cause, next) = match (ioctl, errno) {
            (Ioctl::Reqbufs, _) => ("the driver does not import DMABUFs", "use -m mmap"),
            (_, Errno::EFAULT) => (
                "the driver likely needs contiguous memory, which this heap does not give",
                ANOTHER,
            ),
            (_, Errno::EINVAL) => (
                "the driver refuses this memory: the buffers may be too small for it",
                ANOTHER,
            ),
            _ => ("the driver refuses this memory", ANOTHER),
        };
        let what = format!("import {dmabufs} into {path} ({ioctl})");
        Error::new(ErrorKind::ImportRefused, what)
            .object(path)
            .errno(errno)
            .cause(cause)
            .next(next)
    }

    /// Where the reason for a refusal may be found, by what kind of device it is.
    fn where_to_look(&self) -> String {
        if self.capability.has_media_controller() {
            return "its pipeline is set by other means: media-ctl -p shows links and formats; give \
                    each pad (media-ctl -V) the size and format asked for here"
                .to_owned();
        }
        let path = self.path();
        match self.signal() {
            Some(signal) => format!(
                "there is {signal}: v4l2-ctl -d {path} --set-dv-bt-timings query sets the device to it"
            ),
            None => format!("v4l2-ctl -d {path} --all shows what it is set to"),
        }
    }

    /// The digital video signal that comes in, in words; None if the device has no such input.
    pub fn signal(&self) -> Option<String> {
        match self.query_timings() {
            Ok(timings) => Some(format!(
                "a signal of {}x{}{} at {:.0} frames/s",
                timings.width,
                timings.height,
                if timings.interlaced {
                    " interlaced"
                } else {
                    ""
                },
                timings.rate
            )),
            Err(Errno::ENOLINK) => Some("no signal".to_owned()),
            Err(Errno::ENOLCK) => Some("an unstable signal".to_owned()),
            Err(Errno::ERANGE) => Some("a signal that the device can't take".to_owned()),
            Err(_) => None,
        }
    }

    /// The error that the source is not what the stream began with.
    pub fn source_changed(&self) -> Error {
        let path = self.path();
        let error = Error::about(ErrorKind::Device, "go on capturing from", &path);
        match self.signal() {
            Some(signal) => error
                .cause(format!("its source changed: now there is {signal}"))
                .next(format!(
                    "set the device to it (v4l2-ctl -d {path} --set-dv-bt-timings query), and start \
                     again with its size (-W, -H)"
                )),
            None => error
                .cause("its source changed, and the driver does not tell into what")
                .next(format!("v4l2-ctl -d {path} --all shows what it is set to")),
        }
    }
}
