//! The receiver's side: it answers clock readings, and tells what has come.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use socket2::Socket;

use super::line::{Handler, Line, Listening, lock};
use crate::clock_sync::{ClockSync, Reading};
use crate::error::Result;
use crate::monotonic::Monotonic;
use crate::run::Run;
use crate::wire::WireError;
use crate::wire::v3::{Ack, Outcome, Ping, Pong, kind};

/// How long a sender may take for its last readings.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Default)]
struct State {
    sync: ClockSync,
    closed: bool,
}

/// The control connection of a receiver.
pub struct Answering {
    listening: Listening,
    state: Arc<Mutex<State>>,
}

impl Answering {
    /// Answers from now on.
    pub fn start(socket: Socket) -> Result<Self> {
        let state = Arc::<Mutex<State>>::default();
        let handler = Answerer {
            state: Arc::clone(&state),
            last: None,
        };
        Ok(Answering {
            listening: Listening::start(socket, handler)?,
            state,
        })
    }

    /// Tells that a frame has come.
    pub fn acknowledge(&self, ack: &Ack) {
        self.listening.line.post(&ack.encode());
    }

    /// Tells what came of the run.
    pub fn tell(&self, outcome: &Outcome) {
        self.listening.line.post(&outcome.encode());
    }

    /// The clock readings since the last time.
    pub fn turn(&self) -> ClockSync {
        lock(&self.state).sync.turn()
    }

    /// Waits until the sender has taken its last readings, and gives all of them.
    pub fn finish(self, run: &mut Run<'_>) -> Result<ClockSync> {
        let deadline = Instant::now() + PATIENCE;
        self.listening
            .wait_until(run, deadline, || lock(&self.state).closed)?;
        let sync = lock(&self.state).sync.clone();
        Ok(sync)
    }
}

struct Answerer {
    state: Arc<Mutex<State>>,
    /// The last reading but for when its answer came.
    last: Option<(u64, Reading)>,
}

impl Handler for Answerer {
    fn message(
        &mut self,
        line: &Line,
        kind: u32,
        body: &[u8],
        at: Monotonic,
    ) -> std::result::Result<(), WireError> {
        if kind != kind::PING {
            return Ok(());
        }
        let ping = Ping::decode(body)?;
        let answered = Monotonic::now();
        let pong = Pong {
            number: ping.number,
            received: at.nanoseconds(),
            sent: answered.nanoseconds(),
        };
        line.post(&pong.encode());
        let before = self.last.replace((
            ping.number,
            Reading {
                sent: ping.sent,
                received: pong.received,
                answered: pong.sent,
                returned: 0,
            },
        ));
        if let Some((number, reading)) = before {
            let is_next = number.checked_add(1) == Some(ping.number);
            // A sender that tells nonsense makes the figures unknown, no more.
            if is_next && ping.previous_answered > reading.sent {
                lock(&self.state).sync.add(Reading {
                    returned: ping.previous_answered,
                    ..reading
                });
            }
        }
        Ok(())
    }

    fn due(&self, _: &Line) -> Option<Instant> {
        None
    }

    fn tick(&mut self, _: &Line) -> bool {
        true
    }

    fn closed(&mut self) {
        lock(&self.state).closed = true;
    }
}
