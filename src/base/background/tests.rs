use super::*;
use crate::base::{Observer, Stop, blocking::under_way};

struct Nobody;

impl Observer for Nobody {
    fn tick(&mut self) -> Result<()> {
        Ok(())
    }
}

fn in_a_run(stop: &Stop, work: impl FnOnce(&mut Run<'_>)) {
    let mut observer = Nobody;
    work(&mut Run::new(stop, &mut observer));
}

/// Waits for a word before each job is done, as a write to a dead server does.
struct Hanging {
    call: &'static str,
    words: Receiver<Result<()>>,
}

impl Work for Hanging {
    type Job = u32;
    type Done = u32;

    fn call(&self) -> String {
        self.call.to_owned()
    }

    fn open(&mut self, _: &Reins) -> Result<()> {
        Ok(())
    }

    fn work(&mut self, job: u32, _: &Reins) -> Result<u32> {
        self.words.recv().unwrap_or(Ok(()))?;
        Ok(job)
    }

    fn close(self) -> Result<()> {
        Ok(())
    }
}

fn hanging(call: &'static str) -> (Sender<Result<()>>, Background<Hanging>) {
    let (let_go, words) = channel();
    (let_go, Background::start(Hanging { call, words }).unwrap())
}

fn stalled(lent: usize) -> Error {
    Error::new(ErrorKind::Output, format!("finish {lent} jobs"))
}

#[test]
fn what_is_lent_comes_back_in_order() {
    let (let_go, mut work) = hanging("order");
    let stop = Stop::new().unwrap();
    in_a_run(&stop, |run| {
        work.give(1);
        work.give(2);
        assert_eq!((work.take().unwrap(), work.lent()), (None, 2));
        let_go.send(Ok(())).unwrap();
        assert_eq!(work.wait(run).unwrap(), Some(1));
        let_go.send(Ok(())).unwrap();
        let mut rest = Vec::new();
        let all = work.finish(run, |job| rest.push(job), stalled);
        assert!(all.is_ok());
        assert_eq!(rest, [2]);
    });
}

#[test]
fn after_a_stop_what_hangs_is_given_up_and_named() {
    let (let_go, mut work) = hanging("write(2) to a dead server");
    let stop = Stop::new().unwrap();
    in_a_run(&stop, |run| {
        work.give(1);
        work.give(2);
        stop.request();
        assert_eq!(work.wait(run).unwrap(), None, "the stop came first");
        let begun = Instant::now();
        let error = work.finish(run, |_| {}, stalled).unwrap_err();
        assert_eq!(error.to_string(), "cannot finish 2 jobs");
        drop(work);
        assert!(begun.elapsed() < Duration::from_secs(10));
        assert!(under_way().contains(&"write(2) to a dead server".to_owned()));
    });
    drop(let_go);
}

#[test]
fn after_a_stop_what_goes_on_is_waited_for() {
    let (let_go, mut work) = hanging("slow");
    let stop = Stop::new().unwrap();
    (0..4).for_each(|job| work.give(job));
    stop.request();
    let slow = std::thread::spawn(move || {
        for _ in 0..4 {
            // Together longer than what hangs is given.
            std::thread::sleep(STALLED / 3);
            let_go.send(Ok(())).unwrap();
        }
    });
    in_a_run(&stop, |run| {
        let mut done = 0;
        work.finish(run, |_| done += 1, stalled).unwrap();
        assert_eq!(done, 4);
    });
    slow.join().unwrap();
}

#[test]
fn a_failure_is_told_once_and_ends_it() {
    let (let_go, mut work) = hanging("failing");
    let stop = Stop::new().unwrap();
    in_a_run(&stop, |run| {
        work.give(1);
        work.give(2);
        let_go.send(Err(stalled(7))).unwrap();
        assert_eq!(
            work.wait(run).unwrap_err().to_string(),
            "cannot finish 7 jobs"
        );
        work.give(3);
        assert_eq!(work.lent(), 0);
        assert!(work.finish(run, |_| {}, stalled).is_ok());
    });
}
