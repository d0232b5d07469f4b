//! Where frame memory comes from: a dma-heap, udmabuf, or a plain memfd.

#![allow(unsafe_code)]

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use nix::errno::Errno;
use nix::libc;
use nix::sys::memfd::MFdFlags;

use super::{Plane, udmabuf};
use crate::base::{Error, ErrorKind, Result};
use crate::memory::MemoryUsed;

const DMA_HEAPS: &str = "/dev/dma_heap";
const UDMABUF: &str = "/dev/udmabuf";
const MEMFD: &str = "memfd";

/// `struct dma_heap_allocation_data` of <linux/dma-heap.h>
#[repr(C)]
struct DmaHeapAllocation {
    len: u64,
    fd: u32,
    fd_flags: u32,
    heap_flags: u64,
}

mod raw {
    nix::ioctl_readwrite!(dma_heap_alloc, b'H', 0, super::DmaHeapAllocation);
}

/// Which heap to use, as options give it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeapChoice {
    /// The best of those that there are.
    Auto,
    /// This one.
    Named(HeapName),
}

impl FromStr for HeapChoice {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "auto" => Ok(HeapChoice::Auto),
            name => name.parse().map(HeapChoice::Named),
        }
    }
}

/// A heap's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeapName {
    /// `/dev/dma_heap/…`
    DmaHeap(PathBuf),
    /// `/dev/udmabuf`: DMABUFs made of memfd pages.
    Udmabuf,
    /// `memfd`: plain shared memory, no DMABUF.
    Memfd,
}

impl FromStr for HeapName {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            MEMFD => Ok(HeapName::Memfd),
            UDMABUF => Ok(HeapName::Udmabuf),
            _ if Path::new(name).parent() == Some(Path::new(DMA_HEAPS)) => {
                Ok(HeapName::DmaHeap(PathBuf::from(name)))
            }
            _ => Err(
                Error::new(ErrorKind::HeapNotFound, format!("use {name:?} as a heap"))
                    .cause("a heap is /dev/dma_heap/NAME, /dev/udmabuf or memfd"),
            ),
        }
    }
}

impl fmt::Display for HeapName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HeapName::DmaHeap(path) => write!(f, "{}", path.display()),
            HeapName::Udmabuf => f.write_str(UDMABUF),
            HeapName::Memfd => f.write_str(MEMFD),
        }
    }
}

impl HeapName {
    /// The heaps that a receiver tries when none is named: the system heap, whose DMABUFs
    /// most drivers import, then udmabuf, then plain memory.
    pub fn receiver_candidates() -> [HeapName; 3] {
        [
            HeapName::DmaHeap(Path::new(DMA_HEAPS).join("system")),
            HeapName::Udmabuf,
            HeapName::Memfd,
        ]
    }

    /// The heaps of DMABUFs to try when none is named: udmabuf first, whose
    /// buffers can be sent without a copy, then what dma-heaps there are, and the
    /// system heap last of these.
    pub fn candidates() -> Vec<HeapName> {
        let (system, others): (Vec<PathBuf>, Vec<PathBuf>) = dma_heaps()
            .into_iter()
            .partition(|path| path.ends_with("system"));
        std::iter::once(HeapName::Udmabuf)
            .chain(others.into_iter().chain(system).map(HeapName::DmaHeap))
            .collect()
    }
}

/// The largest pages that memory may be made of, where a heap has a choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pages {
    /// The machine's usual ones.
    Usual,
    /// Huge ones (2 MiB), where the administrator has set enough of them apart.
    Huge,
}

/// An open heap.
#[derive(Debug)]
pub struct Heap {
    name: HeapName,
    allocator: Allocator,
}

#[derive(Debug)]
enum Allocator {
    DmaHeap(File),
    Udmabuf(File),
    Memfd,
}

impl Heap {
    /// Opens the heap, and names those that there are if it can't be had.
    pub fn open(name: &HeapName) -> Result<Self> {
        let allocator = match name {
            HeapName::DmaHeap(path) => Allocator::DmaHeap(open_device(path)?),
            HeapName::Udmabuf => Allocator::Udmabuf(open_device(Path::new(UDMABUF))?),
            HeapName::Memfd => Allocator::Memfd,
        };
        Ok(Heap {
            name: name.clone(),
            allocator,
        })
    }

    /// Opens the first of `candidates` that gives memory. Says why others were passed over:
    /// a warning if what is left is no DMABUF.
    pub fn first_usable(candidates: &[HeapName]) -> Result<Self> {
        let mut passed_over = Vec::new();
        for name in candidates {
            match Heap::open(name).and_then(|heap| heap.allocate(1).map(|_| heap)) {
                Ok(heap) if heap.memory_used() == MemoryUsed::Memfd => {
                    log::warn!(
                        "heap auto: plain memory (memfd), no DMABUF, since there is no other here \
                         ({})",
                        passed_over.join("; ")
                    );
                    return Ok(heap);
                }
                Ok(heap) => {
                    log::info!("heap auto: {name}");
                    return Ok(heap);
                }
                Err(error) => {
                    log::debug!("heap {name}: {error}");
                    passed_over.push(format!("{name}: {}", error.reason()));
                }
            }
        }
        Err(
            Error::new(ErrorKind::HeapNotFound, "find a heap that gives memory")
                .errno(Errno::ENOENT)
                .cause(passed_over.join("; "))
                .next(available()),
        )
    }

