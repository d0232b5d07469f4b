//! What is said on a control connection, apart from the socket that it goes through.

use crate::base::Monotonic;
use crate::wire::{Assembler, WireError};

/// What one side has of the connection.
pub trait Channel {
    /// Sends a message, or lets it wait for room. One that finds too many before it is
    /// dropped, and `false` comes back: nothing that is measured may depend on a peer's
    /// reading.
    fn post(&self, message: &[u8]) -> bool;
    /// Tells whoever waits that something has come.
    fn tell(&self);
    /// Whether the conversation is to end.
    fn is_closing(&self) -> bool;
    /// This side's time.
    fn now(&self) -> Monotonic;
}

/// What one side does with the connection.
pub trait Handler: Send {
    /// A message came, at `at` or before.
    fn message(
        &mut self,
        channel: &dyn Channel,
        kind: u32,
        body: &[u8],
        at: Monotonic,
    ) -> Result<(), WireError>;
    /// When to call `tick`; None if never.
    fn due(&self, channel: &dyn Channel) -> Option<Monotonic>;
    /// It is due. `false` ends the conversation.
    fn tick(&mut self, channel: &dyn Channel) -> bool;
    /// The connection is at its end.
    fn closed(&mut self);
}

/// One side of a conversation.
#[derive(Debug)]
pub struct Conversation<H> {
    handler: H,
    assembler: Assembler,
}

impl<H: Handler> Conversation<H> {
    /// Before the first word.
    pub fn new(handler: H) -> Self {
        Conversation {
            handler,
            assembler: Assembler::default(),
        }
    }

    /// Bytes came, at `at` or before.
    pub fn came(
        &mut self,
        channel: &dyn Channel,
        bytes: &[u8],
        at: Monotonic,
    ) -> Result<(), WireError> {
        self.assembler.push(bytes);
        while let Some((kind, body)) = self.assembler.take()? {
            self.handler.message(channel, kind, &body, at)?;
        }
        Ok(())
    }

    /// When to call `go_on`, if nothing comes before; None if never.
    pub fn due(&self, channel: &dyn Channel) -> Option<Monotonic> {
        self.handler.due(channel)
    }

    /// Does what is due; `false` at the conversation's end.
    pub fn go_on(&mut self, channel: &dyn Channel) -> bool {
        let due = self.handler.due(channel);
        due.is_none_or(|due| channel.now() < due) || self.handler.tick(channel)
    }

    /// Who holds it.
    pub fn handler(&self) -> &H {
        &self.handler
    }

    /// The connection is at its end.
    pub fn closed(&mut self) {
        self.handler.closed();
    }
}
