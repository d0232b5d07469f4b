use super::*;
use crate::base::{Error, ErrorKind, Monotonic, Observer, Stop};
use crate::measure::{Measured, Measuring};
use crate::wire::{v3::Ack, v3::Outcome};

const BOTH: Expected = Expected {
    acknowledgement: true,
    completion: true,
};

struct Nobody;

impl Observer for Nobody {
    fn tick(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Does something in a run, and gives its report.
fn in_a_run(work: impl FnOnce(&Measuring, &mut Run<'_>)) -> Measured {
    let stop = Stop::new().unwrap();
    let mut observer = Nobody;
    let mut run = Run::new(&stop, &mut observer);
    let measured = Measuring::default();
    work(&measured, &mut run);
    measured.into_inner()
}

fn ledger<'m>(
    records: Option<&Path>,
    measured: &'m Measuring,
    run: &mut Run<'_>,
) -> Result<Ledger<'m>> {
    Ledger::open((records, None), measured, run)
}

fn record(counter: u64) -> FrameRecord {
    FrameRecord {
        counter,
        handed: 100,
        sent: 200,
        ..FrameRecord::default()
    }
}

fn acknowledged(counter: u64) -> Acknowledged {
    Acknowledged {
        ack: Ack {
            counter,
            header: 1,
            complete: 2,
            done: 3,
        },
        at: Monotonic::of_nanoseconds(900),
    }
}

fn counters(report: &Measured) -> Vec<u64> {
    report
        .samples
        .records()
        .iter()
        .map(|it| it.counter)
        .collect()
}

#[test]
fn a_passage_is_finished_when_all_that_is_expected_is_known_and_in_order() {
    let report = in_a_run(|measured, run| {
        let mut ledger = ledger(None, measured, run).unwrap();
        ledger.enter(record(0), BOTH);
        ledger.enter(record(1), BOTH);
        ledger.complete(1, Monotonic::of_nanoseconds(250));
        ledger.acknowledge(&acknowledged(0));
        ledger.acknowledge(&acknowledged(1));
        ledger.finish_known(run).unwrap();
        assert_eq!(
            counters(&measured.borrow()),
            [] as [u64; 0],
            "frame 0 is not completed"
        );
        ledger.complete(0, Monotonic::of_nanoseconds(270));
        ledger.finish_known(run).unwrap();
    });
    assert_eq!(counters(&report), [0, 1]);
    let [first, _] = report.samples.records() else {
        panic!("two")
    };
    assert_eq!(
        (first.completed, first.complete, first.acknowledged),
        (270, 2, 900)
    );
}

#[test]
fn news_of_frames_that_are_not_open_changes_nothing() {
    let report = in_a_run(|measured, run| {
        let mut ledger = ledger(None, measured, run).unwrap();
        ledger.acknowledge(&acknowledged(0));
        ledger.enter(record(5), BOTH);
        for counter in [0, 4, 6, u64::MAX] {
            ledger.acknowledge(&acknowledged(counter));
            ledger.complete(counter, Monotonic::of_nanoseconds(200));
        }
        ledger.close(Ok(()), run).unwrap();
    });
    assert_eq!(report.samples.records(), [record(5)]);
}

const ACKNOWLEDGEMENT: Expected = Expected {
    acknowledgement: true,
    completion: false,
};

/// How many frames' acknowledgements are known.
fn known(report: &Measured) -> u64 {
    let mut times = report.stages.times();
    let acknowledged = times.find(|(stage, _)| *stage == Stage::Acknowledged);
    acknowledged.map_or(0, |(_, times)| times.count)
}

#[test]
fn all_that_are_in_flight_are_followed_however_many() {
    const FRAMES: u64 = 20_000;
    let report = in_a_run(|measured, run| {
        let mut ledger = ledger(None, measured, run).unwrap();
        for counter in 0..FRAMES {
            ledger.enter(record(counter), ACKNOWLEDGEMENT);
            ledger.finish_known(run).unwrap();
        }
        for counter in 0..FRAMES {
            ledger.acknowledge(&acknowledged(counter));
        }
        ledger.close(Ok(()), run).unwrap();
    });
    assert_eq!(known(&report), FRAMES, "the slow ones would be missing");
    assert_eq!(report.one_way.unknown(), None);
}

#[test]
fn a_peer_that_acknowledges_nothing_does_not_fill_the_memory() {
    let report = in_a_run(|measured, run| {
        let mut ledger = ledger(None, measured, run).unwrap();
        ledger.enter(record(0), ACKNOWLEDGEMENT);
        ledger.acknowledge(&acknowledged(0));
        for counter in 1..MOST_OPEN as u64 + 3000 {
            ledger.enter(record(counter), ACKNOWLEDGEMENT);
            ledger.finish_known(run).unwrap();
        }
        assert_eq!(ledger.open.len(), MOST_OPEN);
    });
    assert_eq!(known(&report), 0, "it is no fair selection of the frames");
    assert!(report.one_way.unknown().unwrap().contains("unacknowledged"));
}

#[test]
fn what_is_known_of_some_frames_is_not_told_for_that_of_all() {
    let told = |acknowledgements: &[u64], received: u64| {
        let report = in_a_run(|measured, run| {
            let mut ledger = ledger(None, measured, run).unwrap();
            for counter in 0..5 {
                ledger.enter(record(counter), ACKNOWLEDGEMENT);
            }
            for counter in acknowledgements {
                ledger.acknowledge(&acknowledged(*counter));
                ledger.finish_known(run).unwrap();
            }
            measured.borrow_mut().outcome = Some(Outcome {
                received,
                spoiled: 0,
                had_enough: true,
                failure: String::new(),
            });
            ledger.close(Ok(()), run).unwrap();
        });
        assert_eq!(counters(&report), [0, 1, 2, 3, 4]);
        (known(&report), report.one_way.unknown().is_some())
    };
    assert_eq!(told(&[0, 1, 2, 3, 4], 5), (5, false));
    assert_eq!(told(&[0, 1, 1, 2], 3), (3, false), "it had enough");
    assert_eq!(told(&[0, 2, 1, 3, 4], 5), (0, true), "one was passed over");
    assert_eq!(told(&[0, 1, 2, 3], 5), (0, true), "the last was");
    assert_eq!(told(&[], 5), (0, true));
}

#[test]
fn a_line_has_a_cell_a_name_and_none_for_what_is_unknown() {
    let line = record(7).line();
    assert_eq!(line, "7,0,0,0,,,100,200,,,,,,\n");
    assert_eq!(
        line.split(',').count(),
        FrameRecord::names().split(',').count()
    );
}

#[test]
fn records_that_cannot_be_written_are_an_error_of_the_output() {
    in_a_run(|measured, run| {
        let error = ledger(Some(Path::new("/nowhere/x")), measured, run)
            .err()
            .unwrap();
        assert_eq!(error.kind(), ErrorKind::Output);
        assert!(error.to_string().contains("/nowhere/x"), "{error}");
        let mut ledger = ledger(Some(Path::new("/dev/full")), measured, run).unwrap();
        ledger.enter(record(0), BOTH);
        let error = ledger.close(Ok(()), run).unwrap_err();
        assert!(error.to_string().contains("No space"), "{error}");
    });
}

#[test]
fn what_went_wrong_first_is_what_is_told() {
    in_a_run(|measured, run| {
        let mut ledger = ledger(Some(Path::new("/dev/full")), measured, run).unwrap();
        ledger.enter(record(0), BOTH);
        let first = Error::new(ErrorKind::Truncated, "receive the rest");
        let told = ledger.close(Err(first), run).unwrap_err();
        assert_eq!(told.kind(), ErrorKind::Truncated, "{told}");
    });
}
