//! The control connection, both sides of it: whatever bytes a peer may send, and two honest
//! sides whose messages take as long as the input tells. `make fuzz` runs it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::time::Duration;

use v4l_dmabuf::measure::clock_sync::Piece;
use v4l_dmabuf::session::control::rehearsal::{BEGINNING, Clocks, End, Rehearsal};
use v4l_dmabuf::session::control::{ReceiverHandler, SenderHandler, Channel, Conversation, Handler};
use v4l_dmabuf::base::monotonic::Monotonic;
use v4l_dmabuf::measure::one_way::{OneWay, Resolve};
use v4l_dmabuf::measure::frame_record::FrameRecord;
use v4l_dmabuf::measure::stages::Stages;
use v4l_dmabuf::wire::Assembler;
use v4l_dmabuf::wire::v3::{Ack, Answered, Ping, Pong, kind, message};

/// Items that a side keeps at most of what its peer says.
const MOST_KEPT: usize = 4096;

fuzz_target!(|bytes: &[u8]| {
    let Some((which, bytes)) = bytes.split_first() else {
        return;
    };
    match which % 5 {
        0 => hears(SenderHandler::new(Monotonic::of_nanoseconds(BEGINNING)), bytes),
        1 => hears(ReceiverHandler::default(), bytes),
        2 => hears(SenderHandler::new(Monotonic::of_nanoseconds(BEGINNING)), &spoken(bytes)),
        3 => hears(ReceiverHandler::default(), &spoken(bytes)),
        _ => honest(bytes),
    }
});

/// A side that can be looked at.
trait Side: Handler {
    fn kept(&self) -> usize;
    fn look(&self) -> Box<dyn FnMut() -> Vec<Piece>>;
}

impl Side for SenderHandler {
    fn kept(&self) -> usize {
        self.kept()
    }

    fn look(&self) -> Box<dyn FnMut() -> Vec<Piece>> {
        Box::new(self.look())
    }
}

impl Side for ReceiverHandler {
    fn kept(&self) -> usize {
        self.kept()
    }

    fn look(&self) -> Box<dyn FnMut() -> Vec<Piece>> {
        Box::new(self.look())
    }
}

/// A number that is little, or next to a power of two, or anything.
fn number(rest: &mut &[u8]) -> u64 {
    let Some((first, after)) = rest.split_first() else {
        return 0;
    };
    *rest = after;
    match first >> 6 {
        0 => u64::from(first & 63),
        1 => 1 << (first & 63),
        2 => u64::MAX >> (first & 63),
        _ => match after.split_first_chunk() {
            Some((wild, after)) => {
                *rest = after;
                u64::from_le_bytes(*wild)
            }
            None => u64::MAX,
        },
    }
}

/// Messages that are what they should be, but for what is in them.
fn spoken(bytes: &[u8]) -> Vec<u8> {
    let mut rest = bytes;
    let mut spoken = Vec::new();
    while let Some((kind, after)) = rest.split_first() {
        rest = after;
        let mut any = || number(&mut rest);
        let next = match kind % 4 {
            0 => Ping {
                number: any(),
                sent: any(),
                answered: Some(Answered {
                    number: any(),
                    at: any(),
                }),
            }
            .encode(),
            1 => Pong {
                number: any(),
                received: any(),
                sent: any(),
            }
            .encode(),
            2 => Ack {
                counter: any(),
                header: any(),
                complete: any(),
                done: any(),
            }
            .encode(),
            _ => {
                let fields: Vec<u8> = (0..3).flat_map(|_| any().to_be_bytes()).collect();
                message(kind::RESULT, &fields)
            }
        };
        spoken.extend(next);
    }
    spoken
}

/// A side hears bytes, as many at a time as the first of them tells.
fn hears<S: Side>(side: S, bytes: &[u8]) {
    let end = End::default();
    let mut look = side.look();
    let mut assembler = Assembler::default();
    let mut conversation = Conversation::new(side);
    let mut one_way = OneWay::default();
    let mut stages = Stages::default();
    let size = bytes.first().map_or(1, |first| usize::from(*first) + 1);
    for piece in bytes.chunks(size) {
        let at = end.now();
        if conversation.came(&end, piece, at).is_err() || !conversation.go_on(&end) {
            conversation.closed();
            break;
        }
        one_way.take(&FrameRecord {
            handed: at.nanoseconds(),
            complete: at.nanoseconds(),
            ..FrameRecord::default()
        });
        assert!(conversation.handler().kept() <= MOST_KEPT);
        end.set_now(at.after(Duration::from_millis(100)));
        // What it says is understood.
        assembler.push(&end.posted());
        while let Some((said, body)) = assembler.take().expect("its own messages") {
            match said {
                kind::PING => assert!(Ping::decode(&body).is_ok()),
                kind::PONG => assert!(Pong::decode(&body).is_ok()),
                other => panic!("a message of type {other}"),
            }
        }
        if piece.first().is_some_and(|first| first % 8 == 0) {
            one_way.settle(look(), Resolve::Covered, Some(Duration::from_millis(1)), &mut stages);
        }
    }
    one_way.settle(look(), Resolve::All, Some(Duration::from_millis(1)), &mut stages);
    let _ = (one_way.offset(), one_way.unknown());
}

/// Two sides whose clocks differ as the input tells: what they find is true.
fn honest(bytes: &[u8]) {
    /// On its way for this long, whatever its clocks say.
    const WAY: u64 = 20_000_000_000;
    let mut rest = bytes;
    let clocks = Clocks {
        ahead: number(&mut rest) >> 2,
        gains: (number(&mut rest) % 1_800_001) as i64 - 900_000,
    };
    let mut rehearsal = Rehearsal::new(clocks);
    let mut one_ways = [OneWay::default(), OneWay::default()];
    let mut stages = Stages::default();
    let mut frames = Vec::new();
    while !rest.is_empty() && frames.len() < 1000 {
        // Ten minutes at most.
        let delay = number(&mut rest) % 600_000_000_000;
        let steps = number(&mut rest) % 16 + 1;
        for _ in 0..steps {
            if !rehearsal.step(delay) {
                break;
            }
            let handed = rehearsal.now();
            frames.push(handed);
            for one_way in &mut one_ways {
                one_way.take(&FrameRecord {
                    handed,
                    complete: clocks.receiver(handed) + WAY,
                    ..FrameRecord::default()
                });
            }
        }
        match number(&mut rest) {
            0 => rehearsal.close(),
            1..20 => {
                for (one_way, pieces) in one_ways.iter_mut().zip(rehearsal.look()) {
                    one_way.settle(pieces, Resolve::Covered, None, &mut stages);
                }
            }
            _ => {}
        }
    }
    for (one_way, pieces) in one_ways.iter_mut().zip(rehearsal.look()) {
        one_way.settle(pieces, Resolve::All, None, &mut stages);
        for frame in &frames {
            let Some(told) = one_way.between(*frame, clocks.receiver(*frame) + WAY) else {
                continue;
            };
            let bound = one_way.offset().expect("it is known").bound;
            let wrong = (told.as_nanos() as u64).abs_diff(WAY);
            assert!(
                wrong <= bound,
                "{wrong} ns wrong at {frame}, and the bound is {bound}: {one_way:?}"
            );
        }
    }
}
