//! The receiver's side: it answers clock readings, and tells what has come.

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use socket2::Socket;

use super::MOST_OPEN;
use super::control_channel::Listening;
use super::conversation::{Channel, Handler};
use crate::base::{Monotonic, Result, Run, lock};
use crate::measure::{ClockSync, Piece, Reading};
use crate::wire::{
    WireError, v3::Ack, v3::Answered, v3::Outcome, v3::Ping, v3::Pong, v3::kind, v3::message,
};

/// How long a sender may take for its last readings.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long what the readings tell is good for: to reckon it takes some microseconds.
const LOOK: Duration = Duration::from_millis(250);

#[derive(Debug, Default)]
struct State {
    sync: ClockSync,
    /// When the sender last asked.
    heard: Option<Monotonic>,
    closed: bool,
}

/// The control connection of a receiver.
pub struct ReceiverEnd {
    listening: Listening,
    state: Arc<Mutex<State>>,
    /// What the readings told at the last look, and when that was.
    latest: Cell<(Option<Instant>, Option<Piece>)>,
}

impl ReceiverEnd {
    /// Answers from now on.
    pub fn start(socket: Socket) -> Result<Self> {
        let state = Arc::<Mutex<State>>::default();
        let handler = ReceiverHandler {
            state: Arc::clone(&state),
            ..ReceiverHandler::default()
        };
        Ok(ReceiverEnd {
            listening: Listening::start(socket, handler)?,
            state,
            latest: Cell::default(),
        })
    }

    /// Tells that a frame has come.
    pub fn acknowledge(&self, ack: &Ack) {
        self.listening.line.post_soon(&ack.encode());
    }

    /// Tells that nothing is taken now because of whoever takes the frames.
    pub fn busy(&self) {
        self.listening.line.post(&message(kind::BUSY, &[]));
    }

    /// Tells what came of the run.
    pub fn tell(&self, outcome: &Outcome) {
        self.listening.line.post(&outcome.encode());
    }

    /// What the clock readings since the last time tell.
    pub fn take_pieces(&self) -> Vec<Piece> {
        lock(&self.state).sync.take_pieces()
    }

    /// A time of the sender's by this side's clock, in nanoseconds, as far as the readings tell
    /// that by now.
    pub fn to_here(&self, sender: u64) -> Option<u64> {
        let (looked, piece) = self.latest.get();
        let piece = if looked.is_some_and(|looked| looked.elapsed() < LOOK) {
            piece
        } else {
            let piece = lock(&self.state).sync.latest();
            self.latest.set((Some(Instant::now()), piece));
            piece
        };
        let (here, _) = piece?.to_receiver(sender).ok()?;
        u64::try_from(here).ok()
    }

    /// To be asked whether the sender lives.
    pub fn life(&self) -> Life {
        Life(Arc::clone(&self.state))
    }

    /// Waits until the sender has taken its last readings, and gives what they tell.
    pub fn finish(self, run: &mut Run<'_>) -> Result<Vec<Piece>> {
        let deadline = Instant::now() + PATIENCE;
        self.listening
            .wait_until(run, deadline, || lock(&self.state).closed)?;
        Ok(self.take_pieces())
    }
}

/// A sender's signs of life: it asks for clock readings though its source is silent.
pub struct Life(Arc<Mutex<State>>);

impl Life {
    /// When it last asked; None before that.
    pub fn last(&self) -> Option<Monotonic> {
        lock(&self.0).heard
    }
}

/// What a receiver says, and does with what it hears.
#[derive(Debug, Default)]
pub struct ReceiverHandler {
    state: Arc<Mutex<State>>,
    /// The readings but for when their answers came, and their numbers.
    open: VecDeque<(u64, Reading)>,
}

impl ReceiverHandler {
    /// What is kept of what the peer has said, in items.
    pub fn kept(&self) -> usize {
        self.open.len()
    }

    /// A look at the clocks; see `ReceiverEnd::turn`.
    pub fn look(&self) -> impl FnMut() -> Vec<Piece> + use<> {
        let state = Arc::clone(&self.state);
        move || lock(&state).sync.take_pieces()
    }

    /// The sender has told when an answer came: they come in order.
    fn take(&mut self, answered: Answered) -> Option<Reading> {
        let is_before = |(number, _): &(u64, Reading)| *number < answered.number;
        while self.open.front().is_some_and(is_before) {
            self.open.pop_front();
        }
        let is_its = self.open.front()?.0 == answered.number;
        let (_, reading) = is_its.then(|| self.open.pop_front())??;
        Some(Reading {
            returned: answered.at,
            ..reading
        })
    }
}

impl Handler for ReceiverHandler {
    fn message(
        &mut self,
        channel: &dyn Channel,
        kind: u32,
        body: &[u8],
        at: Monotonic,
    ) -> std::result::Result<(), WireError> {
        if kind != kind::PING {
            return Ok(());
        }
        let ping = Ping::decode(body)?;
        lock(&self.state).heard = Some(at);
        if let Some(reading) = ping.answered.and_then(|answered| self.take(answered)) {
            // A sender that tells nonsense makes the figures unknown, no more.
            if reading.returned > reading.sent {
                lock(&self.state).sync.add(reading);
            }
        }
        // Before it is sent, so that it can't have left earlier.
        let answered = channel.now();
        let pong = Pong {
            number: ping.number,
            received: at.nanoseconds(),
            sent: answered.nanoseconds(),
        };
        if !channel.post(&pong.encode()) {
            return Ok(());
        }
        if self.open.len() >= MOST_OPEN {
            self.open.pop_front();
        }
        let reading = Reading {
            sent: ping.sent,
            received: pong.received,
            answered: pong.sent,
            returned: 0,
        };
        self.open.push_back((ping.number, reading));
        Ok(())
    }

    fn due(&self, _: &dyn Channel) -> Option<Monotonic> {
        None
    }

    fn tick(&mut self, _: &dyn Channel) -> bool {
        true
    }

    fn closed(&mut self) {
        lock(&self.state).closed = true;
    }
}
