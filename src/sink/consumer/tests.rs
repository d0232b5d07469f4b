//! Frames go to consumers by their policies, and each count says where one went.

use std::num::NonZeroU32;

use super::*;
use crate::frame::{FourCc, Free, Origin, Pool, buffer::tests::frame};
use crate::measure::Measuring;
use crate::memory::MemoryUsed;
use crate::sink::audience::Audience;

/// A stream of so many buffers.
pub(crate) struct Scene {
    pub(crate) pool: Pool,
    pub(crate) audience: Audience,
    measured: Measuring,
    next: u64,
}

impl Scene {
    pub(crate) fn new(buffers: u32) -> Self {
        let free = (0..buffers).map(|index| Free::new(index, Vec::new()));
        let pool = Pool::new(free.collect()).unwrap();
        let scene = Scene {
            pool,
            audience: Audience::default(),
            measured: Measuring::default(),
            next: 0,
        };
        scene.begin(buffers, NonZeroU32::MAX);
        scene
    }

    /// A stream begins that was to have `wanted` buffers.
    fn begin(&self, buffers: u32, wanted: NonZeroU32) {
        let stream = Stream {
            width: 2,
            height: 2,
            pixel_format: FourCc(0),
            planes: Vec::new(),
            buffers: buffers.try_into().unwrap(),
            memory: MemoryUsed::Memfd,
            heap: None,
            read_rate: None,
            origin: Origin::default(),
        };
        self.audience.begin(stream, self.pool.lent(), 1, wanted);
    }

    fn subscribe(&self, depth: Option<usize>, on_overrun: Overrun) -> Consumer {
        let terms = Terms { depth, on_overrun };
        self.audience.subscribe(terms).unwrap()
    }

    /// The next frames of the stream, for as many as there are buffers.
    pub(crate) fn give(&mut self, frames: u64) -> u64 {
        let mut given = 0;
        for _ in 0..frames {
            let Some(free) = self.pool.take() else { break };
            let mut frame = frame(1);
            frame.sequence = self.next;
            let lease = self.pool.lend(free, frame);
            let passage = Passage {
                counter: self.next,
                ..Passage::default()
            };
            self.audience.offer(lease, passage, &self.measured);
            self.next += 1;
            given += 1;
        }
        given
    }
}

fn take(consumer: &Consumer) -> Option<Delivered> {
    match consumer.take() {
        Next::Frame(delivered) => Some(*delivered),
        Next::Nothing | Next::Ended => None,
    }
}

fn sequences(consumer: &Consumer) -> Vec<u64> {
    let taken = std::iter::from_fn(|| take(consumer));
    taken.map(|it| it.lease.frame().sequence).collect()
}

#[test]
fn the_oldest_or_the_newest_is_dropped_and_counted() {
    for (on_overrun, left) in [(Overrun::DropOldest, [3, 4]), (Overrun::DropNewest, [0, 1])] {
        let mut scene = Scene::new(8);
        let consumer = scene.subscribe(Some(2), on_overrun);
        assert_eq!(scene.give(5), 5);
        assert_eq!(sequences(&consumer), left, "{on_overrun:?}");
        let expected = Deliveries {
            received: 5,
            delivered: 2,
            drops: 3,
            ..Deliveries::default()
        };
        assert_eq!(consumer.counts(), expected, "{on_overrun:?}");
    }
}

#[test]
fn what_he_holds_counts_against_his_depth_until_he_lets_go() {
    let mut scene = Scene::new(8);
    let consumer = scene.subscribe(Some(2), Overrun::DropOldest);
    scene.give(2);
    let held = [take(&consumer).unwrap(), take(&consumer).unwrap()];
    assert_eq!(consumer.held(), [0, 1]);
    assert!(consumer.holds_all(), "two of two are held");
    scene.give(1);
    assert!(take(&consumer).is_none(), "he has all that he may have");
    drop(held);
    assert!(!consumer.holds_all());
    scene.give(1);
    let next = take(&consumer).unwrap();
    assert_eq!((next.lease.frame().sequence, next.gap), (3, 1));
}

#[test]
fn who_blocks_gets_every_frame_and_the_stream_waits_for_him() {
    let mut scene = Scene::new(3);
    let consumer = scene.subscribe(None, Overrun::Block);
    assert_eq!(scene.give(5), 3, "there are three buffers");
    assert_eq!(sequences(&consumer), [0, 1, 2]);
    assert_eq!(scene.give(5), 3);
    assert_eq!(consumer.counts().drops, 0);
}

