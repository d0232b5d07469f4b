//! The ioctls: their names, for errors and for whoever asks what a device is busy with, and how
//! they are made.

use std::ffi::c_int;
use std::fs::File;
use std::os::fd::{AsRawFd, RawFd};

use nix::errno::Errno;
use strum::VariantNames;

use crate::base::Calls;

/// A V4L2 ioctl, shown by its name, as in `VIDIOC_QBUF`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display, VariantNames)]
#[strum(prefix = "VIDIOC_", serialize_all = "SCREAMING_SNAKE_CASE")]
#[allow(missing_docs, reason = "the names say it")]
pub enum Ioctl {
    Querycap,
    EnumFmt,
    GFmt,
    SFmt,
    Reqbufs,
    Querybuf,
    Qbuf,
    Expbuf,
    Dqbuf,
    Streamon,
    Streamoff,
    GParm,
    SParm,
    GCtrl,
    SubscribeEvent,
    Dqevent,
    QueryDvTimings,
    GSelection,
    SSelection,
}

/// An open node, to make ioctls on.
#[derive(Debug)]
pub struct Node {
    pub(super) file: File,
    calls: Calls,
}

impl Node {
    /// A node that was opened by `path`.
    pub fn new(file: File, path: &str) -> Self {
        let calls = Calls::on(path, Ioctl::VARIANTS);
        Node { file, calls }
    }

    /// Makes an ioctl, again where a signal interrupts it, which nix does not. The device may
    /// take its time, and is named meanwhile.
    pub fn ioctl(
        &self,
        which: Ioctl,
        mut call: impl FnMut(RawFd) -> nix::Result<c_int>,
    ) -> nix::Result<()> {
        self.calls.during(which as usize, || {
            loop {
                match call(self.file.as_raw_fd()) {
                    Err(Errno::EINTR) => {}
                    result => return result.map(drop),
                }
            }
        })
    }
}
