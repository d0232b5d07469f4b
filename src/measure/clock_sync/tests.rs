//! Against clocks whose true offset is known.

use proptest::prelude::*;

use super::*;

/// The receiver's time at the sender's `time`.
fn receiver_time(time: u64, offset: i128, drift: f64) -> u64 {
    (time as i128 + offset + (time as f64 * drift) as i128) as u64
}

/// Readings ten times a second, with delays in nanoseconds there and back.
fn readings(delays: &[(u32, u32)], offset: i128, drift: f64) -> Readings {
    let mut sync = Readings::default();
    for (n, (there, back)) in (1..).zip(delays) {
        let sent = n * 100_000_000;
        let arrives = sent + u64::from(*there);
        let leaves = arrives + 20_000;
        sync.add(Reading {
            sent,
            received: receiver_time(arrives, offset, drift),
            answered: receiver_time(leaves, offset, drift),
            returned: leaves + u64::from(*back),
        });
    }
    sync
}

proptest! {
    #[test]
    fn the_true_offset_lies_within_the_bound(
        delays in prop::collection::vec((1_000..5_000_000_u32, 1_000..5_000_000_u32), 1..200),
        offset in -(1_i128 << 60)..(1_i128 << 60),
        drift in -400e-6..400e-6_f64,
    ) {
        let offset = offset.max(0);
        let told = readings(&delays, offset, drift).offset().unwrap();
        for n in [1, delays.len() as u64] {
            let time = n * 100_000_000;
            let error = told.to_receiver(time) - receiver_time(time, offset, drift) as i128;
            prop_assert!(
                error.unsigned_abs() <= u128::from(told.bound),
                "off by {error}, and the bound is {}", told.bound
            );
        }
    }

    #[test]
    fn it_is_never_worse_than_half_the_fastest_round_trip_without_drift(
        delays in prop::collection::vec((1_000..5_000_000_u32, 1_000..5_000_000_u32), 1..50),
    ) {
        let told = readings(&delays, 77_000_000, 0.0).offset().unwrap();
        let fastest = delays.iter().map(|(there, back)| there + back).min().unwrap();
        prop_assert_eq!(told.least_round_trip, u64::from(fastest));
        prop_assert_eq!(told.readings, delays.len() as u64);
    }
}

#[test]
fn a_steady_link_s_offset_and_drift_are_found() {
    let told = readings(&[(100_000, 100_000); 300], 5_000_000_000, 50e-6)
        .offset()
        .unwrap();
    assert!((told.drift - 50e-6).abs() < 5e-6, "{told:?}");
    assert!(
        (100_000..130_000).contains(&told.bound),
        "half the round trip: {told:?}"
    );
}

#[test]
fn no_reading_and_a_clock_that_was_set_tell_nothing() {
    assert_eq!(Readings::default().offset(), Err(NO_READING));
    assert!(ClockSync::default().take_pieces().is_empty());
    let mut sync = readings(&[(100_000, 100_000); 20], 0, 0.0);
    for reading in readings(&[(100_000, 100_000); 20], 50_000_000, 0.0).readings {
        let later = 2_000_000_000;
        sync.add(Reading {
            sent: reading.sent + later,
            received: reading.received + later,
            answered: reading.answered + later,
            returned: reading.returned + later,
        });
    }
    assert_eq!(sync.offset(), Err("the two clocks did not run evenly"));
}

#[test]
fn readings_are_bounded_and_the_fastest_stay() {
    let mut delays = vec![(3_000_000, 3_000_000); 5000];
    delays[1234] = (50_000, 50_000);
    let sync = readings(&delays, 0, 0.0);
    assert!(sync.readings.len() <= MOST_READINGS);
    let told = sync.offset().unwrap();
    assert_eq!(told.readings, 5000);
    assert_eq!(told.least_round_trip, 100_000);
}

