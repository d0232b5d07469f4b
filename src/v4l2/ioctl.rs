//! The ioctls by name, for errors and for whoever asks what a device is busy with.

use std::fmt;

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
