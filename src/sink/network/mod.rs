//! The network as a sink: frames onto a connection, without a copy where that can be had.
//!
//! A frame's lease is dropped when it has left: at once if it was copied, else when the
//! kernel has said that it is done with it.

mod framing;
mod zero_copy;

use std::collections::VecDeque;

use nix::poll::PollFd;

use super::{Done, Fate, Passing, Sink};
use crate::base::{Error, ErrorKind, Monotonic, Result, Run};
use crate::frame::{Lease, Payload};
use crate::link::{Connection, Header, InFlight, Meanwhile, socket::Gather};
use crate::measure::{Measuring, Stage};
use crate::memory::{Access, Plane};

pub use framing::Framing;
pub use zero_copy::{ZeroCopyMode, choose};

/// The connection that frames leave by.
pub struct Network<'m> {
    connection: Connection,
    framing: Framing,
    measured: &'m Measuring,
    mode: ZeroCopyMode,
    /// What was sent without a copy, from the first such frame on.
    in_flight: Option<InFlight>,
    copies: bool,
    completed: VecDeque<Done>,
    /// Whether a part of a frame has been sent, and not the rest.
    is_mid_frame: bool,
}

impl<'m> Network<'m> {
    /// Sends on `connection`, without a copy if `zero_copy` and the kernel has it.
    pub fn new(
        connection: Connection,
        framing: Framing,
        (mode, zero_copy): (ZeroCopyMode, bool),
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
        Ok(Network {
            connection,
            framing,
            measured,
            mode,
            copies: in_flight.is_none(),
            in_flight,
            completed: VecDeque::new(),
            is_mid_frame: false,
        })
    }

    /// The connection, to wait for and to look after.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// How frames look on it.
    pub fn framing(&self) -> &Framing {
        &self.framing
    }

    /// Whether a frame was cut off in the middle.
    pub fn is_mid_frame(&self) -> bool {
        self.is_mid_frame
    }

    fn send(
        &mut self,
        header: Header,
        lease: &Lease,
        meanwhile: &mut dyn Meanwhile,
        run: &mut Run<'_>,
    ) -> Result<Fate> {
        if let Some(in_flight) = self.in_flight.as_mut().filter(|_| !self.copies) {
            let lease = lease.clone();
            let connection = &self.connection;
            let fell_back = connection.send_zero_copy(run, in_flight, header, lease, meanwhile)?;
            let counts = &mut self.measured.borrow_mut().zero_copy;
            counts.frames += 1;
            counts.fell_back += u64::from(fell_back);
            return Ok(Fate::Kept);
        }
        let accesses = lease
            .planes()
            .map(|(plane, payload)| Ok((plane.read()?, payload)))
            .collect::<Result<Vec<(Access<&Plane>, Payload)>>>()?;
        let payloads = accesses
            .iter()
            .map(|(access, payload)| access.view(payload.offset, payload.length));
        let what = Gather {
            header: &header.bytes,
            payloads: payloads.collect::<Result<_>>()?,
        };
        self.connection
            .send(run, what, self.in_flight.as_mut(), meanwhile)?;
        for (access, _) in accesses {
            access.end()?;
        }
        Ok(Fate::Done)
    }

    /// Takes in what the kernel is done with.
    fn reap(&mut self) -> Result<()> {
        let Some(in_flight) = &mut self.in_flight else {
            return Ok(());
        };
        self.connection.reap(in_flight)?;
        for (counter, time) in in_flight.completed() {
            let stages = &mut self.measured.borrow_mut().stages;
            stages.record(Stage::UntilCompletion, time);
            let at = Monotonic::now();
            // What this took is a stage of the network's own.
            self.completed.push_back(Done {
                counter,
                at,
                took: None,
            });
        }
        if self.mode == ZeroCopyMode::Auto && !self.copies && in_flight.copied_by_kernel > 0 {
            self.copies = true;
            let why = "the kernel copies for this network all the same, as over loopback";
            log::info!("sending by copying from now on: {why}");
            self.measured.borrow_mut().zero_copy.chosen = Some((false, why.to_owned()));
        }
        Ok(())
    }
}

impl Sink for Network<'_> {
    /// A frame that is begun is sent whole, whatever comes meanwhile.
    fn put(
        &mut self,
        frame: Passing<'_>,
        meanwhile: &mut dyn Meanwhile,
        run: &mut Run<'_>,
    ) -> Result<Fate> {
        let header = Header {
            counter: frame.record.counter,
            bytes: self.framing.header(frame),
        };
        self.is_mid_frame = true;
        let fate = self.send(header, frame.lease, meanwhile, run)?;
        self.is_mid_frame = false;
        Ok(fate)
    }

    fn done(&mut self) -> Result<Option<Done>> {
        if self.completed.is_empty() {
            self.reap()?;
        }
        Ok(self.completed.pop_front())
    }

    /// Completions come by the socket's error queue, for which there is nothing to ask.
    fn poll_fd(&self) -> Option<PollFd<'_>> {
        Some(self.connection.poll_fd(false))
    }

    /// Ends the stream; see `Connection::finish`.
    fn finish(&mut self, run: &mut Run<'_>) -> Result<()> {
        // What is in flight stays leased until the receiver has it.
        self.connection.finish(run, self.in_flight.as_mut())
    }
}