#[test]
fn who_drops_leaves_the_stream_a_buffer() {
    let mut scene = Scene::new(3);
    let consumer = scene.subscribe(None, Overrun::DropNewest);
    assert_eq!(scene.give(9), 9, "the stream was slowed");
    let counts = consumer.counts();
    assert_eq!((counts.undelivered, counts.drops), (2, 7));
}

#[test]
fn who_holds_all_that_can_be_spared_holds_all() {
    for (on_overrun, most) in [(Overrun::Block, 3), (Overrun::DropOldest, 2)] {
        let mut scene = Scene::new(3);
        let consumer = scene.subscribe(None, on_overrun);
        let mut held = Vec::new();
        for _ in 0..most {
            assert!(!consumer.holds_all(), "{on_overrun:?}: one more may come");
            scene.give(1);
            held.push(take(&consumer).unwrap());
        }
        assert!(consumer.holds_all(), "{on_overrun:?}");
        held.pop();
        assert!(!consumer.holds_all(), "{on_overrun:?}");
    }
}

#[test]
fn who_has_buffers_of_his_own_gets_frames_beside_one_who_holds_all() {
    for (wanted, expected) in [(3, [0, 1, 2].as_slice()), (4, &[0, 1])] {
        let mut scene = Scene::new(3);
        let slow = scene.subscribe(None, Overrun::Block);
        let quick = scene.subscribe(Some(3), Overrun::DropNewest);
        assert_eq!(scene.audience.reserve(), 3);
        scene.begin(3, NonZeroU32::new(wanted).unwrap());
        assert_eq!(scene.give(3), 3);
        assert_eq!(sequences(&quick), expected, "3 buffers of {wanted} wanted");
        assert_eq!(sequences(&slow), [0, 1, 2]);
    }
}

#[test]
fn a_slow_one_costs_another_nothing() {
    let mut scene = Scene::new(8);
    let slow = scene.subscribe(Some(1), Overrun::DropOldest);
    let quick = scene.subscribe(Some(2), Overrun::DropOldest);
    let mut seen = Vec::new();
    for _ in 0..6 {
        scene.give(1);
        seen.extend(sequences(&quick));
    }
    assert_eq!(seen, [0, 1, 2, 3, 4, 5]);
    assert_eq!(sequences(&slow), [5]);
}

#[test]
fn what_waits_comes_before_the_end_and_who_leaves_gives_it_back() {
    let mut scene = Scene::new(4);
    let stays = scene.subscribe(None, Overrun::Block);
    let leaves = scene.subscribe(None, Overrun::Block);
    scene.give(2);
    scene.audience.end();
    leaves.close();
    assert_eq!(leaves.counts().undelivered, 2);
    assert!(matches!(leaves.take(), Next::Ended));
    assert_eq!(sequences(&stays), [0, 1]);
    assert!(matches!(stays.take(), Next::Ended));
    assert_eq!(scene.pool.lent().count(), 0);
}

#[test]
fn the_bell_says_what_there_is_to_whom_it_was_shown() {
    let mut scene = Scene::new(4);
    let consumer = scene.subscribe(None, Overrun::Block);
    let readable = || {
        use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
        let mut polled = [PollFd::new(consumer.show_bell(), PollFlags::POLLIN)];
        poll(&mut polled, PollTimeout::ZERO).unwrap() == 1
    };
    assert!(!readable());
    scene.give(2);
    assert!(readable());
    drop(take(&consumer));
    assert!(readable(), "one is left");
    drop(take(&consumer));
    assert!(!readable());
    scene.audience.end();
    assert!(readable(), "the end is something to tell");
}

#[test]
fn frames_are_held_beyond_the_stream_and_its_consumer() {
    let mut scene = Scene::new(2);
    let consumer = scene.subscribe(None, Overrun::Block);
    scene.give(1);
    let frame = take(&consumer).unwrap();
    let Scene { pool, audience, .. } = scene;
    drop((pool, audience, consumer));
    assert_eq!(frame.lease.frame().sequence, 0);
    assert!(frame.lease.release(), "nobody else has it");
}
