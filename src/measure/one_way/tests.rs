//! Between clocks that agree, so that times are what the frames say.

use super::*;
use crate::measure::{ClockSync, Reading};

const MS: u64 = 1_000_000;

/// Of clocks that agree from the one millisecond to the other.
fn agreeing(from: u64, to: u64) -> Vec<Piece> {
    let mut sync = ClockSync::default();
    for time in [from * MS + 1, to * MS] {
        sync.add(Reading {
            sent: time,
            received: time + 1,
            answered: time + 1,
            returned: time + 2,
        });
    }
    sync.take_pieces()
}

/// The raw and the corrected times, in milliseconds, of frames that were captured,
/// handed over, and complete at these milliseconds.
fn settled(frames: &[(u64, u64, u64)], interval: Option<u64>) -> [Vec<u64>; 2] {
    let mut one_way = OneWay::default();
    for (captured, handed, complete) in frames {
        one_way.take(&FrameRecord {
            captured: captured * MS,
            handed: handed * MS,
            complete: complete * MS,
            ..FrameRecord::default()
        });
    }
    let mut stages = Stages::default();
    one_way.settle(
        agreeing(0, 1000),
        Resolve::All,
        interval.map(Duration::from_millis),
        &mut stages,
    );
    [Stage::EndToEnd, Stage::EndToEndCorrected].map(|stage| {
        let values = stages.values().find(|(of, _)| *of == stage);
        let values = values.map(|(_, values)| values).unwrap_or_default();
        let each =
            |(time, count): (u64, u64)| vec![(time as f64 / 1e6).round() as u64; count as usize];
        values.into_iter().flat_map(each).collect()
    })
}

#[test]
fn frames_do_not_wait_for_ever_for_clocks_that_can_not_be_compared() {
    let mut one_way = OneWay::default();
    for _ in 0..MOST_WAITING {
        one_way.take(&FrameRecord {
            handed: 1,
            complete: 2,
            ..FrameRecord::default()
        });
    }
    assert!(one_way.is_due());
    one_way.settle(Vec::new(), Resolve::Covered, None, &mut Stages::default());
    assert!(!one_way.is_due(), "each frame would be reckoned with again");
    assert_eq!(one_way.offset(), None);
    assert_eq!(
        one_way.unknown().as_deref(),
        Some("no clock reading was answered")
    );
}

fn frame(handed: u64) -> FrameRecord {
    FrameRecord {
        handed: handed * MS,
        complete: handed * MS + 5,
        ..FrameRecord::default()
    }
}

#[test]
fn each_piece_of_a_run_has_its_own_offset() {
    let interval = Some(Duration::from_millis(10));
    let mut one_way = OneWay::default();
    let mut stages = Stages::default();
    one_way.take(&frame(10));
    one_way.settle(agreeing(0, 15), Resolve::Covered, interval, &mut stages);
    one_way.take(&frame(20));
    let broken = Piece {
        first: 16 * MS,
        last: 24 * MS,
        offset: Err("the clocks are mad"),
    };
    one_way.settle(vec![broken], Resolve::Covered, interval, &mut stages);
    let mut ahead = ClockSync::default();
    ahead.add(Reading {
        sent: 30 * MS,
        received: 32 * MS,
        answered: 32 * MS,
        returned: 30 * MS,
    });
    one_way.take(&frame(30));
    one_way.settle(ahead.take_pieces(), Resolve::Covered, interval, &mut stages);
    let corrected = stages
        .times()
        .find(|(stage, _)| *stage == Stage::TransferCorrected);
    let corrected = corrected.map(|(_, times)| times.count);
    assert_eq!(corrected, Some(2), "no frame was missed between them");
    let between = |handed: u64| one_way.between(handed * MS, (handed + 7) * MS);
    assert_eq!(between(10), Some(Duration::from_millis(7)));
    assert_eq!(between(20), None);
    assert_eq!(between(30), Some(Duration::from_millis(5)));
    let unknown = one_way.unknown().unwrap();
    assert_eq!(unknown, "those of 1 frames: the clocks are mad");
}

