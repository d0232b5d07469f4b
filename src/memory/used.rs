//! Which kinds of memory frames are in.

use serde::Deserialize;
use strum::AsRefStr;

/// The memory that frames are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, AsRefStr)]
#[strum(serialize_all = "lowercase")]
pub enum MemoryUsed {
    /// DMABUFs from a heap, imported by the driver where there is one.
    DmaBuf,
    /// The driver's own buffers.
    Mmap,
    /// Plain shared memory.
    Memfd,
}

/// Whose memory to use with a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MemoryMode {
    /// A heap's DMABUFs if the driver takes them, else the driver's own buffers.
    Auto,
    /// A heap's DMABUFs.
    DmaBuf,
    /// The driver's own buffers.
    Mmap,
}
