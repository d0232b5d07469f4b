//! No byte of a frame may be another frame's, however fast the source and slow
//! the receiver; and the test has to be able to notice one.

use std::io::Read;
use std::net::{Ipv4Addr, TcpListener};
use std::num::{NonZeroU32, NonZeroU64};
use std::thread::JoinHandle;
use std::time::Duration;

use super::*;
use crate::base::{Observer, Stop};
use crate::link::COMPLETES_EARLY;
use crate::measure::{Measured, Measuring};
use crate::memory::{HeapChoice, HeapName, MemoryMode};
use crate::sender::{self, SenderConfig};
use crate::sink::audience::Audience;
use crate::sink::consumer::Overrun;
use crate::source::{Input, camera::Capture, test::Picture};
use crate::wire::{PREAMBLE_SIZE, v2::FrameHeader, v2::StreamHeader};

const WIDTH: u32 = 320;
const HEIGHT: u32 = 240;
const FRAME: usize = (WIDTH * HEIGHT * 2) as usize;
const FRAMES: u32 = 100;

struct Nobody;

impl Observer for Nobody {
    fn tick(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Byte `x` of row `y` of frame `n`, as the documentation of the source has it.
fn expected(x: usize, y: usize, n: usize) -> u8 {
    ((x / 8 + x % 4 + y + 5 * (y / 256) + 7 * n) % 256) as u8
}

/// Takes a stream slowly; answers with how many of its bytes are not their frame's.
fn slow_receiver() -> (u16, JoinHandle<usize>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    // Little room here, so that frames wait in the sender's queue.
    socket2::SockRef::from(&listener)
        .set_recv_buffer_size(16 * 1024)
        .unwrap();
    let port = listener.local_addr().unwrap().port();
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut header = [0; PREAMBLE_SIZE + StreamHeader::SIZE];
        stream.read_exact(&mut header).unwrap();
        let mut wrong = 0;
        for n in 0..FRAMES as usize {
            let mut frame = vec![0; FrameHeader::SIZE + FRAME];
            for part in frame.chunks_mut(32 * 1024) {
                std::thread::sleep(Duration::from_micros(300));
                stream.read_exact(part).unwrap();
            }
            let row = WIDTH as usize * 2;
            let pixels = frame[FrameHeader::SIZE..].iter().enumerate();
            wrong += pixels
                .filter(|(i, byte)| **byte != expected(i % row, i / row, n))
                .count();
        }
        wrong
    });
    (port, thread)
}

/// Sends as fast as it can from few buffers; how many bytes arrive wrong?
fn wrong_bytes(zero_copy: ZeroCopyMode) -> (usize, Measured) {
    let (port, receiver) = slow_receiver();
    let config = SenderConfig {
        input: Input::Test(Picture::Moving),
        capture: Capture {
            width: NonZeroU32::new(WIDTH).unwrap(),
            height: NonZeroU32::new(HEIGHT).unwrap(),
            pixel_format: "YUYV".parse().unwrap(),
            buffers: NonZeroU32::new(3).unwrap(),
            heap: HeapChoice::Named(HeapName::Memfd),
            memory: MemoryMode::Auto,
            fps: None,
            verify: false,
        },
        address: "127.0.0.1".to_owned(),
        port,
        protocol: Version::V2,
        connect_for: Duration::ZERO,
        duration: None,
        records: None,
        records_limit: None,
        zero_copy,
        on_overrun: Overrun::Block,
        peer_timeout: Duration::from_secs(20),
    };
    let stop = Stop::new().unwrap();
    let mut observer = Nobody;
    let mut run = Run::new(&stop, &mut observer);
    let measured = Measuring::default();
    let frames = NonZeroU64::new(FRAMES.into());
    sender::send(&config, frames, &Audience::default(), &measured, &mut run).unwrap();
    (receiver.join().unwrap(), measured.into_inner())
}

#[test]
fn frames_in_flight_are_not_torn() {
    let (wrong, report) = wrong_bytes(ZeroCopyMode::On);
    assert_eq!(wrong, 0, "bytes of other frames arrived");
    assert_eq!(report.zero_copy.frames, u64::from(FRAMES));
    assert!(
        report.zero_copy.waits_for_network > 0,
        "the source was never short of buffers: this test shows nothing"
    );
}

#[test]
fn buffers_that_land_early_tear_frames() {
    COMPLETES_EARLY.set(true);
    let (wrong, _) = wrong_bytes(ZeroCopyMode::On);
    COMPLETES_EARLY.set(false);
    assert!(
        wrong > 0,
        "the rule was broken and nothing was torn: the test above can't fail"
    );
}

#[test]
fn copied_frames_are_not_torn_either() {
    for mode in [ZeroCopyMode::Off, ZeroCopyMode::Auto] {
        let (wrong, report) = wrong_bytes(mode);
        assert_eq!(wrong, 0, "bytes of other frames arrived");
        let (zero_copy, why) = report.zero_copy.chosen.unwrap();
        assert!(!zero_copy, "loopback copies: {why}");
    }
}
