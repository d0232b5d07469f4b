use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::thread;
use std::time::Duration;

use nix::sys::eventfd::EventFd;
use nix::unistd::pipe;

use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use nix::errno::Errno;
use socket2::{SockRef, Socket};

use super::send::Nothing;
use super::socket::Gather;
use super::*;
use crate::base::{ErrorKind, Observer, OnStop, Result, Run, Stop, WaitsFor};
use crate::memory::{Heap, HeapName};

mod taking;

struct Nobody;

impl Observer for Nobody {
    fn tick(&mut self) -> Result<()> {
        Ok(())
    }
}

/// A source whose descriptor reports a hang-up for ever, and that says nothing of it.
struct HungUp {
    fd: OwnedFd,
    never: EventFd,
    looks: u32,
}

impl Meanwhile for HungUp {
    fn waits_for(&self) -> Option<WaitsFor<'_>> {
        let device = self.fd.as_fd();
        let bell = self.never.as_fd();
        Some(WaitsFor::Device { device, bell })
    }

    fn look(&mut self) {
        self.looks += 1;
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
        never: EventFd::new().unwrap(),
        looks: 0,
    };
    let stop = Stop::new().unwrap();
    let mut observer = Nobody;
    let mut run = Run::new(&stop, &mut observer);
    let connection = connect(
        &mut run,
        "127.0.0.1",
        port,
        (Duration::ZERO, Duration::from_secs(20)),
    )
    .unwrap();
    let bytes = vec![7; BYTES];
    let what = Gather::of(&bytes);
    connection.send(&mut run, what, None, &mut source).unwrap();
    drop(connection);
    assert_eq!(receiver.join().unwrap(), BYTES);
    // Room in the socket ends a wait a few hundred times for as many bytes.
    assert!(
        source.looks < 2000,
        "looked {} times while it waited for room",
        source.looks
    );
}

fn send_buffer(connection: &Connection) -> SockRef<'_> {
    SockRef::from(&connection.transport)
}

/// A transport of this machine's, which can do nothing but carry bytes.
#[derive(Debug)]
struct Local(UnixStream);

impl AsFd for Local {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Transport for Local {
    fn peer(&self) -> String {
        "the other end".to_owned()
    }

    fn connect_again(
        &self,
        _: &mut Run<'_>,
        _: Duration,
        _: Duration,
    ) -> Result<Box<dyn Transport>> {
        Err(crate::Error::stopped())
    }

    fn into_socket(self: Box<Self>) -> Socket {
        std::os::fd::OwnedFd::from(self.0).into()
    }

    fn end(&self) -> nix::Result<()> {
        let ended = self.0.shutdown(std::net::Shutdown::Write);
        ended.map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)))
    }

    fn shut(&self) {
        self.0.shutdown(std::net::Shutdown::Both).ok();
    }
}

#[test]
fn a_transport_that_carries_bytes_and_no_more_carries_a_stream() {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let connection = Connection::new(Local(ours), Duration::from_secs(20));
    let stop = Stop::new().unwrap();
    let mut observer = Nobody;
    let mut run = Run::new(&stop, &mut observer);
    let refused = connection.enable_zero_copy().map(|_| ());
    assert_eq!(
        refused,
        Err(Errno::EOPNOTSUPP),
        "it is asked what it can do"
    );
    assert!(connection.network().is_none());
    let peer = thread::spawn(move || {
        let mut sent = Vec::new();
        theirs.read_to_end(&mut sent).unwrap();
        sent
    });
    connection.limit_unsent(1000).unwrap();
    connection.send_bytes(&mut run, &[7; 1 << 20]).unwrap();
    connection.finish(&mut run, None).unwrap();
    assert_eq!(peer.join().unwrap(), [7; 1 << 20]);
}

