//! Over sockets against peers that this test is, and by clocks whose difference is known.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use socket2::{Domain, Socket, Type};

use super::control_channel::{GATHER, MOST_HELD};
use super::rehearsal::{BEGINNING, Clocks, Rehearsal};
use super::{ReceiverEnd, SenderEnd};
use crate::base::{Monotonic, Observer, Run, Stop};
use crate::link::Busy;
use crate::measure::{FrameRecord, OneWay, Resolve, Stages};
use crate::wire::{Assembler, v3::Ack, v3::Answered, v3::Ping, v3::Pong, v3::kind};

struct Nobody;

impl Observer for Nobody {
    fn tick(&mut self) -> crate::Result<()> {
        Ok(())
    }
}

fn connected() -> (Socket, Socket) {
    Socket::pair(Domain::UNIX, Type::STREAM, None).unwrap()
}

/// The next message of a type.
fn next(mut socket: &Socket, assembler: &mut Assembler, wanted: u32) -> Option<Vec<u8>> {
    loop {
        while let Some((kind, body)) = assembler.take().unwrap() {
            if kind == wanted {
                return Some(body);
            }
        }
        let mut bytes = [0; 4096];
        match socket.read(&mut bytes).unwrap() {
            0 => return None,
            count => assembler.push(&bytes[..count]),
        }
    }
}

#[test]
fn nothing_is_said_to_have_come_before_it_was_sent() {
    const PINGS: u64 = 30_000;
    let (peer, own) = connected();
    let answering = ReceiverEnd::start(own).unwrap();
    let asks = peer.try_clone().unwrap();
    let asking = std::thread::spawn(move || {
        let mut times = Vec::new();
        for number in 0..PINGS {
            // Both sides read the same clock here.
            let sent = Monotonic::now().nanoseconds();
            times.push(sent);
            let ping = Ping {
                number,
                sent,
                answered: None,
            };
            (&asks).write_all(&ping.encode()).unwrap();
        }
        times
    });
    let mut assembler = Assembler::default();
    let mut came = Vec::new();
    // Some are dropped if this thread has no turn for long.
    while came.last().is_none_or(|(number, _)| *number < PINGS - 1) {
        let body = next(&peer, &mut assembler, kind::PONG).unwrap();
        let pong = Pong::decode(&body).unwrap();
        came.push((pong.number, pong.received));
    }
    let times = asking.join().unwrap();
    let early: Vec<u64> = came
        .iter()
        .map(|(number, received)| times[*number as usize].saturating_sub(*received))
        .filter(|early| *early > 0)
        .collect();
    assert!(
        early.is_empty(),
        "{} of {} came before they were sent, by up to {:?} ns",
        early.len(),
        came.len(),
        early.iter().max()
    );
    drop(answering);
}

#[test]
fn acknowledgements_that_follow_closely_share_a_packet_and_none_waits_for_the_next() {
    // One read takes what one write sent.
    let (peer, own) = Socket::pair(Domain::UNIX, Type::SEQPACKET, None).unwrap();
    peer.set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let answering = ReceiverEnd::start(own).unwrap();
    let begun = Instant::now();
    let sent: Vec<u64> = (0..1_000).collect();
    for counter in &sent {
        let (header, complete, done) = (1, 2, 3);
        answering.acknowledge(&Ack {
            counter: *counter,
            header,
            complete,
            done,
        });
    }
    let mut assembler = Assembler::default();
    let mut came = Vec::new();
    let mut packets = 0;
    while came.len() < sent.len() {
        let mut bytes = vec![0; 1 << 16];
        let count = (&peer)
            .read(&mut bytes)
            .expect("the last of them come too, though nothing follows");
        packets += 1;
        assembler.push(&bytes[..count]);
        while let Some((_, body)) = assembler.take().unwrap() {
            came.push(Ack::decode(&body).unwrap().counter);
        }
    }
    assert_eq!(came, sent, "each comes once, in order");
    let all = begun.elapsed().as_micros();
    let most = all / GATHER.as_micros() + all / MOST_HELD.as_micros() + 2;
    assert!(
        packets <= most,
        "{packets} packets where {most} fit apart from each other"
    );
    drop(answering);
}

#[test]
fn a_sender_reads_clocks_however_long_the_answers_take() {
    let (peer, own) = connected();
    let answers = std::thread::spawn(move || {
        let mut assembler = Assembler::default();
        let mut waiting = VecDeque::new();
        while let Some(body) = next(&peer, &mut assembler, kind::PING) {
            let ping = Ping::decode(&body).unwrap();
            waiting.push_back((Instant::now() + Duration::from_millis(500), ping.number));
            while waiting.front().is_some_and(|(at, _)| *at <= Instant::now()) {
                let (_, number) = waiting.pop_front().unwrap();
                let now = Monotonic::now().nanoseconds();
                let pong = Pong {
                    number,
                    received: now,
                    sent: now,
                };
                // It may have ended.
                let _ = (&peer).write_all(&pong.encode());
            }
        }
    });
    let stop = Stop::new().unwrap();
    let mut observer = Nobody;
    let mut run = Run::new(&stop, &mut observer);
    let asking =
        SenderEnd::start(own, (Duration::from_secs(2), Busy::default()), &mut run).unwrap();
    let pieces = asking.take_pieces();
    let offset = pieces.first().and_then(|piece| piece.offset.ok());
    let offset = offset.expect("answers came, each after half a second and more");
    assert!(offset.least_round_trip >= 500_000_000, "{offset:?}");
    assert!(offset.bound >= 250_000_000, "{offset:?}");
    assert!(offset.nanoseconds().unsigned_abs() <= u128::from(offset.bound));
    drop(asking);
    answers.join().unwrap();
}

