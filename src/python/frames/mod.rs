//! Frames in Python: who takes them, the frames themselves, and their planes.

mod consumer;
mod dlpack;
mod feed;
mod frame;
mod handed;
mod numpy;
mod pixels;
mod plane;
mod slot;
mod told;

pub use consumer::Consumer;
pub use feed::Feed;
pub use frame::Frame;
pub use plane::Plane;
pub use slot::{Slot, SlotPlane};
