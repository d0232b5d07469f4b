//! Buffers for frames that no driver makes.

use std::num::NonZeroU32;

use nix::errno::Errno;

use crate::base::{Error, ErrorKind, Result};
use crate::frame::{
    FourCc, Free, Interval, Origin, PlaneLayout, Stream, flags, is_compressed, plane_sizes,
};
use crate::memory::{self, Heap, HeapChoice, HeapName, Pages, read_rate};
use crate::source::camera::Capture;

/// A stream's buffers, all free.
pub(super) struct Buffers {
    pub(super) free: Vec<Free>,
    pub(super) stream: Stream,
    /// Whether they can be sent without a copy.
    pub(super) can_pin: nix::Result<()>,
}

impl Buffers {
    /// Allocates them for `what`'s frames, whose memory planes have these sizes. `memory` is of
    /// no concern: there is no driver.
    pub(super) fn new(capture: &Capture, sizes: &[NonZeroU32], what: &str) -> Result<Self> {
        let (width, height) = (capture.width.get(), capture.height.get());
        let format = capture.pixel_format;
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
                let sizes = sizes.iter().map(|size| size.get());
                Free::allocate(index, &heap, Pages::Huge, sizes)
            })
            .collect::<Result<Vec<Free>>>()?;
        let read_rate = read_rate(free.first().map_or(&[], Free::planes))?;
        log::info!(
            "{what}: {width}x{height} {format}, {}, {} x {} bytes from {}",
            capture
                .fps
                .map_or("as fast as it can".to_owned(), |fps| format!("{fps} fps")),
            capture.buffers,
            sizes.iter().map(|size| u64::from(size.get())).sum::<u64>(),
            heap.name()
        );
        let stream = Stream {
            width,
            height,
            pixel_format: format,
            planes: sizes
                .iter()
                .map(|sizeimage| PlaneLayout {
                    sizeimage: *sizeimage,
                    bytesperline: None,
                })
                .collect(),
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
            can_pin,
        })
    }
}

/// Bytes of one of `what`'s frames, in one memory plane.
pub(super) fn whole_size(capture: &Capture, what: &str) -> Result<NonZeroU32> {
    let (width, height) = (capture.width.get(), capture.height.get());
    let size = capture.pixel_format.frame_size(width, height);
    size.and_then(NonZeroU32::new)
        .ok_or_else(|| no_size(capture, what, "the format is compressed or unknown"))
}

/// Bytes of each memory plane of a program's frames: as many as they have, or at most.
pub(super) fn program_sizes(capture: &Capture, what: &str) -> Result<Vec<NonZeroU32>> {
    let (width, height) = (capture.width.get(), capture.height.get());
    let sizes = if is_compressed(capture.pixel_format) {
        // As many as a raw picture of two bytes a pixel, which UVC cameras reserve as well; a
        // very small picture has headers that are longer than it.
        let size = width
            .checked_mul(height)
            .and_then(|size| size.checked_mul(2));
        size.map(|size| size.max(4096))
            .and_then(NonZeroU32::new)
            .map(|size| vec![size])
    } else {
        plane_sizes(width, height, capture.pixel_format)
    };
    sizes.ok_or_else(|| no_size(capture, what, "the format is unknown"))
}

fn no_size(capture: &Capture, what: &str, cause: &str) -> Error {
    let known: Vec<String> = FourCc::known_raw().map(|known| known.to_string()).collect();
    let (width, height) = (capture.width, capture.height);
    let what = format!(
        "make {width}x{height} {} frames ({what})",
        capture.pixel_format
    );
    Error::new(ErrorKind::Format, what)
        .errno(Errno::EINVAL)
        .cause(format!("{cause}, or the frame too big"))
        .next(format!("use one of {}", known.join(", ")))
}
