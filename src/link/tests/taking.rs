//! Peers that take little, nothing, or all of it late.

use super::*;

/// A run, a connection whose peer may take nothing for so long, and the peer, whose window
/// is small.
fn with_taker(patience: Duration, send: impl FnOnce(&mut Run<'_>, &mut Connection, TcpStream)) {
    let listener = listener();
    SockRef::from(&listener)
        .set_recv_buffer_size(256 * 1024)
        .unwrap();
    with_peer(&listener, patience, |_, run, connection, taker| {
        send(run, connection, taker);
    });
}

#[test]
fn a_peer_that_takes_little_is_not_given_up() {
    const BYTES: usize = 8 << 20;
    with_taker(Duration::from_secs(2), |run, connection, mut taker| {
        send_buffer(connection)
            .set_send_buffer_size(2 * BYTES)
            .unwrap();
        let taking = thread::spawn(move || {
            let mut taken = 0;
            // For longer than it may take nothing.
            for _ in 0..16 {
                taken += taker.read(&mut vec![0; 256 * 1024]).unwrap();
                thread::sleep(Duration::from_millis(250));
            }
            let mut rest = Vec::new();
            taken + taker.read_to_end(&mut rest).unwrap()
        });
        connection.send_bytes(run, &vec![7; BYTES]).unwrap();
        connection
            .finish(run, None)
            .expect("it takes a little every quarter of a second");
        assert_eq!(taking.join().unwrap(), BYTES);
    });
}

#[test]
fn a_peer_that_takes_nothing_is_given_up() {
    with_taker(Duration::from_secs(1), |run, connection, taker| {
        send_buffer(connection)
            .set_send_buffer_size(4 << 20)
            .unwrap();
        connection.send_bytes(run, &vec![7; 1 << 20]).unwrap();
        let begun = Instant::now();
        let error = connection.finish(run, None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PeerTimeout, "{error}");
        assert!(begun.elapsed() < Duration::from_secs(10));
        drop(taker);
    });
}

#[test]
fn completions_that_wait_keep_no_wait_awake() {
    with_taker(Duration::from_secs(20), |run, connection, mut taker| {
        let mut in_flight = connection.enable_zero_copy().unwrap();
        let lease = in_flight::tests::filled(7, 64 * 1024);
        let header = Header {
            counter: 0,
            bytes: Box::new([]),
        };
        let taking = thread::spawn(move || {
            let mut all = Vec::new();
            taker.read_to_end(&mut all).unwrap();
            // All is taken and completed, and the stream is not ended.
            thread::sleep(Duration::from_secs(1));
        });
        connection
            .send_zero_copy(run, &mut in_flight, header, lease, &mut Nothing)
            .unwrap();
        let before = cpu_time();
        connection.finish(run, Some(&mut in_flight)).unwrap();
        let took = cpu_time().saturating_sub(before);
        taking.join().unwrap();
        assert!(
            took < Duration::from_millis(300),
            "a second's wait took {took:?} of the CPU"
        );
    });
}

/// This thread's time on the CPU.
fn cpu_time() -> Duration {
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID)
        .map(Duration::from)
        .unwrap()
}

#[test]
fn what_a_receiver_says_is_passed_over_where_it_may_speak() {
    with_taker(Duration::from_secs(20), |_, connection, mut taker| {
        taker.write_all(&[7; 800]).unwrap();
        while connection.transport.receive_now(&mut [0; 1]) == Err(Errno::EAGAIN) {
            thread::yield_now();
        }
        connection.check(true).expect("it is passed over");
        taker.write_all(&[7; 800]).unwrap();
        while connection.transport.receive_now(&mut [0; 1]) == Err(Errno::EAGAIN) {
            thread::yield_now();
        }
        let error = connection.check(false).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
    });
}
