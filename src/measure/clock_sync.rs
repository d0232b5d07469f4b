//! By how much the receiver's clock is ahead of the sender's, and how well that is
//! known.
//!
//! A reading is four times: a ping leaves the sender, comes to the receiver, its
//! answer leaves there, and comes back. That the ping can't have come before it
//! left bounds the offset from above, the answer bounds it from below, and nothing
//! is assumed of how the way there compares with the way back. What is told is the
//! line that lies between all bounds with the most room, and by how much any other
//! line between them differs from it: the clocks' rates may differ, but each is
//! taken to be even over a piece of the run, since NTP steers clocks. Outside a piece
//! nothing is taken to be even: the bound grows with the distance, as fast as clocks
//! may drift apart, and a second from the nearest reading the offset is unknown.

use std::time::Duration;

/// Clocks that the kernel disciplines differ by no more than this (adjtimex(2)
/// bounds its correction to 500 ppm, and crystals are better than that).
const MOST_DRIFT: f64 = 1e-3;

/// A piece is no longer than this and the pause before the reading that ends it. NTP
/// steers a clock's rate about once a minute; a line through more would have to fit several.
pub const PIECE: Duration = Duration::from_secs(60);

/// So far from the nearest reading the bound would say nothing of use any more.
const FARTHEST: u64 = 1_000_000_000;

/// Pieces that are kept until somebody takes them: two months of them. A peer that tells
/// wild times is not to fill the memory.
const MOST_PIECES: usize = 100_000;

/// Nanoseconds by which a clock steps at most, of those that Linux runs on (279: the ACPI
/// timer's). A time that is told may be so much too early.
const GRAIN: i128 = 300;

/// Readings that are kept; of more, those that took longer are given up.
const MOST_READINGS: usize = 512;

/// Readings that a piece shares with the one before it, so that what lies about the
/// turn is bounded from both sides. Few, since the clocks may be steered there.
const SHARED: usize = 2;

/// Steps of a search over drifts: it ends well below a part in 10^9.
const STEPS: usize = 60;

/// Why the offset is unknown where there is no reading.
pub const NO_READING: &str = "no clock reading was answered";

/// A clock reading; nanoseconds, each by the clock of the side that took it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// The ping left the sender.
    pub sent: u64,
    /// It came to the receiver.
    pub received: u64,
    /// The answer left the receiver.
    pub answered: u64,
    /// It came back to the sender.
    pub returned: u64,
}

impl Reading {
    /// Nanoseconds on the way, there and back.
    pub fn round_trip(&self) -> u64 {
        let away = self.returned.saturating_sub(self.sent);
        away.saturating_sub(self.answered.saturating_sub(self.received))
    }
}

/// What readings tell of the offset.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Offset {
    /// The sender's time that `nanoseconds` is of.
    at: u64,
    /// What to add to the sender's time to get the receiver's, at that time.
    nanoseconds: i128,
    /// Seconds that the receiver's clock gains in a second.
    pub drift: f64,
    /// Nanoseconds: the offset is not farther off than this, from the first
    /// reading to the last.
    pub bound: u64,
    /// Nanoseconds of the fastest reading.
    pub least_round_trip: u64,
    /// Readings.
    pub readings: u64,
}

impl Offset {
    /// A time of the sender's by the receiver's clock, in nanoseconds.
    fn to_receiver(self, sender: u64) -> i128 {
        let since = sender as i128 - self.at as i128;
        sender as i128 + self.nanoseconds + (since as f64 * self.drift) as i128
    }

    /// Nanoseconds by which the receiver's clock was ahead at the first reading.
    pub fn nanoseconds(&self) -> i128 {
        self.nanoseconds
    }

    /// As it is, but for the bound.
    #[must_use]
    pub fn within(self, bound: u64) -> Self {
        Offset { bound, ..self }
    }

