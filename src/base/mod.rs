//! Errors, time, waits and calls that can't be waited for: what everything else stands on.

pub mod background;
pub mod blocking;
pub mod error;
pub mod hung;
pub mod hypervisor;
pub mod monotonic;
pub mod output;
pub mod run;
pub mod text;
