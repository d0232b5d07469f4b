//! A device that hangs holds up nothing but its own thread.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use super::*;
use crate::base::{ErrorKind, Observer, Stop, blocking::under_way};

struct Nobody;

impl Observer for Nobody {
    fn tick(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Hangs in its start and in its teardown until it is let go on.
struct Hangs(Receiver<()>);

impl Source for Hangs {
    fn name(&self) -> String {
        "a dead device".to_owned()
    }

    fn stream(&self) -> &Stream {
        unreachable!("nobody asks for it")
    }

    fn can_pin(&self) -> nix::Result<()> {
        Ok(())
    }

    fn start(&mut self) -> Result<()> {
        self.0.recv().ok();
        Ok(())
    }

    fn next(&mut self) -> Result<Next> {
        Ok(Next::Ended)
    }

    fn waits_for(&self) -> WaitsFor<'_> {
        WaitsFor::Time(Instant::now())
    }

    fn pool(&self) -> &Pool {
        unreachable!("nobody asks for it")
    }

    fn poll_error(&self) -> Error {
        Error::new(ErrorKind::Device, "wait")
    }
}

impl Drop for Hangs {
    fn drop(&mut self) {
        self.0.recv().ok();
    }
}

fn hanging() -> (Sender<()>, Box<dyn Source>) {
    let (let_go, kept) = channel();
    (let_go, Box::new(Hangs(kept)))
}

/// A stop that is requested in a moment.
fn stopping(stop: &Stop, what: impl FnOnce(&mut Run<'_>)) {
    let mut observer = Nobody;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(100));
            stop.request();
        });
        what(&mut Run::new(stop, &mut observer));
    });
}

#[test]
fn a_stop_ends_the_wait_for_a_device_that_hangs_when_it_is_opened_or_started() {
    let stop = Stop::new().unwrap();
    let (_let_go, source) = hanging();
    stopping(&stop, |run| {
        let opened = open(
            "a dead device",
            move || {
                drop(source);
                Err(Error::new(ErrorKind::Device, "open"))
            },
            run,
        );
        assert_eq!(opened.map(drop).unwrap_err().kind(), ErrorKind::Stopped);
    });
    let (_let_go, source) = hanging();
    stopping(&stop, |run| assert!(start(source, run).unwrap().is_none()));
}

#[test]
fn a_device_that_hangs_in_its_teardown_is_named_and_holds_nobody_up() {
    let (let_go, source) = hanging();
    let mut torn_down = tear_down(source, ()).unwrap();
    let is_named = || under_way().contains(&"teardown of a dead device".to_owned());
    while !is_named() {
        std::thread::yield_now();
    }
    assert!(torn_down.take().unwrap().is_none());
    let_go.send(()).unwrap();
    let stop = Stop::new().unwrap();
    Run::new(&stop, &mut Nobody)
        .wait_for(torn_down, OnStop::Finish)
        .unwrap();
    assert!(!is_named());
}
