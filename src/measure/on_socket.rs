//! What became of a stream's frames at a socket for other processes.

/// Frames at a socket: received = given + drops + unclaimed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OnSocket {
    /// Clients that have come.
    pub clients: u64,
    /// Frames that a client got, or several did.
    pub given: u64,
    /// Frames that no client had room for, or that were not whole.
    pub drops: u64,
    /// Frames that came while there was no client.
    pub unclaimed: u64,
}

impl OnSocket {
    /// Frames that it accounts for.
    pub fn frames(&self) -> u64 {
        self.given + self.drops + self.unclaimed
    }
}