    /// What the pieces of a run come to: no time of any of them is farther off than
    /// the bound.
    pub fn joined(pieces: impl IntoIterator<Item = Offset>) -> Option<Offset> {
        pieces.into_iter().reduce(|whole, next| {
            let seconds = next.at.saturating_sub(whole.at) as f64;
            let gained = (next.nanoseconds - whole.nanoseconds) as f64;
            Offset {
                drift: if seconds > 0.0 {
                    gained / seconds
                } else {
                    whole.drift
                },
                bound: whole.bound.max(next.bound),
                least_round_trip: whole.least_round_trip.min(next.least_round_trip),
                readings: whole.readings.saturating_add(next.readings),
                ..whole
            }
        })
    }
}

/// A piece of a run, and what its readings tell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Piece {
    /// The sender's time of the first reading.
    pub first: u64,
    /// And of the last.
    pub last: u64,
    /// The offset, or why it is unknown.
    pub offset: Result<Offset, &'static str>,
}

impl Piece {
    /// A time of the sender's by the receiver's clock, in nanoseconds, and how far off
    /// that may be. The reason where it can't be told.
    pub fn to_receiver(self, sender: u64) -> Result<(i128, u64), &'static str> {
        let offset = self.offset?;
        let before = self.first.saturating_sub(sender);
        let distance = before.max(sender.saturating_sub(self.last));
        if distance > FARTHEST {
            return Err("no clock reading was taken about then");
        }
        // The line's own rate may be as wrong as can be there.
        let grown = distance as f64 * (MOST_DRIFT + offset.drift.abs());
        let bound = offset.bound.saturating_add(grown.ceil() as u64);
        Ok((offset.to_receiver(sender), bound))
    }
}

/// The readings of a run, piece by piece.
#[derive(Debug, Clone, Default)]
pub struct ClockSync {
    done: Vec<Piece>,
    current: Readings,
}

impl ClockSync {
    /// Takes a reading in.
    pub fn add(&mut self, reading: Reading) {
        let longest = PIECE.as_nanos() as u64;
        let readings = &self.current.readings;
        if let (Some(first), Some(last)) = (readings.first(), readings.last()) {
            if reading.sent.saturating_sub(last.sent) > longest {
                // What the clocks did meanwhile nobody saw.
                self.end_piece(0);
            } else if reading.sent.saturating_sub(first.sent) > longest {
                self.end_piece(SHARED);
            }
        }
        self.current.add(reading);
    }

    /// What the readings of the piece that goes on tell by now; those of the one before it, if
    /// there are none yet.
    pub fn latest(&self) -> Option<Piece> {
        self.current.piece().or_else(|| self.done.last().copied())
    }

    fn end_piece(&mut self, shared: usize) {
        if self.current.taken > 0 {
            self.done.extend(self.current.piece());
            if self.done.len() > MOST_PIECES {
                self.done.drain(..MOST_PIECES / 2);
            }
        }
        let readings = &mut self.current.readings;
        readings.drain(..readings.len().saturating_sub(shared));
        self.current.taken = 0;
    }

    /// Ends a piece, and gives those that were not given yet: what is read from now on
    /// is the next one's.
    pub fn take_pieces(&mut self) -> Vec<Piece> {
        self.end_piece(SHARED);
        std::mem::take(&mut self.done)
    }
}

/// The readings of a piece.
#[derive(Debug, Clone, Default)]
struct Readings {
    readings: Vec<Reading>,
    /// How many there were, without those that the piece before it has too.
    taken: u64,
}

/// A bound on the offset: it lies beyond `y` at `x`, both relative to the first reading.
#[derive(Clone, Copy)]
struct Bound {
    x: f64,
    y: f64,
}

impl Readings {
    fn add(&mut self, reading: Reading) {
        self.taken = self.taken.saturating_add(1);
        self.readings.push(reading);
        if self.readings.len() > MOST_READINGS {
            let pairs = self.readings.chunks(2);
            self.readings = pairs
                .filter_map(|pair| pair.iter().min_by_key(|reading| reading.round_trip()))
                .copied()
                .collect();
        }
    }

    /// None without a reading.
    fn piece(&self) -> Option<Piece> {
        let times = self.readings.iter().map(|it| it.sent);
        Some(Piece {
            first: times.clone().min()?,
            last: times.max()?,
            offset: self.offset(),
        })
    }

