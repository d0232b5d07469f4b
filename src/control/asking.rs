//! The sender's side: it asks for clock readings, and takes in what the receiver says.

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

/// Readings in a row, before the run and after it: the fastest of them counts.
const BURST: u64 = 16;
/// From one reading to the next during the run.
const PAUSE: Duration = Duration::from_millis(200);
/// Acknowledgements that wait to be taken in. More than frames are ever on their way: a
/// peer that tells of others is not to fill this side's memory.
const MOST_ACKNOWLEDGED: usize = 65_536;
/// How long to wait for a burst, and for an answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// A frame that the receiver has acknowledged, and when that was learned.
#[derive(Debug, Clone, Copy)]
pub struct Acknowledged {
    /// What it says, by its clock.
    pub ack: Ack,
    /// When it came, by ours.
    pub at: Monotonic,
}

#[derive(Default)]
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
pub struct Asking {
    listening: Listening,
    state: Arc<Mutex<State>>,
    patience: Duration,
}

impl Asking {
    /// Begins with a burst of readings, and waits for it.
    pub fn start(socket: Socket, run: &mut Run<'_>) -> Result<Self> {
        let state = Arc::<Mutex<State>>::default();
        let handler = Asker {
            state: Arc::clone(&state),
            number: 0,
            asked: None,
            answered: 0,
            burst_left: BURST,
            due: Instant::now(),
            closing_burst: false,
        };
        let asking = Asking {
            listening: Listening::start(socket, handler)?,
            state,
            patience: PATIENCE,
        };
        asking.wait_for(run, |state| state.bursts_done > 0)?;
        Ok(asking)
    }

    fn wait_for(&self, run: &mut Run<'_>, is_so: impl Fn(&State) -> bool) -> Result<bool> {
        let deadline = Instant::now() + self.patience;
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

    /// The clock readings since the last time.
    pub fn turn(&self) -> ClockSync {
        lock(&self.state).sync.turn()
    }

    /// The receiver's last word, which may take a moment to come; None if it gives none.
    pub fn outcome(&self, run: &mut Run<'_>) -> Result<Option<Outcome>> {
        self.wait_for(run, |state| state.outcome.is_some())?;
        Ok(lock(&self.state).outcome.clone())
    }

    /// Takes the last readings, ends the connection, and gives all that were taken.
    pub fn finish(self, run: &mut Run<'_>) -> Result<ClockSync> {
        self.listening.close();
        self.wait_for(run, |state| state.bursts_done > 1)?;
        let sync = lock(&self.state).sync.clone();
        Ok(sync)
    }
}

struct Asker {
    state: Arc<Mutex<State>>,
    /// Of the next ping.
    number: u64,
    /// The ping that has no answer yet, and when it was sent.
    asked: Option<(u64, Monotonic)>,
    /// When the last answer came; 0 before that.
    answered: u64,
    burst_left: u64,
    due: Instant,
    closing_burst: bool,
}

impl Asker {
    fn ask(&mut self, line: &Line) {
        let sent = Monotonic::now();
        let ping = Ping {
            number: self.number,
            sent: sent.nanoseconds(),
            previous_answered: self.answered,
        };
        line.post(&ping.encode());
        self.asked = Some((self.number, sent));
        self.answered = 0;
        self.number += 1;
        self.due = Instant::now() + PAUSE;
    }
}

impl Handler for Asker {
    fn message(
        &mut self,
        line: &Line,
        kind: u32,
        body: &[u8],
        at: Monotonic,
    ) -> std::result::Result<(), WireError> {
        match kind {
            kind::PONG => {
                let pong = Pong::decode(body)?;
                let Some((_, sent)) = self.asked.filter(|(number, _)| *number == pong.number)
                else {
                    return Ok(());
                };
                self.asked = None;
                self.answered = at.nanoseconds();
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
                    self.due = Instant::now();
                    if self.burst_left == 0 {
                        state.bursts_done += 1;
                        drop(state);
                        // The receiver learns of this answer by one ping more.
                        self.ask(line);
                        if self.closing_burst {
                            self.due = Instant::now();
                        }
                        line.tell();
                    }
                }
            }
            kind::ACK => {
                let ack = Ack::decode(body)?;
                lock(&self.state).acknowledge(Acknowledged { ack, at });
            }
            kind::RESULT => {
                lock(&self.state).outcome = Some(Outcome::decode(body)?);
                line.tell();
            }
            _ => {}
        }
        Ok(())
    }

    fn due(&self, line: &Line) -> Option<Instant> {
        let closes_now = line.is_closing() && !self.closing_burst;
        Some(if closes_now { Instant::now() } else { self.due })
    }

    fn tick(&mut self, line: &Line) -> bool {
        if line.is_closing() && !self.closing_burst {
            self.closing_burst = true;
            self.burst_left = BURST;
        }
        if self.closing_burst && self.burst_left == 0 {
            return false;
        }
        self.ask(line);
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
