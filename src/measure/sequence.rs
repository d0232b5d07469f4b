//! Frame sequence numbers, treated as the unreliable things that they are.

use std::collections::BTreeMap;

use crate::frame::Parity;

/// Lengths of bursts that are told apart.
const MOST_LENGTHS: usize = 1024;

/// Losses of one frame or more in a row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bursts {
    lengths: BTreeMap<u64, u64>,
    total: u64,
}

impl Bursts {
    /// Counts `length` frames that were lost in a row; 0 is none. A driver's and a peer's
    /// numbers may be anything: where there are too many lengths to tell apart, this one
    /// or the longest but for this one counts as the next that is shorter.
    pub fn count(&mut self, length: u64) {
        if length == 0 {
            return;
        }
        self.total = self.total.saturating_add(length);
        self.add(length, 1);
        if self.lengths.len() > MOST_LENGTHS {
            let longest = self.lengths.last_key_value().map(|(longest, _)| *longest);
            let given_up = match longest {
                // The longest is what people look at.
                Some(longest) if longest == length => self.next_shorter(length),
                _ => Some(length),
            };
            let Some(given_up) = given_up else { return };
            let times = self.lengths.remove(&given_up).unwrap_or(0);
            let next = self.next_shorter(given_up).unwrap_or(given_up);
            self.add(next, times);
        }
    }

    fn add(&mut self, length: u64, times: u64) {
        let before = self.lengths.entry(length).or_default();
        *before = before.saturating_add(times);
    }

    fn next_shorter(&self, length: u64) -> Option<u64> {
        let mut shorter = self.lengths.range(..length);
        shorter.next_back().map(|(length, _)| *length)
    }

    /// Each length that there was, and how often; of more than can be told apart, some.
    pub fn lengths(&self) -> impl Iterator<Item = (u64, u64)> {
        self.lengths.iter().map(|(length, times)| (*length, *times))
    }

    /// Frames lost, all in all.
    pub fn total(&self) -> u64 {
        self.total
    }
}

/// Counts what a driver's sequence numbers skip, until they turn out to be no
/// counter at all. Where fields alternate it counts fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sequence {
    state: State,
    /// The field that is first of a frame's two. Known once two fields had one number: there
    /// are drivers that number each field.
    first_field: Option<Parity>,
    bursts: Bursts,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Empty,
    Begun {
        first: Place,
    },
    /// vivid gives its first two frames the same number now and then. What comes after
    /// tells whether it counts.
    Repeated {
        first: Place,
    },
    Counting {
        last: Place,
    },
    Unusable(Unusable),
}

/// Where in a stream a buffer says that it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    number: u64,
    field: Option<Parity>,
}

/// Why a sequence can't tell of drops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// Frames had the same number, as all of v4l2loopback's have.
    #[error("the sequence number is stuck at {at}")]
    Stuck {
        /// The number.
        at: u64,
    },
    /// A frame had a smaller number than the one before it.
    #[error("the sequence number jumped back from {from} to {to}")]
    JumpedBack {
        /// The earlier frame's number.
        from: u64,
        /// The later frame's number.
        to: u64,
    },
}

/// How many numbers lie from `last` to `next`; 0 if `next` is not ahead.
/// V4L2 counts in 32 bits and wraps.
fn ahead(last: u64, next: u64) -> u64 {
    match (u32::try_from(last), u32::try_from(next)) {
        // Half of what the counter has lies ahead, and half behind.
        (Ok(last), Ok(next)) => u64::try_from(next.wrapping_sub(last) as i32).unwrap_or(0),
        _ => next.saturating_sub(last),
    }
}

impl Sequence {
    /// Takes the next frame's number, or the next field's and which it is. Answers with the
    /// reason if this one shows that the numbers are unusable.
    pub fn take(&mut self, number: u64, field: Option<Parity>) -> Option<Unusable> {
        let place = Place { number, field };
        let (state, news) = match self.state {
            State::Empty => (State::Begun { first: place }, None),
            State::Begun { first } if place == first => (State::Repeated { first }, None),
            State::Begun { first: last }
            | State::Repeated { first: last }
            | State::Counting { last } => match self.skipped(last, place) {
                Some(skipped) => {
                    self.bursts.count(skipped);
                    (State::Counting { last: place }, None)
                }
                None => {
                    let why = if number == last.number {
                        Unusable::Stuck { at: number }
                    } else {
                        Unusable::JumpedBack {
                            from: last.number,
                            to: number,
                        }
                    };
                    (State::Unusable(why), Some(why))
                }
            },
            State::Unusable(why) => (State::Unusable(why), None),
        };
        self.state = state;
        news
    }

    /// How many frames are missing between two that came one after the other, or how many
    /// fields; None if the later one is not ahead.
    fn skipped(&mut self, last: Place, next: Place) -> Option<u64> {
        let fields = last.field.zip(next.field);
        let fields = fields.filter(|(last, next)| last != next);
        let frames = ahead(last.number, next.number);
        match (frames, fields, self.first_field) {
            (0, Some((earlier, later)), first)
                if last.number == next.number && first != Some(later) =>
            {
                self.first_field = Some(earlier);
                Some(0)
            }
            (0, _, _) => None,
            (frames, _, None) => Some(frames - 1),
            // From a field to the same one of a later frame it is two steps a frame; from
            // a first one to a second it is one more, from a second to a first one less.
            (frames, None, Some(_)) => Some(frames.saturating_mul(2) - 1),
            (frames, Some((earlier, _)), Some(first)) if earlier == first => {
                Some(frames.saturating_mul(2))
            }
            (frames, Some(_), Some(_)) => Some(frames.saturating_sub(1).saturating_mul(2)),
        }
    }

