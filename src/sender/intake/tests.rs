//! Which frame is next, by policy, and where the others' buffers go.

use std::collections::VecDeque;

use super::*;
use crate::base::ErrorKind;
use crate::frame::{Free, Pool, Stream, buffer::tests::frame};

/// Gives the frames that it is given, and takes buffers back.
struct Script {
    pool: Pool,
    frames: VecDeque<Lease>,
    ends: bool,
    fails: bool,
}

impl Default for Script {
    fn default() -> Self {
        Script {
            pool: Pool::new(Vec::new()).unwrap(),
            frames: VecDeque::new(),
            ends: false,
            fails: false,
        }
    }
}

impl Script {
    /// As many frames, numbered from `first`, in buffers of the same numbers.
    fn give(&mut self, first: u32, count: u32) {
        for number in first..first + count {
            let mut frame = frame(1);
            frame.sequence = number.into();
            let lease = self.pool.lend(Free::new(number, Vec::new()), frame);
            self.frames.push_back(lease);
        }
    }

    /// The buffers that came back, by their numbers.
    fn returned(&self) -> Vec<u32> {
        let mut returned: Vec<u32> = std::iter::from_fn(|| self.pool.take())
            .map(|free| free.index())
            .collect();
        returned.sort_unstable();
        returned
    }
}

impl Source for Script {
    fn name(&self) -> String {
        "a test".to_owned()
    }

    fn stream(&self) -> &Stream {
        unreachable!("an intake doesn't ask for it")
    }

    fn can_pin(&self) -> nix::Result<()> {
        Ok(())
    }

    fn start(&mut self) -> Result<()> {
        Ok(())
    }

    fn next(&mut self) -> Result<Next> {
        if self.fails {
            return Err(Error::new(ErrorKind::DeviceGone, "capture").cause("it was unplugged"));
        }
        Ok(match self.frames.pop_front() {
            Some(lease) => Next::Frame(lease),
            None if self.ends => Next::Ended,
            None => Next::NotReady,
        })
    }

    fn waits_for(&self) -> WaitsFor<'_> {
        WaitsFor::Buffer(self.pool.bell())
    }

    fn pool(&self) -> &crate::frame::Pool {
        &self.pool
    }

    fn poll_error(&self) -> Error {
        Error::new(ErrorKind::System, "wait")
    }
}

/// Three frames come, then two more: which is next, which are dropped, how many count?
fn next_of_five(on_overrun: Overrun) -> (u32, Vec<u32>, u64) {
    let mut script = Script::default();
    let measured = Measuring::default();
    script.give(0, 3);
    let mut intake = Intake::new(&mut script, on_overrun, &measured);
    intake.take_in().unwrap();
    let (waiting, burst) = (intake.waiting.take(), intake.burst);
    script.give(3, 2);
    let mut intake = Intake::new(&mut script, on_overrun, &measured);
    intake.waiting = waiting;
    intake.burst = burst;
    intake.take_in().unwrap();
    let next = intake.take().expect("a frame waits");
    let drops = measured.borrow().sender_drops.total();
    (next.lease.index(), script.returned(), drops)
}

#[test]
fn block_leaves_frames_with_the_driver() {
    assert_eq!(next_of_five(Overrun::Block), (0, vec![], 0));
}

#[test]
fn drop_oldest_keeps_the_freshest() {
    assert_eq!(next_of_five(Overrun::DropOldest), (4, vec![0, 1, 2, 3], 4));
}

#[test]
fn drop_newest_keeps_what_waits() {
    assert_eq!(next_of_five(Overrun::DropNewest), (0, vec![1, 2, 3, 4], 4));
}

#[test]
fn only_block_leaves_the_source_alone_while_a_frame_is_sent() {
    for (policy, looks) in [
        (Overrun::Block, false),
        (Overrun::DropOldest, true),
        (Overrun::DropNewest, true),
    ] {
        let mut script = Script::default();
        script.give(0, 1);
        let measured = Measuring::default();
        let mut intake = Intake::new(&mut script, policy, &measured);
        let meanwhile: &mut dyn Meanwhile = &mut intake;
        assert_eq!(meanwhile.waits_for().is_some(), looks, "{policy:?}");
        meanwhile.look();
        assert_eq!(intake.take().is_some(), looks, "{policy:?}");
    }
}

#[test]
fn the_source_s_end_is_noticed_while_a_frame_is_sent() {
    let mut script = Script {
        ends: true,
        ..Script::default()
    };
    script.give(0, 1);
    let measured = Measuring::default();
    let mut intake = Intake::new(&mut script, Overrun::DropOldest, &measured);
    intake.look();
    assert!(intake.has_ended());
    assert_eq!(intake.take().map(|taken| taken.lease.index()), Some(0));
    assert_eq!(script.returned(), [0], "it was let go of");
}

#[test]
fn a_source_that_always_has_a_frame_is_left_after_a_round() {
    for policy in [Overrun::DropOldest, Overrun::DropNewest] {
        let mut script = Script::default();
        script.give(0, 10_000);
        let measured = Measuring::default();
        let mut intake = Intake::new(&mut script, policy, &measured);
        intake.take_in().unwrap();
        let next = intake.take();
        assert!(next.is_some(), "{policy:?}");
        let captured = measured.borrow().captured;
        assert!(captured < 10_000, "{policy:?}: a round took all {captured}");
        assert_eq!(
            measured.borrow().sender_drops.total() + 1,
            captured,
            "{policy:?}"
        );
        assert_eq!(script.returned().len() as u64 + 1, captured, "{policy:?}");
    }
}

#[test]
fn a_source_that_fails_while_a_frame_is_sent_is_told_of_after_it() {
    let mut script = Script {
        fails: true,
        ..Script::default()
    };
    let measured = Measuring::default();
    let mut intake = Intake::new(&mut script, Overrun::DropOldest, &measured);
    intake.look();
    let meanwhile: &dyn Meanwhile = &intake;
    assert!(
        meanwhile.waits_for().is_none(),
        "there is nothing to wait for"
    );
    let error = intake.take_in().unwrap_err();
    assert!(error.to_string().contains("unplugged"), "{error}");
}
