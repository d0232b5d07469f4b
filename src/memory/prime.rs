//! What a DRM driver is called, and whether it imports a DMABUF (PRIME).
//!
//! Source: the kernel's <drm/drm.h>, and "DRM Memory Management", PRIME Buffer Sharing.

#![allow(unsafe_code)]

use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use crate::base::text;

/// `struct drm_prime_handle`
#[repr(C)]
struct PrimeHandle {
    handle: u32,
    flags: u32,
    fd: i32,
}

/// `struct drm_gem_close`
#[repr(C)]
struct GemClose {
    handle: u32,
    pad: u32,
}

/// `struct drm_version`
#[repr(C)]
struct Version {
    major: i32,
    minor: i32,
    patch: i32,
    name_length: usize,
    name: *mut u8,
    date_length: usize,
    date: *mut u8,
    about_length: usize,
    about: *mut u8,
}

mod raw {
    nix::ioctl_readwrite!(version, b'd', 0x00, super::Version);
    nix::ioctl_readwrite!(fd_to_handle, b'd', 0x2e, super::PrimeHandle);
    nix::ioctl_write_ptr!(gem_close, b'd', 0x09, super::GemClose);
}

/// DRM_IOCTL_VERSION: the driver's name, such as `virtio_gpu`.
pub fn driver(card: BorrowedFd<'_>) -> nix::Result<String> {
    let mut name = [0; 64];
    let mut version = Version {
        major: 0,
        minor: 0,
        patch: 0,
        name_length: name.len(),
        name: name.as_mut_ptr(),
        date_length: 0,
        date: ptr::null_mut(),
        about_length: 0,
        about: ptr::null_mut(),
    };
    // SAFETY: the request number fits the structure, which outlives the call, as does the name; of
    // that and of the others the kernel writes no more than the lengths say.
    unsafe { raw::version(card.as_raw_fd(), &mut version) }?;
    let name = name.get(..version.name_length).unwrap_or(&name);
    Ok(text::of_bytes(name))
}

/// DRM_IOCTL_PRIME_FD_TO_HANDLE, and lets go of what it gave. What drivers answer differs: DRM_CAP_PRIME
/// claims import for all of them.
pub fn import(card: BorrowedFd<'_>, dmabuf: BorrowedFd<'_>) -> nix::Result<()> {
    let mut prime = PrimeHandle {
        handle: 0,
        flags: 0,
        fd: dmabuf.as_raw_fd(),
    };
    // SAFETY: the request number fits the structure, which outlives the call.
    unsafe { raw::fd_to_handle(card.as_raw_fd(), &mut prime) }?;
    let close = GemClose {
        handle: prime.handle,
        pad: 0,
    };
    // SAFETY: as above.
    unsafe { raw::gem_close(card.as_raw_fd(), &close) }?;
    Ok(())
}
