//! What came of a run, and whether it adds up.

pub mod account;
pub mod file;
