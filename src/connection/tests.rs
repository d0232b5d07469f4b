use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::thread;
use std::time::Duration;

use nix::unistd::pipe;

use super::*;
use crate::run::{Observer, Stop};

struct Nobody;

impl Observer for Nobody {
    fn tick(&mut self, _: &Report) -> Result<()> {
        Ok(())
    }
}

/// A source whose descriptor reports a hang-up for ever, and that says nothing of it.
struct HungUp {
    fd: OwnedFd,
    looks: u32,
}

impl Meanwhile for HungUp {
    fn waits_for(&self) -> Option<WaitsFor<'_>> {
        Some(WaitsFor::Readable(self.fd.as_fd()))
    }

    fn look(&mut self, _: &mut Report, _: Vec<Free>) -> Result<()> {
        self.looks += 1;
        Ok(())
    }
}

#[test]
fn a_source_that_has_failed_does_not_keep_the_sender_awake() {
    const BYTES: usize = 32 << 20;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let receiver = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        // Long enough that the sender has to wait.
        thread::sleep(Duration::from_millis(300));
        let mut received = Vec::new();
        stream.read_to_end(&mut received).unwrap();
        received.len()
    });
    let (reader, writer) = pipe().unwrap();
    drop(writer);
    let mut source = HungUp {
        fd: reader,
        looks: 0,
    };
    let stop = Stop::new().unwrap();
    let mut observer = Nobody;
    let mut run = Run::new(&stop, &mut observer);
    let connection = connect(&mut run, "127.0.0.1", port, Duration::from_secs(20))
        .unwrap()
        .unwrap();
    let what = Gather {
        header: &vec![7; BYTES],
        payloads: &[],
    };
    connection.send(&mut run, what, &mut source).unwrap();
    drop(connection);
    assert_eq!(receiver.join().unwrap(), BYTES);
    // Room in the socket ends a wait a few hundred times for as many bytes.
    assert!(
        source.looks < 2000,
        "looked {} times while it waited for room",
        source.looks
    );
}

/// A peer that has said so many bytes, and a run that listens to it.
fn with_talker(listen: impl FnOnce(&Stop, &mut Run<'_>, &Connection)) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let stop = Stop::new().unwrap();
    let mut observer = Nobody;
    let mut run = Run::new(&stop, &mut observer);
    let connection = connect(&mut run, "127.0.0.1", port, Duration::from_secs(20))
        .unwrap()
        .unwrap();
    let (mut talker, _) = listener.accept().unwrap();
    talker.write_all(&[7; 800]).unwrap();
    listen(&stop, &mut run, &connection);
}

#[test]
fn a_stop_ends_receiving_between_whole_pieces_that_have_come() {
    with_talker(|stop, run, connection| {
        let deadline = Instant::now() + Duration::from_secs(20);
        let mut piece = [0; 8];
        let received = connection.receive_by(run, &mut piece, deadline).unwrap();
        assert_eq!(received, Received::All);
        stop.request();
        let received = connection.receive_by(run, &mut piece, deadline).unwrap();
        assert_eq!(received, Received::Stopped);
        let received = connection.receive_bytes(run, &mut piece).unwrap();
        assert_eq!(received, Received::Stopped);
        // What has begun is finished.
        let received = connection.receive_rest(run, &mut piece).unwrap();
        assert_eq!(received, Received::All);
    });
}

#[test]
fn a_deadline_ends_receiving_between_whole_pieces_that_have_come() {
    with_talker(|_, run, connection| {
        let mut piece = [0; 8];
        let received = connection.receive_by(run, &mut piece, Instant::now());
        assert_eq!(received.unwrap(), Received::Silent(0));
    });
}