#[test]
fn clocks_that_are_steered_are_compared_piece_by_piece() {
    let mut sync = ClockSync::default();
    // 100 ppm from the 300th reading on: 6 ms a minute, and a round trip is 0.2 ms.
    let ahead = |n: u64| n.saturating_sub(300) as i128 * 20_000;
    let mut whole = Readings::default();
    for n in 0..600 {
        let sent = 1 + n * 200_000_000;
        let received = (sent as i128 + 100_000 + ahead(n)) as u64;
        let reading = Reading {
            sent,
            received,
            answered: received,
            returned: sent + 200_000,
        };
        sync.add(reading);
        whole.add(reading);
    }
    let pieces = sync.take_pieces();
    assert!(whole.offset().is_err(), "no line fits all of it");
    assert_eq!(pieces.len(), 2);
    for (piece, n) in pieces.iter().zip([150, 450]) {
        let sent = 1 + n * 200_000_000;
        let (told, bound) = piece.to_receiver(sent).unwrap();
        let error = told - (sent as i128 + ahead(n));
        assert!(error.unsigned_abs() <= u128::from(bound), "{piece:?}");
        assert!(bound < 150_000, "{piece:?}");
    }
    let offsets: Vec<Offset> = pieces.iter().filter_map(|it| it.offset.ok()).collect();
    let joined = Offset::joined(offsets.iter().copied()).unwrap();
    assert_eq!(joined.readings, 600);
    assert_eq!(joined.nanoseconds(), offsets[0].nanoseconds());
    assert!(joined.bound >= offsets[1].bound);
}

#[test]
fn away_from_all_readings_the_bound_grows_and_then_the_offset_is_unknown() {
    // The drift can't be told from so few: the line may be wrong by a part in 1,000.
    let piece = readings(&[(100_000, 100_000); 3], 0, 500e-6)
        .piece()
        .unwrap();
    for (before, after) in [(0, 900_000_000), (90_000_000, 0)] {
        let time = if before > 0 {
            piece.first - before
        } else {
            piece.last + after
        };
        let (told, bound) = piece.to_receiver(time).unwrap();
        let error = told - receiver_time(time, 0, 500e-6) as i128;
        assert!(
            error.unsigned_abs() <= u128::from(bound),
            "{error} and {bound}"
        );
        assert!(bound > piece.offset.unwrap().bound);
    }
    assert!(piece.to_receiver(piece.last + 2_000_000_000).is_err());
}

#[test]
fn a_pause_without_readings_belongs_to_no_piece() {
    let mut sync = ClockSync::default();
    for sent in [1, 2, 3, 603, 604].map(|seconds| seconds * 1_000_000_000) {
        sync.add(Reading {
            sent,
            received: sent,
            answered: sent,
            returned: sent + 100,
        });
    }
    let spans: Vec<(u64, u64)> = sync
        .take_pieces()
        .iter()
        .map(|piece| (piece.first / 1_000_000_000, piece.last / 1_000_000_000))
        .collect();
    assert_eq!(spans, [(1, 3), (603, 604)]);
    assert!(sync.take_pieces().is_empty(), "nothing was read since");
}

#[test]
fn a_peer_s_wild_times_fill_no_memory() {
    let mut sync = ClockSync::default();
    for n in 0..2 * MOST_PIECES as u64 {
        let wild = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        sync.add(Reading {
            sent: n * 100_000_000_000,
            received: wild,
            answered: !wild,
            returned: u64::MAX,
        });
    }
    assert!(sync.take_pieces().len() <= MOST_PIECES + 1);
}

#[test]
fn a_time_that_is_rounded_excludes_no_line() {
    let mut readings = Readings::default();
    // As the fuzzer found them: two that are exact and near to each other would tell the drift,
    // if times were not rounded.
    let exact = |sent: u64, there: u64| Reading {
        sent,
        received: receiver_time(sent + there, 0, 900e-6),
        answered: receiver_time(sent + there, 0, 900e-6),
        returned: sent + 2 * there,
    };
    readings.add(exact(0, 200_000));
    for sent in 0..400 {
        readings.add(exact(46_000_000 + sent, 0));
    }
    let piece = readings.piece().unwrap();
    for time in [0, 46_000_100, 500_000_000] {
        let (told, bound) = piece.to_receiver(time).unwrap();
        let error = told - receiver_time(time, 0, 900e-6) as i128;
        assert!(
            error.unsigned_abs() <= u128::from(bound),
            "{error} and {bound}"
        );
    }
}
