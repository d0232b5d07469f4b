//! Which kinds of memory frames are in.

use serde::Deserialize;

/// The memory that frames are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemoryUsed {
    /// DMABUFs from a heap, imported by the driver where there is one.
    DmaBuf,
    /// The driver's own buffers.
    Mmap,
    /// Plain shared memory.
    Memfd,
}

impl MemoryUsed {
    /// `dmabuf`, `mmap` or `memfd`
    pub fn name(self) -> &'static str {
        match self {
            MemoryUsed::DmaBuf => "dmabuf",
            MemoryUsed::Mmap => "mmap",
            MemoryUsed::Memfd => "memfd",
        }
    }
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
