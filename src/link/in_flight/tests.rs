//! Frames in flight come back when the kernel says so, and not before.

use std::cell::Cell;
use std::io::Read;
use std::net::{TcpListener, TcpStream};

use super::*;
use crate::frame::{Free, Pool, buffer::tests::frame};
use crate::memory::{Heap, HeapName};

thread_local! {
    /// Breaks the rule on purpose, on this thread, for tests that must notice.
    pub(crate) static COMPLETES_EARLY: Cell<bool> = const { Cell::new(false) };
}

/// The frames in flight on a socket, and its other end, which takes little at a time.
fn in_flight() -> (InFlight, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    socket2::SockRef::from(&listener)
        .set_recv_buffer_size(16 * 1024)
        .unwrap();
    let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let in_flight = InFlight::new(socket.as_fd()).unwrap();
    (in_flight, listener.accept().unwrap().0)
}

/// A frame whose every byte is `value`.
pub(crate) fn filled(value: u8, length: usize) -> Lease {
    let heap = Heap::open(&HeapName::Memfd).unwrap();
    let mut plane = heap.allocate(length).unwrap();
    let mut access = plane.write().unwrap();
    let mut view = access.view_mut(0, length).unwrap();
    assert_eq!(view.copy_from(&vec![value; length]), length);
    access.end().unwrap();
    let pool = Pool::new(Vec::new()).unwrap();
    pool.lend(Free::new(0, vec![plane]), frame(length))
}

fn header(bytes: Vec<u8>) -> Header {
    Header {
        counter: 0,
        bytes: bytes.into(),
    }
}

/// A frame that calls of these numbers refer to.
fn referred_to_by(calls: &[u32]) -> InFlight {
    let (mut frames, _) = in_flight();
    frames.begin(filled(0, 1), header(vec![])).unwrap();
    frames.transfers[0].calls = calls.to_vec();
    frames
}

/// Lets go of what is completed; says of how many frames.
fn completed(frames: &mut InFlight) -> usize {
    frames.release();
    frames.completed().len()
}

fn complete(frames: &mut InFlight, first: u32, last: u32) -> usize {
    frames.note(Completion {
        first,
        last,
        copied: false,
    });
    completed(frames)
}

#[test]
fn every_call_has_to_be_completed() {
    let mut frames = referred_to_by(&[5, 6, 7]);
    frames.sent_whole();
    for (first, last) in [(0, 4), (8, 9), (6, 6)] {
        assert_eq!(complete(&mut frames, first, last), 0, "5 and 7 are open");
    }
    assert_eq!(complete(&mut frames, 7, 7), 0, "call 5 is open");
    assert_eq!(complete(&mut frames, 5, 5), 1, "all calls are completed");
}

#[test]
fn merged_completions_and_numbers_that_wrap_count() {
    let mut frames = referred_to_by(&[u32::MAX - 1, u32::MAX, 0, 1]);
    frames.sent_whole();
    assert_eq!(complete(&mut frames, u32::MAX, 0), 0, "two are open");
    let before_the_last = (u32::MAX - 5, u32::MAX - 1);
    assert_eq!(
        complete(&mut frames, before_the_last.0, before_the_last.1),
        0,
        "call 1 is open"
    );
    assert_eq!(complete(&mut frames, 1, 1), 1, "all calls are completed");
}

#[test]
fn what_is_still_being_sent_is_not_completed() {
    let mut frames = referred_to_by(&[]);
    assert_eq!(completed(&mut frames), 0, "a part is yet to be sent");
    frames.sent_whole();
    assert_eq!(completed(&mut frames), 1, "no call refers to it");
}

#[test]
fn what_is_given_up_is_sent_as_it_was() {
    const LENGTH: usize = 64 * 1024;
    const HEADER: usize = 1000;
    let (mut frames, mut other) = in_flight();
    let mut expected = Vec::new();
    // As much as the socket takes, which is far more than the other end has room for.
    'full: for value in 1..=200 {
        frames
            .begin(filled(value, LENGTH), header(vec![255 - value; HEADER]))
            .unwrap();
        let mut sent = 0;
        while sent < HEADER + LENGTH {
            let Ok(bytes) = frames.send(sent) else {
                break 'full;
            };
            sent += bytes;
            expected.resize(expected.len() + bytes, value);
            let begin = expected.len() - sent;
            expected[begin..]
                .iter_mut()
                .take(HEADER)
                .for_each(|byte| *byte = 255 - value);
        }
        frames.sent_whole();
    }
    frames.reap().unwrap();
    let open = frames.transfers.iter().filter(|one| !one.calls.is_empty());
    assert!(
        open.count() > 3,
        "too little was in flight to show anything"
    );
    drop(frames);
    // Whoever uses the memory next writes to it.
    let next: Vec<Box<[u8]>> = (0..1000).map(|_| vec![0; HEADER].into()).collect();
    let planes: Vec<Lease> = (0..20).map(|_| filled(0, LENGTH)).collect();
    let mut received = Vec::new();
    other.read_to_end(&mut received).unwrap();
    assert_eq!(received.len(), expected.len());
    assert!(received == expected, "other bytes were sent");
    drop((next, planes));
}
