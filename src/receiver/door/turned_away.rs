//! What is said of those who are turned away: a line each, unless there are many.

use std::time::{Duration, Instant};

/// Lines within a window, before the rest is counted alone.
const LINES: u32 = 5;
/// The shortest window. It grows while callers keep coming: a scanner fills no log.
const SHORTEST: Duration = Duration::from_secs(10);
/// The longest.
const LONGEST: Duration = Duration::from_secs(600);

/// Those who were turned away.
#[derive(Debug)]
pub(super) struct TurnedAway {
    window: Duration,
    ends: Instant,
    lines_left: u32,
    /// How many were not told of, and what would have been said of the last.
    untold: Option<(u64, String)>,
}

impl TurnedAway {
    pub(super) fn new(now: Instant) -> Self {
        TurnedAway {
            window: SHORTEST,
            ends: now + SHORTEST,
            lines_left: LINES,
            untold: None,
        }
    }

    /// Takes note of one, and gives the line that is to be said of it now.
    pub(super) fn note(&mut self, why: String) -> Option<String> {
        if self.lines_left > 0 {
            self.lines_left -= 1;
            return Some(format!("turned away: {why}"));
        }
        let count = self.untold.take().map_or(0, |(count, _)| count);
        self.untold = Some((count.saturating_add(1), why));
        None
    }

    /// When to ask for what was not told; None if there is nothing.
    pub(super) fn due(&self) -> Option<Instant> {
        self.untold.as_ref().map(|_| self.ends)
    }

    /// Begins a new window if this one is over, and gives the line that sums it up.
    pub(super) fn end_interval(&mut self, now: Instant) -> Option<String> {
        if now < self.ends {
            return None;
        }
        self.window = match self.untold {
            Some(_) => (self.window * 2).min(LONGEST),
            None => SHORTEST,
        };
        self.ends = now + self.window;
        self.lines_left = LINES;
        self.rest()
    }

    /// The line that sums up those who were not told of.
    pub(super) fn rest(&mut self) -> Option<String> {
        let (count, last) = self.untold.take()?;
        Some(format!("turned away: {count} more, the last: {last}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_callers_make_few_lines_and_are_all_counted() {
        let begun = Instant::now();
        let mut turned_away = TurnedAway::new(begun);
        let mut lines = Vec::new();
        // Ten a second, for an hour.
        for tick in 0..36_000 {
            let now = begun + Duration::from_millis(100) * tick;
            lines.extend(turned_away.end_interval(now));
            lines.extend(turned_away.note("x".to_owned()));
        }
        lines.extend(turned_away.rest());
        assert!(lines.len() < 100, "{} lines", lines.len());
        let more = |line: &String| -> u64 {
            line.strip_prefix("turned away: ")
                .and_then(|line| line.split_once(" more"))
                .map_or(1, |(count, _)| count.parse().unwrap())
        };
        assert_eq!(lines.iter().map(more).sum::<u64>(), 36_000);
    }

    #[test]
    fn a_few_are_told_of_at_once() {
        let now = Instant::now();
        let mut turned_away = TurnedAway::new(now);
        for _ in 0..LINES {
            assert_eq!(
                turned_away.note("x".to_owned()).as_deref(),
                Some("turned away: x")
            );
        }
        assert_eq!((turned_away.due(), turned_away.rest()), (None, None));
    }
}
