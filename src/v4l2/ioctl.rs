//! The ioctls: their names, for errors and for whoever asks what a device is busy with, and how
//! they are made.

use std::ffi::c_int;
use std::fmt;
use std::fs::File;
use std::os::fd::{AsRawFd, RawFd};

use nix::errno::Errno;

use crate::base::Calls;

macro_rules! ioctls {
    ($($variant:ident = $name:literal,)*) => {
        /// A V4L2 ioctl.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Ioctl {
            $(
                #[doc = concat!("`VIDIOC_", $name, "`")]
                $variant,
            )*
        }

        impl Ioctl {
            /// The names of all, by their numbers.
            pub const NAMES: &'static [&'static str] = &[$(concat!("VIDIOC_", $name)),*];

            /// Its name, as in `VIDIOC_QBUF`.
            pub fn name(self) -> &'static str {
                match self {
                    $(Ioctl::$variant => concat!("VIDIOC_", $name),)*
                }
            }
        }
    };
}

ioctls! {
    QueryCap = "QUERYCAP",
    EnumFmt = "ENUM_FMT",
    GetFmt = "G_FMT",
    SetFmt = "S_FMT",
    ReqBufs = "REQBUFS",
    QueryBuf = "QUERYBUF",
    QBuf = "QBUF",
    ExpBuf = "EXPBUF",
    DqBuf = "DQBUF",
    StreamOn = "STREAMON",
    StreamOff = "STREAMOFF",
    GetParm = "G_PARM",
    SetParm = "S_PARM",
    GetCtrl = "G_CTRL",
    SubscribeEvent = "SUBSCRIBE_EVENT",
    DqEvent = "DQEVENT",
    QueryDvTimings = "QUERY_DV_TIMINGS",
    GetSelection = "G_SELECTION",
    SetSelection = "S_SELECTION",
}

impl fmt::Display for Ioctl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
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
        let calls = Calls::on(path, Ioctl::NAMES);
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
