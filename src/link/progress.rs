//! Whether a peer takes anything: bytes that its machine acknowledges are progress, however
//! few they are, and what it says elsewhere is none.

use std::time::{Duration, Instant};

use super::connection::Connection;

/// How often to look.
const LOOK: Duration = Duration::from_secs(1);

/// How long a peer has taken nothing.
#[derive(Debug)]
pub struct Progress {
    /// When to give it up unless it takes something before.
    until: Instant,
    looked: Instant,
    /// Bytes that it had not acknowledged then; None where there was no look yet.
    unacknowledged: Option<usize>,
}

impl Progress {
    /// From now on.
    pub(super) fn new(patience: Duration) -> Self {
        let now = Instant::now();
        Progress {
            until: now + patience,
            looked: now,
            unacknowledged: None,
        }
    }

    /// When to look next.
    pub fn due(&self) -> Instant {
        self.until.min(self.looked + LOOK)
    }

    /// Looks if that is due. Whether the peer has taken nothing for too long.
    pub fn is_over(&mut self, connection: &Connection) -> bool {
        let now = Instant::now();
        if now < self.due() {
            return false;
        }
        self.looked = now;
        let left = connection.unacknowledged();
        let before = self.unacknowledged.replace(left);
        if before.is_some_and(|before| left < before) {
            self.until = now + connection.patience;
        }
        if let Some(busy) = connection.last_busy() {
            self.until = self.until.max(busy + connection.patience);
        }
        now >= self.until
    }
}
