//! Between clocks that agree, so that times are what the frames say.

use super::*;
use crate::clock_sync::Reading;

const MS: u64 = 1_000_000;

fn agreeing() -> ClockSync {
    let mut sync = ClockSync::default();
    for time in [1, 1000 * MS] {
        sync.add(Reading {
            sent: time,
            received: time + 1,
            answered: time + 1,
            returned: time + 2,
        });
    }
    sync
}

/// The raw and the corrected times, in milliseconds, of frames that were captured,
/// handed over, and complete at these milliseconds.
fn settled(frames: &[(u64, u64, u64)], interval: Option<u64>) -> [Vec<u64>; 2] {
    let mut one_way = OneWay::default();
    for (captured, handed, complete) in frames {
        one_way.take(&Passage {
            captured: captured * MS,
            handed: handed * MS,
            complete: complete * MS,
            ..Passage::default()
        });
    }
    let mut stages = Stages::default();
    one_way.settle(
        &agreeing(),
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
        one_way.take(&Passage {
            handed: 1,
            complete: 2,
            ..Passage::default()
        });
    }
    assert!(one_way.is_due());
    one_way.settle(&ClockSync::default(), None, &mut Stages::default());
    assert!(!one_way.is_due(), "each frame would be reckoned with again");
    assert_eq!(one_way.offset(), None);
    assert_eq!(
        one_way.unknown().as_deref(),
        Some("no clock reading was answered")
    );
}

#[test]
fn each_piece_of_a_run_has_its_own_offset() {
    let frame = |handed: u64| Passage {
        handed: handed * MS,
        complete: handed * MS + 5,
        ..Passage::default()
    };
    let interval = Some(Duration::from_millis(10));
    let mut one_way = OneWay::default();
    let mut stages = Stages::default();
    one_way.take(&frame(10));
    one_way.settle(&agreeing(), interval, &mut stages);
    one_way.take(&frame(20));
    one_way.settle(&ClockSync::default(), interval, &mut stages);
    let mut ahead = ClockSync::default();
    ahead.add(Reading {
        sent: 30 * MS,
        received: 32 * MS,
        answered: 32 * MS,
        returned: 30 * MS,
    });
    one_way.take(&frame(30));
    one_way.settle(&ahead, interval, &mut stages);
    let corrected = stages
        .times()
        .find(|(stage, _)| *stage == Stage::TransferCorrected);
    let corrected = corrected.map(|(_, times)| times.count);
    assert_eq!(corrected, Some(2), "no frame was missed between them");
    let between = |handed: u64| one_way.between(handed * MS, handed * MS, (handed + 7) * MS);
    assert_eq!(between(10), Some(Duration::from_millis(7)));
    assert_eq!(between(20), None);
    assert_eq!(between(30), Some(Duration::from_millis(5)));
    let unknown = one_way.unknown().unwrap();
    assert_eq!(unknown, "those of 1 frames: no clock reading was answered");
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
    let [_, corrected] = settled(&[(1, 2, 3), (1 << 40, 1, 4)], Some(1));
    assert_eq!(corrected.len(), 2 + MOST_MISSED as usize);
}
