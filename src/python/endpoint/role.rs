//! What an endpoint runs.

use std::num::NonZeroU64;

use crate::base::{Result, Run};
use crate::capture::{self, CaptureConfig};
use crate::link::Listener;
use crate::measure::Measuring;
use crate::receiver::{self, ReceiverConfig};
use crate::sender::{self, SenderConfig};
use crate::sink::audience::Audience;
use crate::source::{Input, feed::Feed};

/// What an endpoint is, and its settings.
pub enum Role {
    /// Captures and sends.
    Sender(SenderConfig),
    /// Captures.
    Capture(CaptureConfig),
    /// Receives; the address may be bound ahead of the run, by `listen`.
    Receiver(ReceiverConfig, Option<Listener>),
}

impl Role {
    /// Runs a stream; of `feed`'s frames, if there is one.
    pub fn run(
        &mut self,
        (frames, feed): (Option<NonZeroU64>, Option<Feed>),
        audience: &Audience,
        measured: &Measuring,
        run: &mut Run<'_>,
    ) -> Result<()> {
        match self {
            Role::Sender(config) => {
                if let Some(feed) = feed {
                    config.input = Input::Feed(feed);
                }
                sender::send(config, frames, audience, measured, run)
            }
            Role::Capture(config) => capture::capture(config, frames, audience, measured, run),
            Role::Receiver(config, listener) => {
                let listener = listener.take();
                receiver::receive(config, frames, listener, audience, measured, run)
            }
        }
    }

    /// Binds the address of a receiver, if it isn't.
    pub fn listen(&mut self, run: &mut Run<'_>) -> Result<()> {
        if let Role::Receiver(config, listener @ None) = self {
            *listener = Some(receiver::listen(config, run)?);
        }
        Ok(())
    }
}
