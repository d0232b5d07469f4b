//! What is measured of a run.

pub mod clock_sync;
pub mod completeness;
mod deliveries;
pub mod frame_record;
pub mod ledger;
pub mod measured;
pub mod on_device;
pub mod on_socket;
mod one_way;
pub mod records;
pub mod samples;
pub mod sequence;
pub mod series;
pub mod stages;
pub mod verify;

pub use clock_sync::{ClockSync, NO_READING, Offset, PIECE, Piece, Reading};
pub use completeness::{Completeness, Lack};
pub use deliveries::Deliveries;
pub use frame_record::FrameRecord;
pub use ledger::{Acknowledged, Expected, Ledger};
pub use measured::Measured;
pub use on_device::OnDevice;
pub use on_socket::OnSocket;
pub use one_way::{OneWay, Resolve};
pub use records::Records;
pub use samples::Samples;
pub use sequence::{Bursts, Sequence};
pub use series::{Interval, Series};
pub use stages::{Stage, Stages};
pub use verify::{Inspection, Verified};

use std::cell::RefCell;

/// What is measured of a run that goes on. Who takes part in the run adds to it, and who
/// watches it looks in the run's waits: no borrow of it lasts through one.
pub type Measuring = RefCell<Measured>;
