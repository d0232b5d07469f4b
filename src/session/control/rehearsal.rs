//! Both sides of a control connection without a socket, by clocks whose difference is
//! known: for tests, and for the fuzzer.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use super::{Channel, Conversation, ReceiverHandler, SenderHandler};
use crate::base::Monotonic;
use crate::measure::Piece;

/// The sender's time at which a rehearsal begins, in nanoseconds.
pub const BEGINNING: u64 = 5_000_000_000;

/// What the receiver's clock tells, held against the sender's.
#[derive(Debug, Clone, Copy)]
pub struct Clocks {
    /// Nanoseconds by which the receiver's is ahead at the beginning.
    pub ahead: u64,
    /// Billionths that it gains.
    pub gains: i64,
}

impl Clocks {
    /// The receiver's time at one of the sender's.
    pub fn receiver(&self, sender: u64) -> u64 {
        let since = i128::from(sender) - i128::from(BEGINNING);
        let gained = since * i128::from(self.gains) / 1_000_000_000;
        (i128::from(sender) + i128::from(self.ahead) + gained) as u64
    }
}

/// One side's end of the connection.
#[derive(Debug, Default)]
pub struct End {
    now: Cell<u64>,
    posted: RefCell<Vec<u8>>,
    is_closing: Cell<bool>,
}

impl End {
    /// Lets time go on.
    pub fn set_now(&self, now: Monotonic) {
        self.now.set(now.nanoseconds());
    }

    /// What was posted since the last time.
    pub fn posted(&self) -> Vec<u8> {
        self.posted.take()
    }
}

impl Channel for End {
    fn post(&self, message: &[u8]) -> bool {
        self.posted.borrow_mut().extend_from_slice(message);
        true
    }

    fn tell(&self) {}

    fn is_closing(&self) -> bool {
        self.is_closing.get()
    }

    fn now(&self) -> Monotonic {
        Monotonic::of_nanoseconds(self.now.get())
    }
}

/// Bytes on their way, and when they arrive.
type Way = VecDeque<(u64, Vec<u8>)>;

/// A sender and a receiver that read their clocks.
pub struct Rehearsal {
    clocks: Clocks,
    /// The sender's time.
    now: u64,
    asker: Conversation<SenderHandler>,
    answerer: Conversation<ReceiverHandler>,
    ends: [End; 2],
    there: Way,
    back: Way,
    looks: [Box<dyn FnMut() -> Vec<Piece>>; 2],
}

impl Rehearsal {
    /// Before the first reading.
    pub fn new(clocks: Clocks) -> Self {
        let asker = SenderHandler::new(Monotonic::of_nanoseconds(BEGINNING));
        let answerer = ReceiverHandler::default();
        let looks: [Box<dyn FnMut() -> Vec<Piece>>; 2] =
            [Box::new(asker.look()), Box::new(answerer.look())];
        Rehearsal {
            clocks,
            now: BEGINNING,
            asker: Conversation::new(asker),
            answerer: Conversation::new(answerer),
            ends: Default::default(),
            there: Way::new(),
            back: Way::new(),
            looks,
        }
    }

    /// The sender's time.
    pub fn now(&self) -> u64 {
        self.now
    }

    /// Lets the sender take its last readings.
    pub fn close(&self) {
        let [sender, _] = &self.ends;
        sender.is_closing.set(true);
    }

    /// What the sender and the receiver have read since the last time.
    pub fn look(&mut self) -> [Vec<Piece>; 2] {
        self.looks.each_mut().map(|look| look())
    }

    /// Goes on to whatever happens next. What is said then takes so many nanoseconds.
    /// `false` if the sender has ended it.
    pub fn step(&mut self, delay: u64) -> bool {
        let [sender, receiver] = &self.ends;
        sender.now.set(self.now);
        let due = self.asker.due(sender).map(Monotonic::nanoseconds);
        let arrives = |way: &Way| way.front().map(|(at, _)| *at);
        let (there, back) = (arrives(&self.there), arrives(&self.back));
        let Some(next) = [due, there, back].into_iter().flatten().min() else {
            return false;
        };
        self.now = self.now.max(next);
        sender.now.set(self.now);
        receiver.now.set(self.clocks.receiver(self.now));
        let goes_on = if there == Some(next) {
            let (_, bytes) = self.there.pop_front().unwrap_or_default();
            self.answerer.came(receiver, &bytes, receiver.now()).is_ok()
        } else if back == Some(next) {
            let (_, bytes) = self.back.pop_front().unwrap_or_default();
            self.asker.came(sender, &bytes, sender.now()).is_ok()
        } else {
            self.asker.go_on(sender)
        };
        for (end, way) in [(sender, &mut self.there), (receiver, &mut self.back)] {
            let bytes = end.posted();
            if !bytes.is_empty() {
                // One after the other.
                let last = way.back().map_or(0, |(at, _)| *at);
                way.push_back((last.max(self.now.saturating_add(delay)), bytes));
            }
        }
        goes_on
    }
}
