//! Buffers in flight come back when the kernel says so, and not before.

use std::cell::Cell;

use super::*;
use crate::memory::{Heap, HeapName};

thread_local! {
    /// Breaks the rule on purpose, on this thread, for tests that must notice.
    pub(crate) static LANDS_EARLY: Cell<bool> = const { Cell::new(false) };
}

/// A frame of so many bytes, and nothing else to it.
pub(crate) fn frame(length: usize) -> Frame {
    Frame {
        sequence: 0,
        flags: 0,
        timestamp: Timestamp::default(),
        payloads: vec![Payload { offset: 0, length }],
        taken: Monotonic::now(),
    }
}

fn in_flight(calls: &[u32]) -> InFlight {
    let plane = Heap::open(&HeapName::Memfd).unwrap().allocate(1).unwrap();
    let departure = Departure {
        counter: 0,
        header: Box::new([]),
    };
    let mut flight = Free::new(0, vec![plane])
        .filled(frame(1))
        .take_off(departure)
        .unwrap();
    for call in calls {
        flight.refer(*call);
    }
    flight.sent_whole();
    flight
}

fn completion(first: u32, last: u32) -> Completion {
    Completion {
        first,
        last,
        copied: false,
    }
}

#[test]
fn every_call_has_to_be_completed() {
    let mut flight = in_flight(&[5, 6, 7]);
    for done in [completion(0, 4), completion(8, 9), completion(6, 6)] {
        flight.complete(&done);
        flight = flight.land().expect_err("calls 5 and 7 are open");
    }
    flight.complete(&completion(7, 7));
    flight = flight.land().expect_err("call 5 is open");
    flight.complete(&completion(5, 5));
    flight.land().expect("all calls are completed");
}

#[test]
fn merged_completions_and_numbers_that_wrap_count() {
    let mut flight = in_flight(&[u32::MAX - 1, u32::MAX, 0, 1]);
    flight.complete(&completion(u32::MAX, 0));
    flight = flight.land().expect_err("the outer two are open");
    flight.complete(&completion(u32::MAX - 5, u32::MAX - 1));
    flight.complete(&completion(1, 1));
    flight.land().expect("all calls are completed");
}

#[test]
fn what_is_still_being_sent_does_not_land() {
    let mut flight = in_flight(&[]);
    flight.sent = None;
    let mut flight = flight.land().expect_err("a part is yet to be sent");
    flight.sent_whole();
    flight
        .land()
        .expect("it was sent without a call that refers to it");
}
