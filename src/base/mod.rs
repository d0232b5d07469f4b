//! Errors, time, waits and calls that can't be waited for: what everything else stands on.

pub mod background;
pub mod bell;
pub mod blocking;
pub mod error;
pub mod hung;
pub mod hypervisor;
pub mod monotonic;
pub mod output;
pub mod poll;
pub mod run;
pub mod settings;
pub mod text;
pub mod threads;

pub use background::{Background, Reins, Work};
pub use bell::Bell;
pub use blocking::{Blocking, Calls, UnderWay};
pub use error::{Error, ErrorKind, Result};
pub use hung::Thread;
pub use monotonic::Monotonic;
pub use output::{Contents, Output, PIECE};
pub use poll::poll_until;
pub(crate) use run::TICK;
pub use run::{Observer, OnStop, Run, Stop, WaitsFor, Woken};
pub use threads::{lock, spawn};
