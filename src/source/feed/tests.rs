//! A program's frames, as a sender has them.

use super::*;
use crate::base::{Monotonic, Observer, Stop};
use crate::frame::{Frame, Payload, Timestamp, buffer::tests::frame};

struct Nobody;

impl Observer for Nobody {
    fn tick(&mut self) -> Result<()> {
        Ok(())
    }
}

fn open(feed: &Feed) -> Result<FeedSource> {
    let stop = Stop::new().unwrap();
    let mut observer = Nobody;
    feed.open(&Capture::in_memfds(2), &mut Run::new(&stop, &mut observer))
}

fn sequence(source: &mut FeedSource) -> Option<u64> {
    match source.next().unwrap() {
        Next::Frame(lease) => Some(lease.frame().sequence),
        Next::NotReady | Next::Ended => None,
    }
}

/// Fills a buffer as frame `sequence`.
fn fill(feed: &Feed, sequence: u64) -> Room {
    let room = feed.take();
    let Room::Buffer(free, stream) = room else {
        return room;
    };
    let frame = Frame {
        sequence,
        payloads: vec![Payload {
            offset: 0,
            length: 1024,
        }],
        timestamp: Timestamp::default(),
        taken: Monotonic::now(),
        ..frame(1)
    };
    let lease = feed.lend(free, frame).unwrap();
    assert_eq!(feed.give(lease, &stream).unwrap(), Given::Taken);
    Room::Nothing
}

#[test]
fn who_asks_for_a_buffer_decides_that_the_settings_count() {
    let feed = Feed::new().unwrap();
    assert!(matches!(feed.take(), Room::Nothing), "nobody has opened it");
    let mut source = open(&feed).unwrap();
    assert_eq!(source.stream().width, 32);
    fill(&feed, 7);
    fill(&feed, 8);
    assert!(matches!(feed.take(), Room::Nothing), "both are given");
    assert_eq!(sequence(&mut source), Some(7));
    assert!(matches!(feed.take(), Room::Buffer(..)), "it was let go of");
}

#[test]
fn a_frame_that_is_passed_on_decides_what_the_stream_is() {
    let other = Feed::new().unwrap();
    other.take();
    let mut from = open(&other).unwrap();
    fill(&other, 3);
    let Next::Frame(lease) = from.next().unwrap() else {
        panic!("a frame was given");
    };
    let mut stream = from.stream().clone();
    stream.pixel_format = "UYVY".parse().unwrap();
    let feed = Feed::new().unwrap();
    feed.give(lease.clone(), &stream).unwrap();
    let mut source = open(&feed).unwrap();
    assert_eq!(source.stream().pixel_format, stream.pixel_format);
    assert_eq!(sequence(&mut source), Some(3));
    let error = feed.give(lease, from.stream()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Format);
    assert!(error.to_string().contains("UYVY"), "{error}");
}

#[test]
fn what_was_given_comes_before_the_end() {
    let feed = Feed::new().unwrap();
    feed.take();
    let mut source = open(&feed).unwrap();
    fill(&feed, 1);
    feed.finish();
    assert_eq!(sequence(&mut source), Some(1));
    assert!(matches!(source.next().unwrap(), Next::Ended));
    drop(source);
    assert!(matches!(feed.take(), Room::Over));
}

#[test]
fn who_gives_nothing_has_no_stream_and_who_waits_is_stopped() {
    let feed = Feed::new().unwrap();
    feed.finish();
    let opened = open(&feed).map(drop);
    assert_eq!(opened.unwrap_err().kind(), ErrorKind::Stopped);
    let feed = Feed::new().unwrap();
    let stop = Stop::new().unwrap();
    stop.request();
    let mut observer = Nobody;
    let mut run = Run::new(&stop, &mut observer);
    let opened = feed.open(&Capture::in_memfds(2), &mut run).map(drop);
    assert_eq!(opened.unwrap_err().kind(), ErrorKind::Stopped);
}
