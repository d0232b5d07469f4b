//! An output device, made ready for a stream: its format, and whose memory it takes.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;

use nix::errno::Errno;

use super::showing::Queued;
use crate::base::{Blocking, ErrorKind, Result, Run};
use crate::frame::{Appearance, Free, Layout, PlaneLayout, field};
use crate::memory::MemoryMode;
use crate::sink::consumer::Overrun;
use crate::v4l2::output_queue::OutputQueue;
use crate::v4l2::{
    Direction, Format, Ioctl, MemoryType, PlaneFormat, device::Device, queue::QueueError,
};
use crate::wire::Description;

/// Frames that a driver gets at a time at least: the one that it shows, and two that follow. vivid
/// gives a frame back when it has the next.
const LEAST_QUEUED: u32 = 3;

/// Which device shows a stream, and how.
#[derive(Debug, Clone)]
pub struct OutputTarget {
    /// The device.
    pub path: PathBuf,
    /// Whose memory to use.
    pub memory: MemoryMode,
    /// What becomes of frames that it has no time for.
    pub on_overrun: Overrun,
}

/// A device that is open, and waits for a stream.
#[derive(Debug)]
pub struct OpenDevice {
    target: OutputTarget,
    device: Arc<Device>,
}

/// A device that is ready for a stream's frames.
#[derive(Debug)]
pub struct Ready {
    pub(super) device: Arc<Device>,
    pub(super) queue: OutputQueue<Device, Queued>,
    pub(super) target: OutputTarget,
    pub(super) depth: usize,
    pub(super) memory: MemoryType,
    /// Why its memory is the driver's own, if it is.
    pub(super) reason: Option<String>,
    pub(super) field: u32,
}

impl OpenDevice {
    /// Opens it, on a thread of its own: a device may take its time.
    pub fn open(target: OutputTarget, run: &mut Run<'_>) -> Result<Self> {
        let path = target.path.clone();
        let opening = Blocking::start(format!("opening of {}", path.display()), move || {
            Device::open(&path, Direction::Output)
        })?;
        let device = Arc::new(run.result_of(opening)??);
        Ok(OpenDevice { target, device })
    }

    /// How many frames it may have: those that the driver gets at a time, and one that waits.
    pub fn holds(&self) -> u32 {
        let needed = self.device.min_buffers().unwrap_or(0).max(2);
        needed.saturating_add(1).max(LEAST_QUEUED).saturating_add(1)
    }

    /// Sets the stream's format, and finds out whose memory the driver takes; `buffers` are those
    /// that the frames will be in, and come back.
    pub fn prepare(
        self,
        description: &Description,
        buffers: Vec<Free>,
        run: &mut Run<'_>,
    ) -> Result<(Ready, Vec<Free>)> {
        let wanted = wanted(description);
        let name = format!("setup of {}", self.device.path());
        let preparing = Blocking::start(name, move || {
            let ready = self.prepared(&wanted, &buffers)?;
            Ok((ready, buffers))
        })?;
        run.result_of(preparing)?
    }

    fn prepared(self, wanted: &Format, buffers: &[Free]) -> Result<Ready> {
        let device = &self.device;
        let granted = device.set_output(wanted)?;
        device.show_all(&granted)?;
        let depth = self.holds();
        let (queue, memory, reason) = self.allocate(wanted, &granted, buffers)?;
        log::info!(
            "showing {}x{} {} on {} ({}, {}), {}",
            granted.width,
            granted.height,
            granted.pixel_format,
            device.path(),
            device.capability().card,
            device.capability().driver,
            match memory {
                MemoryType::DmaBuf => "from the buffers that frames come in (DMABUF)",
                MemoryType::Mmap => "copied into the driver's own buffers (MMAP)",
            }
        );
        Ok(Ready {
            queue,
            depth: depth as usize,
            memory,
            reason,
            field: wanted.appearance.field,
            device: self.device,
            target: self.target,
        })
    }

