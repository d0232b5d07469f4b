use super::*;
use crate::frame::{Timestamp, buffer::tests::frame, flags};

fn of(stages: &Stages, stage: Stage) -> Option<Times> {
    stages
        .times()
        .find(|(seen, _)| *seen == stage)
        .map(|(_, times)| times)
}

fn milliseconds(count: u32) -> Stages {
    let mut stages = Stages::default();
    for n in 1..=count {
        stages.record(Stage::IntoSocket, Duration::from_millis(n.into()));
    }
    stages
}

fn names(times: &Times) -> Vec<&str> {
    times.percentiles.iter().map(|(name, _)| *name).collect()
}

#[test]
fn percentiles_are_told_only_where_the_samples_carry_them() {
    for (count, expected) in [
        (4, vec![]),
        (10, vec!["p50"]),
        (50, vec!["p50", "p90"]),
        (500, vec!["p50", "p90", "p99"]),
        (5000, vec!["p50", "p90", "p99", "p99.9"]),
    ] {
        let times = of(&milliseconds(count), Stage::IntoSocket).unwrap();
        assert_eq!(times.count, u64::from(count));
        assert_eq!(names(&times), expected, "of {count} samples");
    }
}

#[test]
fn times_are_kept_to_three_digits() {
    let times = of(&milliseconds(1000), Stage::IntoSocket).unwrap();
    let near = |time: Duration, expected: f64| (time.as_secs_f64() / expected - 1.0).abs() < 0.002;
    assert!(
        near(times.least, 0.001) && near(times.most, 1.0),
        "{times:?}"
    );
    assert!(near(times.mean, 0.5005), "{times:?}");
    for ((name, time), expected) in times.percentiles.iter().zip([0.5, 0.9, 0.99]) {
        assert!(near(*time, expected), "{name} is {time:?}");
    }
}

#[test]
fn intervals_lie_between_frames() {
    let mut stages = Stages::default();
    for milliseconds in [0, 40, 80, 130, 170] {
        stages.took(Monotonic::of_nanoseconds(1 + milliseconds * 1_000_000));
    }
    assert_eq!(of(&stages, Stage::Interval).unwrap().count, 4);
    let jitter = of(&stages, Stage::Jitter).unwrap();
    assert_eq!((jitter.count, jitter.least.as_millis()), (3, 0));
    assert_eq!(jitter.most.as_millis(), 10);
}

/// Frames that were dequeued `age` after a timestamp that is `ahead` of our clock.
fn captured(count: u32, age: Duration, ahead: Duration) -> Stages {
    let mut stages = Stages::default();
    for n in 0..count {
        let mut frame = frame(1);
        frame.flags = flags::BUF_FLAG_TIMESTAMP_MONOTONIC;
        // A little apart, or they would stand still.
        let taken = frame
            .taken
            .before(Duration::from_millis((count - n).into()));
        frame.taken = taken;
        let nanoseconds = taken.before(age).nanoseconds() + ahead.as_nanos() as u64;
        frame.timestamp = Timestamp::of_nanoseconds(nanoseconds);
        let told = stages.captured(&frame).unwrap();
        assert!(told.is_none_or(|told| told.abs_diff(age) < Duration::from_micros(2)));
    }
    stages.settle();
    stages
}

#[test]
fn every_frame_s_age_counts_however_few_there_are() {
    let age = Duration::from_millis(7);
    for count in [1, 3, 8, 20] {
        let stages = captured(count, age, Duration::ZERO);
        assert_eq!(stages.clock(), Some(&CaptureClock::Monotonic));
        let times = of(&stages, Stage::CaptureAge).unwrap();
        assert_eq!(times.count, u64::from(count));
        assert!(
            times.most.abs_diff(age) < Duration::from_micros(100),
            "{times:?}"
        );
    }
}

#[test]
fn another_machine_s_timestamps_give_no_age() {
    let stages = captured(20, Duration::from_millis(7), Duration::from_secs(3600));
    assert!(matches!(stages.clock(), Some(CaptureClock::Unknown(_))));
    assert_eq!(of(&stages, Stage::CaptureAge), None);
}

#[test]
fn what_is_told_so_far_is_what_the_stages_come_to_but_for_the_percentiles() {
    let mut stages = milliseconds(50);
    stages.record(Stage::Held, Duration::from_millis(1));
    stages.forget(Stage::Held);
    stages.record(Stage::Held, Duration::from_millis(1));
    let (so_far, whole) = (stages.so_far(), of(&stages, Stage::IntoSocket).unwrap());
    let times = of(&so_far, Stage::IntoSocket).unwrap();
    assert_eq!((times.count, times.percentiles.len()), (50, 0));
    assert_eq!(times.mean, Duration::from_micros(25_500));
    assert_eq!(times.most, Duration::from_millis(50));
    assert_eq!(times.least, Duration::from_millis(1));
    assert!(times.mean.abs_diff(whole.mean) < Duration::from_micros(100));
    assert_eq!(so_far.times().count(), 1);
}

#[test]
fn a_late_frame_takes_no_more_memory() {
    let mut stages = milliseconds(1);
    let room = |stages: &Stages| {
        let (_, histogram) = stages.noted().next().unwrap();
        histogram.distinct_values()
    };
    let before = room(&stages);
    for seconds in [1, 3600, 48 * 3600] {
        stages.record(Stage::IntoSocket, Duration::from_secs(seconds));
        assert_eq!(room(&stages), before, "after {seconds} s");
    }
    let times = of(&stages, Stage::IntoSocket).unwrap();
    assert_eq!((times.count, times.most.as_secs() / 3600), (4, 24));
}