    /// Frames missing between the first and the last; None if that is unknown.
    pub fn drops(&self) -> Option<u64> {
        self.bursts().map(Bursts::total)
    }

    /// The gaps that these frames are missing in; None if that is unknown.
    pub fn bursts(&self) -> Option<&Bursts> {
        match self.state {
            State::Empty | State::Begun { .. } | State::Counting { .. } => Some(&self.bursts),
            State::Repeated { .. } | State::Unusable(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(numbers: &[u64]) -> Sequence {
        let mut sequence = Sequence::default();
        for number in numbers {
            sequence.take(*number, None);
        }
        sequence
    }

    /// As a driver tells it: numbers with a letter each, `t` or `b`.
    fn of_fields(told: &str) -> Sequence {
        let mut sequence = Sequence::default();
        for place in told.split(' ') {
            let (number, field) = place.split_at(place.len() - 1);
            let field = match field {
                "t" => Parity::Top,
                _ => Parity::Bottom,
            };
            sequence.take(number.parse().unwrap(), Some(field));
        }
        sequence
    }

    #[test]
    fn both_fields_of_a_frame_have_one_number() {
        for (told, drops) in [
            ("0t 0b 1t 1b 2t 2b", 0),
            ("0b 0t 1b 1t", 0),
            // It begins with a second one.
            ("5b 6t 6b 7t", 0),
            ("0t 0b 1b 2t", 1),
            ("0t 0b 1t 2t", 1),
            ("0t 0b 1t 2b", 2),
            ("0t 0b 2t 2b", 2),
            ("0b 0t 1b 3t 4b", 4),
            ("4294967295t 4294967295b 0t 0b", 0),
        ] {
            assert_eq!(of_fields(told).drops(), Some(drops), "{told}");
        }
    }

    #[test]
    fn fields_with_numbers_of_their_own_count_by_these() {
        assert_eq!(of_fields("0t 1b 2t 3b").drops(), Some(0));
        assert_eq!(of_fields("0t 1b 3b 4t").drops(), Some(1));
    }

    #[test]
    fn fields_whose_numbers_stand_still_are_no_counter() {
        assert_eq!(of_fields("0t 0b 0t").drops(), None);
        assert_eq!(of_fields("0t 0b 0b").drops(), None);
        assert_eq!(of_fields("0t 0b 1t 0b").drops(), None);
    }

    #[test]
    fn gaps_are_drops() {
        assert_eq!(of(&[]).drops(), Some(0));
        assert_eq!(of(&[7, 8, 9]).drops(), Some(0));
        assert_eq!(of(&[7, 9, 14]).drops(), Some(5));
    }

    #[test]
    fn gaps_are_counted_by_their_length() {
        let sequence = of(&[0, 2, 3, 5, 9, 10]);
        let lengths: Vec<(u64, u64)> = sequence.bursts().unwrap().lengths().collect();
        assert_eq!(lengths, [(1, 2), (3, 1)]);
        assert_eq!(of(&[4, 4]).bursts(), None);
    }

    #[test]
    fn wild_numbers_fill_no_memory_and_no_count_overflows() {
        let mut bursts = Bursts::default();
        let mut expected = 0_u64;
        for length in (1..5000).chain([u64::MAX / 2, u64::MAX / 2, u64::MAX]) {
            bursts.count(length);
            expected = expected.saturating_add(length);
        }
        bursts.count(0);
        assert!(bursts.lengths().count() <= MOST_LENGTHS + 1);
        assert_eq!(bursts.lengths().last(), Some((u64::MAX, 1)));
        assert_eq!(bursts.lengths().map(|(_, times)| times).sum::<u64>(), 5002);
        assert_eq!((bursts.total(), expected), (u64::MAX, u64::MAX));
        assert_eq!(of(&[0, u64::MAX - 1, u64::MAX]).drops(), Some(u64::MAX - 2));
    }

    #[test]
    fn a_32_bit_counter_wraps() {
        let last = u64::from(u32::MAX);
        assert_eq!(of(&[last - 1, last, 0, 1]).drops(), Some(0));
        assert_eq!(of(&[last, 3]).drops(), Some(3));
    }

    #[test]
    fn a_64_bit_counter_goes_on_past_32_bits() {
        let last = u64::from(u32::MAX);
        assert_eq!(of(&[last, last + 1, last + 3]).drops(), Some(1));
    }

    #[test]
    fn a_counter_that_begins_with_a_number_twice_counts_from_there() {
        assert_eq!(of(&[0, 0]).drops(), None, "it may be stuck");
        assert_eq!(of(&[0, 0, 1, 2]).drops(), Some(0));
        assert_eq!(of(&[0, 0, 3]).drops(), Some(2));
    }

    #[test]
    fn a_stuck_or_returning_counter_is_unusable_for_good() {
        assert_eq!(of(&[0, 0, 0]).drops(), None);
        assert_eq!(of(&[5, 6, 2, 3, 4]).drops(), None);
        assert_eq!(of(&[4, 5, 5, 6]).drops(), None);
        let mut sequence = of(&[5, 5]);
        assert_eq!(sequence.take(5, None), Some(Unusable::Stuck { at: 5 }));
        assert_eq!(sequence.take(5, None), None, "the reason is told once");
    }
}
