//! A receiver with several sinks, each of which has its own pace.

use std::io::Read;
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use super::*;
use crate::base::{Observer, Stop};
use crate::memory::{HeapName, MemoryMode};
use crate::sender::{self, SenderConfig};
use crate::sink::consumer::Overrun;
use crate::sink::network::ZeroCopyMode;
use crate::source::{Input, camera::Capture, test::Picture};

const FRAMES: u64 = 200;
const FRAME_BYTES: usize = 320 * 240 * 2;

struct Nobody;

impl Observer for Nobody {
    fn tick(&mut self) -> Result<()> {
        Ok(())
    }
}

fn memfd() -> HeapChoice {
    HeapChoice::Named(HeapName::Memfd)
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn send_frames(port: u16) {
    let config = SenderConfig {
        input: Input::Test(Picture::Moving),
        capture: Capture {
            width: 320.try_into().unwrap(),
            height: 240.try_into().unwrap(),
            pixel_format: "YUYV".parse().unwrap(),
            buffers: 8.try_into().unwrap(),
            heap: memfd(),
            memory: MemoryMode::Auto,
            fps: None,
            verify: false,
        },
        address: "127.0.0.1".to_owned(),
        port,
        protocol: Version::V3,
        connect_for: Duration::ZERO,
        duration: None,
        records: None,
        records_limit: None,
        zero_copy: ZeroCopyMode::Off,
        on_overrun: Overrun::Block,
        peer_timeout: Duration::from_secs(60),
    };
    let stop = Stop::new().unwrap();
    let mut observer = Nobody;
    let mut run = Run::new(&stop, &mut observer);
    let measured = Measuring::default();
    sender::send(
        &config,
        NonZeroU64::new(FRAMES),
        &Audience::default(),
        &measured,
        &mut run,
    )
    .unwrap();
}

/// What the frames of a dump are, each by its first bytes, which no other has.
fn frames_of(dump: &[u8]) -> Vec<&[u8]> {
    assert_eq!(dump.len() % FRAME_BYTES, 0, "a frame is not whole");
    dump.chunks(FRAME_BYTES).collect()
}

#[test]
fn a_slow_dump_that_may_drop_slows_nobody_and_its_account_adds_up() {
    let folder = std::env::temp_dir().join(format!("v4l-dmabuf-sinks-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (whole, slow) = (folder.join("whole"), folder.join("slow"));
    nix::unistd::mkfifo(&slow, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let port = free_port();
    let dump = |path: &Path, when_full| (DumpTarget::File(path.to_owned()), when_full);
    let config = ReceiverConfig {
        listen: "127.0.0.1".to_owned(),
        port,
        heap: memfd(),
        dumps: vec![dump(&whole, WhenFull::Wait), dump(&slow, WhenFull::Drop(2))],
        device: None,
        device_memory: MemoryMode::Auto,
        device_on_overrun: Overrun::DropOldest,
        unixfd: None,
        buffers: None,
        max_memory: 1 << 30,
        peer_timeout: Duration::from_secs(60),
        duration: None,
        records: None,
        records_limit: None,
    };
    let stop = Stop::new().unwrap();
    let measured = Measuring::default();
    let mut observer = Nobody;
    let mut run = Run::new(&stop, &mut observer);
    let listener = listen(&config, &mut run).unwrap();
    let read = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut pipe = std::fs::File::open(&slow).unwrap();
            let mut read = Vec::new();
            let mut piece = vec![0; FRAME_BYTES];
            loop {
                match pipe.read(&mut piece).unwrap() {
                    0 => return read,
                    bytes => read.extend_from_slice(&piece[..bytes]),
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let sender = scope.spawn(|| send_frames(port));
        receive(
            &config,
            None,
            Some(listener),
            &Audience::default(),
            &measured,
            &mut run,
        )
        .unwrap();
        sender.join().unwrap();
        reader.join().unwrap()
    });
    let whole = std::fs::read(&whole).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    let (all, some) = (frames_of(&whole), frames_of(&read));
    assert_eq!(all.len() as u64, FRAMES, "one that may not drop has all");
    let measured = measured.into_inner();
    let [none, dropped] = measured.sink_drops[..] else {
        panic!("two sinks: {:?}", measured.sink_drops);
    };
    assert_eq!((measured.frames, none), (FRAMES, 0));
    assert!(dropped > 0, "the slow one was to be too slow");
    assert_eq!(some.len() as u64 + dropped, FRAMES);
    let mut rest = all.iter();
    for frame in &some {
        assert!(rest.any(|one| one == frame), "a frame that never came");
    }
}
