//! A source that can't be let go of keeps nobody from the news.

use std::io::Read;
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};

use super::*;
use crate::base::{Error, ErrorKind, Observer, Stop, WaitsFor};
use crate::frame::Stream;
use crate::source::{Next, test::Picture, test::TestSource};

struct Nobody;

impl Observer for Nobody {
    fn tick(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Gives frames, and then hangs in its teardown until it is let go on.
struct Hangs(TestSource, Receiver<()>);

impl Source for Hangs {
    fn name(&self) -> String {
        "a device that hangs".to_owned()
    }

    fn stream(&self) -> &Stream {
        self.0.stream()
    }

    fn can_pin(&self) -> nix::Result<()> {
        self.0.can_pin()
    }

    fn start(&mut self) -> Result<()> {
        self.0.start()
    }

    fn next(&mut self) -> Result<Next> {
        self.0.next()
    }

    fn waits_for(&self) -> WaitsFor<'_> {
        self.0.waits_for()
    }

    fn pool(&self) -> &crate::frame::Pool {
        self.0.pool()
    }

    fn poll_error(&self) -> Error {
        self.0.poll_error()
    }
}

impl Drop for Hangs {
    fn drop(&mut self) {
        self.1.recv().ok();
    }
}

fn config(port: u16) -> SenderConfig {
    SenderConfig {
        input: Input::Test(Picture::Still),
        capture: Capture::in_memfds(2),
        address: "127.0.0.1".to_owned(),
        port,
        protocol: Version::V2,
        connect_for: Duration::ZERO,
        duration: None,
        records: None,
        records_limit: None,
        zero_copy: ZeroCopyMode::Off,
        on_overrun: Overrun::Block,
        peer_timeout: Duration::from_secs(60),
    }
}

#[test]
fn the_stream_ends_though_the_device_hangs_in_its_teardown() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = config(listener.local_addr().unwrap().port());
    let (let_go, kept) = channel();
    let test_source = TestSource::new(&config.capture, Picture::Still).unwrap();
    let source = Box::new(Hangs(test_source, kept));
    let stop = Stop::new().unwrap();
    std::thread::scope(|scope| {
        let receiver = scope.spawn(move || {
            let mut bytes = Vec::new();
            listener
                .accept()
                .unwrap()
                .0
                .read_to_end(&mut bytes)
                .unwrap();
            bytes.len()
        });
        let sent = send_from(
            (source, NonZeroU32::MIN),
            &config,
            NonZeroU64::new(1),
            &Audience::default(),
            &Measuring::default(),
            &mut Run::new(&stop, &mut Nobody),
        );
        assert!(sent.is_ok(), "{sent:?}");
        // The device still hangs: that this is reached at all is what is tested.
        assert!(receiver.join().unwrap() > 32 * 16 * 2);
        drop(let_go);
    });
}

#[test]
fn a_device_that_hangs_in_its_teardown_does_not_keep_a_failed_connection_s_news() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = config(listener.local_addr().unwrap().port());
    drop(listener);
    let (let_go, kept) = channel();
    let test_source = TestSource::new(&config.capture, Picture::Still).unwrap();
    let source = Box::new(Hangs(test_source, kept));
    let stop = Stop::new().unwrap();
    let sent = send_from(
        (source, NonZeroU32::MIN),
        &config,
        None,
        &Audience::default(),
        &Measuring::default(),
        &mut Run::new(&stop, &mut Nobody),
    );
    assert_eq!(sent.unwrap_err().kind(), ErrorKind::Connect);
    drop(let_go);
}
