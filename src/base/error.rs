//! The one error type of the core.
//!
//! An error is read by a person at a terminal, so it carries what that person
//! needs: the operation, its object, the errno in words, the likely cause and
//! the next thing to do. Displayed, it is always a single line.

use std::fmt;

use nix::errno::Errno;
use strum::AsRefStr;

use crate::base::text::escaped;

/// What went wrong, coarse enough to map each kind to one Python exception.
#[derive(Debug, Clone, Copy, PartialEq, Eq, AsRefStr)]
pub enum ErrorKind {
    /// There is no such device node, or nothing behind it.
    DeviceNotFound,
    /// The device may not be opened by this user.
    DevicePermission,
    /// Another program holds the device's queue.
    DeviceBusy,
    /// The node is not a V4L2 capture device with streaming I/O.
    NotACaptureDevice,
    /// The path is not a V4L2 device that takes video.
    NotAnOutputDevice,
    /// The device went away while it was used.
    DeviceGone,
    /// Any other failure of an operation on the device.
    Device,
    /// The pixel format or size asked for can't be had.
    Format,
    /// There is no such heap.
    HeapNotFound,
    /// The heap may not be opened or used by this user.
    HeapPermission,
    /// The heap has no memory left, or refuses a buffer of that size.
    HeapExhausted,
    /// Any other failure of an operation on a heap or its buffers.
    Heap,
    /// The driver refuses to import a DMABUF.
    ImportRefused,
    /// Frames can't be sent without a copy, and have to be.
    ZeroCopy,
    /// An address can't be resolved, bound or listened on.
    Address,
    /// The receiver can't be connected to.
    Connect,
    /// The peer closed or reset the connection before the stream's end.
    PeerLost,
    /// The peer was silent, or took nothing, for longer than the limit.
    PeerTimeout,
    /// The peer's bytes are not this protocol, or break one of its rules.
    Protocol,
    /// The stream ended inside a header or a payload.
    Truncated,
    /// The peer asks for more memory than the limit allows.
    Limit,
    /// The receiver refuses the stream.
    Refused,
    /// A frame is unaccounted for, or is not what it should be.
    Integrity,
    /// The dump can't be opened or written.
    Output,
    /// A system call failed that has no reason to.
    System,
    /// The caller interrupted the run; only `Observer::tick` causes it.
    Interrupted,
    /// A stop came before there was anything to end: no failure of a run.
    Stopped,
}

/// A failed operation, told so that it can be acted on.
#[derive(Debug, Clone)]
pub struct Error {
    kind: ErrorKind,
    operation: String,
    object: Option<String>,
    errno: Option<Errno>,
    cause: Option<String>,
    next: Option<String>,
}

/// The result of the core's operations.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// `operation` completes the words "cannot …", and names what it is done to.
    pub fn new(kind: ErrorKind, operation: impl Into<String>) -> Self {
        Error {
            kind,
            operation: operation.into(),
            object: None,
            errno: None,
            cause: None,
            next: None,
        }
    }

    /// The error of what a stop came before.
    pub fn stopped() -> Self {
        Error::new(ErrorKind::Stopped, "go on").cause("a stop came")
    }

    /// As `new`, of an operation whose words end with its object.
    pub fn about(kind: ErrorKind, verb: impl fmt::Display, object: impl fmt::Display) -> Self {
        Error::new(kind, format!("{verb} {object}")).object(object.to_string())
    }

    /// The path or address that the operation is about, for programs
    /// (`OSError.filename` in Python); `operation` has it for people.
    #[must_use]
    pub fn object(mut self, object: impl Into<String>) -> Self {
        self.object = Some(object.into());
        self
    }

    /// The errno that the kernel answered with.
    #[must_use]
    pub fn errno(mut self, errno: Errno) -> Self {
        self.errno = Some(errno);
        self
    }

    /// The errno of a failed `std::io` operation, or its words where it has none.
    #[must_use]
    pub fn io(mut self, error: &std::io::Error) -> Self {
        match error.raw_os_error() {
            Some(number) => self.errno = Some(Errno::from_raw(number)),
            None => self.cause = Some(error.to_string()),
        }
        self
    }

    /// The likely cause.
    #[must_use]
    pub fn cause(mut self, cause: impl Into<String>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// What to do next.
    #[must_use]
    pub fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    /// As a warning of whoever has done what was to be done.
    #[must_use]
    pub fn without_next(self) -> Self {
        Error { next: None, ..self }
    }

    /// Which kind of failure this is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The path or address that the operation was about.
    pub fn object_name(&self) -> Option<&str> {
        self.object.as_deref()
    }

    /// The errno, where the kernel gave one.
    pub fn errno_value(&self) -> Option<Errno> {
        self.errno
    }

    /// The reason alone, without the operation: what a fall-back logs.
    pub fn reason(&self) -> String {
        let errno = self
            .errno
            .map(|errno| format!("{} ({errno:?})", errno.desc()));
        let parts: Vec<&str> = [errno.as_deref(), self.cause.as_deref()]
            .into_iter()
            .flatten()
            .collect();
        parts.join("; ")
    }
}

/// What failed, in words; nothing if nothing did.
pub fn failure(result: &Result<()>) -> String {
    result
        .as_ref()
        .map_or_else(Error::to_string, |()| String::new())
}

/// How a run went whose stop is no failure.
pub fn unless_stopped(result: Result<()>) -> Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::Stopped => Ok(()),
        result => result,
    }
}

/// How something went, of which a part came later: the first error is the one to tell. A
/// later one is a warning, and replaces it only if it is the caller's interruption.
pub fn keep_first(first: Result<()>, later: Result<()>) -> Result<()> {
    match (first, later) {
        (Ok(()), later) => later,
        (first, Ok(())) => first,
        (Err(_), Err(later)) if later.kind() == ErrorKind::Interrupted => Err(later),
        (first, Err(later)) => {
            log::warn!("{later}");
            first
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = format!("cannot {}", self.operation);
        let reason = self.reason();
        if !reason.is_empty() {
            line.push_str(": ");
            line.push_str(&reason);
        }
        if let Some(next) = &self.next {
            line.push_str("; ");
            line.push_str(next);
        }
        // Paths, names and causes may be others' words.
        f.write_str(&escaped(&line))
    }
}

impl std::error::Error for Error {}
