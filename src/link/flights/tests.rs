//! Frames in flight come back when the kernel says so, and not before.

use std::cell::Cell;
use std::io::Read;
use std::net::{TcpListener, TcpStream};

use super::*;
use crate::frame::buffer::tests::frame;
use crate::memory::{Heap, HeapName};

thread_local! {
    /// Breaks the rule on purpose, on this thread, for tests that must notice.
    pub(crate) static LANDS_EARLY: Cell<bool> = const { Cell::new(false) };
}

/// Flights on a socket, and its other end, which takes little at a time.
fn flights() -> (Flights, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    socket2::SockRef::from(&listener)
        .set_recv_buffer_size(16 * 1024)
        .unwrap();
    let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let flights = Flights::new(socket.as_fd()).unwrap();
    (flights, listener.accept().unwrap().0)
}

/// A frame whose every byte is `value`.
pub(crate) fn filled(value: u8, length: usize) -> Filled {
    let heap = Heap::open(&HeapName::Memfd).unwrap();
    let plane = heap.allocate(length).unwrap();
    let access = plane.write().unwrap();
    let view = access.view(0, length).unwrap();
    assert_eq!(view.copy_from(&vec![value; length]), length);
    access.end().unwrap();
    Free::new(0, vec![plane]).filled(frame(length))
}

fn departure(header: Vec<u8>) -> Departure {
    Departure {
        counter: 0,
        header: header.into(),
    }
}

/// A frame that calls of these numbers refer to.
fn in_flight(calls: &[u32]) -> Flights {
    let (mut flights, _) = flights();
    flights.take_off(filled(0, 1), departure(vec![])).unwrap();
    flights.flights[0].calls = calls.to_vec();
    flights
}

fn complete(flights: &mut Flights, first: u32, last: u32) -> usize {
    flights.complete(Completion {
        first,
        last,
        copied: false,
    });
    flights.landed().len()
}

#[test]
fn every_call_has_to_be_completed() {
    let mut flights = in_flight(&[5, 6, 7]);
    flights.sent_whole();
    for (first, last) in [(0, 4), (8, 9), (6, 6)] {
        assert_eq!(complete(&mut flights, first, last), 0, "5 and 7 are open");
    }
    assert_eq!(complete(&mut flights, 7, 7), 0, "call 5 is open");
    assert_eq!(complete(&mut flights, 5, 5), 1, "all calls are completed");
}

#[test]
fn merged_completions_and_numbers_that_wrap_count() {
    let mut flights = in_flight(&[u32::MAX - 1, u32::MAX, 0, 1]);
    flights.sent_whole();
    assert_eq!(complete(&mut flights, u32::MAX, 0), 0, "two are open");
    let before_the_last = (u32::MAX - 5, u32::MAX - 1);
    assert_eq!(
        complete(&mut flights, before_the_last.0, before_the_last.1),
        0,
        "call 1 is open"
    );
    assert_eq!(complete(&mut flights, 1, 1), 1, "all calls are completed");
}

#[test]
fn what_is_still_being_sent_does_not_land() {
    let mut flights = in_flight(&[]);
    assert_eq!(flights.landed().len(), 0, "a part is yet to be sent");
    flights.sent_whole();
    assert_eq!(flights.landed().len(), 1, "no call refers to it");
}

#[test]
fn what_is_given_up_is_sent_as_it_was() {
    const LENGTH: usize = 64 * 1024;
    const HEADER: usize = 1000;
    let (mut flights, mut other) = flights();
    let mut expected = Vec::new();
    // As much as the socket takes, which is far more than the other end has room for.
    'full: for value in 1..=200 {
        flights
            .take_off(filled(value, LENGTH), departure(vec![255 - value; HEADER]))
            .unwrap();
        let mut sent = 0;
        while sent < HEADER + LENGTH {
            let Ok(bytes) = flights.send(sent) else {
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
        flights.sent_whole();
    }
    flights.reap().unwrap();
    let open = flights.flights.iter().filter(|one| !one.calls.is_empty());
    assert!(
        open.count() > 3,
        "too little was in flight to show anything"
    );
    drop(flights);
    // Whoever uses the memory next writes to it.
    let next: Vec<Box<[u8]>> = (0..1000).map(|_| vec![0; HEADER].into()).collect();
    let planes: Vec<Filled> = (0..20).map(|_| filled(0, LENGTH)).collect();
    let mut received = Vec::new();
    other.read_to_end(&mut received).unwrap();
    assert_eq!(received.len(), expected.len());
    assert!(received == expected, "other bytes were sent");
    drop((next, planes));
}
