//! The door's thread.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags};
use nix::sys::resource::{Resource, getrlimit};

use super::caller::{Caller, Heard};
use super::turned_away::TurnedAway;
use super::{News, Teller};
use crate::base::{Error, ErrorKind, Result, poll_until};
use crate::link::{Accepted, Connection, Listener, Tcp};
use crate::wire::{Description, Said, Version, WireError, v3::kind, v3::message, v3::text_bytes};

/// Callers that are heard at once, where the process may have enough descriptors. One more,
/// and the one that says nothing longest goes.
const MOST_CALLERS: usize = 64;
/// Their share of the descriptors that the process may have, as a divisor: a stream's buffers
/// and files need the others.
const SHARE: u64 = 8;
/// Connections that are taken in before callers are heard again.
const MOST_ACCEPTED: usize = 16;
/// How long to take in nobody when there is no descriptor left.
const PAUSE: Duration = Duration::from_millis(100);

/// How long a caller may be silent before another may have its place.
const MOMENT: Duration = Duration::from_secs(1);

const BUSY: &str = "it is receiving another stream; try again when that has ended";

pub(super) struct Keeper {
    listener: Listener,
    greeting: Duration,
    peer_timeout: Duration,
    teller: Teller,
    callers: Vec<Caller>,
    most_callers: usize,
    /// Whether a stream was offered: all others are refused.
    is_taken: bool,
    /// Until when nobody is taken in.
    paused: Option<Instant>,
    turned_away: TurnedAway,
}

impl Keeper {
    pub(super) fn new(
        listener: Listener,
        greeting: Duration,
        peer_timeout: Duration,
        teller: Teller,
    ) -> Self {
        Keeper {
            listener,
            greeting,
            peer_timeout,
            teller,
            callers: Vec::new(),
            most_callers: most_callers(),
            is_taken: false,
            paused: None,
            turned_away: TurnedAway::new(Instant::now()),
        }
    }

    /// Goes on until the run has ended.
    pub(super) fn keep(mut self) {
        if let Err(error) = self.hear_all() {
            // It ends a run that still waits; one that goes on needs no listener.
            log::debug!("{error}");
            self.teller.tell(News::Failed(error));
        }
        say(self.turned_away.rest());
    }

    fn hear_all(&mut self) -> Result<()> {
        loop {
            let now = Instant::now();
            self.expire(now);
            say(self.turned_away.end_interval(now));
            self.paused = self.paused.filter(|until| now < *until);
            let (closing, someone, ready) = self.wait()?;
            if closing {
                return Ok(());
            }
            self.hear(&ready);
            if someone {
                self.take_in()?;
            }
        }
    }

    /// Waits. Says whether to end, whether somebody has connected, and which callers to hear.
    fn wait(&self) -> Result<(bool, bool, Vec<bool>)> {
        let deadlines = self.callers.iter().map(|caller| caller.deadline);
        let due = deadlines.chain(self.paused).chain(self.turned_away.due());
        let mut listener = self.listener.poll_fd();
        if self.paused.is_some() {
            listener.set_events(PollFlags::empty());
        }
        let closing = PollFd::new(self.teller.shared.closing.as_fd(), PollFlags::POLLIN);
        let mut polled = vec![closing, listener];
        polled.extend(self.callers.iter().map(Caller::poll_fd));
        poll_until(&mut polled, due.min())
            .map_err(|errno| Error::new(ErrorKind::System, "wait (ppoll)").errno(errno))?;
        let mut ready = polled.iter().map(|fd| fd.any().unwrap_or(true));
        let mut is_ready = || ready.next().unwrap_or(false);
        Ok((is_ready(), is_ready(), ready.collect()))
    }

    /// Turns away who has had its time.
    fn expire(&mut self, now: Instant) {
        let callers = std::mem::take(&mut self.callers);
        let (over, rest) = callers
            .into_iter()
            .partition(|caller| caller.deadline <= now);
        self.callers = rest;
        for caller in over {
            self.turn_away_silent(&caller);
        }
    }

    fn turn_away_silent(&mut self, caller: &Caller) {
        if caller.speaks() {
            let why = format!(
                "it did not say what it sends within {} s: {} bytes came",
                self.greeting.as_secs_f64(),
                caller.taken()
            );
            self.turn_away(caller, &why);
        }
    }

    fn turn_away(&mut self, caller: &Caller, why: &str) {
        say(self.turned_away.note(format!("{}: {why}", caller.address)));
    }

