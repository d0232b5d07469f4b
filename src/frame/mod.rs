//! A frame: its pixels' layout, its metadata, and the buffer that it is in.

pub mod buffer;
pub mod capture_clock;
pub mod field;
pub mod flags;
pub mod layout;
pub mod pixel_format;
pub mod poison;
pub mod pool;
pub mod stream;
