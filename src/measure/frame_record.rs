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

impl FrameRecord {
    /// What a line of records has, in order.
    pub const COLUMNS: [&'static str; 14] = [
        "counter",
        "sequence",
        "flags",
        "bytes",
        "captured",
        "dequeued",
        "handed",
        "sent",
        "completed",
        "header",
        "complete",
        "done",
        "acknowledged",
        "field",
    ];

    /// As a line of records: numbers, and nothing for what is unknown.
    pub fn line(&self) -> String {
        let counts = [
            self.counter,
            self.sequence,
            u64::from(self.flags),
            self.bytes,
        ];
        let counts = counts.into_iter().map(|count| count.to_string());
        let known = |value: u64| match value {
            0 => String::new(),
            known => known.to_string(),
        };
        let times = self.times().into_iter().chain([u64::from(self.field)]);
        let cells: Vec<String> = counts.chain(times.map(known)).collect();
        cells.join(",")
    }

    fn times(&self) -> [u64; 9] {
        [
            self.captured,
            self.dequeued,
            self.handed,
            self.sent,
            self.completed,
            self.header,
            self.complete,
            self.done,
            self.acknowledged,
        ]
    }
}