#[test]
fn frames_after_the_last_reading_wait_for_the_next_and_are_unknown_without() {
    let mut one_way = OneWay::default();
    let mut stages = Stages::default();
    for handed in [500, 1500, 1900, 60_000] {
        one_way.take(&frame(handed));
    }
    let known = |stages: &Stages| stages.times().map(|(_, times)| times.count).sum::<u64>();
    one_way.settle(agreeing(0, 1000), Resolve::Covered, None, &mut stages);
    assert_eq!(known(&stages), 1);
    let narrow = one_way.offset().unwrap().bound;
    one_way.settle(agreeing(1000, 1600), Resolve::Covered, None, &mut stages);
    assert_eq!(known(&stages), 2);
    assert_eq!(one_way.offset().unwrap().bound, narrow);
    one_way.settle(Vec::new(), Resolve::All, None, &mut stages);
    assert_eq!(
        known(&stages),
        3,
        "a minute later the offset is anybody's guess"
    );
    let widened = one_way.offset().unwrap().bound;
    assert!((300_000..1_000_000).contains(&widened), "{widened}");
    let unknown = one_way.unknown().unwrap();
    assert_eq!(
        unknown,
        "those of 1 frames: no clock reading was taken about then"
    );
}

#[test]
fn a_run_without_a_reading_says_so_though_no_frame_waits_for_one() {
    let mut one_way = OneWay::default();
    one_way.settle(Vec::new(), Resolve::All, None, &mut Stages::default());
    assert_eq!(one_way.unknown().as_deref(), Some(NO_READING));
}

#[test]
fn what_was_told_of_a_frame_stays_so_when_a_piece_is_added() {
    let mut one_way = OneWay::default();
    let mut stages = Stages::default();
    one_way.take(&frame(950));
    one_way.settle(agreeing(0, 1000), Resolve::Covered, None, &mut stages);
    let told = |one_way: &OneWay| one_way.between(950 * MS, 960 * MS);
    let before = (told(&one_way), one_way.offset());
    let mut vague = ClockSync::default();
    vague.add(Reading {
        sent: 900 * MS,
        received: 901 * MS,
        answered: 901 * MS,
        returned: 1900 * MS,
    });
    vague.add(Reading {
        sent: 1000 * MS,
        received: 1001 * MS,
        answered: 1001 * MS,
        returned: 2000 * MS,
    });
    let vague = vague.take_pieces();
    one_way.settle(
        [vague.clone(), vague.clone(), vague].concat(),
        Resolve::All,
        None,
        &mut stages,
    );
    assert_eq!((told(&one_way), one_way.offset()), before);
}

#[test]
fn frames_that_should_have_come_during_a_wait_count_as_late_as_it_kept_them() {
    let [raw, corrected] = settled(&[(10, 11, 15), (20, 21, 25), (60, 61, 65)], Some(10));
    assert_eq!(raw, [5, 5, 5]);
    // Those of 50, 40 and 30 would have come with that of 60.
    assert_eq!(corrected, [5, 5, 5, 15, 25, 35]);
}

#[test]
fn a_backlog_that_misses_no_frame_is_late_and_no_more() {
    let frames = [(10, 60, 110), (20, 61, 120), (30, 70, 130), (40, 99, 140)];
    let [raw, corrected] = settled(&frames, Some(10));
    assert_eq!(raw, [100, 100, 100, 100]);
    assert_eq!(corrected, raw);
}

#[test]
fn a_rate_that_nobody_knows_corrects_nothing() {
    let [raw, corrected] = settled(&[(10, 11, 15), (90, 91, 95)], None);
    assert_eq!((raw.len(), corrected.len()), (2, 0));
}

#[test]
fn a_peer_s_wild_times_are_bounded() {
    let [_, corrected] = settled(&[(1, 2, 3), (999, 1, 4), (1, 2, 3), (999, 1, 4)], Some(1));
    assert_eq!(corrected.len(), 4 + 2 * 997);
    let second = Duration::from_secs(1);
    let mut stages = Stages::default();
    let before = std::time::Instant::now();
    for _ in 0..10_000 {
        stages.record_corrected(Stage::TransferCorrected, second, MOST_MISSED, second);
    }
    let (_, times) = stages.times().next().unwrap();
    assert_eq!(times.count, 10_000 * (u64::from(MOST_MISSED) + 1));
    let took = before.elapsed();
    assert!(
        took.as_secs() < 30,
        "a note for each of the missed: {took:?}"
    );
}
