//! The sender's side: it asks for clock readings, and takes in what the receiver says.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use socket2::Socket;

use super::MOST_OPEN;
use super::control_channel::Listening;
use super::conversation::{Channel, Handler};
use crate::base::{Monotonic, Result, Run, lock};
use crate::link::Busy;
use crate::measure::{Acknowledged, ClockSync, Piece, Reading, ledger};
use crate::wire::{WireError, v3::Ack, v3::Answered, v3::Outcome, v3::Ping, v3::Pong, v3::kind};

/// Readings in a row, before the run and after it: the fastest of them counts.
const BURST: u64 = 16;
/// From one reading to the next during the run.
const PAUSE: Duration = Duration::from_millis(200);
/// Acknowledgements that wait to be taken in. No more than frames are followed: a peer
/// that tells of others is not to fill this side's memory.
const MOST_ACKNOWLEDGED: usize = ledger::MOST_OPEN;
/// How long to wait for a burst at most.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a sender's side has heard.
#[derive(Debug, Default)]
struct State {
    sync: ClockSync,
    acks: Vec<Acknowledged>,
    outcome: Option<Outcome>,
    bursts_done: u64,
    closed: bool,
}

impl State {
    fn acknowledge(&mut self, acknowledged: Acknowledged) {
        if self.acks.len() < MOST_ACKNOWLEDGED {
            self.acks.push(acknowledged);
        }
    }
}

/// The control connection of a sender.
pub struct SenderEnd {
    listening: Listening,
    state: Arc<Mutex<State>>,
    patience: Duration,
    busy: Busy,
}

impl SenderEnd {
    /// Begins with a burst of readings, and waits for it.
    /// The receiver's last word may take `patience` to come; that it is busy is noted.
    pub fn start(
        socket: Socket,
        (patience, busy): (Duration, Busy),
        run: &mut Run<'_>,
    ) -> Result<Self> {
        let state = Arc::<Mutex<State>>::default();
        let handler = SenderHandler {
            state: Arc::clone(&state),
            busy: busy.clone(),
            ..SenderHandler::new(Monotonic::now())
        };
        let end = SenderEnd {
            listening: Listening::start(socket, handler)?,
            state,
            patience,
            busy,
        };
        end.wait_for(PATIENCE, run, |state| state.bursts_done > 0)?;
        Ok(end)
    }

    fn wait_for(
        &self,
        most: Duration,
        run: &mut Run<'_>,
        is_so: impl Fn(&State) -> bool,
    ) -> Result<bool> {
        let deadline = Instant::now() + most.min(self.patience);
        self.listening.wait_until(run, deadline, || {
            let state = lock(&self.state);
            is_so(&state) || state.closed
        })
    }

    /// Takes from now on what has come, and waits for nothing.
    pub fn wait_no_longer(&mut self) {
        self.patience = Duration::ZERO;
    }

    /// The frames that were acknowledged since the last time.
    pub fn acknowledged(&self) -> Vec<Acknowledged> {
        std::mem::take(&mut lock(&self.state).acks)
    }

    /// What the clock readings since the last time tell.
    pub fn take_pieces(&self) -> Vec<Piece> {
        lock(&self.state).sync.take_pieces()
    }

    /// The receiver's last word, which may take a moment to come; None if it gives none.
    pub fn outcome(&self, run: &mut Run<'_>) -> Result<Option<Outcome>> {
        loop {
            let begun = Instant::now();
            self.wait_for(self.patience, run, |state| state.outcome.is_some())?;
            let state = lock(&self.state);
            let is_busy = self.busy.last().is_some_and(|last| last >= begun);
            // Whoever takes the frames has the last of them yet to take.
            if state.outcome.is_some() || state.closed || !is_busy || run.is_stopped() {
                return Ok(state.outcome.clone());
            }
        }
    }

    /// Takes the last readings, ends the connection, and gives what they tell.
    pub fn finish(self, run: &mut Run<'_>) -> Result<Vec<Piece>> {
        self.listening.close();
        self.wait_for(PATIENCE, run, |state| state.bursts_done > 1)?;
        Ok(self.take_pieces())
    }
}

/// What a sender says, and does with what it hears.
#[derive(Debug)]
pub struct SenderHandler {
    state: Arc<Mutex<State>>,
    busy: Busy,
    /// Of the next ping.
    number: u64,
    /// The pings that have no answer yet, and when they were sent.
    asked: VecDeque<(u64, Monotonic)>,
    /// The last answer that came, which the next ping tells of.
    answered: Option<Answered>,
    burst_left: u64,
    due: Monotonic,
    closing_burst: bool,
}

