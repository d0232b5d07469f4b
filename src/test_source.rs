//! The built-in source (`-d test`): frames that a receiver can check byte by
//! byte, in the same kind of buffers as a camera's.
//!
//! Byte `i` of frame `n` is `(i + 3·⌊i/256⌋ + 5·⌊i/65536⌋ + 7·n) mod 256`.
//! Between two frames less than 256 apart every byte differs, so a single torn
//! byte shows; within a frame the two middle terms tell bytes apart that are
//! displaced by a page or more. On a screen it is a moving diagonal ramp.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::time::{ClockId, clock_gettime};

use crate::buffer::{Frame, Free, Payload, Timestamp};
use crate::camera::Capture;
use crate::error::{Error, ErrorKind, Result};
use crate::memory::{Heap, View};
use crate::pixel_format::FourCc;
use crate::report::Stream;
use crate::source::{Next, Source, WaitsFor};
use crate::v4l2;

const BLOCK: usize = 256;

/// The built-in source.
#[derive(Debug)]
pub struct TestSource {
    stream: Stream,
    free: VecDeque<Free>,
    interval: Duration,
    due: Instant,
    sequence: u32,
    /// 0, 1, … 255, twice: every block of a frame is a window of it.
    ramp: [u8; 2 * BLOCK],
}

impl TestSource {
    /// Allocates the buffers. `memory` is of no concern to it: there is no driver.
    pub fn new(capture: &Capture) -> Result<Self> {
        let (width, height) = (capture.width.get(), capture.height.get());
        let format = capture.pixel_format;
        let sizeimage = format
            .frame_size(width, height)
            .filter(|size| *size > 0)
            .ok_or_else(|| {
                let known: Vec<String> =
                    FourCc::known_raw().map(|known| known.to_string()).collect();
                Error::new(
                    ErrorKind::Format,
                    format!("make {width}x{height} {format} test frames"),
                )
                .errno(Errno::EINVAL)
                .cause("the format is compressed or unknown, or the frame too big")
                .next(format!("use one of {}", known.join(", ")))
            })?;
        let heap = Heap::open(&capture.heap)?;
        let free = (0..capture.buffers.get())
            .map(|index| Ok(Free::new(index, vec![heap.allocate(sizeimage as usize)?])))
            .collect::<Result<VecDeque<Free>>>()?;
        let mut ramp = [0; 2 * BLOCK];
        for (byte, value) in ramp.iter_mut().zip((0..=u8::MAX).cycle()) {
            *byte = value;
        }
        log::info!(
            "test source: {width}x{height} {format}, {}, {} x {sizeimage} bytes from {}",
            capture
                .fps
                .map_or("as fast as it can".to_owned(), |fps| format!("{fps} fps")),
            capture.buffers,
            capture.heap
        );
        Ok(TestSource {
            stream: Stream {
                width,
                height,
                pixel_format: format,
                sizeimage,
                buffers: capture.buffers.get(),
                memory: heap.memory_used(),
                heap: Some(capture.heap.to_string()),
            },
            free,
            interval: capture
                .fps
                .map_or(Duration::ZERO, |fps| Duration::from_secs_f64(1.0 / fps)),
            due: Instant::now(),
            sequence: 0,
            ramp,
        })
    }

    fn draw(&self, view: View<'_>, number: u32) {
        for block in 0..view.length().div_ceil(BLOCK) {
            let start = (3 * block + 5 * (block / BLOCK)) as u32;
            let start = (start.wrapping_add(number.wrapping_mul(7)) & 0xff) as usize;
            let bytes = self.ramp.get(start..start + BLOCK).unwrap_or_default();
            if let Some(rest) = view.skip(block * BLOCK) {
                rest.copy_from(bytes);
            }
        }
    }
}

impl Source for TestSource {
    fn stream(&self) -> &Stream {
        &self.stream
    }

    fn start(&mut self) -> Result<()> {
        self.due = Instant::now();
        Ok(())
    }

    fn next(&mut self) -> Result<Next> {
        let now = Instant::now();
        if now < self.due {
            return Ok(Next::NotReady);
        }
        let Some(free) = self.free.pop_front() else {
            return Ok(Next::NotReady);
        };
        // A frame that is more than an interval late moves the schedule: no
        // burst makes up for what the network did not take.
        self.due = (self.due + self.interval).max(now);
        let length = self.stream.sizeimage as usize;
        for plane in free.planes() {
            let access = plane.write()?;
            self.draw(access.view(0, length)?, self.sequence);
            access.end()?;
        }
        let monotonic = clock_gettime(ClockId::CLOCK_MONOTONIC)
            .map_err(|errno| Error::new(ErrorKind::System, "read the clock").errno(errno))?;
        let frame = Frame {
            sequence: u64::from(self.sequence),
            flags: v4l2::BUF_FLAG_TIMESTAMP_MONOTONIC,
            timestamp: Timestamp {
                seconds: monotonic.tv_sec() as u64,
                microseconds: monotonic.tv_nsec() as u64 / 1000,
            },
            payloads: vec![Payload { offset: 0, length }],
        };
        self.sequence = self.sequence.wrapping_add(1);
        Ok(Next::Frame(free.filled(frame)))
    }

    fn waits_for(&self) -> WaitsFor<'_> {
        WaitsFor::Time(self.due)
    }

    fn poll_error(&self) -> Error {
        Error::new(ErrorKind::System, "wait for the test source")
    }

    fn recycle(&mut self, free: Free) -> Result<()> {
        self.free.push_back(free);
        Ok(())
    }
}
