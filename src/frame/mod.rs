//! A frame: its pixels' layout, its metadata, and the buffer that it is in.

pub mod array;
pub mod buffer;
pub mod capture_clock;
pub mod field;
pub mod flags;
mod formats;
pub mod layout;
pub mod picture;
pub mod pixel_format;
pub mod poison;
pub mod pool;
pub mod stream;

pub(crate) use buffer::Buffer;
pub use buffer::{Frame, Free, Payload, Timestamp};
pub use capture_clock::{CaptureClock, Sighting};
pub use field::Parity;
pub use flags::{BUF_FLAG_ERROR, BUF_FLAG_LAST, MAX_PLANES};
pub(crate) use formats::{Chroma, PAIRED, Shape};
pub use layout::{Layout, Rows, is_compressed, plane_sizes};
pub use pixel_format::FourCc;
pub use poison::{PAGE, Places, Poison};
pub use pool::{Lease, Lent, Pool};
pub use stream::{Appearance, Capability, Colorimetry, Interval, Origin, PlaneLayout, Stream};
