//! Buffers for frames that no driver makes.

use std::num::NonZeroU32;

use nix::errno::Errno;

use crate::base::{Error, ErrorKind, Result};
use crate::frame::{FourCc, Free, Interval, Origin, PlaneLayout, Stream, flags};
use crate::memory::{self, Heap, HeapChoice, HeapName, read_rate};
use crate::source::camera::Capture;

/// A stream's buffers, all free.
pub(super) struct Buffers {
    pub(super) free: Vec<Free>,
    pub(super) stream: Stream,
    pub(super) sizeimage: NonZeroU32,
    /// Whether they can be sent without a copy.
    pub(super) can_pin: nix::Result<()>,
}

impl Buffers {
    /// Allocates them for `what`'s frames, unpadded, in one plane. `memory` is of no concern:
    /// there is no driver.
    pub(super) fn new(capture: &Capture, what: &str) -> Result<Self> {
        let (width, height) = (capture.width.get(), capture.height.get());
        let format = capture.pixel_format;
        let sizeimage = format
            .frame_size(width, height)
            .and_then(NonZeroU32::new)
            .ok_or_else(|| {
                let known: Vec<String> =
                    FourCc::known_raw().map(|known| known.to_string()).collect();
                Error::new(
                    ErrorKind::Format,
                    format!("make {width}x{height} {format} frames ({what})"),
                )
                .errno(Errno::EINVAL)
                .cause("the format is compressed or unknown, or the frame too big")
                .next(format!("use one of {}", known.join(", ")))
            })?;
        let heap = match &capture.heap {
            HeapChoice::Named(name) => Heap::open(name)?,
            HeapChoice::Auto => {
                let mut candidates = HeapName::candidates();
                candidates.push(HeapName::Memfd);
                Heap::first_usable(&candidates)?
            }
        };
        let free = (0..capture.buffers.get())
            .map(|index| {
                Ok(Free::new(
                    index,
                    vec![heap.allocate(sizeimage.get() as usize)?],
                ))
            })
            .collect::<Result<Vec<Free>>>()?;
        let read_rate = read_rate(free.first().map_or(&[], Free::planes))?;
        log::info!(
            "{what}: {width}x{height} {format}, {}, {} x {sizeimage} bytes from {}",
            capture
                .fps
                .map_or("as fast as it can".to_owned(), |fps| format!("{fps} fps")),
            capture.buffers,
            heap.name()
        );
        let stream = Stream {
            width,
            height,
            pixel_format: format,
            planes: vec![PlaneLayout {
                sizeimage,
                bytesperline: None,
            }],
            buffers: capture.buffers,
            memory: heap.memory_used(),
            heap: Some(heap.name().to_string()),
            read_rate,
            origin: Origin {
                interval: capture.fps.map(Interval::of_rate),
                timestamp_flags: Some(flags::BUF_FLAG_TIMESTAMP_MONOTONIC),
                ..Origin::default()
            },
        };
        let can_pin = free
            .iter()
            .flat_map(Free::planes)
            .try_for_each(memory::try_pin);
        Ok(Buffers {
            free,
            stream,
            sizeimage,
            can_pin,
        })
    }
}
