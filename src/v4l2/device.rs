//! A V4L2 device: opened, looked at, and its format negotiated.

mod advice;
mod output;

use std::fs::OpenOptions;
use std::num::NonZeroU32;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::libc::O_NONBLOCK;

use crate::base::{Error, ErrorKind, Result};
use crate::frame::{Appearance, Capability, FourCc, Interval, PlaneLayout};
use crate::v4l2::{BufType, Direction, Format, ioctl::Node, queue::QueueError};

/// An open device.
#[derive(Debug)]
pub struct Device {
    node: Node,
    path: PathBuf,
    buf_type: BufType,
    capability: Capability,
}

impl Device {
    /// Opens `path`, which must be a device with streaming I/O through which frames go that way.
    pub fn open(path: &Path, direction: Direction) -> Result<Self> {
        Device::open_as(path, direction, BufType::of_node)
    }

    /// Opens `path`, which must be a device that converts frames: for those that come out of it,
    /// and for those that go into it.
    pub fn open_m2m(path: &Path) -> Result<(Self, Self)> {
        let capture = Device::open_as(path, Direction::Capture, BufType::of_m2m)?;
        let buf_type = BufType::of_m2m(&capture.capability, Direction::Output);
        let file = capture.node.file.try_clone().map_err(|error| {
            let what = format!("open {} for both directions", capture.path());
            capture.error(&what, Errno::from_raw(error.raw_os_error().unwrap_or(0)))
        })?;
        let output = Device {
            node: Node::new(file, &capture.path()),
            path: capture.path.clone(),
            buf_type: buf_type.unwrap_or(BufType::Output),
            capability: capture.capability.clone(),
        };
        Ok((capture, output))
    }

    fn open_as(
        path: &Path,
        direction: Direction,
        kind: fn(&Capability, Direction) -> Option<BufType>,
    ) -> Result<Self> {
        let shown = path.display().to_string();
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(O_NONBLOCK)
            .open(path)
            .map_err(|error| open_error(&shown, direction, &error))?;
        let not_one = |cause: String| {
            let (kind, what) = match direction {
                Direction::Capture => (ErrorKind::NotACaptureDevice, "capture from"),
                Direction::Output => (ErrorKind::NotAnOutputDevice, "show frames on"),
            };
            Error::about(kind, what, &shown)
                .cause(cause)
                .next(devices_here())
        };
        if !file
            .metadata()
            .is_ok_and(|metadata| metadata.file_type().is_char_device())
        {
            return Err(not_one("it is not a device".to_owned()).errno(Errno::ENOTTY));
        }
        let node = Node::new(file, &shown);
        let capability = node.querycap().map_err(|errno| {
            not_one("it does not answer VIDIOC_QUERYCAP, so it is no V4L2 device".to_owned())
                .errno(errno)
        })?;
        let device = format!("{} ({})", capability.card, capability.driver);
        let buf_type = kind(&capability, direction).ok_or_else(|| {
            let (is_not, other) = match direction {
                Direction::Capture => ("does not capture video", "an output"),
                Direction::Output => ("takes no video", "a capture"),
            };
            let kinds = format!("{other}, metadata, radio or codec node");
            not_one(format!("{device} {is_not}: it is {kinds}")).errno(Errno::EINVAL)
        })?;
        if !capability.can_stream() {
            return Err(not_one(format!("{device} has no streaming I/O")).errno(Errno::EINVAL));
        }
        Ok(Device {
            node,
            path: path.to_owned(),
            buf_type,
            capability,
        })
    }

    /// The path that it was opened by.
    pub fn path(&self) -> String {
        self.path.display().to_string()
    }

    /// What it says it is.
    pub fn capability(&self) -> &Capability {
        &self.capability
    }

