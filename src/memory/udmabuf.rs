//! DMABUFs out of plain memory: a memfd, and a udmabuf made of it.
//!
//! Source: the kernel's <linux/udmabuf.h>, memfd_create(2).

#![allow(unsafe_code)]

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::unistd::ftruncate;

use super::{Mapping, Pages, Plane};

/// `struct udmabuf_create`
#[repr(C)]
struct UdmabufCreate {
    memfd: u32,
    flags: u32,
    offset: u64,
    size: u64,
}

const UDMABUF_FLAGS_CLOEXEC: u32 = 1;
/// Bytes of a huge page.
pub const HUGE_PAGE: usize = 2 << 20;

mod raw {
    nix::ioctl_write_ptr!(create, b'u', 0x42, super::UdmabufCreate);
}

/// Allocates a plane of `length` bytes, a multiple of the page size.
///
/// It is made of huge pages where the administrator has set enough of them apart
/// (vm.nr_hugepages): a frame is then a few ranges for the network rather than
/// a thousand, which spares the sender a tenth of its work.
pub fn create(device: &File, length: usize, largest: Pages) -> nix::Result<Plane> {
    let huge = MFdFlags::MFD_HUGETLB | MFdFlags::MFD_HUGE_2MB;
    match length
        .checked_next_multiple_of(HUGE_PAGE)
        .filter(|_| largest == Pages::Huge)
        .map(|length| create_of(device, length, huge))
    {
        Some(Ok(plane)) => {
            log::debug!("udmabuf: {length} bytes in huge pages");
            Ok(plane)
        }
        _ => create_of(device, length, MFdFlags::empty()),
    }
}

fn create_of(device: &File, length: usize, pages: MFdFlags) -> nix::Result<Plane> {
    let memfd = memfd(length, pages)?;
    // Before all else: mapping reserves huge pages, or fails.
    let mapping = Mapping::new(memfd.as_fd(), length, 0)?;
    // udmabuf takes only a memfd that can't shrink under it.
    fcntl(&memfd, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_SHRINK))?;
    let request = UdmabufCreate {
        memfd: memfd.as_raw_fd() as u32,
        flags: UDMABUF_FLAGS_CLOEXEC,
        offset: 0,
        size: length as u64,
    };
    // SAFETY: the request number fits the structure, which outlives the call;
    // the memfd is open for as long, and the DMABUF keeps its pages after it.
    let fd = unsafe { raw::create(device.as_raw_fd(), &request)? };
    // SAFETY: the call succeeded, so what it returned is a new fd of ours alone.
    let dmabuf = unsafe { OwnedFd::from_raw_fd(fd) };
    Ok(Plane::of_udmabuf(dmabuf, mapping))
}

/// Makes a memfd of `length` bytes.
pub fn memfd(length: usize, pages: MFdFlags) -> nix::Result<OwnedFd> {
    let memfd = memfd_create(
        c"v4l-dmabuf",
        MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING | pages,
    )?;
    ftruncate(&memfd, i64::try_from(length).map_err(|_| Errno::EFBIG)?)?;
    Ok(memfd)
}
