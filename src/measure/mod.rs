//! What is measured of a run.

pub mod clock_sync;
pub mod completeness;
pub mod ledger;
pub mod measured;
pub mod one_way;
pub mod passage;
pub mod records;
pub mod samples;
pub mod sequence;
pub mod series;
pub mod stages;
pub mod verify;

use std::cell::RefCell;

pub use measured::Measured;

/// What is measured of a run that goes on. Who takes part in the run adds to it, and who
/// watches it looks in the run's waits: no borrow of it lasts through one.
pub type Measuring = RefCell<Measured>;
