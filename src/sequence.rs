//! Frame sequence numbers, treated as the unreliable things that they are.

/// Counts what a driver's sequence numbers skip, until they turn out to be no
/// counter at all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sequence {
    state: State,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Empty,
    Counting {
        last: u64,
        drops: u64,
    },
    Unusable(Unusable),
}

/// Why a sequence can't tell of drops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unusable {
    /// Two frames had the same number, as all of v4l2loopback's have.
    Stuck {
        /// The number.
        at: u64,
    },
    /// A frame had a smaller number than the one before it.
    JumpedBack {
        /// The earlier frame's number.
        from: u64,
        /// The later frame's number.
        to: u64,
    },
}

impl std::fmt::Display for Unusable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Unusable::Stuck { at } => write!(f, "the sequence number is stuck at {at}"),
            Unusable::JumpedBack { from, to } => {
                write!(f, "the sequence number jumped back from {from} to {to}")
            }
        }
    }
}

/// How many numbers lie from `last` to `next`; None if `next` is not ahead.
/// V4L2 counts in 32 bits and wraps.
fn steps(last: u64, next: u64) -> Option<u64> {
    let steps = match (u32::try_from(last), u32::try_from(next)) {
        (Ok(last), Ok(next)) => {
            let steps = next.wrapping_sub(last);
            if steps > u32::MAX / 2 {
                0
            } else {
                u64::from(steps)
            }
        }
        _ => next.saturating_sub(last),
    };
    (steps > 0).then_some(steps)
}

impl Sequence {
    /// Takes the next frame's number. Answers with the reason if this one shows
    /// that the numbers are unusable.
    pub fn take(&mut self, number: u64) -> Option<Unusable> {
        let (state, news) = match self.state {
            State::Empty => (
                State::Counting {
                    last: number,
                    drops: 0,
                },
                None,
            ),
            State::Counting { last, drops } => match steps(last, number) {
                Some(steps) => (
                    State::Counting {
                        last: number,
                        drops: drops.saturating_add(steps - 1),
                    },
                    None,
                ),
                None => {
                    let why = if number == last {
                        Unusable::Stuck { at: last }
                    } else {
                        Unusable::JumpedBack {
                            from: last,
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

    /// Frames missing between the first and the last; None if that is unknown.
    pub fn drops(&self) -> Option<u64> {
        match self.state {
            State::Empty => Some(0),
            State::Counting { drops, .. } => Some(drops),
            State::Unusable(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(numbers: &[u64]) -> Sequence {
        let mut sequence = Sequence::default();
        for number in numbers {
            sequence.take(*number);
        }
        sequence
    }

    #[test]
    fn gaps_are_drops() {
        assert_eq!(of(&[]).drops(), Some(0));
        assert_eq!(of(&[7, 8, 9]).drops(), Some(0));
        assert_eq!(of(&[7, 9, 14]).drops(), Some(5));
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
    fn a_stuck_or_returning_counter_is_unusable_for_good() {
        assert_eq!(of(&[0, 0, 0]).drops(), None);
        assert_eq!(of(&[5, 6, 2, 3, 4]).drops(), None);
        let mut sequence = of(&[5]);
        assert_eq!(sequence.take(5), Some(Unusable::Stuck { at: 5 }));
        assert_eq!(sequence.take(5), None, "the reason is told once");
    }
}