/// A run, its connection, which is given up when nothing moves for so long, and the peer.
fn with_peer(
    listener: &TcpListener,
    patience: Duration,
    go_on: impl FnOnce(&Stop, &mut Run<'_>, &mut Connection, TcpStream),
) {
    let port = listener.local_addr().unwrap().port();
    let stop = Stop::new().unwrap();
    let mut observer = Nobody;
    let mut run = Run::new(&stop, &mut observer);
    let connection = connect(&mut run, "127.0.0.1", port, (Duration::ZERO, patience));
    let mut connection = connection.unwrap();
    let (peer, _) = listener.accept().unwrap();
    go_on(&stop, &mut run, &mut connection, peer);
}

fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

/// A peer that has said so many bytes, and a run that listens to it.
fn with_talker(listen: impl FnOnce(&Stop, &mut Run<'_>, &Connection)) {
    let patience = Duration::from_secs(20);
    with_peer(
        &listener(),
        patience,
        |stop, run, connection, mut talker| {
            talker.write_all(&[7; 800]).unwrap();
            listen(stop, run, connection);
        },
    );
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

#[test]
fn no_frame_of_a_sender_on_this_machine_waits_for_the_next() {
    const FRAMES: usize = 100;
    const HEADER: usize = 8;
    const PARTS: [usize; 2] = [60_000, 40_000];
    let patience = Duration::from_secs(20);
    with_peer(&listener(), patience, |_, run, connection, mut talker| {
        talker.set_nodelay(true).unwrap();
        // A window that is nearly full wakes whoever waits, whatever the mark.
        send_buffer(connection)
            .set_recv_buffer_size(4 << 20)
            .unwrap();
        let talking = thread::spawn(move || {
            let mut answer = [0];
            for _ in 0..FRAMES {
                for part in PARTS {
                    talker.write_all(&vec![7; part]).unwrap();
                    // The receiver waits for the rest by now.
                    thread::sleep(Duration::from_millis(1));
                }
                talker.read_exact(&mut answer).unwrap();
            }
        });
        let length = PARTS.iter().sum::<usize>() - HEADER;
        let heap = Heap::open(&HeapName::Memfd).unwrap();
        let mut plane = heap.allocate(length).unwrap();
        let begun = Instant::now();
        let mut answer = connection
            .transport
            .as_fd()
            .try_clone_to_owned()
            .map(TcpStream::from);
        for _ in 0..FRAMES {
            // It is woken by what comes first, and finds a part of the frame behind it.
            let mut header = [0; HEADER];
            let received = connection.receive_bytes(run, &mut header).unwrap();
            assert_eq!(received, Received::All);
            let mut access = plane.write().unwrap();
            let view = access.view_mut(0, length).unwrap();
            let received = connection.receive_view(run, view).unwrap();
            assert_eq!(received, Received::All);
            access.end().unwrap();
            answer.as_mut().unwrap().write_all(&[1]).unwrap();
        }
        talking.join().unwrap();
        let took = begun.elapsed();
        assert!(
            took < Duration::from_secs(2),
            "{FRAMES} frames, 1 ms each from part to part, took {took:?}"
        );
    });
}

#[test]
fn what_an_accepted_peer_is_told_waits_for_no_acknowledgement() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let stop = Stop::new().unwrap();
    let mut observer = Nobody;
    let mut run = Run::new(&stop, &mut observer);
    let listener = Listener::bind(&mut run, "127.0.0.1", port).unwrap();
    let _peer = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let polled = [listener.poll_fd()];
    run.wait(&polled, None, OnStop::End).unwrap();
    let accepted = listener.accept().unwrap();
    assert!(
        matches!(&accepted, Accepted::Peer(socket, _) if socket.tcp_nodelay().unwrap()),
        "TCP_NODELAY is set: {accepted:?}"
    );
}

#[test]
fn a_sender_on_this_machine_that_is_slow_is_not_given_up() {
    const BYTES: usize = 40;
    let patience = Duration::from_millis(500);
    with_peer(&listener(), patience, |_, run, connection, mut talker| {
        let talking = thread::spawn(move || {
            for _ in 0..BYTES {
                talker.write_all(&[7]).unwrap();
                thread::sleep(Duration::from_millis(30));
            }
        });
        let mut plane = Heap::open(&HeapName::Memfd)
            .unwrap()
            .allocate(BYTES)
            .unwrap();
        let mut access = plane.write().unwrap();
        let view = access.view_mut(0, BYTES).unwrap();
        let received = connection.receive_view(run, view).unwrap();
        assert_eq!(received, Received::All, "a byte comes every 30 ms");
        access.end().unwrap();
        talking.join().unwrap();
    });
}
