//! Which kinds of memory frames are in.

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
