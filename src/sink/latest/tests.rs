//! The newest frame is what somebody sees, and nobody's look costs the stream more than a buffer.

use std::time::Duration;

use crate::sink::consumer::tests::Scene;

const NOW: Duration = Duration::ZERO;

#[test]
fn nothing_is_held_while_nobody_looks() {
    let mut scene = Scene::new(2);
    let latest = scene.audience.latest();
    assert_eq!(scene.give(5), 5);
    assert!(latest.get(None, NOW).is_none());
    assert_eq!(latest.counts().received, 0);
}

#[test]
fn who_looks_sees_the_newest_frame_and_once_more_if_he_likes() {
    let mut scene = Scene::new(3);
    let latest = scene.audience.latest();
    latest.look(true);
    assert_eq!(scene.give(5), 5, "a look slowed the stream");
    let look = latest.get(None, NOW).expect("frames came");
    assert_eq!(look.passage.counter, 4);
    assert!(latest.get(Some(4), NOW).is_none(), "it was seen already");
    assert_eq!(latest.get(Some(3), NOW).unwrap().passage.counter, 4);
    drop(look);
    scene.give(2);
    assert_eq!(latest.get(Some(4), NOW).unwrap().passage.counter, 6);
    let counts = latest.counts();
    assert_eq!((counts.received, counts.delivered, counts.drops), (7, 2, 5));
}

#[test]
fn who_leaves_holds_nothing() {
    let mut scene = Scene::new(3);
    let latest = scene.audience.latest();
    latest.look(true);
    scene.give(1);
    assert_eq!(scene.pool.lent().count(), 1);
    latest.look(false);
    assert_eq!(scene.pool.lent().count(), 0);
    let counts = latest.counts();
    assert_eq!((counts.received, counts.drops, counts.held), (1, 1, 0));
}

#[test]
fn a_look_leaves_the_stream_what_it_needs() {
    let mut scene = Scene::new(1);
    let latest = scene.audience.latest();
    latest.look(true);
    assert_eq!(scene.give(3), 3, "a look slowed the stream");
    assert!(
        latest.get(None, NOW).is_none(),
        "there is no buffer to spare"
    );
}
