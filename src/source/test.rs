//! The built-in source (`-d test`): frames that a receiver can check byte by
//! byte, in the same kind of buffers as a camera's. Standing still (`-d test:still`)
//! it gives frame 0 again and again, drawn once into each buffer: what then sets the
//! pace is the network alone.
//!
//! With `L = ⌈sizeimage / height⌉` bytes a row, byte `x` of row `y` of frame `n`
//! is `(⌊x/8⌋ + x mod 4 + y + 5·⌊y/256⌋ + 7·n) mod 256`.
//!
//! Between two frames less than 256 apart every byte differs, so a single torn
//! byte shows; within a frame the terms tell bytes apart that are displaced by
//! a few bytes, by rows or by pages. On a screen it is a slope that moves.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use crate::base::{Error, ErrorKind, Monotonic, Result, WaitsFor};
use crate::frame::{Frame, Free, Payload, Pool, Stream, Timestamp, field, flags};
use crate::memory::ViewMut;
use crate::source::buffers::{Buffers, whole_size};
use crate::source::{Next, Source, camera::Capture};

/// Bytes after which the ramp repeats: 256 steps of 8.
const PERIOD: usize = 2048;

/// What the built-in source shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Picture {
    /// Another one in each frame.
    Moving,
    /// The same one.
    Still,
}

/// The built-in source.
#[derive(Debug)]
pub struct TestSource {
    picture: Picture,
    stream: Stream,
    sizeimage: NonZeroU32,
    pool: Pool,
    can_pin: nix::Result<()>,
    interval: Duration,
    due: Instant,
    sequence: u32,
    ramp: Ramp,
}

impl TestSource {
    /// Allocates the buffers.
    pub fn new(capture: &Capture, picture: Picture) -> Result<Self> {
        let sizeimage = whole_size(capture, "test source")?;
        let buffers = Buffers::new(capture, &[sizeimage], "test source")?;
        let (mut free, stream) = (buffers.free, buffers.stream);
        let ramp = Ramp::new();
        if picture == Picture::Still {
            for free in &mut free {
                ramp.draw(free, (sizeimage, stream.height), 0)?;
            }
        }
        Ok(TestSource {
            picture,
            stream,
            sizeimage,
            can_pin: buffers.can_pin,
            pool: Pool::new(free)?,
            interval: capture
                .fps
                .map_or(Duration::ZERO, |fps| Duration::from_secs_f64(1.0 / fps)),
            due: Instant::now(),
            sequence: 0,
            ramp,
        })
    }
}

/// `⌊x/8⌋ + x mod 4`, two periods of it. To add `c` to it is to begin `8·c` bytes
/// later, so that every row is a window of it and drawing is copying.
#[derive(Debug)]
struct Ramp(Vec<u8>);

impl Ramp {
    fn new() -> Self {
        Ramp((0..2 * PERIOD).map(|x| (x / 8 + x % 4) as u8).collect())
    }

    /// Draws frame `number`, of so many bytes and rows.
    fn draw(&self, free: &mut Free, (size, rows): (NonZeroU32, u32), number: u32) -> Result<()> {
        let row_bytes = size.get().div_ceil(rows) as usize;
        for plane in free.planes_mut() {
            let mut access = plane.write()?;
            let view = access.view_mut(0, size.get() as usize)?;
            self.draw_rows(view, row_bytes, number);
            access.end()?;
        }
        Ok(())
    }

    fn draw_rows(&self, mut view: ViewMut<'_>, row_bytes: usize, number: u32) {
        let length = view.length();
        for (y, start) in (0..length).step_by(row_bytes).enumerate() {
            let terms = y + 5 * (y / 256) + 7 * number as usize;
            let begin = terms % 256 * 8;
            let window = self.0.get(begin..begin + PERIOD).unwrap_or_default();
            let end = length.min(start + row_bytes);
            for start in (start..end).step_by(PERIOD) {
                let piece = window.get(..end - start).unwrap_or(window);
                if let Some(mut rest) = view.skip(start) {
                    rest.copy_from(piece);
                }
            }
        }
    }
}

impl Source for TestSource {
    fn name(&self) -> String {
        "the test source".to_owned()
    }

    fn stream(&self) -> &Stream {
        &self.stream
    }

    fn can_pin(&self) -> nix::Result<()> {
        self.can_pin
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
        let Some(mut free) = self.pool.take() else {
            return Ok(Next::NotReady);
        };
        // A frame that is more than an interval late moves the schedule: no
        // burst makes up for what the network did not take.
        self.due = (self.due + self.interval).max(now);
        let length = self.sizeimage.get() as usize;
        if self.picture == Picture::Moving {
            let rows = self.stream.height;
            self.ramp
                .draw(&mut free, (self.sizeimage, rows), self.sequence)?;
        }
        let taken = Monotonic::now();
        let frame = Frame {
            sequence: u64::from(self.sequence),
            flags: flags::BUF_FLAG_TIMESTAMP_MONOTONIC,
            field: field::UNKNOWN,
            timestamp: Timestamp::of_nanoseconds(taken.nanoseconds()),
            payloads: vec![Payload { offset: 0, length }],
            taken,
        };
        self.sequence = self.sequence.wrapping_add(1);
        Ok(Next::Frame(self.pool.lend(free, frame)))
    }

    fn waits_for(&self) -> WaitsFor<'_> {
        if self.pool.is_empty() {
            WaitsFor::Buffer(self.pool.bell())
        } else {
            WaitsFor::Time(self.due)
        }
    }

    fn pool(&self) -> &Pool {
        &self.pool
    }

    fn poll_error(&self) -> Error {
        Error::new(ErrorKind::System, "wait for the test source")
    }
}
