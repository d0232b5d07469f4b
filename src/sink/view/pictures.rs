//! Pictures of the newest frame, for those who look: no more of them than are wanted.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::poll::PollFd;

use super::connection::wait;
use crate::base::{Bell, Result, lock};
use crate::frame::picture::picture;
use crate::sink::latest::{Latest, Look};

/// Who has asked for no picture for so long looks no more.
const LOOKS: Duration = Duration::from_secs(2);

/// How long a question for the next picture waits.
const PATIENCE: Duration = Duration::from_secs(1);

/// Of a stream that is over there is none at once: who asks is not to ask on and on.
const AGAIN: Duration = Duration::from_millis(100);

/// A picture as it is sent.
#[derive(Debug)]
pub struct Drawn {
    counter: u64,
    /// The frame's number, width and height, little-endian.
    pub heading: [u8; 16],
    /// Pixels from the top left, three bytes each.
    pub rgb: Vec<u8>,
}

#[derive(Debug, Default)]
struct State {
    last: Option<(Arc<Drawn>, Instant)>,
    /// When somebody asked last; None: nobody looks.
    asked: Option<Instant>,
    /// Nobody looks any more.
    has_ended: bool,
}

/// The pictures.
#[derive(Debug)]
pub struct Pictures {
    latest: Latest,
    interval: Duration,
    width: u32,
    state: Mutex<State>,
    /// Memory for the next picture: new memory for each was a tenth of what it costs. Whoever
    /// draws holds it, and the others wait.
    spare: Mutex<Vec<u8>>,
    /// Rings when somebody begins to look.
    news: Bell,
}

impl Pictures {
    /// None is drawn yet: one an `interval` at most, `width` pixels wide at most.
    pub fn new(latest: Latest, interval: Duration, width: u32) -> Result<Self> {
        Ok(Pictures {
            latest,
            interval,
            width,
            state: Mutex::default(),
            spare: Mutex::default(),
            news: Bell::new()?,
        })
    }

    /// Somebody looks.
    fn begin_look(&self) {
        let mut state = lock(&self.state);
        if !state.has_ended && state.asked.replace(Instant::now()).is_none() {
            self.latest.look(true);
            self.news.ring();
        }
    }

    /// What is readable once somebody has begun to look, since `look_again`.
    pub fn poll_fd(&self) -> PollFd<'_> {
        self.news.poll_fd()
    }

    /// Lets go of the frame that nobody has asked for in a while. Tells when to ask again; None:
    /// when somebody looks again.
    pub fn look_again(&self) -> Option<Instant> {
        self.news.hush();
        let mut state = lock(&self.state);
        let until = state.asked? + LOOKS;
        if Instant::now() < until {
            return Some(until);
        }
        state.asked = None;
        self.latest.look(false);
        None
    }

    /// Whether somebody looks.
    pub fn is_looked_at(&self) -> bool {
        lock(&self.state).asked.is_some()
    }

    /// Nobody looks from now on.
    pub fn end(&self) {
        let mut state = lock(&self.state);
        state.has_ended = true;
        state.asked = None;
        self.latest.look(false);
    }

    /// A picture of the newest frame whose number is not `after`. Waits for it, and until the
    /// interval has passed; None if there is none by then.
    ///
    /// An error of kind `Format` if frames of this format are not shown.
    pub fn next(&self, after: Option<u64>, over: &Bell) -> Result<Option<Arc<Drawn>>> {
        self.begin_look();
        let last = lock(&self.state).last.clone();
        if let Some((drawn, at)) = last {
            // Never, where the interval is longer than the clock goes.
            let due = at.checked_add(self.interval);
            let now = Instant::now();
            if due.is_none_or(|due| now < due) {
                if Some(drawn.counter) != after {
                    // Another viewer's, which is as new as the interval allows.
                    return Ok(Some(drawn));
                }
                let due = due.filter(|due| *due <= now + PATIENCE);
                wait(&[], due.or(Some(now + PATIENCE)), over);
                if due.is_none() {
                    return Ok(None);
                }
            }
        }
        let Some(look) = self.latest.get(after, PATIENCE) else {
            wait(&[], Some(Instant::now() + AGAIN), over);
            return Ok(None);
        };
        let mut spare = lock(&self.spare);
        let last = lock(&self.state).last.clone();
        if let Some((drawn, _)) = last.filter(|(drawn, _)| drawn.counter == look.passage.counter) {
            // Another viewer had it drawn meanwhile.
            return Ok(Some(drawn));
        }
        let drawn = Arc::new(draw(&look, self.width, std::mem::take(&mut spare))?);
        let now = (Arc::clone(&drawn), Instant::now());
        let before = lock(&self.state).last.replace(now);
        // A viewer may be given the one before yet.
        if let Some(before) = before.and_then(|(before, _)| Arc::into_inner(before)) {
            *spare = before.rgb;
        }
        Ok(Some(drawn))
    }

    /// A picture of the newest frame with all its pixels; None if there is none.
    ///
    /// An error of kind `Format` if frames of this format are not shown.
    pub fn whole(&self) -> Result<Option<Drawn>> {
        let look = self.newest();
        look.map(|look| draw(&look, u32::MAX, Vec::new()))
            .transpose()
    }

    /// The newest frame; None if there is none.
    pub fn newest(&self) -> Option<Look> {
        self.begin_look();
        self.latest.get(None, PATIENCE)
    }
}

fn draw(look: &Look, most: u32, memory: Vec<u8>) -> Result<Drawn> {
    let picture = picture(&look.lease, &look.common.stream, most, memory)?;
    let counter = look.passage.counter;
    let size = u64::from(picture.width) | u64::from(picture.height) << 32;
    let heading = u128::from(counter) | u128::from(size) << 64;
    Ok(Drawn {
        counter,
        heading: heading.to_le_bytes(),
        rgb: picture.rgb,
    })
}
