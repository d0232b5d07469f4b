//! The way of one frame from side to side, as far as one of them knows it.

/// When a frame was where. Nanoseconds of CLOCK_MONOTONIC; 0 is unknown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FrameRecord {
    /// Frames that were sent before it.
    pub counter: u64,
    /// `v4l2_buffer.sequence`
    pub sequence: u64,
    /// `v4l2_buffer.flags`
    pub flags: u32,
    /// `v4l2_buffer.field`
    pub field: u32,
    /// Bytes of payload.
    pub bytes: u64,
    /// The sender's clock: its capture timestamp, if that is of a clock of the sender's.
    pub captured: u64,
    /// The sender's clock: it was dequeued.
    pub dequeued: u64,
    /// The sender's clock: its first byte was handed to the socket.
    pub handed: u64,
    /// The sender's clock: its last byte was.
    pub sent: u64,
    /// The sender's clock: it was learned that the kernel is done with it.
    pub completed: u64,
    /// The receiver's clock: its header had come.
    pub header: u64,
    /// The receiver's clock: its payload was complete in its buffer.
    pub complete: u64,
    /// The receiver's clock: the dump had it.
    pub done: u64,
    /// The sender's clock: the receiver's acknowledgement came.
    pub acknowledged: u64,
}

/// A column of the records: its name, its value, and what stands for a value of 0.
type Column = (&'static str, fn(&FrameRecord) -> u64, &'static str);

impl FrameRecord {
    /// What a line of records has, in order. What is 0 is unknown, but for the counts.
    const COLUMNS: [Column; 14] = [
        ("counter", |it| it.counter, "0"),
        ("sequence", |it| it.sequence, "0"),
        ("flags", |it| u64::from(it.flags), "0"),
        ("bytes", |it| it.bytes, "0"),
        ("captured", |it| it.captured, ""),
        ("dequeued", |it| it.dequeued, ""),
        ("handed", |it| it.handed, ""),
        ("sent", |it| it.sent, ""),
        ("completed", |it| it.completed, ""),
        ("header", |it| it.header, ""),
        ("complete", |it| it.complete, ""),
        ("done", |it| it.done, ""),
        ("acknowledged", |it| it.acknowledged, ""),
        ("field", |it| u64::from(it.field), ""),
    ];

    /// The names of what a line has, as a line.
    pub fn names() -> String {
        Self::COLUMNS.map(|(name, ..)| name).join(",") + "\n"
    }

    /// As a line of records: numbers, and nothing for what is unknown.
    pub fn line(&self) -> String {
        let cell = |(_, of, zero): Column| match of(self) {
            0 => zero.to_owned(),
            value => value.to_string(),
        };
        Self::COLUMNS.map(cell).join(",") + "\n"
    }
}
