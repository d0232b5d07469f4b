//! A source's frames reach who takes them on this machine.

use super::*;
use crate::base::{Observer, Stop};
use crate::sink::consumer::{Next as Given, Overrun, Terms};
use crate::source::test::Picture;

struct Nobody;

impl Observer for Nobody {
    fn tick(&mut self) -> Result<()> {
        Ok(())
    }
}

fn config() -> CaptureConfig {
    CaptureConfig {
        input: Input::Test(Picture::Moving),
        capture: camera::Capture::in_memfds(2),
        duration: None,
        records: None,
        records_limit: None,
    }
}

#[test]
fn every_frame_is_offered_and_the_pool_grows_by_what_may_be_held() {
    let audience = Audience::default();
    let terms = Terms {
        depth: Some(3),
        on_overrun: Overrun::DropOldest,
    };
    let consumer = audience.subscribe(terms).unwrap();
    let measured = Measuring::default();
    let stop = Stop::new().unwrap();
    let mut observer = Nobody;
    let mut run = Run::new(&stop, &mut observer);
    capture(
        &config(),
        NonZeroU64::new(9),
        &audience,
        &measured,
        &mut run,
    )
    .unwrap();
    audience.end();
    let counts = consumer.counts();
    assert_eq!(
        (counts.received, counts.drops, counts.undelivered),
        (9, 6, 3)
    );
    let Given::Frame(first) = consumer.take() else {
        panic!("three wait");
    };
    assert_eq!(first.passage.counter, 6);
    assert_eq!(first.common.stream.buffers.get(), 2 + 3);
    let measured = measured.into_inner();
    assert_eq!((measured.frames, measured.captured), (9, 9));
}

#[test]
fn a_stop_ends_a_capture_whose_buffers_are_all_held() {
    let audience = Audience::default();
    let terms = Terms {
        depth: None,
        on_overrun: Overrun::Block,
    };
    let consumer = audience.subscribe(terms).unwrap();
    let measured = Measuring::default();
    let stop = Stop::new().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while consumer.counts().received < 2 {
                std::thread::yield_now();
            }
            stop.request();
        });
        let mut observer = Nobody;
        let mut run = Run::new(&stop, &mut observer);
        capture(&config(), None, &audience, &measured, &mut run).unwrap();
    });
    assert_eq!(consumer.counts().undelivered, 2);
}