    /// As udmabuf, on a machine that may have none: it gives no memory.
    #[cfg(test)]
    pub(crate) fn stand_in_for_udmabuf() -> Self {
        Heap {
            name: HeapName::Udmabuf,
            allocator: Allocator::Udmabuf(File::open("/dev/null").unwrap()),
        }
    }

    /// Its name.
    pub fn name(&self) -> &HeapName {
        &self.name
    }

    /// Which kind of memory it gives.
    pub fn memory_used(&self) -> MemoryUsed {
        match self.allocator {
            Allocator::DmaHeap(_) | Allocator::Udmabuf(_) => MemoryUsed::DmaBuf,
            Allocator::Memfd => MemoryUsed::Memfd,
        }
    }

    /// Bytes that a plane of `length` bytes takes at most, in pages no larger than
    /// `largest`. None if no machine has them.
    pub fn footprint(&self, length: usize, largest: Pages) -> Option<usize> {
        length.checked_next_multiple_of(match (&self.allocator, largest) {
            (Allocator::Udmabuf(_), Pages::Huge) => udmabuf::HUGE_PAGE,
            _ => page_size(),
        })
    }

    /// Allocates and maps a plane of at least `length` bytes, in whole pages.
    pub fn allocate(&self, length: usize) -> Result<Plane> {
        self.allocate_in(length, Pages::Huge)
    }

    /// As `allocate`, in pages no larger than `largest`.
    pub fn allocate_in(&self, length: usize, largest: Pages) -> Result<Plane> {
        let pages = self.footprint(length, Pages::Usual).unwrap_or(0);
        match &self.allocator {
            Allocator::DmaHeap(device) => {
                dma_heap_alloc(device, pages).and_then(|dmabuf| Plane::of_dmabuf(dmabuf, pages))
            }
            Allocator::Udmabuf(device) => udmabuf::create(device, pages, largest),
            Allocator::Memfd => udmabuf::memfd(pages, MFdFlags::empty())
                .and_then(|memfd| Plane::of_memfd(memfd, pages)),
        }
        .map_err(|errno| self.allocation_error(pages, errno))
    }

    fn allocation_error(&self, length: usize, errno: Errno) -> Error {
        let (kind, cause, next) = match errno {
            Errno::ENOMEM | Errno::ENOSPC => (
                ErrorKind::HeapExhausted,
                "the heap has no memory left for it",
                "use fewer buffers (-b), a smaller size, or another heap (-e)",
            ),
            Errno::EMFILE | Errno::ENFILE => (
                ErrorKind::HeapExhausted,
                "too many files are open",
                "raise the limit (ulimit -n) or use fewer buffers (-b)",
            ),
            Errno::EPERM | Errno::EACCES => (
                ErrorKind::HeapPermission,
                "this user may not allocate from it",
                "run as root or grant the user access to the heap",
            ),
            Errno::EINVAL if self.name == HeapName::Udmabuf => (
                ErrorKind::HeapExhausted,
                "udmabuf limits the size of a buffer (64 MiB unless set otherwise)",
                "raise /sys/module/udmabuf/parameters/size_limit_mb, or use another heap (-e)",
            ),
            _ => (
                ErrorKind::Heap,
                "the heap refuses it",
                "use another heap (-e)",
            ),
        };
        let name = self.name.to_string();
        Error::new(kind, format!("allocate {length} bytes from {name}"))
            .object(name)
            .errno(errno)
            .cause(cause)
            .next(next)
    }
}

fn page_size() -> usize {
    let size = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE);
    size.ok().flatten().map_or(4096, |size| size as usize)
}

fn dma_heap_alloc(heap: &File, length: usize) -> nix::Result<OwnedFd> {
    let mut request = DmaHeapAllocation {
        len: length as u64,
        fd: 0,
        fd_flags: (libc::O_RDWR | libc::O_CLOEXEC) as u32,
        heap_flags: 0,
    };
    // SAFETY: the request number fits the structure, which outlives the call.
    unsafe { raw::dma_heap_alloc(heap.as_raw_fd(), &mut request)? };
    // SAFETY: the call succeeded, so the heap has made this fd for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(request.fd as RawFd) })
}

fn open_device(path: &Path) -> Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .map_err(|error| {
            let shown = path.display().to_string();
            let (kind, next) = match error.kind() {
                io::ErrorKind::NotFound => (ErrorKind::HeapNotFound, available()),
                io::ErrorKind::PermissionDenied => (
                    ErrorKind::HeapPermission,
                    format!("run as root, or grant this user {shown} (a udev rule, or chmod)"),
                ),
                _ => (ErrorKind::Heap, available()),
            };
            let error = Error::about(kind, "open the heap", &shown).io(&error);
            error.next(next)
        })
}

/// The paths of this machine's dma-heaps.
fn dma_heaps() -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(DMA_HEAPS)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    paths.sort();
    paths
}

/// Which heaps this machine has, in words.
fn available() -> String {
    let mut names: Vec<String> = dma_heaps()
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    let udmabuf = if Path::new(UDMABUF).exists() {
        names.push(UDMABUF.to_owned());
        ""
    } else {
        " (no /dev/udmabuf either: modprobe udmabuf, or a kernel with CONFIG_UDMABUF)"
    };
    names.push(format!("{MEMFD} (plain memory, no DMABUF)"));
    format!("heaps here: {}{udmabuf}", names.join(", "))
}
