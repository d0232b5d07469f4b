//! Frames onto a connection, without a copy where that can be had.
//!
//! A frame's lease is dropped when it has left: at once if it was copied, else when the
//! kernel has said that it is done with it.

use std::str::FromStr;

use crate::base::error::{Error, ErrorKind, Result};
use crate::base::run::Run;
use crate::frame::buffer::Payload;
use crate::frame::pool::Lease;
use crate::link::socket::Gather;
use crate::link::{Connection, Header, InFlight, Meanwhile};
use crate::measure::Measuring;
use crate::measure::ledger::Ledger;
use crate::measure::stages::Stage;
use crate::memory::MemoryUsed;
use crate::memory::{Access, Plane, View};
use crate::source::Source;

/// Whether to send without a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ZeroCopyMode {
    /// If the buffers and the network allow it.
    Auto,
    /// Or not at all.
    On,
    /// Never.
    Off,
}

impl FromStr for ZeroCopyMode {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "auto" => Ok(ZeroCopyMode::Auto),
            "on" => Ok(ZeroCopyMode::On),
            "off" => Ok(ZeroCopyMode::Off),
            _ => Err(
                Error::new(ErrorKind::Format, format!("use {name:?} for zero-copy"))
                    .cause("it is auto, on or off"),
            ),
        }
    }
}

/// Finds out by trial whether a source's buffers can be sent without a copy, and
/// notes what was chosen and why. An error if it must be, and can't.
pub fn choose(mode: ZeroCopyMode, source: &dyn Source, measured: &Measuring) -> Result<bool> {
    let stream = source.stream();
    let memory = match (stream.memory, &stream.heap) {
        (MemoryUsed::Mmap, _) => "the driver's own buffers".to_owned(),
        (_, Some(heap)) => format!("buffers of {heap}"),
        (_, None) => "these buffers".to_owned(),
    };
    let chosen = match (mode, source.can_pin()) {
        (ZeroCopyMode::Off, _) => (false, "not wanted".to_owned()),
        (_, Ok(())) => (true, format!("the network can refer to {memory}")),
        (ZeroCopyMode::Auto, Err(errno)) => {
            let why = format!("the network can't refer to {memory} ({})", errno.desc());
            (false, why)
        }
        (ZeroCopyMode::On, Err(errno)) => {
            return Err(
                Error::new(ErrorKind::ZeroCopy, format!("send {memory} without a copy"))
                    .errno(errno)
                    .cause("their mapping has no pages that the network could refer to")
                    .next(
                        "use -e /dev/udmabuf, or -m mmap with a driver that allocates with vmalloc",
                    ),
            );
        }
    };
    let (zero_copy, why) = &chosen;
    let how = if *zero_copy {
        "without a copy"
    } else {
        "by copying"
    };
    log::info!("sending {how}: {why}");
    let zero_copy = *zero_copy;
    measured.borrow_mut().zero_copy.chosen = Some(chosen);
    Ok(zero_copy)
}

/// Sends frames, and gives their buffers back.
pub struct Transmitter<'m> {
    connection: Connection,
    measured: &'m Measuring,
    mode: ZeroCopyMode,
    /// What was sent without a copy, from the first such frame on.
    in_flight: Option<InFlight>,
    copies: bool,
}

impl<'m> Transmitter<'m> {
    /// Sends on `connection`, without a copy if `zero_copy` and the kernel has it.
    pub fn new(
        connection: Connection,
        mode: ZeroCopyMode,
        zero_copy: bool,
        measured: &'m Measuring,
    ) -> Result<Self> {
        let in_flight = match zero_copy.then(|| connection.enable_zero_copy()) {
            None => None,
            Some(Ok(in_flight)) => Some(in_flight),
            Some(Err(errno)) if mode == ZeroCopyMode::On => {
                return Err(
                    Error::new(ErrorKind::ZeroCopy, "send without a copy (SO_ZEROCOPY)")
                        .errno(errno)
                        .next("use --zero-copy auto"),
                );
            }
            Some(Err(errno)) => {
                let why = format!("the kernel refuses SO_ZEROCOPY ({})", errno.desc());
                log::info!("sending by copying: {why}");
                measured.borrow_mut().zero_copy.chosen = Some((false, why));
                None
            }
        };
        Ok(Transmitter {
            connection,
            measured,
            mode,
            copies: in_flight.is_none(),
            in_flight,
        })
    }

    /// The connection, to wait for and to look after.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Sends a frame, and lets go of it, now or when the kernel has completed it: says
    /// whether it will tell of that.
    pub fn send(
        &mut self,
        run: &mut Run<'_>,
        header: Header,
        lease: Lease,
        meanwhile: &mut dyn Meanwhile,
    ) -> Result<bool> {
        match &mut self.in_flight {
            Some(in_flight) if !self.copies => {
                let fell_back = self
                    .connection
                    .send_zero_copy(run, in_flight, header, lease, meanwhile)?;
                let counts = &mut self.measured.borrow_mut().zero_copy;
                counts.frames += 1;
                counts.fell_back += u64::from(fell_back);
                Ok(true)
            }
            _ => {
                let accesses = lease
                    .planes()
                    .map(|(plane, payload)| Ok((plane.read()?, payload)))
                    .collect::<Result<Vec<(Access<&Plane>, Payload)>>>()?;
                let payloads = accesses
                    .iter()
                    .map(|(access, payload)| access.view(payload.offset, payload.length))
                    .collect::<Result<Vec<View<'_>>>>()?;
                let what = Gather {
                    header: &header.bytes,
                    payloads: &payloads,
                };
                self.connection
                    .send(run, what, self.in_flight.as_mut(), meanwhile)?;
                for (access, _) in accesses {
                    access.end()?;
                }
                Ok(false)
            }
        }
    }

    /// Lets go of the frames that the kernel is done with, and tells the ledger of them.
    pub fn reap(&mut self, ledger: &mut Ledger<'_>) -> Result<()> {
        if let Some(in_flight) = &mut self.in_flight {
            self.connection.reap(in_flight)?;
            for (counter, time) in in_flight.completed() {
                let stages = &mut self.measured.borrow_mut().stages;
                stages.record(Stage::UntilCompletion, time);
                ledger.complete(counter, time);
            }
            if self.mode == ZeroCopyMode::Auto && !self.copies && in_flight.copied_by_kernel > 0 {
                self.copies = true;
                let why = "the kernel copies for this network all the same, as over loopback";
                log::info!("sending by copying from now on: {why}");
                self.measured.borrow_mut().zero_copy.chosen = Some((false, why.to_owned()));
            }
        }
        Ok(())
    }

    /// Ends the stream; see `Connection::finish`.
    pub fn finish(&mut self, run: &mut Run<'_>) -> Result<()> {
        // What is in flight stays leased until the receiver has it.
        self.connection.finish(run, self.in_flight.as_mut())
    }
}

#[cfg(test)]
mod tests;