    /// Takes in who has connected.
    fn take_in(&mut self) -> Result<()> {
        for _ in 0..MOST_ACCEPTED {
            match self.listener.accept()? {
                Accepted::Peer(socket, address) => {
                    if self.callers.len() >= self.most_callers {
                        self.make_room();
                    }
                    let deadline = Instant::now() + self.greeting;
                    self.callers.push(Caller::new(socket, address, deadline));
                }
                Accepted::Nobody => return Ok(()),
                Accepted::NoRoom(errno) => {
                    log::debug!("cannot accept a connection: {}", errno.desc());
                    if !self.make_room() {
                        self.paused = Some(Instant::now() + PAUSE);
                    }
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Turns away the one that has been there longest, of those that have said nothing for a
    /// while if there are such. `false` if there is nobody.
    fn make_room(&mut self) -> bool {
        // Who has just come had no time to say anything.
        let came_before = Instant::now() + self.greeting.saturating_sub(MOMENT);
        let may_stay = |caller: &Caller| caller.taken() > 0 || caller.deadline > came_before;
        let callers = self.callers.iter().enumerate();
        let Some((place, _)) =
            callers.min_by_key(|(_, caller)| (may_stay(caller), caller.deadline))
        else {
            return false;
        };
        let caller = self.callers.remove(place);
        if caller.speaks() {
            let why = format!(
                "it had said {} bytes that describe no stream when {} others, or as many as this \
                 process may have, came after it",
                caller.taken(),
                self.most_callers
            );
            self.turn_away(&caller, &why);
        }
        true
    }

    /// Hears those callers that are ready, in the order in which they came.
    fn hear(&mut self, ready: &[bool]) {
        let callers = std::mem::take(&mut self.callers);
        for (mut caller, ready) in callers.into_iter().zip(ready) {
            let heard = ready.then(|| caller.hear());
            match heard.unwrap_or(Heard::Nothing) {
                Heard::Nothing => self.callers.push(caller),
                Heard::Gone => {}
                Heard::Stranger(why) => self.turn_away(&caller, &why),
                Heard::All(Said::Bind(name)) => self.bind(caller, &name),
                Heard::All(Said::Offer(version, description)) => {
                    self.offer(caller, version, *description);
                }
                Heard::All(Said::BadOffer(version, error)) => {
                    self.bad_offer(caller, version, &error);
                }
            }
        }
    }

    fn bind(&mut self, caller: Caller, name: &[u8]) {
        let mut wanted = self.teller.shared.wanted();
        if wanted.as_ref().is_none_or(|wanted| wanted != name) {
            drop(wanted);
            self.turn_away(&caller, "it names a stream that there is not");
            return;
        }
        *wanted = None;
        drop(wanted);
        // Without its answer, the sender closes.
        caller.say(&message(kind::BOUND, &[]));
        self.teller.tell(News::Bound(caller.socket));
    }

    fn offer(&mut self, caller: Caller, version: Version, description: Description) {
        if self.is_taken {
            self.refuse(caller, Some(version));
            return;
        }
        self.is_taken = true;
        let address = caller.address;
        let offer = Tcp::new(caller.socket, address)
            .map(|tcp| {
                let connection = Connection::new(tcp, self.peer_timeout);
                Box::new((connection, version, description))
            })
            .map_err(|error| {
                Error::about(ErrorKind::PeerLost, "take a stream from", address).io(&error)
            });
        self.teller.tell(News::Offer(offer));
    }

    fn bad_offer(&mut self, caller: Caller, version: Option<Version>, error: &WireError) {
        if self.is_taken {
            self.refuse(caller, version);
            return;
        }
        self.is_taken = true;
        if version == Some(Version::V3) {
            caller.say(&message(kind::REFUSE, text_bytes(&error.to_string())));
        }
        let address = caller.address.to_string();
        let failure = Error::about(ErrorKind::Protocol, "receive a stream from", &address)
            .cause(error.to_string())
            .next(match error {
                WireError::Version(_) => "use a sender of this version",
                _ => "the sender is at fault",
            });
        self.callers.push(caller.leave(Instant::now()));
        self.teller.tell(News::Offer(Err(failure)));
    }

    /// Refuses a stream beside the one that was let in: versions 1 and 2 have no word for it.
    fn refuse(&mut self, caller: Caller, version: Option<Version>) {
        self.turn_away(
            &caller,
            "it offers a stream, and another one is being received",
        );
        if version == Some(Version::V3) {
            caller.say(&message(kind::REFUSE, text_bytes(BUSY)));
            self.callers.push(caller.leave(Instant::now()));
        }
    }
}

fn most_callers() -> usize {
    // Unknown: as if there were enough.
    let (descriptors, _) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((u64::MAX, u64::MAX));
    usize::try_from(descriptors / SHARE).map_or(MOST_CALLERS, |share| share.clamp(1, MOST_CALLERS))
}

fn say(line: Option<String>) {
    if let Some(line) = line {
        log::warn!("{line}");
    }
}