    /// What they tell. The reason where they tell nothing.
    fn offset(&self) -> Result<Offset, &'static str> {
        let Some(first) = self.readings.first() else {
            return Err(NO_READING);
        };
        let base = first.received as i128 - first.sent as i128;
        let relative = |x: u64, y: i128| Bound {
            x: (x as i128 - first.sent as i128) as f64,
            y: (y - base) as f64,
        };
        let readings = self.readings.iter();
        let above = lowest(readings.clone().map(|it| {
            let ahead = it.received as i128 - it.sent as i128;
            relative(it.sent, ahead + GRAIN)
        }));
        // Upside down, so that these are the lowest too.
        let below = lowest(readings.clone().map(|it| {
            let ahead = it.answered as i128 - it.returned as i128;
            let Bound { x, y } = relative(it.returned, ahead - GRAIN);
            Bound { x, y: -y }
        }));
        let top = |drift: f64, x: f64| {
            let heights = above.iter().map(|it| it.y + drift * (x - it.x));
            heights.fold(f64::INFINITY, f64::min)
        };
        let bottom = |drift: f64, x: f64| {
            let heights = below.iter().map(|it| -it.y + drift * (x - it.x));
            heights.fold(f64::NEG_INFINITY, f64::max)
        };
        let last = readings.map(|it| it.sent).max().unwrap_or(first.sent);
        let room = |drift: f64| top(drift, 0.0) - bottom(drift, 0.0);
        let drift = highest(room, -MOST_DRIFT, MOST_DRIFT);
        if room(drift) < 0.0 {
            return Err("the two clocks did not run evenly");
        }
        let slowest = edge(room, drift, -MOST_DRIFT);
        let fastest = edge(room, drift, MOST_DRIFT);
        let middle = |x: f64| (top(drift, x) + bottom(drift, x)) / 2.0;
        let last = (last as i128 - first.sent as i128) as f64;
        // The lines that fit are convex in offset and drift, so that their extremes
        // over time lie at its ends.
        let bound = [0.0, last].into_iter().map(|x| {
            let highest_drift = highest(|drift| top(drift, x), slowest, fastest);
            let lowest_drift = highest(|drift| -bottom(drift, x), slowest, fastest);
            (top(highest_drift, x) - middle(x)).max(middle(x) - bottom(lowest_drift, x))
        });
        let round_trips = self.readings.iter().map(Reading::round_trip);
        Ok(Offset {
            at: first.sent,
            nanoseconds: base + middle(0.0).round() as i128,
            drift,
            bound: bound.fold(0.0, f64::max).ceil() as u64,
            least_round_trip: round_trips.min().unwrap_or(0),
            readings: self.taken,
        })
    }
}

/// Those that no line between others lies below: the lower convex hull. A line above
/// none of them is above none of all, and they are few.
fn lowest(bounds: impl Iterator<Item = Bound>) -> Vec<Bound> {
    let mut all: Vec<Bound> = bounds.collect();
    all.sort_by(|one, other| one.x.total_cmp(&other.x));
    let mut hull: Vec<Bound> = Vec::new();
    for next in all {
        while let [.., before, last] = hull.as_slice() {
            let turn = (last.x - before.x) * (next.y - before.y)
                - (last.y - before.y) * (next.x - before.x);
            if turn > 0.0 {
                break;
            }
            hull.pop();
        }
        hull.push(next);
    }
    hull
}

/// Where a concave function is highest between two arguments.
fn highest(of: impl Fn(f64) -> f64, mut low: f64, mut high: f64) -> f64 {
    for _ in 0..STEPS {
        let (left, right) = (low + (high - low) / 3.0, high - (high - low) / 3.0);
        if of(left) < of(right) {
            low = left;
        } else {
            high = right;
        }
    }
    (low + high) / 2.0
}

/// How far a concave function stays at 0 or above, from `inside` towards `outside`.
fn edge(of: impl Fn(f64) -> f64, mut inside: f64, mut outside: f64) -> f64 {
    if of(outside) >= 0.0 {
        return outside;
    }
    for _ in 0..STEPS {
        let middle = (inside + outside) / 2.0;
        if of(middle) >= 0.0 {
            inside = middle;
        } else {
            outside = middle;
        }
    }
    inside
}

#[cfg(test)]
mod tests;
