//! What became of the frames that were offered to a consumer.

/// Where the frames of a consumer went: received = delivered + drops + undelivered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Deliveries {
    /// Frames that the run offered him.
    pub received: u64,
    /// Frames that he took.
    pub delivered: u64,
    /// Frames that his policy dropped.
    pub drops: u64,
    /// Frames that wait for him, or that he left when he was done.
    pub undelivered: u64,
    /// Of those that he took, those that he still has.
    pub held: u64,
}

impl Deliveries {
    /// Whether each frame is where a count says.
    pub fn adds_up(&self) -> bool {
        self.received == self.delivered + self.drops + self.undelivered
    }
}