impl SenderHandler {
    /// Begins with a burst of readings.
    pub fn new(now: Monotonic) -> Self {
        SenderHandler {
            state: Arc::default(),
            busy: Busy::default(),
            number: 0,
            asked: VecDeque::new(),
            answered: None,
            burst_left: BURST,
            due: now,
            closing_burst: false,
        }
    }

    /// What is kept of what the peer has said, in items.
    pub fn kept(&self) -> usize {
        self.asked.len() + lock(&self.state).acks.len()
    }

    /// A look at the clocks; see `SenderEnd::turn`.
    pub fn look(&self) -> impl FnMut() -> Vec<Piece> + use<> {
        let state = Arc::clone(&self.state);
        move || lock(&state).sync.take_pieces()
    }

    fn ask(&mut self, channel: &dyn Channel) {
        // Before it is sent, so that it can't have left earlier.
        let sent = channel.now();
        self.due = sent.after(PAUSE);
        let ping = Ping {
            number: self.number,
            sent: sent.nanoseconds(),
            answered: self.answered,
        };
        if !channel.post(&ping.encode()) {
            return;
        }
        if self.asked.len() >= MOST_OPEN {
            self.asked.pop_front();
        }
        self.asked.push_back((self.number, sent));
        self.answered = None;
        self.number += 1;
    }

    /// A ping's answer came: when that was sent. Answers come in order.
    fn take(&mut self, number: u64) -> Option<Monotonic> {
        while self.asked.front().is_some_and(|(first, _)| *first < number) {
            self.asked.pop_front();
        }
        let is_its = self.asked.front()?.0 == number;
        let (_, sent) = is_its.then(|| self.asked.pop_front())??;
        Some(sent)
    }
}

impl Handler for SenderHandler {
    fn message(
        &mut self,
        channel: &dyn Channel,
        kind: u32,
        body: &[u8],
        at: Monotonic,
    ) -> std::result::Result<(), WireError> {
        match kind {
            kind::PONG => {
                let pong = Pong::decode(body)?;
                let Some(sent) = self.take(pong.number) else {
                    return Ok(());
                };
                self.answered = Some(Answered {
                    number: pong.number,
                    at: at.nanoseconds(),
                });
                let mut state = lock(&self.state);
                state.sync.add(Reading {
                    sent: sent.nanoseconds(),
                    received: pong.received,
                    answered: pong.sent,
                    returned: at.nanoseconds(),
                });
                if self.burst_left > 0 {
                    self.burst_left -= 1;
                    // At once: the next of the burst.
                    self.due = channel.now();
                    if self.burst_left == 0 {
                        state.bursts_done += 1;
                        drop(state);
                        // The receiver learns of this answer by one ping more.
                        self.ask(channel);
                        if self.closing_burst {
                            self.due = channel.now();
                        }
                        channel.tell();
                    }
                }
            }
            kind::ACK => {
                let ack = Ack::decode(body)?;
                lock(&self.state).acknowledge(Acknowledged { ack, at });
            }
            kind::BUSY => self.busy.note(),
            kind::RESULT => {
                lock(&self.state).outcome = Some(Outcome::decode(body)?);
                channel.tell();
            }
            _ => {}
        }
        Ok(())
    }

    fn due(&self, channel: &dyn Channel) -> Option<Monotonic> {
        let closes_now = channel.is_closing() && !self.closing_burst;
        Some(if closes_now { channel.now() } else { self.due })
    }

    fn tick(&mut self, channel: &dyn Channel) -> bool {
        if channel.is_closing() && !self.closing_burst {
            self.closing_burst = true;
            self.burst_left = BURST;
        }
        if self.closing_burst && self.burst_left == 0 {
            return false;
        }
        self.ask(channel);
        true
    }

    fn closed(&mut self) {
        lock(&self.state).closed = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_acknowledgements_fills_no_memory() {
        let mut state = State::default();
        let ack = Ack {
            counter: 0,
            header: 0,
            complete: 0,
            done: 0,
        };
        for _ in 0..3 * MOST_ACKNOWLEDGED {
            state.acknowledge(Acknowledged {
                ack,
                at: Monotonic::of_nanoseconds(1),
            });
        }
        assert_eq!(state.acks.len(), MOST_ACKNOWLEDGED);
    }
}