    fn allocate(
        &self,
        wanted: &Format,
        granted: &Format,
        buffers: &[Free],
    ) -> Result<(OutputQueue<Device, Queued>, MemoryType, Option<String>)> {
        let import = || self.import(wanted, buffers);
        match self.target.memory {
            MemoryMode::DmaBuf => Ok((import()?, MemoryType::DmaBuf, None)),
            MemoryMode::Mmap => {
                let why = "device_memory mmap was asked for".to_owned();
                Ok((
                    self.own_memory(wanted, granted)?,
                    MemoryType::Mmap,
                    Some(why),
                ))
            }
            MemoryMode::Auto => match import() {
                Ok(queue) => Ok((queue, MemoryType::DmaBuf, None)),
                // What the device fails at would fail with its own buffers, too.
                Err(error)
                    if matches!(error.kind(), ErrorKind::DeviceBusy | ErrorKind::DeviceGone) =>
                {
                    Err(error)
                }
                Err(error) => {
                    let why = error.without_next().to_string();
                    log::warn!("copying frames into the driver's own buffers (MMAP): {why}");
                    Ok((
                        self.own_memory(wanted, granted)?,
                        MemoryType::Mmap,
                        Some(why),
                    ))
                }
            },
        }
    }

    fn import(&self, wanted: &Format, buffers: &[Free]) -> Result<OutputQueue<Device, Queued>> {
        let device = &self.device;
        let refused = |ioctl, errno| device.import_refused("the frames' DMABUFs", ioctl, errno);
        let first = buffers.first().filter(|it| {
            let mut planes = it.planes().iter();
            planes.all(|plane| plane.dmabuf().is_some())
        });
        let Some(first) = first else {
            let refused = refused(Ioctl::Qbuf, Errno::EINVAL);
            return Err(refused.cause("the frames' memory is no DMABUF"));
        };
        let count = u32::try_from(buffers.len()).ok().and_then(NonZeroU32::new);
        let queue = OutputQueue::request(
            Arc::clone(device),
            MemoryType::DmaBuf,
            count.unwrap_or(NonZeroU32::MIN),
        );
        let mut queue = queue.map_err(|error| match error {
            QueueError::Errno(errno) => refused(Ioctl::Reqbufs, errno),
            QueueError::Nonsense(_) => device.queue_error(&device.requesting(), error),
        })?;
        let used: Vec<usize> = wanted
            .planes
            .iter()
            .map(|it| it.sizeimage as usize)
            .collect();
        queue
            .try_import(first, &used)
            .map_err(|errno| refused(Ioctl::Qbuf, errno))?;
        Ok(queue)
    }

    fn own_memory(&self, wanted: &Format, granted: &Format) -> Result<OutputQueue<Device, Queued>> {
        let device = &self.device;
        let small = wanted.planes.iter().zip(&granted.planes);
        if let Some((wanted, granted)) = small
            .into_iter()
            .find(|(wanted, granted)| granted.sizeimage < wanted.sizeimage)
        {
            return Err(device
                .error(&device.requesting(), Errno::EINVAL)
                .cause(format!(
                    "its buffers have {} bytes, and frames up to {}",
                    granted.sizeimage, wanted.sizeimage
                )));
        }
        let count = NonZeroU32::new(self.holds()).unwrap_or(NonZeroU32::MIN);
        OutputQueue::request(Arc::clone(device), MemoryType::Mmap, count)
            .map_err(|error| device.queue_error(&device.requesting(), error))
    }
}

/// The format of an output device that shows a stream's frames as they are.
fn wanted(description: &Description) -> Format {
    let Description {
        width,
        height,
        pixel_format,
        planes,
        ..
    } = description;
    let rows = match Layout::new(*width, *height, *pixel_format, planes) {
        Layout::Rows(rows) => rows,
        Layout::Unknown | Layout::Varies | Layout::Scattered => Vec::new(),
    };
    let plane = |(number, plane): (usize, &PlaneLayout)| {
        // Nobody tells of padding where there is none.
        let tight = rows.get(number).and_then(|rows| rows.first());
        let stride = tight.and_then(|rows| u32::try_from(rows.stride).ok());
        PlaneFormat {
            sizeimage: plane.sizeimage.get(),
            bytesperline: plane.bytesperline.or(stride).unwrap_or(0),
        }
    };
    Format {
        width: *width,
        height: *height,
        pixel_format: *pixel_format,
        planes: planes.iter().enumerate().map(plane).collect(),
        appearance: Appearance {
            field: description
                .field
                .filter(|it| *it != field::UNKNOWN)
                .unwrap_or(field::NONE),
            colours: description.colorimetry.unwrap_or_default(),
        },
    }
}
