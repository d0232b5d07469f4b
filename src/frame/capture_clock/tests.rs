use super::*;

const MONOTONIC: Duration = Duration::from_secs(1000);
const BOOTTIME: Duration = Duration::from_secs(5000);
const REALTIME: Duration = Duration::from_secs(1_700_000_000);
const FRAME: Duration = Duration::from_millis(33);

/// Frames whose timestamps are `clock`, 10 ms before each was dequeued.
fn frames_of(clock: Duration, flags: u32) -> Vec<Sighting> {
    (0..5)
        .map(|n| Sighting {
            timestamp: clock + FRAME * n - Duration::from_millis(10),
            flags,
            dequeued: Clocks {
                monotonic: MONOTONIC + FRAME * n,
                boottime: BOOTTIME + FRAME * n,
                realtime: REALTIME + FRAME * n,
            },
        })
        .collect()
}

#[test]
fn a_clock_of_this_machine_is_recognized_whatever_the_flag_says() {
    for flags in [0, flags::BUF_FLAG_TIMESTAMP_MONOTONIC] {
        for (clock, expected) in [
            (MONOTONIC, CaptureClock::Monotonic),
            (BOOTTIME, CaptureClock::Boottime),
            (REALTIME, CaptureClock::Realtime),
        ] {
            assert_eq!(classify(&frames_of(clock, flags)), expected);
        }
    }
}

#[test]
fn another_machine_s_clock_is_unknown_though_flagged_as_ours() {
    let host = MONOTONIC + Duration::from_secs(90_000);
    let clock = classify(&frames_of(host, flags::BUF_FLAG_TIMESTAMP_MONOTONIC));
    let CaptureClock::Unknown(why) = &clock else {
        panic!("expected an unknown clock, not {clock:?}");
    };
    assert!(why.starts_with("they are 89999.990 s ahead of"), "{why}");
    assert!(why.contains("the host's clock"), "{why}");
}

#[test]
fn a_timestamp_from_the_future_is_not_ours() {
    let soon = MONOTONIC + Duration::from_secs(1);
    assert_eq!(classify(&frames_of(soon, 0)).as_ref(), "unknown");
}

#[test]
fn copied_and_standing_timestamps_and_no_frames_are_unknown() {
    let mut frames = frames_of(MONOTONIC, flags::BUF_FLAG_TIMESTAMP_COPY);
    assert_eq!(classify(&frames).as_ref(), "unknown");
    for frame in &mut frames {
        frame.flags = flags::BUF_FLAG_TIMESTAMP_MONOTONIC;
        frame.timestamp = MONOTONIC;
    }
    assert_eq!(classify(&frames).as_ref(), "unknown");
    assert_eq!(classify(&[]).as_ref(), "unknown");
}