#[test]
fn a_receiver_reads_clocks_however_late_it_learns_of_its_answers() {
    let (peer, own) = connected();
    let answering = ReceiverEnd::start(own).unwrap();
    let mut assembler = Assembler::default();
    let mut answered = VecDeque::new();
    for number in 0..20 {
        let ping = Ping {
            number,
            sent: Monotonic::now().nanoseconds(),
            // That of five pings ago.
            answered: (answered.len() > 4).then(|| answered.pop_front()).flatten(),
        };
        (&peer).write_all(&ping.encode()).unwrap();
        next(&peer, &mut assembler, kind::PONG).unwrap();
        answered.push_back(Answered {
            number,
            at: Monotonic::now().nanoseconds(),
        });
    }
    let pieces = answering.take_pieces();
    let offset = pieces.first().and_then(|piece| piece.offset.ok()).unwrap();
    assert_eq!(offset.readings, 15);
    assert!(offset.nanoseconds().unsigned_abs() <= u128::from(offset.bound));
}

/// How the network is for a while: nanoseconds that messages take at least and at most,
/// and how often there is something to wait for.
type Weather = (u64, u64, usize);

fn weather() -> impl Strategy<Value = Weather> {
    let quick = (10_000..200_000_u64, 0..300_000_u64, 1..600_usize);
    let slow = (100_000..50_000_000_u64, 0..2_000_000_000_u64, 1..300_usize);
    let full = (
        200_000_000..4_000_000_000_u64,
        0..2_000_000_000_u64,
        1..100_usize,
    );
    // Nothing comes through, for seconds or minutes.
    let outage = (1_000_000_000..200_000_000_000_u64, 0..1_u64, 1..10_usize);
    prop_oneof![4 => quick, 2 => slow, 2 => full, 1 => outage]
}

proptest! {
    #[test]
    fn the_true_time_is_within_the_bound_or_it_is_unknown(
        ahead in 0..1_u64 << 60,
        gains in -900_000..900_000_i64,
        weathers in prop::collection::vec(weather(), 1..8),
        closes in any::<bool>(),
        seed in any::<u64>(),
    ) {
        // On its way for this long, whatever its clocks say.
        const WAY: u64 = 20_000_000_000;
        let clocks = Clocks { ahead, gains };
        let mut rehearsal = Rehearsal::new(clocks);
        let mut one_ways = [OneWay::default(), OneWay::default()];
        let mut frames = Vec::new();
        let mut random = seed | 1;
        let mut any_below = |most: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % most.max(1)
        };
        let mut stages = Stages::default();
        let mut goes_on = true;
        let is_quick = |(least, jitter, _): &Weather| least + jitter < 100_000_000;
        let all_known = closes && weathers.iter().all(is_quick);
        for (least, jitter, steps) in weathers {
            for _ in 0..steps {
                goes_on = goes_on && rehearsal.step(least + any_below(jitter));
                frames.push(rehearsal.now() - any_below(50_000_000));
                for one_way in &mut one_ways {
                    let handed = frames[frames.len() - 1];
                    one_way.take(&FrameRecord {
                        handed,
                        complete: clocks.receiver(handed) + WAY,
                        ..FrameRecord::default()
                    });
                }
            }
            for (one_way, pieces) in one_ways.iter_mut().zip(rehearsal.look()) {
                one_way.settle(pieces, Resolve::Covered, None, &mut stages);
            }
        }
        if closes {
            rehearsal.close();
            for _ in 0..200 {
                goes_on = goes_on && rehearsal.step(100_000 + any_below(1_000_000));
            }
        } else {
            // The control connection is gone, and frames go on.
            for _ in 0..20 {
                let handed = frames[frames.len() - 1] + any_below(500_000_000);
                frames.push(handed);
                for one_way in &mut one_ways {
                    one_way.take(&FrameRecord {
                        handed,
                        complete: clocks.receiver(handed) + WAY,
                        ..FrameRecord::default()
                    });
                }
            }
        }
        for (one_way, pieces) in one_ways.iter_mut().zip(rehearsal.look()) {
            one_way.settle(pieces, Resolve::All, None, &mut stages);
            for frame in &frames {
                let told = one_way.between(*frame, clocks.receiver(*frame) + WAY);
                let Some(told) = told else {
                    prop_assert!(!all_known, "{:?}", one_way.unknown());
                    continue;
                };
                let bound = one_way.offset().unwrap().bound;
                let wrong = (told.as_nanos() as u64).abs_diff(WAY);
                prop_assert!(
                    wrong <= bound,
                    "{} s after the beginning it is wrong by {wrong} ns, and the bound is {bound}",
                    (*frame as f64 - BEGINNING as f64) / 1e9,
                );
            }
        }
    }
}