    /// For poll(2).
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.node.file.as_fd()
    }

    pub(super) fn node(&self) -> &Node {
        &self.node
    }

    pub(super) fn buf_type(&self) -> BufType {
        self.buf_type
    }

    /// Sets the format. Another size is a warning, another pixel format an error
    /// that lists what the device offers.
    pub fn negotiate(
        &self,
        width: NonZeroU32,
        height: NonZeroU32,
        pixel_format: FourCc,
    ) -> Result<Format> {
        let (width, height) = (width.get(), height.get());
        let wanted = Format {
            width,
            height,
            pixel_format,
            planes: Vec::new(),
            appearance: Appearance::default(),
        };
        let what = format!("set {width}x{height} {pixel_format} on {}", self.path());
        let granted = self.set_format(&wanted);
        let granted = granted.map_err(|errno| self.error(&what, errno))?;
        if granted.pixel_format != pixel_format {
            return Err(Error::new(ErrorKind::Format, what)
                .object(self.path())
                .errno(Errno::EINVAL)
                .cause(format!("the driver gives {} instead", granted.pixel_format))
                .next(self.offered()));
        }
        if (granted.width, granted.height) != (width, height) {
            log::warn!(
                "{}: {width}x{height} wanted, {}x{} granted",
                self.path(),
                granted.width,
                granted.height
            );
        }
        Ok(granted)
    }

    /// The planes of a format that was granted, known to hold something.
    pub fn layout(&self, granted: &Format) -> Result<Vec<PlaneLayout>> {
        let planes = granted.planes.iter().map(|plane| {
            let sizeimage = NonZeroU32::new(plane.sizeimage).ok_or_else(|| {
                self.error("negotiate a format", Errno::EINVAL)
                    .cause("the driver grants a frame of 0 bytes")
            })?;
            Ok(PlaneLayout {
                sizeimage,
                bytesperline: Some(plane.bytesperline),
            })
        });
        planes.collect()
    }

    /// The pixel formats that the device offers.
    pub fn formats(&self) -> Result<Vec<FourCc>> {
        self.enum_formats().map_err(|errno| {
            let what = format!("list the formats of {} (VIDIOC_ENUM_FMT)", self.path());
            self.error(&what, errno)
        })
    }

    /// The pixel formats that the device offers, in words.
    pub fn offered(&self) -> String {
        match self.enum_formats() {
            Ok(formats) if formats.is_empty() => format!("{} offers no format", self.path()),
            Ok(formats) => {
                let formats: Vec<String> = formats.iter().map(FourCc::to_string).collect();
                format!("it offers {}", formats.join(", "))
            }
            Err(errno) => format!("it does not tell what it offers ({})", errno.desc()),
        }
    }

    /// Asks for a frame rate. Answers with the interval that was granted, None if
    /// the device has no rate to set, which is a warning.
    pub fn set_rate(&self, fps: f64) -> Result<Option<Interval>> {
        let granted = match self.set_interval(Interval::of_rate(fps)) {
            Ok(interval) => interval,
            Err(Errno::ENOTTY | Errno::EINVAL) => None,
            Err(errno) => {
                let what = format!("set {fps} fps on {}", self.path());
                return Err(self.error(&what, errno));
            }
        };
        match granted.and_then(Interval::rate) {
            None => log::warn!(
                "{}: {fps} fps wanted, but the device has no rate to set (VIDIOC_S_PARM)",
                self.path()
            ),
            Some(rate) if (rate - fps).abs() > fps * 0.001 => {
                log::warn!("{}: {fps} fps wanted, {rate:.3} granted", self.path());
            }
            Some(_) => {}
        }
        Ok(granted)
    }

    /// An error of the queue's in an operation on this device.
    pub fn queue_error(&self, operation: &str, error: QueueError) -> Error {
        match error {
            QueueError::Errno(errno) => self.error(operation, errno),
            QueueError::Nonsense(told) => Error::new(ErrorKind::Device, operation)
                .object(self.path())
                .cause(format!("the driver contradicts itself: {told}"))
                .next("try another pixel format (-f) or memory (-m), and report it to the driver's authors"),
        }
    }
}

fn open_error(path: &str, direction: Direction, error: &std::io::Error) -> Error {
    let not_one = match direction {
        Direction::Capture => ErrorKind::NotACaptureDevice,
        Direction::Output => ErrorKind::NotAnOutputDevice,
    };
    let open = |kind| Error::about(kind, "open", path).io(error);
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENOENT | Errno::ENODEV | Errno::ENXIO | Errno::ENOTDIR) => {
            open(ErrorKind::DeviceNotFound)
                .cause("there is no such device")
                .next(devices_here())
        }
        Some(Errno::EACCES | Errno::EPERM) => open(ErrorKind::DevicePermission)
            .cause("this user may not use it")
            .next("join the group video (usermod -aG video USER), or run as root"),
        Some(Errno::EBUSY) => open(ErrorKind::DeviceBusy)
            .cause("another program is using the device")
            .next(format!("find it with fuser -v {path}")),
        Some(Errno::EISDIR) => open(not_one)
            .cause("it is not a device")
            .next(devices_here()),
        _ => open(ErrorKind::Device).next(devices_here()),
    }
}

/// Which V4L2 nodes this machine has, in words.
fn devices_here() -> String {
    let mut devices: Vec<String> = std::fs::read_dir("/sys/class/video4linux")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| {
            let node = format!("/dev/{}", entry.file_name().to_string_lossy());
            match std::fs::read_to_string(entry.path().join("name")) {
                Ok(name) => format!("{node} ({})", name.trim()),
                Err(_) => node,
            }
        })
        .collect();
    devices.sort();
    if devices.is_empty() {
        "this machine has no V4L2 device; -d test needs none".to_owned()
    } else {
        format!("V4L2 devices here: {}", devices.join(", "))
    }
}
